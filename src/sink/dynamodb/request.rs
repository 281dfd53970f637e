//! One request that writes, and what its answer means.

use std::collections::HashMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::types::{
    ConsumedCapacity, PutRequest, ReturnConsumedCapacity, ReturnValuesOnConditionCheckFailure, WriteRequest,
};

use super::attributes::{Attributes, FEATURE_NAME, KEY, KEY_FIELDS, VERSION, version};
use super::connection::Service;
use super::failed_request::FailedRequest;
use super::unsettled::ItemId;
use crate::epoch::Version;

/// The most items that BatchWriteItem takes.
pub(super) const ITEMS_PER_REQUEST: usize = 25;

/// An answer that is no failure.
#[derive(Debug)]
pub(super) enum Answer {
    /// All were taken but these.
    Taken { unprocessed: Vec<ItemId>, write_units: f64 },
    /// This one, or one as new, stands there already.
    Stands(Version),
}

/// Puts these, whatever stands in their places: BatchWriteItem, once.
pub(super) async fn put_all(service: &Service, items: Vec<(Attributes, Version)>) -> Result<Answer, FailedRequest> {
    let request = |client: &Client| {
        let requests = items.into_iter().map(|(item, _)| {
            // Built without an error: an item is all that a put needs.
            let put = PutRequest::builder().set_item(Some(item)).build().ok();
            WriteRequest::builder().set_put_request(put).build()
        });
        client
            .batch_write_item()
            .request_items(&service.table.name, requests.collect())
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
            .send()
    };
    let answer = service.attempt(request).await?;
    let write_units = write_units(answer.consumed_capacity());
    let requests = answer.unprocessed_items.unwrap_or_default().into_values().flatten();
    let unprocessed = requests.filter_map(|request| request.put_request).map(|put| id(&put.item)).collect();
    Ok(Answer::Taken { unprocessed, write_units })
}

/// Puts the one item where nothing as new stands: PutItem, once.
pub(super) async fn put_if_newer(
    service: &Service,
    items: Vec<(Attributes, Version)>,
) -> Result<Answer, FailedRequest> {
    debug_assert!(items.len() <= 1, "a condition is one item's");
    let Some((item, version)) = items.into_iter().next() else {
        return Ok(Answer::Taken { unprocessed: Vec::new(), write_units: 0.0 });
    };
    let request = |client: &Client| {
        let names = HashMap::from([("#version".to_owned(), VERSION.to_owned())]);
        let values = HashMap::from([(":version".to_owned(), super::attributes::number(version.0))]);
        let put = client
            .put_item()
            .table_name(&service.table.name)
            .set_item(Some(item))
            .condition_expression("attribute_not_exists(#version) OR #version < :version")
            .set_expression_attribute_names(Some(names))
            .set_expression_attribute_values(Some(values))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
            .send();
        async {
            match put.await {
                Ok(answer) => {
                    let write_units = write_units(answer.consumed_capacity.as_slice());
                    Ok(Answer::Taken { unprocessed: Vec::new(), write_units })
                }
                Err(error) => standing(&error).map(Answer::Stands).ok_or(error),
            }
        }
    };
    service.attempt(request).await
}

/// The version that stands there, where the condition was not met.
fn standing(error: &SdkError<PutItemError>) -> Option<Version> {
    match error.as_service_error()? {
        PutItemError::ConditionalCheckFailedException(failed) => version(failed.item()?),
        _ => None,
    }
}

fn write_units(consumed: &[ConsumedCapacity]) -> f64 {
    consumed.iter().filter_map(ConsumedCapacity::capacity_units).sum()
}

/// Which item of the table it is.
pub(super) fn id(item: &Attributes) -> ItemId {
    let text = |name: &str| item.get(name).and_then(|value| value.as_s().ok()).map_or("", String::as_str);
    // It has one of the two.
    ItemId::of(text(KEY).as_bytes(), [text(FEATURE_NAME), text(KEY_FIELDS)].concat().as_bytes())
}
