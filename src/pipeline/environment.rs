//! `${NAME}` and `${NAME:-default}` inside the strings of a pipeline file.
//!
//! They are filled in after the TOML was read, so that no value, whatever quotes or newlines it
//! holds, can change the file's structure. What was filled in is not looked at again.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::Fault;

/// Looks up a variable of the environment.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Fills in every string value below `table`.
pub(super) fn substitute(table: &mut DeTable<'_>, environment: Environment<'_>) -> Result<(), Fault> {
    table.iter_mut().try_for_each(|(_, value)| substitute_value(value, environment))
}

/// How deep this goes is limited by the TOML parser, which refuses deep nesting.
fn substitute_value(value: &mut Spanned<DeValue<'_>>, environment: Environment<'_>) -> Result<(), Fault> {
    let span = value.span();
    match value.get_mut() {
        DeValue::String(text) if text.contains("${") => {
            *text = fill_in(text, &span, environment)?.into();
            Ok(())
        }
        DeValue::Array(values) => values.iter_mut().try_for_each(|value| substitute_value(value, environment)),
        DeValue::Table(table) => substitute(table, environment),
        _ => Ok(()),
    }
}

fn fill_in(text: &str, span: &Range<usize>, environment: Environment<'_>) -> Result<String, Fault> {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, reference)) = rest.split_once("${") {
        filled.push_str(before);
        let Some((reference, after)) = reference.split_once('}') else {
            return Err(Fault::new(span.clone(), format!("a ${{ in \"{text}\" is not closed: write ${{NAME}}")));
        };
        filled.push_str(&resolve(reference, span, environment)?);
        rest = after;
    }
    filled.push_str(rest);
    Ok(filled)
}

/// The value of `NAME`, or of `NAME:-default`, where, as in a shell, the default also stands in for
/// an empty value.
fn resolve(reference: &str, span: &Range<usize>, environment: Environment<'_>) -> Result<String, Fault> {
    let (name, default) = match reference.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (reference, None),
    };
    if !is_variable_name(name) {
        let message = format!("${{{reference}}} names no environment variable: write ${{NAME}} or ${{NAME:-default}}");
        return Err(Fault::new(span.clone(), message));
    }
    match (environment(name), default) {
        (Some(value), None) => Ok(value),
        (Some(value), Some(_)) if !value.is_empty() => Ok(value),
        (_, Some(default)) => Ok(default.to_owned()),
        (None, None) => Err(Fault::new(
            span.clone(),
            format!("the environment variable {name} is not set: set it, or give a default with ${{{name}:-default}}"),
        )),
    }
}

fn is_variable_name(name: &str) -> bool {
    let starts_well = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
    starts_well && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(name: &str) -> Option<String> {
        match name {
            "HOST" => Some("kafka".to_owned()),
            "EMPTY" => Some(String::new()),
            "QUOTES" => Some("a\"b\n[sink]\n${HOST}".to_owned()),
            _ => None,
        }
    }

    fn filled(text: &str) -> Result<String, String> {
        fill_in(text, &(0..0), &environment).map_err(|fault| fault.in_file("p.toml", "").to_string())
    }

    #[test]
    fn values_and_defaults_are_filled_in() {
        for (text, expected) in [
            ("${HOST}:9092", "kafka:9092"),
            ("${HOST:-localhost}:${PORT:-9092}", "kafka:9092"),
            ("${EMPTY}|${EMPTY:-default}|${MISSING:-}", "|default|"),
            ("${QUOTES}", "a\"b\n[sink]\n${HOST}"),
            ("${MISSING:-a:-b}", "a:-b"),
            ("5$ {HOST} $HOST $", "5$ {HOST} $HOST $"),
        ] {
            assert_eq!(filled(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_filled_in_is_an_error_that_names_it() {
        for (text, expected) in [
            (
                "${MISSING}",
                "the environment variable MISSING is not set: set it, or give a default with ${MISSING:-default}",
            ),
            ("x${HOST", "a ${ in \"x${HOST\" is not closed: write ${NAME}"),
            ("${}", "${} names no environment variable: write ${NAME} or ${NAME:-default}"),
            ("${1A}", "${1A} names no environment variable: write ${NAME} or ${NAME:-default}"),
            ("${A-b}", "${A-b} names no environment variable: write ${NAME} or ${NAME:-default}"),
        ] {
            assert_eq!(filled(text), Err(format!("p.toml:1: {expected}")), "{text}");
        }
    }

    #[test]
    fn strings_at_every_depth_are_filled_in_and_keys_are_not() {
        let text = "a = ['${HOST}', {b = '${HOST}'}]\n[c]\n'${HOST}' = '${HOST}'";
        let mut table = DeTable::parse(text).expect("valid TOML").into_inner();
        substitute(&mut table, &environment).expect("all are set");
        assert_eq!(format!("{table:?}").matches("\"kafka\"").count(), 3);
        assert_eq!(format!("{table:?}").matches("\"${HOST}\"").count(), 1);
    }
}
