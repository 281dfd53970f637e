//! BatchWriteItem, PutItem, UpdateItem and DeleteItem as they come over the wire: read, and checked as the service does.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use serde::Deserialize;

use super::answer::Refusal;
use super::expression::{Condition, Parser};
use super::placeholders::Placeholders;
use super::state::State;
use super::table::Stored;
use super::update::Update;
use super::value::{Attributes, MOST_ITEM_BYTES, check_attributes};
use super::write::{Change, Write, Writes};

const MOST_REQUESTS: usize = 25;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Batch {
    request_items: Option<BTreeMap<String, Option<Vec<OfBatch>>>>,
    return_consumed_capacity: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct OfBatch {
    put_request: Option<OfPut>,
    delete_request: Option<OfDelete>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct OfPut {
    item: Option<Attributes>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct OfDelete {
    key: Option<Attributes>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Single {
    table_name: Option<String>,
    item: Option<Attributes>,
    key: Option<Attributes>,
    update_expression: Option<String>,
    condition_expression: Option<String>,
    expression_attribute_names: Option<BTreeMap<String, String>>,
    expression_attribute_values: Option<Attributes>,
    return_values: Option<String>,
    return_values_on_condition_check_failure: Option<String>,
    return_consumed_capacity: Option<String>,
}

/// The body of a request.
pub fn body<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, Refusal> {
    serde_json::from_slice(bytes).map_err(|error| Refusal::new(400, "SerializationException", error.to_string()))
}

fn null(member: &str) -> Refusal {
    Refusal::invalid(format!(
        "1 validation error detected: Value null at '{member}' failed to satisfy constraint: Member must not be null"
    ))
}

/// Whether the answer is to tell the consumed capacity.
pub fn tells_capacity(asked: Option<&str>) -> Result<bool, Refusal> {
    match asked {
        None | Some("NONE") => Ok(false),
        Some("TOTAL" | "INDEXES") => Ok(true),
        Some(other) => Err(Refusal::invalid(format!(
            "1 validation error detected: Value '{other}' at 'returnConsumedCapacity' failed to satisfy constraint: Member \
             must satisfy enum value set: [INDEXES, TOTAL, NONE]"
        ))),
    }
}

impl Change {
    fn put(item: Attributes) -> Change {
        Change::Put(Arc::new(Stored::new(item)))
    }
}

impl Writes {
    pub fn parse(operation: &'static str, bytes: &[u8], state: &mut State) -> Result<Writes, Refusal> {
        if operation == "BatchWriteItem" {
            Writes::batch(body(bytes)?, state)
        } else {
            Writes::single(operation, body(bytes)?, state)
        }
    }

    fn batch(batch: Batch, state: &mut State) -> Result<Writes, Refusal> {
        let tells_capacity = tells_capacity(batch.return_consumed_capacity.as_deref())?;
        let tables = batch.request_items.ok_or_else(|| null("requestItems"))?;
        let count: usize = tables.values().flatten().map(Vec::len).sum();
        if tables.is_empty()
            || tables.values().any(|requests| requests.as_ref().is_none_or(Vec::is_empty))
            || count > MOST_REQUESTS
        {
            return Err(Refusal::invalid(
                "1 validation error detected: Value at 'requestItems' failed to satisfy constraint: Map value must satisfy \
                 constraint: [Member must have length less than or equal to 25, Member must have length greater than or \
                 equal to 1]",
            ));
        }
        let mut writes = Vec::with_capacity(count);
        for (table, requests) in tables {
            for request in requests.into_iter().flatten() {
                let change = match (request.put_request, request.delete_request) {
                    (Some(OfPut { item }), None) => {
                        Change::put(item.ok_or_else(|| null("requestItems.putRequest.item"))?)
                    }
                    (None, Some(OfDelete { key })) => {
                        Change::Delete(key.ok_or_else(|| null("requestItems.deleteRequest.key"))?)
                    }
                    _ => {
                        return Err(Refusal::invalid(
                            "Supplied AttributeValue has more than one datatypes set, must contain exactly one of the \
                             supported datatypes",
                        ));
                    }
                };
                writes.push(Write::new(&table, change, None, state)?);
            }
        }
        let mut keys = HashSet::with_capacity(count);
        if !writes.iter().all(|write| keys.insert((&write.table, &write.key))) {
            return Err(Refusal::invalid("Provided list of item keys contains duplicates"));
        }
        let returns = String::new();
        Ok(Writes { operation: "BatchWriteItem", writes, tells_capacity, returns, returns_on_failure: false })
    }

    fn single(operation: &'static str, single: Single, state: &mut State) -> Result<Writes, Refusal> {
        let tells_capacity = tells_capacity(single.return_consumed_capacity.as_deref())?;
        let table = single.table_name.ok_or_else(|| null("tableName"))?;
        let returns = single.return_values.unwrap_or_default();
        let known: &[&str] = match operation {
            "UpdateItem" => &["", "NONE", "ALL_OLD", "ALL_NEW", "UPDATED_NEW", "UPDATED_OLD"],
            _ => &["", "NONE", "ALL_OLD"],
        };
        if !known.contains(&returns.as_str()) {
            return Err(Refusal::invalid("Return values set to invalid value"));
        }
        let returns_on_failure = match single.return_values_on_condition_check_failure.as_deref() {
            None | Some("NONE") => false,
            Some("ALL_OLD") => true,
            Some(other) => {
                return Err(Refusal::invalid(format!(
                    "1 validation error detected: Value '{other}' at 'returnValuesOnConditionCheckFailure' failed to \
                     satisfy constraint: Member must satisfy enum value set: [ALL_OLD, NONE]"
                )));
            }
        };
        let mut expressions = vec![("ConditionExpression", single.condition_expression.is_some())];
        if operation == "UpdateItem" {
            expressions.insert(0, ("UpdateExpression", single.update_expression.is_some()));
        }
        let placeholders =
            Placeholders::new(single.expression_attribute_names, single.expression_attribute_values, &expressions)?;
        let update = single.update_expression.map(|text| Update::parse(&text, &placeholders)).transpose()?;
        let condition = single
            .condition_expression
            .map(|text| Parser::new("ConditionExpression", &text, &placeholders)?.condition());
        let condition = condition.transpose()?;
        placeholders.require_all_used()?;
        let change = match operation {
            "PutItem" => Change::put(single.item.ok_or_else(|| null("item"))?),
            "UpdateItem" => Change::Update(single.key.ok_or_else(|| null("key"))?, update.unwrap_or_default()),
            _ => Change::Delete(single.key.ok_or_else(|| null("key"))?),
        };
        let writes = vec![Write::new(&table, change, condition, state)?];
        Ok(Writes { operation, writes, tells_capacity, returns, returns_on_failure })
    }
}

impl Write {
    fn new(table: &str, change: Change, condition: Option<Condition>, state: &mut State) -> Result<Write, Refusal> {
        let schema = &state
            .usable(table)
            .map_err(|refusal| match refusal.code.as_str() {
                "ResourceNotFoundException" => Refusal::no_table(),
                _ => refusal,
            })?
            .schema;
        let key = match &change {
            Change::Put(item) => {
                check_attributes(&item.attributes)?;
                let key = schema.identity_of_item(&item.attributes)?;
                if item.bytes > MOST_ITEM_BYTES {
                    return Err(Refusal::invalid("Item size has exceeded the maximum allowed size"));
                }
                key
            }
            Change::Delete(key) => schema.identity_of_key(key)?,
            Change::Update(key, update) => {
                let identity = schema.identity_of_key(key)?;
                if let Some((name, _)) =
                    schema.parts().find(|(name, _)| update.attributes().any(|updated| updated == name))
                {
                    return Err(Refusal::invalid(format!(
                        "One or more parameter values were invalid: Cannot update attribute {name}. This attribute is part \
                         of the key"
                    )));
                }
                identity
            }
        };
        Ok(Write { table: table.to_owned(), key, change, condition })
    }
}
