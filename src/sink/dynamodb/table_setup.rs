//! `table`: makes the table, or holds what it is against what is asked for, and changes the difference if told to.
//!
//! - A table that is there keeps all its settings unless `apply` says otherwise, also those that it got from somebody else
//!   while this was about to make it.
//! - TTL and point-in-time recovery are changed before the billing: while that changes, the service refuses them.
//! - One setting that cannot be read or changed does not hide the others.

use std::sync::Arc;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::BuildError;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, PointInTimeRecoverySpecification, PointInTimeRecoveryStatus,
    ProvisionedThroughput, ScalarAttributeType, TableDescription, TimeToLiveSpecification,
};

use super::attributes::EXPIRES_AT;
use super::connection::Service;
use super::failed_request::{Cause, FailedRequest};
use super::reader::READER_PATIENCE;
use super::table::{KeySchema, LOOK_AGAIN, LOOKS, Readiness, describe, key_schema, require_key, ttl, wait_until};
use super::table_report::{
    BILLING, Billing, POINT_IN_TIME_RECOVERY, SettingReport, TTL, TableReport, TableWishes, Verdict, judge_billing,
    judge_point_in_time_recovery, judge_ttl, ttl_by_expires_at,
};
use crate::pipeline::Pipeline;
use crate::sink::SinkError;
use crate::telemetry::Metrics;

/// Creates the pipeline's table as it is wished for and waits until it can be used; if it is there, looks whether it is
/// right, and with `apply` changes what can be changed. Another key is an error.
pub fn ensure_table(pipeline: &Pipeline, wishes: &TableWishes, apply: bool) -> Result<TableReport, SinkError> {
    let (runtime, service) = Service::connect(&pipeline.dynamodb, READER_PATIENCE, Arc::new(Metrics::default()))?;
    runtime.block_on(async {
        service.require_credentials().await?;
        let schema = key_schema(pipeline);
        let created = match describe(&service).await {
            Ok(_) => false,
            Err(failure) if failure.cause == Cause::NoTable => create(&service, schema, wishes).await?,
            Err(failure) => return Err(service.error("look at the table", failure)),
        };
        let table = wait_until(&service, Readiness::Usable).await?;
        require_key(&service, schema, &table)?;
        let mut settings = Vec::new();
        // One that was just made is also told its billing when nobody asked.
        let billing = wishes.billing.or(created.then_some(Billing::OnDemand));
        let checks = Checks { service: &service, apply: apply || created, created };
        if wishes.ttl {
            settings.push(checks.ttl().await?);
        }
        if wishes.point_in_time_recovery {
            settings.push(checks.point_in_time_recovery().await?);
        }
        if let Some(billing) = billing {
            settings.push(checks.billing(&table, billing).await?);
        }
        Ok(TableReport { table: service.table.to_string(), created, settings })
    })
}

/// Whether it was this call that created the table, and not somebody else's at the same time.
async fn create(service: &Service, schema: KeySchema, wishes: &TableWishes) -> Result<bool, SinkError> {
    let billing = wishes.billing.unwrap_or(Billing::OnDemand);
    let described = key_attributes(schema).and_then(|key| Ok((key, throughput(billing)?)));
    let ((elements, definitions), throughput) =
        described.map_err(|error| SinkError::caused_by("cannot describe the table that is to be created", error))?;
    let request = |client: &Client| {
        client
            .create_table()
            .table_name(&service.table.name)
            .set_key_schema(Some(elements.clone()))
            .set_attribute_definitions(Some(definitions.clone()))
            .billing_mode(mode(billing))
            .set_provisioned_throughput(throughput.clone())
            .send()
    };
    match service.call(request).await {
        Ok(_) => Ok(true),
        Err(failure) if failure.cause == Cause::InUse => Ok(false),
        Err(failure) => Err(service.error("create the table", failure)),
    }
}

type KeyAttributes = (Vec<KeySchemaElement>, Vec<AttributeDefinition>);

fn key_attributes(schema: KeySchema) -> Result<KeyAttributes, BuildError> {
    let (mut elements, mut definitions) = (Vec::new(), Vec::new());
    for (name, part) in schema.parts() {
        elements.push(KeySchemaElement::builder().attribute_name(name).key_type(part).build()?);
        let definition = AttributeDefinition::builder().attribute_name(name);
        definitions.push(definition.attribute_type(ScalarAttributeType::S).build()?);
    }
    Ok((elements, definitions))
}

fn mode(billing: Billing) -> BillingMode {
    match billing {
        Billing::OnDemand => BillingMode::PayPerRequest,
        Billing::Provisioned { .. } => BillingMode::Provisioned,
    }
}

fn throughput(billing: Billing) -> Result<Option<ProvisionedThroughput>, BuildError> {
    let Billing::Provisioned { read, write } = billing else { return Ok(None) };
    let units = |units: u64| i64::try_from(units).unwrap_or(i64::MAX);
    let throughput =
        ProvisionedThroughput::builder().read_capacity_units(units(read)).write_capacity_units(units(write));
    throughput.build().map(Some)
}

