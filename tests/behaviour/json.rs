//! JSON values that say the same.

use serde_json::Value;

/// Whether two JSON values are the same, where a number with a fraction may differ by this part of itself.
pub fn agrees(value: &Value, expected: &Value, tolerance: f64) -> bool {
    match (value, expected) {
        (Value::Array(values), Value::Array(others)) => {
            let mut pairs = values.iter().zip(others);
            values.len() == others.len() && pairs.all(|(value, other)| agrees(value, other, tolerance))
        }
        (Value::Object(members), Value::Object(others)) => {
            let has = |(name, value)| others.get(name).is_some_and(|other| agrees(value, other, tolerance));
            members.len() == others.len() && members.iter().all(has)
        }
        (Value::Number(value), Value::Number(expected)) if value.is_f64() && expected.is_f64() => {
            let (value, expected) = (value.as_f64().unwrap(), expected.as_f64().unwrap());
            (value - expected).abs() <= tolerance * expected.abs()
        }
        _ => value == expected,
    }
}
