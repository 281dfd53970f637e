//! `/get` of a run: the same answer as `get --json`, as one JSON object.

use std::collections::BTreeMap;
use std::io;

use jiff::Timestamp;

use super::ratio::show_ratio_json;
use super::show::Reading;
use super::{Answer, Question};
use crate::cli::CliError;
use crate::cli::time::parse_time;
use crate::counter::EventTime;
use crate::pipeline::{Group, Pipeline};
use crate::reading::{ReadAt, append_key, split_key};
use crate::sink::{SinkTarget, open_reader};
use crate::telemetry::Printable;
use crate::telemetry::http::{GetQuery, Refusal};

/// An answer has so many bytes, at most: a key may have thousands of features.
const MOST_BYTES: usize = 4 << 20;

/// What the sink holds of a key: `{"items":[...],"ratios":[...]}`, decayed to now if no other time is named.
pub(in crate::cli) fn look_up(pipeline: &Pipeline, target: &SinkTarget, query: &GetQuery) -> Result<Vec<u8>, Refusal> {
    if !target.can_be_read_meanwhile() {
        let text = format!("the sink {target} cannot be read while a run writes to it; dynamodb and sqlite:PATH can");
        return Err(Refusal::conflict(Printable(text).to_string()));
    }
    let question = question(pipeline, query, Timestamp::now())?;
    let mut reader = open_reader(target, Some(pipeline)).map_err(|error| cannot_read(target, error.into()))?;
    let answer = question.answer(reader.as_mut()).map_err(|error| cannot_read(target, error))?;
    if answer.is_empty() {
        return Err(Refusal::not_found(format!("{} holds no item {question}", Printable(target))));
    }
    let json = answer.json(&question.reading)?;
    if json.len() > MOST_BYTES {
        let text = format!("this key has more than {} MiB of items: name one feature=", MOST_BYTES >> 20);
        return Err(Refusal::conflict(text));
    }
    Ok(json)
}

fn question<'a>(pipeline: &'a Pipeline, query: &'a GetQuery, now: Timestamp) -> Result<Question<'a>, Refusal> {
    let Some(group) = pipeline.groups.iter().find(|group| group.name == query.group) else {
        let names: Vec<_> = pipeline.groups.iter().map(|group| group.name.as_str()).collect();
        let text = format!("there is no group \"{}\"; there are {}", query.group, names.join(", "));
        return Err(Refusal::not_found(Printable(text).to_string()));
    };
    let unit = pipeline.event.time_unit;
    let at = match query.at.as_deref() {
        None | Some("now") => unit.from_nanoseconds(now.as_nanosecond()),
        // Without a word about numbers of another unit: whoever asks reads no log.
        Some(text) => match text.parse() {
            Ok(units) => units,
            Err(_) => {
                parse_time(text, unit, now).map_err(|error| Refusal::bad_request(Printable(error).to_string()))?
            }
        },
    };
    let is_now = query.at.as_deref().is_none_or(|text| text == "now");
    let reading = Reading { unit, at: Some(ReadAt { time: EventTime(at), is_now }), as_of: unit.to_seconds(at) };
    let keys = BTreeMap::from([(key_text(group, &query.key)?, vec![group])]);
    Ok(Question { pipeline, keys, feature: query.feature.as_deref(), reading })
}

/// The key as the sink has it, from one value for each of its fields, or from that text itself.
fn key_text(group: &Group, values: &[String]) -> Result<String, Refusal> {
    let fields = group.key.len();
    let values = match values {
        [text] => split_key(text, fields),
        values => values.to_vec(),
    };
    if values.len() != fields {
        let text = format!("the key of this group has {fields} fields: give key= once for each");
        return Err(Refusal::bad_request(text));
    }
    let mut text = Vec::new();
    append_key(values.iter().map(String::as_bytes), &mut text);
    Ok(String::from_utf8_lossy(&text).into_owned())
}

fn cannot_read(target: &SinkTarget, error: CliError) -> Refusal {
    Refusal::busy(Printable(format!("{target} cannot be read: {error}")).to_string())
}

impl Answer<'_> {
    fn json(&self, reading: &Reading) -> Result<Vec<u8>, Refusal> {
        let mut json = Vec::new();
        self.write_json(reading, &mut json).map_err(|error| Refusal::busy(error.to_string()))?;
        Ok(json)
    }

    fn write_json(&self, reading: &Reading, json: &mut Vec<u8>) -> io::Result<()> {
        json.extend_from_slice(b"{\"items\":[");
        for (index, item) in self.items.iter().enumerate() {
            json.extend_from_slice(if index > 0 { b"," } else { b"" });
            reading.show_json(item, json)?;
        }
        json.extend_from_slice(b"],\"ratios\":[");
        for (index, ratio) in self.ratios.iter().enumerate() {
            json.extend_from_slice(if index > 0 { b"," } else { b"" });
            show_ratio_json(ratio, json)?;
        }
        json.extend_from_slice(b"]}\n");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::fixtures::{group, pipeline};

    #[test]
    fn a_key_is_its_values_or_the_text_that_items_have() {
        let (one, two) = (group("user", &[0], "u.{event}"), group("pair", &[0, 1], "p.{event}"));
        let text = |group: &Group, values: &[&str]| {
            let values: Vec<_> = values.iter().map(|value| (*value).to_owned()).collect();
            key_text(group, &values).map_err(|refusal| refusal.status)
        };
        assert_eq!(text(&one, &["a|b"]).as_deref(), Ok("a|b"));
        assert_eq!(text(&two, &["7", "a|b"]).as_deref(), Ok(r"7|a\|b"));
        assert_eq!(text(&two, &[r"7|a\|b"]).as_deref(), Ok(r"7|a\|b"));
        for (group, values) in [(&one, &["7", "8"][..]), (&two, &["7"]), (&two, &["7", "8", "9"])] {
            assert_eq!(text(group, values), Err(400));
        }
    }

    #[test]
    fn what_is_asked_wrongly_is_told_and_a_sink_that_cannot_be_read_is_no_fault_of_the_question() {
        let pipeline = pipeline();
        let query = |group: &str, at: Option<&str>| GetQuery {
            group: group.to_owned(),
            key: vec!["7".to_owned()],
            at: at.map(str::to_owned),
            ..GetQuery::default()
        };
        let now = Timestamp::from_second(500).unwrap();
        let asked = |query: &GetQuery| {
            question(&pipeline, query, now).map(|question| question.reading.as_of).map_err(|refusal| refusal.status)
        };
        assert_eq!(asked(&query("user", None)), Ok(500));
        assert_eq!(asked(&query("user", Some("100"))), Ok(100));
        assert_eq!((asked(&query("user", Some("soon"))), asked(&query("users", None))), (Err(400), Err(404)));
        for target in [SinkTarget::None, SinkTarget::Stdout, SinkTarget::JsonLines("a".into())] {
            assert_eq!(look_up(&pipeline, &target, &query("user", None)).map_err(|refusal| refusal.status), Err(409));
        }
    }
}
