//! Random lines: real events with mutations, and objects put together from every form of name and
//! value.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

const REAL_EVENTS: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/real_events.jsonl"));

/// Pieces of JSON, whole and broken, that mean something to a decoder.
const FRAGMENTS: &[&str] = &[
    "\"",
    "\\",
    "\\\"",
    "\\\\",
    "\\u",
    "\\u00e9",
    "\\ud83e",
    "\\ud83e\\udd80",
    "\\u0000",
    "\\n",
    "\\x",
    "{",
    "}",
    "[",
    "]",
    "{}",
    "[]",
    ",",
    ":",
    " ",
    "\t",
    "\r",
    "\n",
    "\0",
    "\u{1f}",
    "\u{7f}",
    "é",
    "🦀",
    "\u{feff}",
    "-",
    "+",
    ".",
    "0",
    "00",
    "1",
    "1e400",
    "e",
    "E5",
    "e-",
    "-0",
    ".5",
    "12345678901234567890",
    "null",
    "true",
    "false",
    "nul",
    "NaN",
    "\"userId\":",
    ",\"userId\":\"x\"",
    ",\"eventTs\":0",
    "\"eventName\":\"\",",
    "\"user\\u0049d\":1,",
    "[[[[",
    "{\"a\":",
    ",\"user\":{\"userId\":5}",
    "\"meta\":{\"eventName\":\"x\"},",
    "},\"user\":{",
];

const NAMES: &[&str] = &[
    "eventName",
    "eventTs",
    "userId",
    "creatorId",
    "itemId",
    "quantity",
    "position",
    "extra",
    "",
    "é",
    "user",
    "meta",
    "receivedAt",
];

const VALUES: &[&str] = &[
    "\"like\"",
    "\"\"",
    "\"1234\"",
    "\"12345678\"",
    "\"a longer text, of no use\"",
    "\"\\u0031\\n\"",
    "\"\\ud83e\\udd80\"",
    "\"\\ud83e\"",
    "\"\\/\"",
    "\"Ζωή🦀\"",
    "\"0017\"",
    "\"-5\"",
    "\"1707605613.9\"",
    "\"17E8\"",
    "\"1e3x\"",
    "\"-0.0\"",
    "\"1\\u002e5\"",
    "0",
    "-0",
    "7",
    "-7",
    "1707605599",
    "1574553617004101",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775809",
    "123456789012345678901234567890",
    "01",
    "1.",
    "1.5",
    "-0.5",
    "1707605599.25",
    "1e3",
    "17E8",
    "1.7e+9",
    "1e-3",
    "1e400",
    "-1e400",
    "1e-400",
    "-0.0",
    "0e9",
    "true",
    "false",
    "null",
    "True",
    "[]",
    "{}",
    "[1,[2,{\"a\":\"]\"}]]",
    "{\"userId\":\"inner\"}",
    "{ \"quantity\" : [ 1, \"1\" ,null] , \"userId\":[\"a\"],\"quantity\":2}",
    "{\"user\":{\"quantity\":3},\"userId\":7}",
    "{\"user\":{\"quantity\":3,\"quantity\":{}},\"user\":0,\"userId\":{}}",
    "{\"user\\u0049d\":1,\"eventName\":\"in\\u006eer\"}",
    "{\"eventName\":\"view\"}",
    "{\"é\":\"é\"}",
    "[\"a\",\"b\",\"a\",1,true,null,\"\"]",
    "[\"\\u0061\",\"a\", \"b|c\" ]",
    "[1,1.5]",
    "[[1]]",
    "[\"\\ud83e\"]",
    "[1,]",
    "{\"a\"}",
    "\"open",
    "",
    "\"2024-02-10T22:53:19Z\"",
    "\"2024-02-10T22:53:19.5+01:00\"",
    "\"1969-12-31T23:59:59Z\"",
    "\"2024-02-30T00:00:00Z\"",
];

const WHITE_SPACE: &[&str] = &["", "", "", "", " ", "\t", "\r\n", "  "];

#[derive(Clone, Debug)]
enum Mutation {
    Flip(Index, u8),
    Insert(Index, &'static str),
    Remove(Index, usize),
    Repeat(Index, usize, Index),
    Splice(Index, Index),
    Truncate(Index),
}

impl Mutation {
    fn apply(&self, line: &mut Vec<u8>) {
        let offset = |index: &Index, line: &[u8]| index.index(line.len() + 1);
        match self {
            Mutation::Flip(at, bits) if !line.is_empty() => {
                let at = at.index(line.len());
                line[at] ^= bits;
            }
            Mutation::Flip(..) => {}
            Mutation::Insert(at, fragment) => {
                let at = offset(at, line);
                line.splice(at..at, fragment.bytes());
            }
            Mutation::Remove(from, length) => {
                let from = offset(from, line);
                line.drain(from..line.len().min(from + length));
            }
            Mutation::Repeat(from, length, to) => {
                let from = offset(from, line);
                let piece = line[from..line.len().min(from + length)].to_vec();
                let to = offset(to, line);
                line.splice(to..to, piece);
            }
            Mutation::Splice(cut, other) => {
                let other = other.get(&real_events()).as_bytes();
                let cut = cut.index(line.len().min(other.len()) + 1);
                line.truncate(cut);
                line.extend_from_slice(&other[cut..]);
            }
            Mutation::Truncate(at) => line.truncate(offset(at, line)),
        }
    }
}

/// Every real event.
pub(super) fn real_events() -> Vec<&'static str> {
    REAL_EVENTS.lines().collect()
}

