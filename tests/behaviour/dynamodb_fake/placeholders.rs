//! The names and values that a request gives its expressions, and the words that need such a name.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use super::answer::Refusal;
use super::value::{Attributes, Value};

/// Words that may not stand for an attribute by themselves: those among the service's 573 that somebody here might use.
const RESERVED: [&str; 44] = [
    "key",
    "fields",
    "values",
    "data",
    "value",
    "error",
    "name",
    "names",
    "ttl",
    "hash",
    "range",
    "count",
    "counter",
    "time",
    "timestamp",
    "status",
    "date",
    "list",
    "map",
    "missing",
    "index",
    "type",
    "update",
    "item",
    "items",
    "state",
    "owner",
    "user",
    "users",
    "window",
    "rank",
    "row",
    "rows",
    "sum",
    "total",
    "percent",
    "year",
    "month",
    "day",
    "hour",
    "minute",
    "second",
    "zone",
    "exists",
];

pub fn is_reserved(word: &str) -> bool {
    RESERVED.contains(&word.to_ascii_lowercase().as_str())
}

/// The names and values that the expressions of a request may use; each must be used.
#[derive(Debug, Default)]
pub struct Placeholders {
    names: Option<BTreeMap<String, String>>,
    values: Option<Attributes>,
    used: RefCell<BTreeSet<String>>,
}

impl Placeholders {
    /// `expressions`: which a request may have, and whether it has one.
    pub fn new(
        names: Option<BTreeMap<String, String>>,
        values: Option<Attributes>,
        expressions: &[(&str, bool)],
    ) -> Result<Placeholders, Refusal> {
        if !expressions.iter().any(|(_, given)| *given) {
            let missing: Vec<_> = expressions.iter().map(|(name, _)| *name).collect();
            let (is, missing) = (if missing.len() == 1 { "is" } else { "are" }, missing.join(" and "));
            for (given, name) in [(names.is_some(), "Names"), (values.is_some(), "Values")] {
                if given {
                    return Err(Refusal::invalid(format!(
                        "ExpressionAttribute{name} can only be specified when using expressions: {missing} {is} null"
                    )));
                }
            }
        }
        for (name, is_empty) in [
            ("Names", names.as_ref().is_some_and(BTreeMap::is_empty)),
            ("Values", values.as_ref().is_some_and(BTreeMap::is_empty)),
        ] {
            if is_empty {
                return Err(Refusal::invalid(format!("ExpressionAttribute{name} must not be empty")));
            }
        }
        if let Some(name) = names.iter().flat_map(BTreeMap::keys).find(|name| !name.starts_with('#')) {
            return Err(Refusal::invalid(format!(
                "ExpressionAttributeNames contains invalid key: Syntax error; key: \"{name}\""
            )));
        }
        for (name, value) in values.iter().flatten() {
            if !name.starts_with(':') {
                return Err(Refusal::invalid(format!(
                    "ExpressionAttributeValues contains invalid key: Syntax error; key: \"{name}\""
                )));
            }
            value.check(1).map_err(|refusal| {
                let message = refusal.message;
                Refusal::invalid(format!("ExpressionAttributeValues contains invalid value: {message} for key {name}"))
            })?;
        }
        Ok(Placeholders { names, values, used: RefCell::default() })
    }

    /// After every expression has been parsed.
    pub fn require_all_used(&self) -> Result<(), Refusal> {
        let used = self.used.borrow();
        let unused = |what: &str, names: Vec<&String>| {
            let unused: Vec<&str> =
                names.into_iter().filter(|name| !used.contains(*name)).map(String::as_str).collect();
            let keys = unused.join(", ");
            let message =
                format!("Value provided in ExpressionAttribute{what} unused in expressions: keys: {{{keys}}}");
            if unused.is_empty() { Ok(()) } else { Err(Refusal::invalid(message)) }
        };
        unused("Names", self.names.iter().flat_map(BTreeMap::keys).collect())?;
        unused("Values", self.values.iter().flat_map(BTreeMap::keys).collect())
    }

    /// The attribute name behind a `#name`, which is used now.
    pub fn name(&self, placeholder: &str) -> Option<String> {
        self.used.borrow_mut().insert(placeholder.to_owned());
        self.names.as_ref()?.get(placeholder).cloned()
    }

    /// The value behind a `:value`, which is used now.
    pub fn value(&self, placeholder: &str) -> Option<Value> {
        self.used.borrow_mut().insert(placeholder.to_owned());
        self.values.as_ref()?.get(placeholder).cloned()
    }
}
