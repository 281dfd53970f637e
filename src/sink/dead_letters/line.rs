//! Reading of a line of dead letters where its event stands.

use std::fmt;

use serde::Deserializer as _;
use serde::de::{IgnoredAny, MapAccess, Visitor};

use super::batch::Position;

/// Which log or topic, and where in it. `None`: the line is no letter of an event, or it is torn. Of one that is not whole because no
/// more of it was read, the beginning says it.
pub(super) fn position_in(line: &[u8], is_whole: bool) -> Option<(String, Position)> {
    let mut origin = Origin::default();
    let mut json = serde_json::Deserializer::from_slice(line);
    let read = json.deserialize_map(Members(&mut origin)).and_then(|()| json.end());
    if read.is_err() && is_whole {
        return None;
    }
    match origin {
        Origin { file: Some(file), topic: None, offset: Some(offset), .. } => Some((file, Position::Line(offset))),
        Origin { file: None, topic: Some(topic), partition: Some(partition), offset: Some(offset) } => {
            Some((topic, Position::Message(partition, offset.cast_signed())))
        }
        _ => None,
    }
}

/// What of a line says where its event stands.
#[derive(Default)]
struct Origin {
    file: Option<String>,
    topic: Option<String>,
    partition: Option<i32>,
    offset: Option<u64>,
}

/// Takes what comes, so that what came before the end of a line that is not whole is there.
struct Members<'a>(&'a mut Origin);

impl<'de> Visitor<'de> for Members<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a dead letter")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let origin = self.0;
        while let Some(name) = members.next_key::<String>()? {
            match name.as_str() {
                "file" => origin.file = Some(members.next_value()?),
                "topic" => origin.topic = Some(members.next_value()?),
                "partition" => origin.partition = Some(members.next_value()?),
                "offset" => origin.offset = Some(members.next_value()?),
                _ => members.next_value::<IgnoredAny>().map(|_| ())?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_where_its_event_stands_also_by_its_beginning_alone() {
        let in_log = r#"{"reason":"too_long","file":"a \"b\".jsonl","offset":80,"text":"{\"offset\":7}","length":9}"#;
        let in_topic = r#"{"reason":"bad_time","topic":"t","partition":3,"offset":7,"detail":"no","text":"x"}"#;
        let item =
            r#"{"reason":"refused_item","table":"T","key":"7","featureName":"l","detail":"","item":{"offset":1}}"#;
        let log = Some(("a \"b\".jsonl".to_owned(), Position::Line(80)));
        let topic = Some(("t".to_owned(), Position::Message(3, 7)));
        for (line, expected, begins) in [(in_log, log, r#""text":"{"#), (in_topic, topic, r#""detail":"#)] {
            assert_eq!(position_in(line.as_bytes(), true), expected);
            let beginning = &line.as_bytes()[..line.find(begins).unwrap() + begins.len()];
            assert_eq!(position_in(beginning, false), expected);
            assert_eq!(position_in(beginning, true), None, "it is torn");
        }
        for line in [item, "", "{}", r#"{"reason":"bad_time","file":"a"}"#, r#"{"file":"a","offset":-1}"#, "[1]"] {
            assert_eq!(position_in(line.as_bytes(), true), None, "{line}");
            assert_eq!(position_in(line.as_bytes(), false), None, "{line}");
        }
    }
}