fn billing_of(table: &TableDescription) -> Billing {
    let mode = table.billing_mode_summary().and_then(|summary| summary.billing_mode());
    if mode == Some(&BillingMode::PayPerRequest) {
        return Billing::OnDemand;
    }
    let units = table.provisioned_throughput();
    let of = |units: Option<i64>| units.and_then(|units| u64::try_from(units).ok()).unwrap_or_default();
    Billing::Provisioned {
        read: of(units.and_then(|units| units.read_capacity_units())),
        write: of(units.and_then(|units| units.write_capacity_units())),
    }
}

/// Holds one setting after the other against what is asked for.
struct Checks<'a> {
    service: &'a Service,
    apply: bool,
    /// The table was just made: what is set then was not something else before.
    created: bool,
}

impl Checks<'_> {
    async fn ttl(&self) -> Result<SettingReport, SinkError> {
        let found = match ttl(self.service).await {
            Ok(found) => judge_ttl(&found),
            Err(failure) => self.unknown(TTL, ttl_by_expires_at(), failure)?,
        };
        let specification = TimeToLiveSpecification::builder().enabled(true).attribute_name(EXPIRES_AT).build();
        let specification =
            specification.map_err(|error| SinkError::caused_by("cannot describe the table's TTL", error))?;
        let name = &self.service.table.name;
        let request = async || {
            let request = |client: &Client| {
                let specification = specification.clone();
                client.update_time_to_live().table_name(name).time_to_live_specification(specification).send()
            };
            self.service.call(request).await.map(drop)
        };
        self.change(found, request).await
    }

    async fn point_in_time_recovery(&self) -> Result<SettingReport, SinkError> {
        let name = &self.service.table.name;
        let described = self.service.call(|client| client.describe_continuous_backups().table_name(name).send()).await;
        let found = match described {
            Ok(answer) => {
                let recovery =
                    answer.continuous_backups_description.and_then(|found| found.point_in_time_recovery_description);
                let status = recovery.and_then(|recovery| recovery.point_in_time_recovery_status);
                judge_point_in_time_recovery(status == Some(PointInTimeRecoveryStatus::Enabled))
            }
            Err(failure) => self.unknown(POINT_IN_TIME_RECOVERY, "on".to_owned(), failure)?,
        };
        let specification = PointInTimeRecoverySpecification::builder().point_in_time_recovery_enabled(true).build();
        let specification = specification
            .map_err(|error| SinkError::caused_by("cannot describe the table's point-in-time recovery", error))?;
        let request = async || {
            let request = |client: &Client| {
                let specification = specification.clone();
                client
                    .update_continuous_backups()
                    .table_name(name)
                    .point_in_time_recovery_specification(specification)
                    .send()
            };
            for _ in 0..LOOKS {
                match self.service.call(request).await {
                    // A table that was just made is not ready for it.
                    Err(failure) if failure.text.starts_with("ContinuousBackupsUnavailableException") => {
                        tokio::time::sleep(LOOK_AGAIN).await;
                    }
                    outcome => return outcome.map(drop),
                }
            }
            self.service.call(request).await.map(drop)
        };
        self.change(found, request).await
    }

    async fn billing(&self, table: &TableDescription, asked: Billing) -> Result<SettingReport, SinkError> {
        let found = judge_billing(billing_of(table), asked);
        let throughput = throughput(asked)
            .map_err(|error| SinkError::caused_by(format!("cannot describe the table's {BILLING}"), error))?;
        let name = &self.service.table.name;
        let request = async || {
            let request = |client: &Client| {
                let update = client.update_table().table_name(name).billing_mode(mode(asked));
                update.set_provisioned_throughput(throughput.clone()).send()
            };
            self.service.call(request).await.map(drop)
        };
        self.change(found, request).await
    }

    /// A setting that cannot be looked at.
    fn unknown(&self, name: &'static str, asked: String, failure: FailedRequest) -> Result<SettingReport, SinkError> {
        let because = if failure.cause == Cause::Denied {
            self.service.error("look at it", failure).to_string()
        } else if failure.text.starts_with("UnknownOperationException") {
            "this service does not have it, as DynamoDB Local does not; leave it out".to_owned()
        } else {
            return Err(self.service.error(&format!("look at the table's {name}"), failure));
        };
        Ok(SettingReport { name, is: "not known".to_owned(), verdict: Verdict::Fixed { asked, because } })
    }

    /// Changes a setting that differs, where that is wanted.
    async fn change(
        &self,
        found: SettingReport,
        request: impl AsyncFn() -> Result<(), FailedRequest>,
    ) -> Result<SettingReport, SinkError> {
        let SettingReport { name, is, verdict: Verdict::Differs(asked) } = &found else { return Ok(found) };
        if !self.apply {
            return Ok(found);
        }
        wait_until(self.service, Readiness::Changeable).await?;
        let verdict = match request().await {
            Ok(()) if self.created => return Ok(SettingReport { name, is: asked.clone(), verdict: Verdict::Right }),
            Ok(()) => Verdict::Changed(asked.clone()),
            Err(failure) => {
                let because = match failure.cause {
                    // The service lets it be changed only now and then.
                    Cause::Invalid | Cause::InUse => format!("the service says {}; run this again later", failure.text),
                    _ => self.service.error("change it", failure).to_string(),
                };
                Verdict::Fixed { asked: asked.clone(), because }
            }
        };
        Ok(SettingReport { name, is: is.clone(), verdict })
    }
}
