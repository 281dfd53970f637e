//! The text of positions, there and back.

use super::*;

const OF_LOGS: &str = r#"{"format":1,"pipeline":"user_counters","version":3856028514591440895,"shift":{"from":1707605599,"to":1800000000},"logs":[{"path":"logs/a.jsonl.gz","head":{"bytes":4096,"hash":"00c0ffee00000000000000000000002a"},"parts":[{"to":5000,"runStart":1790000000},{"to":7001,"runStart":1790000600}]},{"path":"-","pipe":true,"parts":[{"to":12,"runStart":1790000600}]},{"path":"logs/c.jsonl","head":{"bytes":0,"hash":"00000000000000000000000000000000"},"parts":[]}]}
"#;

const OF_A_TOPIC: &str = r#"{"format":1,"pipeline":"user_counters","version":3856028514591440895,"kafka":{"topic":"events","partitions":{"0":{"from":0,"to":100},"1":{"from":7,"to":7},"10":{"from":3,"to":4}},"runStart":1790000000}}
"#;

fn of_logs() -> Positions {
    let part = |to, run_start| LogPart { to, run_start: EventTime(run_start) };
    let log = |path: &str, head, parts| LogPositions { path: path.to_owned(), head, parts };
    let head = |bytes, hash| Some(LogHead { bytes, hash });
    Positions {
        pipeline: "user_counters".to_owned(),
        version: Version(3_856_028_514_591_440_895),
        shift: Some(TimeShift { from: EventTime(1_707_605_599), to: EventTime(1_800_000_000) }),
        source: SourcePositions::Logs(vec![
            log(
                "logs/a.jsonl.gz",
                head(4_096, 0x00c0_ffee_0000_0000_0000_0000_0000_002a),
                vec![part(5_000, 1_790_000_000), part(7_001, 1_790_000_600)],
            ),
            log("-", None, vec![part(12, 1_790_000_600)]),
            log("logs/c.jsonl", head(0, 0), vec![]),
        ]),
    }
}

fn of_a_topic() -> Positions {
    let partitions = [(0, 0, 100), (1, 7, 7), (10, 3, 4)];
    Positions {
        shift: None,
        source: SourcePositions::Kafka(KafkaPositions {
            topic: "events".to_owned(),
            cluster: None,
            topic_id: None,
            partitions: partitions.map(|(id, from, to)| (id, OffsetRange { from, to })).into(),
            run_start: EventTime(1_790_000_000),
        }),
        ..of_logs()
    }
}

#[test]
fn the_text_of_format_1_is_as_it_was_and_reads_back() {
    for (positions, text) in [(of_logs(), OF_LOGS), (of_a_topic(), OF_A_TOPIC)] {
        assert_eq!(positions.to_text().unwrap(), text);
        assert_eq!(Positions::from_text(text.as_bytes()).unwrap(), positions);
    }
    let mut with_cluster = of_a_topic();
    let SourcePositions::Kafka(kafka) = &mut with_cluster.source else { panic!("a topic") };
    kafka.cluster = Some("Mk3OEYBSD34fcwNTJENDM2Qk".to_owned());
    let text = with_cluster.to_text().unwrap();
    assert!(text.contains(r#""topic":"events","cluster":"Mk3OEYBSD34fcwNTJENDM2Qk""#), "{text}");
    assert_eq!(Positions::from_text(text.as_bytes()).unwrap(), with_cluster);
    let SourcePositions::Logs(logs) = of_logs().source else { panic!("logs") };
    assert_eq!(logs.iter().map(LogPositions::length).collect::<Vec<_>>(), [7_001, 12, 0]);
}

#[test]
fn a_format_of_another_release_is_told_whatever_else_is_in_it() {
    let error = Positions::from_text(br#"{"format":2,"shards":[1]}"#).unwrap_err().to_string();
    assert!(error.contains("in format 2") && error.contains("knows format 1"), "{error}");
}

#[test]
fn what_makes_no_sense_is_refused_with_the_reason() {
    let range = r#""0":{"from":0,"to":100}"#;
    for (text, wrong, reason) in [
        (OF_A_TOPIC.replace(range, r#""0":{"from":9,"to":8}"#), "to 8", "no range of offsets"),
        (OF_A_TOPIC.replace(range, r#""-1":{"from":9,"to":9}"#), "partition -1", "no range of offsets"),
        (OF_A_TOPIC.replace("\"kafka\"", "\"topics\""), "topics", "unknown field"),
        (OF_A_TOPIC.replace("}}\n", "},\"logs\":[]}"), "`logs`", "one of them"),
        (OF_LOGS.replace("\"pipe\":true,", ""), "- has a `head`", "`pipe`"),
        (OF_LOGS.replace("7001", "5000"), "logs/a.jsonl.gz", "do not follow each other"),
        (OF_LOGS.replace("\"to\":12", "\"to\":0"), "-", "do not follow each other"),
        (OF_LOGS.replace("00c0ffee", "coffee"), "coffee", "invalid digit"),
        ("{\"eventName\":\"like\"}".to_owned(), "format", "missing field"),
        ("nonsense".to_owned(), "no positions of a run", "expected"),
    ] {
        let error = Positions::from_text(text.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(wrong) && error.contains(reason), "{text}: {error}");
    }
}
