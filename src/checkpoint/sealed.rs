//! A JSON text that tells damage by itself: one line, and one with its checksum.
//!
//! ```text
//! {"format":1,...}
//! xxh3:0123456789abcdef0123456789abcdef
//! ```
//!
//! The second line is the XXH3 (128 bits) of the first, without its newline, in hexadecimal digits. Every format has these
//! two lines and the member `format`, so that a newer one is told from a damaged one.

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use xxhash_rust::xxh3::xxh3_128;

use super::error::{CheckpointError, CheckpointErrorKind};

const SEAL: &str = "xxh3:";

/// The text of this value.
pub(super) fn seal(value: &impl Serialize) -> Result<Bytes, CheckpointError> {
    let json = serde_json::to_string(value).map_err(|error| {
        CheckpointError::caused_by(CheckpointErrorKind::Failed, "a checkpoint's description cannot be written", error)
    })?;
    let seal = xxh3_128(json.as_bytes());
    Ok(Bytes::from(format!("{json}\n{SEAL}{seal:032x}\n")))
}

/// The value of this text, which lies at `place` and has the format `format`.
///
/// Fails with [`CheckpointErrorKind::Damaged`] or, where the text is whole but of another format,
/// [`CheckpointErrorKind::Newer`].
pub(super) fn unseal<T: DeserializeOwned>(place: &str, text: &[u8], format: u32) -> Result<T, CheckpointError> {
    let damaged = |what: &str| CheckpointError::damaged(place, what);
    let text = std::str::from_utf8(text).map_err(|_| damaged("it is not text"))?;
    let (json, rest) = text.split_once('\n').ok_or_else(|| damaged("it is cut off in its first line"))?;
    let seal = rest.strip_suffix('\n').ok_or_else(|| damaged("it is cut off in its last line"))?;
    if seal != format!("{SEAL}{:032x}", xxh3_128(json.as_bytes())) {
        return Err(damaged("its checksum is that of another text"));
    }
    #[derive(serde::Deserialize)]
    struct Format {
        format: u32,
    }
    let found: Format = serde_json::from_str(json)
        .map_err(|error| CheckpointError::caused_by(CheckpointErrorKind::Foreign, foreign(place), error))?;
    if found.format != format {
        let message = format!(
            "{place} has format {}, this version of counter-machine reads format {format}: use the version that wrote it, \
             or a later one",
            found.format
        );
        return Err(CheckpointError::new(CheckpointErrorKind::Newer, message));
    }
    serde_json::from_str(json)
        .map_err(|error| CheckpointError::caused_by(CheckpointErrorKind::Foreign, foreign(place), error))
}

fn foreign(place: &str) -> String {
    format!("{place} is whole, but is not what counter-machine writes there: name another state, or move it away")
}