fn mutation() -> impl Strategy<Value = Mutation> {
    prop_oneof![
        3 => (any::<Index>(), 1_u8..).prop_map(|(at, bits)| Mutation::Flip(at, bits)),
        6 => (any::<Index>(), select(FRAGMENTS)).prop_map(|(at, fragment)| Mutation::Insert(at, fragment)),
        2 => (any::<Index>(), 1..30_usize).prop_map(|(from, length)| Mutation::Remove(from, length)),
        2 => (any::<Index>(), 1..60_usize, any::<Index>()).prop_map(|(from, length, to)| Mutation::Repeat(from, length, to)),
        1 => (any::<Index>(), any::<Index>()).prop_map(|(cut, other)| Mutation::Splice(cut, other)),
        1 => any::<Index>().prop_map(Mutation::Truncate),
    ]
}

fn mutated_line() -> impl Strategy<Value = Vec<u8>> {
    (select(real_events()), vec(mutation(), 0..4)).prop_map(|(line, mutations)| {
        let mut line = line.as_bytes().to_vec();
        mutations.iter().for_each(|mutation| mutation.apply(&mut line));
        line
    })
}

/// A name in quotes, plain or with one character escaped.
fn name() -> impl Strategy<Value = String> {
    (select(NAMES), any::<Index>(), prop::bool::weighted(0.1)).prop_map(|(name, letter_index, escaped)| {
        let count = name.chars().count();
        let escaped = (escaped && count > 0).then(|| letter_index.index(count));
        let letters = name.chars().enumerate().map(|(at, letter)| match escaped {
            Some(letter_index) if letter_index == at => format!("\\u{:04x}", u32::from(letter)),
            _ => letter.into(),
        });
        format!("\"{}\"", letters.collect::<String>())
    })
}

/// A value of any form, now and then within many brackets, or inside an object that paths lead through.
fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        20 => select(VALUES).prop_map(String::from),
        2 => (select(NAMES), select(VALUES), select(WHITE_SPACE)).prop_map(|(name, inner, space)| {
            format!("{{{space}\"{name}\"{space}:{space}{inner}{space},\"user\":{space}{inner}}}")
        }),
        1 => (58..70_usize, select(VALUES)).prop_map(|(levels, inner)| {
            format!("{}{inner}{}", "{\"user\":".repeat(levels), "}".repeat(levels))
        }),
        1 => (58..70_usize, select(VALUES)).prop_map(|(levels, inner)| {
            format!("{}{inner}{}", "[".repeat(levels), "]".repeat(levels))
        }),
    ]
}

fn member() -> impl Strategy<Value = String> {
    (name(), value(), select(WHITE_SPACE), select(WHITE_SPACE))
        .prop_map(|(name, value, before, behind)| format!("{before}{name}{behind}:{before}{value}{behind}"))
}

/// An object with a sound name and time and a few members of any kind, in any order.
fn generated_line() -> impl Strategy<Value = Vec<u8>> {
    const TIMES: &[&str] = &["1707605599", "\"1707605599\"", "17076055990e-1", "\"2024-02-10T22:53:19Z\""];
    const ARRIVALS: &[&str] = &[
        "1707605599",
        "1707605540",
        "1707605538",
        "\"170760\\u003000\\u0030\\u0030\"",
        "946684799",
        "17076055000e-1",
        "1707605600",
        "null",
        "\"2024-02-10T22:50:00Z\"",
    ];
    let sound = (select(TIMES), select(ARRIVALS)).prop_map(|(time, arrival)| {
        vec!["\"eventName\":\"like\"".to_owned(), format!("\"eventTs\":{time}"), format!("\"receivedAt\":{arrival}")]
    });
    (sound, vec(member(), 0..5), select(WHITE_SPACE))
        .prop_map(|(sound, members, space)| (([sound, members]).concat(), space))
        .prop_flat_map(|(members, space)| (Just(members).prop_shuffle(), Just(space)))
        .prop_map(|(members, space)| format!("{space}{{{}}}{space}", members.join(",")).into_bytes())
}

/// A line of any kind.
pub(super) fn line() -> impl Strategy<Value = Line> {
    prop_oneof![
        5 => mutated_line(),
        5 => generated_line(),
        1 => vec(any::<u8>(), 0..60),
        1 => vec(select(FRAGMENTS), 0..20).prop_map(|fragments| fragments.concat().into_bytes()),
    ]
    .prop_map(Line)
}

/// Some bytes that print as text.
#[derive(Clone)]
pub(super) struct Line(pub(super) Vec<u8>);

impl std::fmt::Debug for Line {
    fn fmt(&self, formatter: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(formatter, "{}", self.0.escape_ascii())
    }
}
