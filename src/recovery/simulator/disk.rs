//! What is durable: objects in memory, which outlive the runs that write them, and what was seen of them.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore as _, ObjectStoreExt as _, PutMode, PutOptions, PutPayload, PutResult};

use super::ground::offsets_of;

/// The objects of a state.
#[derive(Debug, Default)]
pub(super) struct Disk {
    pub objects: InMemory,
    seen: Mutex<Seen>,
}

/// What was seen of the objects as they came and went.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// The texts of manifests that are there and not damaged.
    pub manifests: BTreeMap<String, String>,
    /// Of the entries of the journal that are there and not damaged, up to where each partition was read.
    pub journal: BTreeMap<String, Vec<i64>>,
    /// The run that has claimed the state last.
    pub newest_run: usize,
    /// Manifests have come since this was taken.
    pub has_committed: bool,
    /// How many manifests have come.
    pub commits: usize,
    /// What was under way when its run died, and may arrive later.
    pub late: Vec<(Path, Bytes)>,
    /// What must not be.
    pub violations: Vec<String>,
}

impl Disk {
    pub fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Up to where the journal says that was read, by partition.
    pub fn journaled(&self) -> Vec<i64> {
        let mut furthest = Vec::new();
        for offsets in self.seen().journal.values() {
            furthest.resize(furthest.len().max(offsets.len()), 0);
            furthest.iter_mut().zip(offsets).for_each(|(furthest, offset)| *furthest = i64::max(*furthest, *offset));
        }
        furthest
    }

    /// Puts an object of this run; of none where it arrives after its end.
    pub async fn put(
        &self,
        run: Option<usize>,
        path: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> object_store::Result<PutResult> {
        let content = Bytes::from(payload.clone());
        let put = self.objects.put_opts(path, payload, options).await?;
        let mut seen = self.seen();
        let (folder, name) = folder_and_name(path);
        match folder {
            "generations" => seen.newest_run = run.unwrap_or(seen.newest_run),
            "journal" => drop(seen.journal.insert(name.to_owned(), journal_offsets(&content))),
            "manifests" => {
                let newest = seen.newest_run;
                if run.is_some_and(|run| run != newest) {
                    seen.violations
                        .push(format!("I8: {path} was written by run {run:?}, and run {newest} has the state"));
                }
                seen.manifests.insert(name.to_owned(), String::from_utf8_lossy(&content).into_owned());
                (seen.has_committed, seen.commits) = (true, seen.commits + 1);
            }
            _ => {}
        }
        Ok(put)
    }

    /// Deletes an object.
    pub async fn delete(&self, path: &Path) -> object_store::Result<()> {
        self.see_deleted(path);
        self.objects.delete(path).await
    }

    fn see_deleted(&self, path: &Path) {
        let mut seen = self.seen();
        let (folder, name) = folder_and_name(path);
        match folder {
            "journal" => drop(seen.journal.remove(name)),
            "manifests" => drop(seen.manifests.remove(name)),
            "generations" => {}
            _ => {
                let needs = |(manifest, text): (&String, &String)| text.contains(name).then(|| manifest.clone());
                if let Some(manifest) = seen.manifests.iter().find_map(needs) {
                    seen.violations.push(format!("I6: {path} was deleted, and {manifest} names it"));
                }
            }
        }
    }

    /// What was under way arrives, if nothing is in its place. (Not so late that its run's successor has made checkpoints.)
    pub async fn arrive(&self, path: &Path, content: Bytes) -> bool {
        let (folder, name) = folder_and_name(path);
        if folder == "manifests" && self.seen().manifests.keys().any(|other| other.as_str() > name) {
            return false;
        }
        let options = PutOptions::from(PutMode::Create);
        self.put(None, path, PutPayload::from_bytes(content), options).await.is_ok()
    }

    /// Damages an object: some bytes of it are others, it is shorter, or it is gone.
    pub async fn damage(&self, path: &Path, how: usize) {
        let Ok(found) = self.objects.get(path).await else { return };
        let Ok(content) = found.bytes().await else { return };
        let mut content = content.to_vec();
        let middle = content.len() / 2;
        match how {
            0 => content[middle] ^= 0x11,
            1 => content.truncate(middle),
            _ => {
                let _ = self.objects.delete(path).await;
            }
        }
        if how < 2 {
            let _ = self.objects.put(path, PutPayload::from(content)).await;
        }
        let (_, name) = folder_and_name(path);
        let mut seen = self.seen();
        seen.manifests.remove(name);
        seen.journal.remove(name);
    }
}

pub(super) fn folder_and_name(path: &Path) -> (&str, &str) {
    path.as_ref().split_once('/').unwrap_or_default()
}

/// The first line of a text that is followed by its checksum.
pub(super) fn value_of(text: &[u8]) -> serde_json::Value {
    let line = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
    serde_json::from_slice(line).expect("it was written as JSON")
}

fn journal_offsets(text: &[u8]) -> Vec<i64> {
    offsets_of(&value_of(text)["positions"])
}
