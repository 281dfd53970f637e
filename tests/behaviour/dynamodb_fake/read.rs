//! GetItem, BatchGetItem, Query and Scan.

use std::collections::{BTreeMap, HashSet};
use std::ops::Bound;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::answer::{Answer, Refusal};
use super::condition::holds;
use super::expression::{Comparator, Condition, Operand, Parser, Path, Step};
use super::placeholders::Placeholders;
use super::state::State;
use super::table::{Identity, KeySchema, Stored};
use super::value::{Attributes, Value};
use super::write::capacity;
use super::write_request::{body, tells_capacity};

/// What a page of a Query or a Scan holds, before anything is filtered out.
const PAGE_BYTES: usize = 1 << 20;
const MOST_KEYS: usize = 100;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Read {
    table_name: Option<String>,
    key: Option<Attributes>,
    key_condition_expression: Option<String>,
    filter_expression: Option<String>,
    projection_expression: Option<String>,
    expression_attribute_names: Option<BTreeMap<String, String>>,
    expression_attribute_values: Option<Attributes>,
    exclusive_start_key: Option<Attributes>,
    limit: Option<i64>,
    scan_index_forward: Option<bool>,
    select: Option<String>,
    segment: Option<usize>,
    total_segments: Option<usize>,
    consistent_read: Option<bool>,
    return_consumed_capacity: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Batch {
    request_items: Option<BTreeMap<String, OfBatch>>,
    return_consumed_capacity: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct OfBatch {
    #[serde(default)]
    keys: Vec<Attributes>,
    projection_expression: Option<String>,
    expression_attribute_names: Option<BTreeMap<String, String>>,
    consistent_read: Option<bool>,
}

fn read_units(bytes: usize, is_consistent: bool) -> f64 {
    bytes.div_ceil(4096).max(1) as f64 * if is_consistent { 1.0 } else { 0.5 }
}

fn no_table(refusal: Refusal) -> Refusal {
    if refusal.code == "ResourceNotFoundException" { Refusal::no_table() } else { refusal }
}

fn projection(text: Option<&str>, placeholders: &Placeholders) -> Result<Option<Vec<Path>>, Refusal> {
    let Some(text) = text else { return Ok(None) };
    let mut parser = Parser::new("ProjectionExpression", text, placeholders)?;
    let mut paths = vec![parser.path()?];
    while parser.take(",") {
        paths.push(parser.path()?);
    }
    parser.end()?;
    match paths.iter().all(|path| path.len() == 1) {
        true => Ok(Some(paths)),
        false => Err(Refusal::new(501, "NotImplemented", "the fake projects whole attributes only")),
    }
}

fn shown(item: &Attributes, projection: Option<&Vec<Path>>) -> Json {
    let Some(paths) = projection else { return json!(item) };
    let is_wanted = |name: &str| paths.iter().any(|path| path.first() == Some(&Step::Name(name.to_owned())));
    let wanted: BTreeMap<_, _> = item.iter().filter(|(name, _)| is_wanted(name)).collect();
    json!(wanted)
}

pub fn get(bytes: &[u8], state: &mut State) -> Answer {
    let read: Read = body(bytes)?;
    let tells = tells_capacity(read.return_consumed_capacity.as_deref())?;
    let name = read.table_name.unwrap_or_default();
    let given = [("ProjectionExpression", read.projection_expression.is_some())];
    let placeholders = Placeholders::new(read.expression_attribute_names, None, &given)?;
    let projection = projection(read.projection_expression.as_deref(), &placeholders)?;
    placeholders.require_all_used()?;
    let table = state.usable(&name).map_err(no_table)?;
    let key = read.key.ok_or_else(|| {
        Refusal::invalid(
            "1 validation error detected: Value null at 'key' failed to satisfy constraint: Member must not be null",
        )
    })?;
    let item = table.items.get(&table.schema.identity_of_key(&key)?);
    let mut answer = json!({});
    if let Some(item) = item {
        answer["Item"] = shown(&item.attributes, projection.as_ref());
    }
    if tells {
        let bytes = item.map_or(0, |item| item.bytes);
        answer["ConsumedCapacity"] = capacity(&name, read_units(bytes, read.consistent_read == Some(true)));
    }
    Ok(answer)
}

pub fn batch_get(bytes: &[u8], state: &mut State) -> Answer {
    let batch: Batch = body(bytes)?;
    let tells = tells_capacity(batch.return_consumed_capacity.as_deref())?;
    let tables = batch.request_items.unwrap_or_default();
    let count: usize = tables.values().map(|of_table| of_table.keys.len()).sum();
    if count == 0 || count > MOST_KEYS || tables.values().any(|of_table| of_table.keys.is_empty()) {
        return Err(Refusal::invalid(
            "1 validation error detected: Value at 'requestItems' failed to satisfy constraint: Map value must satisfy \
             constraint: [Member must have length less than or equal to 100, Member must have length greater than or equal to \
             1]",
        ));
    }
    let (mut responses, mut consumed) = (BTreeMap::new(), Vec::new());
    for (name, of_table) in tables {
        let given = [("ProjectionExpression", of_table.projection_expression.is_some())];
        let placeholders = Placeholders::new(of_table.expression_attribute_names, None, &given)?;
        let projection = projection(of_table.projection_expression.as_deref(), &placeholders)?;
        placeholders.require_all_used()?;
        let table = state.usable(&name).map_err(no_table)?;
        let keys = of_table.keys.iter().map(|key| table.schema.identity_of_key(key));
        let keys = keys.collect::<Result<Vec<Identity>, Refusal>>()?;
        if keys.iter().collect::<HashSet<_>>().len() < keys.len() {
            return Err(Refusal::invalid("Provided list of item keys contains duplicates"));
        }
        let items: Vec<&Arc<Stored>> = keys.iter().filter_map(|key| table.items.get(key)).collect();
        let unit = |bytes| read_units(bytes, of_table.consistent_read == Some(true));
        let missing = (keys.len() - items.len()) as f64 * unit(0);
        consumed.push(capacity(&name, missing + items.iter().map(|item| unit(item.bytes)).sum::<f64>()));
        let items: Json = items.iter().map(|item| shown(&item.attributes, projection.as_ref())).collect();
        responses.insert(name, items);
    }
    let mut answer = json!({ "Responses": responses, "UnprocessedKeys": {} });
    if tells {
        answer["ConsumedCapacity"] = json!(consumed);
    }
    Ok(answer)
}

/// Which items a Query asks for: a hash key, and a condition on the range key.
struct Asked {
    hash: String,
    range: Option<Condition>,
}

pub fn query_or_scan(is_query: bool, bytes: &[u8], state: &mut State) -> Answer {
    let read: Read = body(bytes)?;
    let tells = tells_capacity(read.return_consumed_capacity.as_deref())?;
    let name = read.table_name.clone().unwrap_or_default();
    let given = [
        ("FilterExpression", read.filter_expression.is_some()),
        ("KeyConditionExpression", read.key_condition_expression.is_some()),
        ("ProjectionExpression", read.projection_expression.is_some()),
    ];
    let placeholders =
        Placeholders::new(read.expression_attribute_names.clone(), read.expression_attribute_values.clone(), &given)?;
    let parse = |kind, text: &Option<String>| {
        text.as_ref().map(|text| Parser::new(kind, text, &placeholders)?.condition()).transpose()
    };
    let key_condition = parse("KeyConditionExpression", &read.key_condition_expression)?;
    let filter = parse("FilterExpression", &read.filter_expression)?;
    let projection = projection(read.projection_expression.as_deref(), &placeholders)?;
    placeholders.require_all_used()?;
    if read.limit.is_some_and(|limit| limit < 1) {
        return Err(Refusal::invalid(
            "1 validation error detected: Value at 'limit' failed to satisfy constraint: Member must have value greater than \
             or equal to 1",
        ));
    }
    let table = state.usable(&name).map_err(no_table)?;
    let asked = match (is_query, key_condition) {
        (false, _) => None,
        (true, None) => {
            return Err(Refusal::invalid(
                "Either the KeyConditions or KeyConditionExpression parameter must be specified in the request.",
            ));
        }
        (true, Some(condition)) => Some(Asked::of(condition, &table.schema)?),
    };
    let start =
        read.exclusive_start_key.as_ref().map(|key| start_key(key, &table.schema, asked.as_ref())).transpose()?;
    let forward = read.scan_index_forward != Some(false);
    let low = match (&start, &asked) {
        (Some(start), _) if forward => Bound::Excluded(start.clone()),
        (_, Some(asked)) => Bound::Included((asked.hash.clone(), String::new())),
        (_, None) => Bound::Unbounded,
    };
    let high = match &start {
        Some(start) if !forward => Bound::Excluded(start.clone()),
        _ => Bound::Unbounded,
    };
    let range = table.items.range((low, high));
    let next: Box<dyn Iterator<Item = (&Identity, &Arc<Stored>)>> = match (&asked, forward) {
        (Some(asked), false) => Box::new(range.rev().skip_while(|(key, _)| key.0 != asked.hash)),
        _ => Box::new(range),
    };
    let (mut items, mut scanned, mut bytes, mut last) = (Vec::new(), 0, 0, None);
    for (key, item) in next {
        if asked.as_ref().is_some_and(|asked| asked.hash != key.0) {
            break;
        }
        if !asked.as_ref().is_none_or(|asked| asked.has(item)) || !is_in_segment(key, &read) {
            continue;
        }
        scanned += 1;
        bytes += item.bytes;
        if filter.as_ref().is_none_or(|filter| holds(filter, Some(&item.attributes))) {
            items.push(shown(&item.attributes, projection.as_ref()));
        }
        if read.limit.is_some_and(|limit| scanned >= limit) || bytes >= PAGE_BYTES {
            last = Some(table.schema.key_of(&item.attributes));
            break;
        }
    }
    let mut answer = json!({ "Count": items.len(), "ScannedCount": scanned });
    if read.select.as_deref() != Some("COUNT") {
        answer["Items"] = json!(items);
    }
    if let Some(last) = last {
        answer["LastEvaluatedKey"] = json!(last);
    }
    if tells {
        answer["ConsumedCapacity"] = capacity(&name, read_units(bytes, read.consistent_read == Some(true)));
    }
    Ok(answer)
}

fn start_key(key: &Attributes, schema: &KeySchema, asked: Option<&Asked>) -> Result<Identity, Refusal> {
    let start = schema.identity_of_key(key).map_err(|_| Refusal::invalid("The provided starting key is invalid"))?;
    if asked.is_some_and(|asked| asked.hash != start.0) {
        return Err(Refusal::invalid(
            "The provided starting key is outside query boundaries based on provided conditions",
        ));
    }
    Ok(start)
}

/// A parallel scan shares the hash keys out.
fn is_in_segment((hash, _): &Identity, read: &Read) -> bool {
    let (Some(segment), Some(total)) = (read.segment, read.total_segments) else { return true };
    hash.bytes().map(usize::from).sum::<usize>() % total.max(1) == segment
}

impl Asked {
    fn of(condition: Condition, schema: &KeySchema) -> Result<Asked, Refusal> {
        let (first, second) = match condition {
            Condition::And(first, second) => (*first, Some(*second)),
            single => (single, None),
        };
        let name_of = |condition: &Condition| match condition {
            Condition::Compare(Operand::Path(path), _, Operand::Value(_))
            | Condition::Between(Operand::Path(path), Operand::Value(_), Operand::Value(_))
            | Condition::BeginsWith(Operand::Path(path), Operand::Value(_)) => match path.as_slice() {
                [Step::Name(name)] => Ok(name.clone()),
                _ => Err(Refusal::invalid("Query key condition not supported")),
            },
            Condition::Or(..) => Err(Refusal::invalid("Invalid operator used in KeyConditionExpression: OR")),
            Condition::And(..) => {
                Err(Refusal::invalid("KeyConditionExpressions must only contain one condition per key"))
            }
            _ => Err(Refusal::invalid("Query key condition not supported")),
        };
        let mut hash = None;
        let mut range = None;
        for one in [Some(first), second].into_iter().flatten() {
            let name = name_of(&one)?;
            if let Condition::Compare(_, Comparator::NotEqual, _) = one {
                return Err(Refusal::invalid("Invalid operator used in KeyConditionExpression: <>"));
            }
            if name == schema.hash.0 {
                hash = Some(one);
            } else if schema.range.as_ref().is_some_and(|(range, _)| *range == name) {
                range = Some(one);
            } else {
                return Err(Refusal::invalid(format!("Query condition missed key schema element: {}", schema.hash.0)));
            }
        }
        match hash {
            Some(Condition::Compare(_, Comparator::Equal, Operand::Value(value))) => {
                let hash_only = KeySchema { hash: schema.hash.clone(), range: None };
                let key = Attributes::from([(schema.hash.0.clone(), value.clone())]);
                let (hash, _) = hash_only.identity_of_key(&key).map_err(|refusal| match value {
                    Value::S(_) => refusal,
                    _ => Refusal::invalid(
                        "One or more parameter values were invalid: Condition parameter type does not match schema type",
                    ),
                })?;
                Ok(Asked { hash, range })
            }
            Some(_) => Err(Refusal::invalid("Query key condition not supported")),
            None => Err(Refusal::invalid(format!("Query condition missed key schema element: {}", schema.hash.0))),
        }
    }

    fn has(&self, item: &Stored) -> bool {
        self.range.as_ref().is_none_or(|range| holds(range, Some(&item.attributes)))
    }
}
