//! Reading the newest state of every item from the lines of all.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use crate::sink::files::open_to_read;
use crate::sink::{Item, ItemReader, SinkError, SinkErrorKind};

/// Reads the newest state of every item.
#[derive(Debug)]
pub(in crate::sink) struct JsonLinesReader {
    path: PathBuf,
}

impl JsonLinesReader {
    /// Items come from this file.
    pub(in crate::sink) fn open(path: &Path) -> Result<Self, SinkError> {
        let reader = JsonLinesReader { path: path.to_owned() };
        reader.lines()?;
        Ok(reader)
    }

    fn lines(&self) -> Result<BufReader<File>, SinkError> {
        open_to_read(&self.path).map(BufReader::new)
    }

    fn failed(&self, error: io::Error) -> SinkError {
        SinkError::io(format!("cannot read items from {}", self.path.display()), error)
    }

    /// The newest item of each key and feature among those that are `wanted`.
    fn newest(&self, wanted: impl Fn(&Item) -> bool) -> Result<BTreeMap<(String, String), Item>, SinkError> {
        let mut newest = BTreeMap::<_, Item>::new();
        let mut lines = self.lines()?;
        let mut line = Vec::new();
        for line_number in 1_u64.. {
            line.clear();
            if lines.read_until(b'\n', &mut line).map_err(|error| self.failed(error))? == 0 {
                break;
            }
            let item: Item = match serde_json::from_slice(&line) {
                Ok(item) => item,
                // A run is just writing it, or was stopped while it did.
                Err(_) if !line.ends_with(b"\n") => break,
                Err(error) => {
                    let message = format!("{}, line {line_number}: this is no published item", self.path.display());
                    return Err(SinkError::caused_by(message, error).of_kind(SinkErrorKind::Damaged));
                }
            };
            if wanted(&item) {
                let identity = (item.key.clone(), item.feature_name.clone());
                if newest.get(&identity).is_none_or(|other| other.version <= item.version) {
                    newest.insert(identity, item);
                }
            }
        }
        Ok(newest)
    }
}

impl ItemReader for JsonLinesReader {
    fn get(&mut self, key: &str, feature_name: Option<&str>) -> Result<Vec<Item>, SinkError> {
        let wanted = |item: &Item| item.key == key && feature_name.is_none_or(|name| item.feature_name == name);
        Ok(self.newest(wanted)?.into_values().collect())
    }

    fn each_of(
        &mut self,
        wanted: &dyn Fn(&str) -> bool,
        visit: &mut dyn FnMut(Item) -> io::Result<()>,
    ) -> Result<(), SinkError> {
        for item in self.newest(|item| wanted(&item.key))?.into_values() {
            visit(item).map_err(|error| SinkError::stdout("cannot write items to stdout", error))?;
        }
        Ok(())
    }
}
