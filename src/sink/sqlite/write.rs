//! Items on their way into the table: in its order, many rows at a time.

use std::sync::LazyLock;

use rusqlite::types::{Null, Value};
use rusqlite::{CachedStatement, Connection, Error, params};

use super::schema::{COLUMNS, PUT_NEWEST, ROWS_AT_ONCE, UPSERT_KEY, upsert};
use crate::epoch::Version;
use crate::pipeline::Encoding;
use crate::sink::key_item::KeyItem;
use crate::sink::{ItemRef, published};

static UPSERT_MANY: LazyLock<String> = LazyLock::new(|| upsert(ROWS_AT_ONCE));
static UPSERT_ONE: LazyLock<String> = LazyLock::new(|| upsert(1));

/// Puts these items, each with the id of its feature, into the table.
pub(super) fn write_items(connection: &Connection, items: &[(u32, ItemRef<'_>)]) -> rusqlite::Result<()> {
    let mut text = Vec::new();
    let (many, rest) = items.as_chunks::<ROWS_AT_ONCE>();
    for (rows, sql) in [(many.as_flattened().chunks(ROWS_AT_ONCE), &UPSERT_MANY), (rest.chunks(1), &UPSERT_ONE)] {
        let mut upsert = connection.prepare_cached(sql)?;
        for rows in rows {
            for (row, (feature, item)) in rows.iter().enumerate() {
                bind(&mut upsert, row * COLUMNS, *feature, item, &mut text)?;
            }
            upsert.raw_execute()?;
        }
    }
    put_newest(connection, items.iter().map(|(_, item)| item.version).max())
}

/// Puts these keys with all their features into the table.
pub(super) fn write_keys(connection: &Connection, keys: &[KeyItem<'_>], encoding: Encoding) -> rusqlite::Result<()> {
    let mut upsert = connection.prepare_cached(UPSERT_KEY)?;
    for key in keys {
        let features = match encoding {
            Encoding::Packed => Value::Blob(key.packed()),
            Encoding::Map => Value::Text(key.map().map_err(|error| Error::ToSqlConversionFailure(error.into()))?),
        };
        let (version, since) = (key.version.0.cast_signed(), key.since.map(|since| since.0));
        upsert.execute(params![key.key_text(), key.fields, version, key.expires_at, since, features])?;
    }
    put_newest(connection, keys.iter().map(|key| key.version).max())
}

fn put_newest(connection: &Connection, newest: Option<Version>) -> rusqlite::Result<()> {
    let Some(Version(newest)) = newest else { return Ok(()) };
    connection.prepare_cached(PUT_NEWEST)?.execute([newest.to_string()])?;
    Ok(())
}

/// Gives a statement the row of this item, behind this many parameters. `text` is for use again.
fn bind(
    statement: &mut CachedStatement<'_>,
    before: usize,
    feature: u32,
    item: &ItemRef<'_>,
    text: &mut Vec<u8>,
) -> rusqlite::Result<()> {
    statement.raw_bind_parameter(before + 1, item.key_text())?;
    statement.raw_bind_parameter(before + 2, feature)?;
    statement.raw_bind_parameter(before + 3, item.version.0.cast_signed())?;
    statement.raw_bind_parameter(before + 4, item.last_update.0)?;
    statement.raw_bind_parameter(before + 5, item.since.map(|since| since.0))?;
    statement.raw_bind_parameter(before + 6, numbers(item.values, text))?;
    let more = if item.squares.is_empty() { item.errors } else { item.squares };
    if more.is_empty() {
        return statement.raw_bind_parameter(before + 7, Null);
    }
    statement.raw_bind_parameter(before + 7, numbers(more, text))
}

/// A JSON array of these as they are published; the last stands for all that follow it and are equal.
fn numbers<'a>(values: &[f64], text: &'a mut Vec<u8>) -> &'a str {
    let bits = |value: &f64| published(*value).to_bits();
    let last = values.last().map(bits);
    let equal = values.iter().rev().take_while(|value| Some(bits(value)) == last).count();
    text.clear();
    text.push(b'[');
    for (index, value) in values[..values.len() - equal.saturating_sub(1)].iter().enumerate() {
        if index > 0 {
            text.push(b',');
        }
        // The texts of items elsewhere are by serde_json, too. Writing to memory does not fail.
        let _ = serde_json::to_writer(&mut *text, &published(*value));
    }
    text.push(b']');
    str::from_utf8(text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_at_the_end_stand_once() {
        let cases: [(&[f64], &str); 6] = [
            (&[1.0], "[1.0]"),
            (&[1.5, 1.5, 1.5], "[1.5]"),
            (&[1.5, 2.5, 2.5], "[1.5,2.5]"),
            (&[2.5, 2.5, 1.5], "[2.5,2.5,1.5]"),
            (&[1e-7, 2e16, 0.1 + 0.2], "[1e-7,2e+16,0.30000000000000004]"),
            // As they are published.
            (&[1.0, 1e-200, -1e-200], "[1.0,0.0]"),
        ];
        for (values, expected) in cases {
            assert_eq!(numbers(values, &mut Vec::new()), expected);
        }
    }
}
