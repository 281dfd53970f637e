//! The operations on tables themselves: create, describe, change, delete; TTL; point-in-time recovery.

use std::time::UNIX_EPOCH;

use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::answer::{Answer, Refusal};
use super::state::State;
use super::table::{Billing, Existence, KeySchema, Table};
use super::write_request::body;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Control {
    table_name: Option<String>,
    #[serde(default)]
    key_schema: Vec<KeyElement>,
    #[serde(default)]
    attribute_definitions: Vec<Definition>,
    billing_mode: Option<String>,
    provisioned_throughput: Option<Throughput>,
    time_to_live_specification: Option<TimeToLive>,
    point_in_time_recovery_specification: Option<PointInTimeRecovery>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct KeyElement {
    attribute_name: String,
    key_type: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Definition {
    attribute_name: String,
    attribute_type: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Throughput {
    read_capacity_units: Option<u64>,
    write_capacity_units: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct TimeToLive {
    attribute_name: String,
    enabled: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PointInTimeRecovery {
    point_in_time_recovery_enabled: bool,
}

/// `None`: this is no operation on tables.
pub fn answer(operation: &str, bytes: &[u8], state: &mut State) -> Option<Answer> {
    let carry_out: fn(Control, &str, &mut State) -> Answer = match operation {
        "CreateTable" => create,
        "DescribeTable" => |_, name, state| Ok(json!({ "Table": description(name, state.described(name)?) })),
        "UpdateTable" => update,
        "DeleteTable" => delete,
        "DescribeTimeToLive" => |_, name, state| Ok(json!({ "TimeToLiveDescription": ttl(state.described(name)?) })),
        "UpdateTimeToLive" => update_ttl,
        "DescribeContinuousBackups" => |_, name, state| Ok(backups(table_of_backups(name, state)?)),
        "UpdateContinuousBackups" => update_backups,
        _ => return None,
    };
    Some(body::<Control>(bytes).and_then(|mut control| {
        let name = control.table_name.take().unwrap_or_default();
        carry_out(control, &name, state)
    }))
}

fn create(control: Control, name: &str, state: &mut State) -> Answer {
    match state.described(name) {
        Ok(_) => {
            return Err(Refusal::new(400, "ResourceInUseException", format!("Table already exists: {name}")));
        }
        Err(refusal) if refusal.code == "ResourceNotFoundException" => {}
        Err(refusal) => return Err(refusal),
    }
    let schema = schema(&control)?;
    let billing = billing(&control)?.ok_or_else(|| {
        Refusal::invalid(
            "One or more parameter values were invalid: ReadCapacityUnits and WriteCapacityUnits must both be \
                          specified when BillingMode is PROVISIONED",
        )
    })?;
    let takes = state.script.table_takes;
    let mut table = Table::new(schema);
    table.billing = billing;
    table.existence.set(Existence::Created, takes);
    let answer = json!({ "TableDescription": description(name, &table) });
    state.tables.insert(name.to_owned(), table);
    Ok(answer)
}

fn schema(control: &Control) -> Result<KeySchema, Refusal> {
    let refuse = |what: &str| Err(Refusal::invalid(format!("One or more parameter values were invalid: {what}")));
    let keys = &control.key_schema;
    let kinds: Vec<&str> = keys.iter().map(|key| key.key_type.as_str()).collect();
    if keys.is_empty() || keys.len() > 2 {
        return refuse("A key schema has one or two elements");
    }
    if kinds[0] != "HASH" || kinds.get(1).is_some_and(|kind| *kind != "RANGE") {
        return refuse(
            "Invalid KeySchema: The first KeySchemaElement is not a HASH key type, or the second not a RANGE",
        );
    }
    if keys.len() == 2 && keys[0].attribute_name == keys[1].attribute_name {
        return refuse("Both the Hash Key and the Range Key element in the KeySchema have the same name");
    }
    let definitions = &control.attribute_definitions;
    if let Some(wrong) = definitions.iter().find(|definition| !["S", "N", "B"].contains(&&*definition.attribute_type)) {
        return refuse(&format!("Member must satisfy enum value set: [B, N, S], not {}", wrong.attribute_type));
    }
    let mut parts = Vec::new();
    for key in keys {
        let Some(found) = definitions.iter().find(|definition| definition.attribute_name == key.attribute_name) else {
            return refuse("Some index key attributes are not defined in AttributeDefinitions");
        };
        parts.push((found.attribute_name.clone(), found.attribute_type.clone()));
    }
    if definitions.len() != keys.len() {
        return refuse(
            "Number of attributes in KeySchema does not exactly match number of attributes defined in \
                       AttributeDefinitions",
        );
    }
    let mut parts = parts.into_iter();
    match (parts.next(), parts.next()) {
        (Some(hash), range) => Ok(KeySchema { hash, range }),
        _ => refuse("A key schema has one or two elements"),
    }
}

/// What a request says of the billing; `None`: too little, or nothing.
fn billing(control: &Control) -> Result<Option<Billing>, Refusal> {
    let units = control.provisioned_throughput.as_ref().map(|throughput| {
        (throughput.read_capacity_units.unwrap_or_default(), throughput.write_capacity_units.unwrap_or_default())
    });
    match (control.billing_mode.as_deref(), units) {
        (Some("PAY_PER_REQUEST"), None) => Ok(Some(Billing::OnDemand)),
        (Some("PAY_PER_REQUEST"), Some(_)) => Err(Refusal::invalid(
            "One or more parameter values were invalid: Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when \
             BillingMode is PAY_PER_REQUEST",
        )),
        (None | Some("PROVISIONED"), Some((read, write))) if read > 0 && write > 0 => {
            Ok(Some(Billing::Provisioned { read, write }))
        }
        (None | Some("PROVISIONED"), Some(_)) => Err(Refusal::invalid(
            "1 validation error detected: Value '0' at 'provisionedThroughput' failed to satisfy constraint: Member must have \
             value greater than or equal to 1",
        )),
        (None | Some("PROVISIONED"), None) => Ok(None),
        (Some(other), _) => Err(Refusal::invalid(format!(
            "1 validation error detected: Value '{other}' at 'billingMode' failed to satisfy constraint: Member must satisfy \
             enum value set: [PROVISIONED, PAY_PER_REQUEST]"
        ))),
    }
}

/// A table that can be changed just now.
fn changeable<'a>(name: &str, state: &'a mut State) -> Result<&'a mut Table, Refusal> {
    let table = state.described(name)?;
    match table.status() {
        "ACTIVE" => Ok(table),
        status => {
            let message = format!(
                "Attempt to change a resource which is still in use: Table is being {}: {name}",
                match status {
                    "CREATING" => "created",
                    "DELETING" => "deleted",
                    _ => "updated",
                }
            );
            Err(Refusal::new(400, "ResourceInUseException", message))
        }
    }
}

fn update(control: Control, name: &str, state: &mut State) -> Answer {
    let takes = state.script.table_takes;
    let table = changeable(name, state)?;
    match billing(&control)? {
        Some(Billing::Provisioned { .. }) if control.billing_mode.is_none() && table.billing == Billing::OnDemand => {
            return Err(Refusal::invalid(
                "One or more parameter values were invalid: Neither ReadCapacityUnits nor WriteCapacityUnits can be specified \
                 when BillingMode is PAY_PER_REQUEST",
            ));
        }
        Some(same) if same == table.billing && same != Billing::OnDemand => {
            let (read, write) = match same {
                Billing::Provisioned { read, write } => (read, write),
                Billing::OnDemand => (0, 0),
            };
            return Err(Refusal::invalid(format!(
                "The provisioned throughput for the table will not change. The requested value equals the current value. \
                 Current ReadCapacityUnits provisioned for the table: {read}. Requested ReadCapacityUnits: {read}. Current \
                 WriteCapacityUnits provisioned for the table: {write}. Requested WriteCapacityUnits: {write}."
            )));
        }
        Some(billing) => table.billing = billing,
        None if control.billing_mode.is_some() => {
            return Err(Refusal::invalid(
                "One or more parameter values were invalid: ReadCapacityUnits and WriteCapacityUnits must both be specified \
                 when BillingMode is PROVISIONED",
            ));
        }
        None => return Err(Refusal::invalid("At least one of ProvisionedThroughput, BillingMode, ... is required")),
    }
    table.existence.set(Existence::Updated, takes);
    Ok(json!({ "TableDescription": description(name, table) }))
}

fn delete(_: Control, name: &str, state: &mut State) -> Answer {
    let takes = state.script.table_takes;
    let table = changeable(name, state)?;
    table.existence.set(Existence::Deleted, takes);
    let answer = json!({ "TableDescription": description(name, table) });
    // Gone now, where that takes no time.
    let _ = state.described(name);
    Ok(answer)
}

fn description(name: &str, table: &Table) -> Json {
    let element = |(name, kind): (&(String, String), &str)| json!({ "AttributeName": name.0, "KeyType": kind });
    let definition = |(name, kind): &(String, String)| json!({ "AttributeName": name, "AttributeType": kind });
    let (read, write) = match table.billing {
        Billing::OnDemand => (0, 0),
        Billing::Provisioned { read, write } => (read, write),
    };
    let created = table.created.duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64());
    let mut description = json!({
        "TableName": name,
        "TableStatus": table.status(),
        "KeySchema": table.schema.parts().zip(["HASH", "RANGE"]).map(element).collect::<Json>(),
        "AttributeDefinitions": table.schema.parts().map(definition).collect::<Json>(),
        "CreationDateTime": created,
        "ItemCount": table.items.len(),
        "ProvisionedThroughput": {"NumberOfDecreasesToday": 0, "ReadCapacityUnits": read, "WriteCapacityUnits": write},
    });
    if table.billing == Billing::OnDemand {
        description["BillingModeSummary"] = json!({ "BillingMode": "PAY_PER_REQUEST" });
    }
    description
}

fn ttl(table: &Table) -> Json {
    let status = match (table.ttl.value.is_some(), table.ttl.is_changing()) {
        (true, true) => "ENABLING",
        (true, false) => "ENABLED",
        (false, true) => "DISABLING",
        (false, false) => "DISABLED",
    };
    let mut description = json!({ "TimeToLiveStatus": status });
    if let Some(attribute) = &table.ttl.value {
        description["AttributeName"] = json!(attribute);
    }
    description
}

fn update_ttl(control: Control, name: &str, state: &mut State) -> Answer {
    let takes = state.script.ttl_takes;
    let TimeToLive { attribute_name, enabled } =
        control.time_to_live_specification.ok_or_else(|| Refusal::invalid("TimeToLiveSpecification cannot be null"))?;
    if attribute_name.is_empty() {
        return Err(Refusal::invalid("TimeToLive AttributeName must be between 1 and 255 characters, inclusive"));
    }
    let table = changeable(name, state)?;
    let on = table.ttl.value.as_deref();
    let problem = match on {
        _ if table.ttl.is_changing() => Some("Time to live has been modified multiple times within a fixed interval"),
        Some(other) if other != attribute_name => Some("TimeToLive is active on a different AttributeName"),
        Some(_) if enabled => Some("TimeToLive is already enabled"),
        None if !enabled => Some("TimeToLive is already disabled"),
        _ => None,
    };
    if let Some(problem) = problem {
        return Err(Refusal::invalid(problem));
    }
    table.ttl.set(enabled.then(|| attribute_name.clone()), takes);
    Ok(json!({ "TimeToLiveSpecification": {"Enabled": enabled, "AttributeName": attribute_name} }))
}

fn table_of_backups<'a>(name: &str, state: &'a mut State) -> Result<&'a mut Table, Refusal> {
    state.described(name).map_err(|refusal| match refusal.code.as_str() {
        "ResourceNotFoundException" => Refusal::new(400, "TableNotFoundException", format!("Table not found: {name}")),
        _ => refusal,
    })
}

fn backups(table: &Table) -> Json {
    let status = if table.point_in_time_recovery { "ENABLED" } else { "DISABLED" };
    json!({ "ContinuousBackupsDescription": {
        "ContinuousBackupsStatus": "ENABLED",
        "PointInTimeRecoveryDescription": {"PointInTimeRecoveryStatus": status},
    }})
}

fn update_backups(control: Control, name: &str, state: &mut State) -> Answer {
    let enabled = control
        .point_in_time_recovery_specification
        .ok_or_else(|| Refusal::invalid("PointInTimeRecoverySpecification cannot be null"))?
        .point_in_time_recovery_enabled;
    let table = table_of_backups(name, state)?;
    if !table.is_usable() {
        let message = format!("Backups are being enabled for the table: {name}. Please retry later");
        return Err(Refusal::new(400, "ContinuousBackupsUnavailableException", message));
    }
    table.point_in_time_recovery = enabled;
    Ok(backups(table))
}
