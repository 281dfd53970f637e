//! Whether a condition holds for an item.

use super::expression::{Comparator, Condition, Operand, Path, Step};
use super::value::{Attributes, Value};

/// Whether it holds for the item; `None`: for there being none.
pub fn holds(condition: &Condition, item: Option<&Attributes>) -> bool {
    let get = |operand: &Operand| resolve(operand, item);
    match condition {
        Condition::And(a, b) => holds(a, item) && holds(b, item),
        Condition::Or(a, b) => holds(a, item) || holds(b, item),
        Condition::Not(inside) => !holds(inside, item),
        Condition::Exists(path) => item.is_some_and(|item| at(item, path).is_some()),
        Condition::Compare(a, comparator, b) => compare(get(a), *comparator, get(b)),
        Condition::Between(value, low, high) => {
            compare(get(value), Comparator::GreaterOrEqual, get(low))
                && compare(get(value), Comparator::LessOrEqual, get(high))
        }
        Condition::In(value, list) => list.iter().any(|one| compare(get(value), Comparator::Equal, get(one))),
        Condition::BeginsWith(text, prefix) => match (get(text), get(prefix)) {
            (Some(Value::S(text)), Some(Value::S(prefix))) => text.starts_with(&prefix),
            _ => false,
        },
        Condition::Contains(whole, part) => match (get(whole), get(part)) {
            (Some(Value::S(whole)), Some(Value::S(part))) => whole.contains(&part),
            (Some(Value::L(list)), Some(part)) => list.contains(&part),
            (Some(Value::Texts(set)), Some(Value::S(part))) => set.contains(&part),
            (Some(Value::Numbers(set)), Some(Value::N(part))) => set.contains(&part),
            _ => false,
        },
    }
}

/// What stands at a path.
pub fn at<'a>(item: &'a Attributes, path: &Path) -> Option<&'a Value> {
    let (first, rest) = path.split_first()?;
    let Step::Name(name) = first else { return None };
    rest.iter().try_fold(item.get(name)?, |value, step| match (value, step) {
        (Value::M(map), Step::Name(name)) => map.get(name),
        (Value::L(list), Step::Index(index)) => list.get(*index),
        _ => None,
    })
}

fn resolve(operand: &Operand, item: Option<&Attributes>) -> Option<Value> {
    match operand {
        Operand::Value(value) => Some(value.clone()),
        Operand::Path(path) => at(item?, path).cloned(),
        Operand::Size(path) => {
            let size = match at(item?, path)? {
                Value::S(text) => text.chars().count(),
                Value::M(map) => map.len(),
                Value::L(list) => list.len(),
                Value::Texts(set) | Value::Numbers(set) | Value::Binaries(set) => set.len(),
                value @ Value::B(_) => value.bytes(),
                _ => return None,
            };
            Some(Value::N(size.to_string()))
        }
    }
}

fn compare(a: Option<Value>, comparator: Comparator, b: Option<Value>) -> bool {
    let (a, b) = match (a, b) {
        (Some(a), Some(b)) => (a, b),
        // What is not there differs from everything.
        _ => return comparator == Comparator::NotEqual,
    };
    let order = a.order(&b);
    match comparator {
        Comparator::Equal => a == b,
        Comparator::NotEqual => a != b,
        Comparator::Less => order.is_some_and(|order| order.is_lt()),
        Comparator::LessOrEqual => order.is_some_and(|order| order.is_le()),
        Comparator::Greater => order.is_some_and(|order| order.is_gt()),
        Comparator::GreaterOrEqual => order.is_some_and(|order| order.is_ge()),
    }
}
