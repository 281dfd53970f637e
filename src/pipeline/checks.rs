//! The checks that several sections share: what is wrong is said with its place.

use std::time::Duration;

use toml::Spanned;

use super::duration::parse_duration;
use super::error::Fault;
use super::raw::Text;

pub(super) fn at_least(number: &Spanned<i64>, least: u64, what: &str) -> Result<u64, Fault> {
    let written = *number.get_ref();
    u64::try_from(written)
        .ok()
        .filter(|number| *number >= least)
        .ok_or_else(|| Fault::new(number.span(), format!("{what} must be at least {least}, not {written}")))
}

/// The text, which may not be empty.
pub(super) fn not_empty<'a>(text: &'a Text, what: &str) -> Result<&'a str, Fault> {
    match text.get_ref().as_str() {
        "" => Err(Fault::new(text.span(), format!("{what} may not be empty"))),
        text => Ok(text),
    }
}

pub(super) fn duration(text: &Text) -> Result<Duration, Fault> {
    parse_duration(text.get_ref()).map_err(|error| Fault::new(text.span(), error.to_string()))
}

/// A duration, or `"none"`.
pub(super) fn duration_or_none(text: &Text) -> Result<Option<Duration>, Fault> {
    if text.get_ref() == "none" { Ok(None) } else { duration(text).map(Some) }
}
