//! The reader of packed items in `docs/items.md` reads the vectors that ship as this program does. Without Python there is nothing to
//! look at.

use std::process::{Command, Stdio};

use serde_json::Value;

use crate::program::Workplace;

const PAGE: &str = include_str!("../../docs/items.md");
const VECTORS: &str = include_str!("../data/packed_items.json");

/// Reads every vector; says of each what it is, or that it is refused.
const READ_ALL: &str = r#"
import json, sys
for case in json.load(open("vectors.json")):
    try:
        print(json.dumps(unpack(bytes.fromhex(case["bytes"]))))
    except (ValueError, IndexError):
        print("null")
"#;

#[test]
fn the_reader_in_python_reads_the_vectors() {
    let python = Command::new("python3").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !python.is_ok_and(|status| status.success()) {
        return;
    }
    let (_, code) = PAGE.split_once("```python\n").unwrap();
    let (code, _) = code.split_once("```").unwrap();
    let place = Workplace::new();
    place.write("reader.py", format!("{code}{READ_ALL}"));
    place.write("vectors.json", VECTORS);
    let read = Command::new("python3").arg("reader.py").current_dir(place.path("")).output().unwrap();
    assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
    let read = String::from_utf8(read.stdout).unwrap();
    let cases: Vec<Value> = serde_json::from_str(VECTORS).unwrap();
    assert!(cases.len() > 10 && read.lines().count() == cases.len());
    for (case, line) in cases.iter().zip(read.lines()) {
        let line: Value = serde_json::from_str(line).unwrap();
        assert_eq!(line, case["features"], "{}", case["case"]);
        assert_eq!(line.is_null(), case["damaged"].is_string());
    }
}
