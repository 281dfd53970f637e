//! The disk as one run sees it: calls fail now and then, before or after they took effect, and all of them once the run is dead.

use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMode,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

use super::dice::Dice;
use super::disk::Disk;

/// The objects of a state, through the eyes of a run.
#[derive(Debug)]
pub(super) struct Objects {
    disk: Arc<Disk>,
    run: usize,
    luck: Mutex<Luck>,
}

#[derive(Debug)]
struct Luck {
    dice: Dice,
    risk: Risk,
    is_dead: bool,
    failed: usize,
}

/// What may go wrong.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Risk {
    /// One call in so many fails.
    pub one_in: Option<usize>,
    /// The run dies in the call after so many.
    pub dies_after: Option<usize>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Works,
    FailsBefore,
    FailsAfter,
}

impl Objects {
    pub fn new(disk: Arc<Disk>, run: usize, dice: Dice, risk: Risk) -> Objects {
        Objects { disk, run, luck: Mutex::new(Luck { dice, risk, is_dead: false, failed: 0 }) }
    }

    /// From here on this may go wrong.
    pub fn take_risk(&self, risk: Risk) {
        self.with_luck(|luck| luck.risk = risk);
    }

    /// From here on nothing of this run arrives.
    pub fn die(&self) {
        self.with_luck(|luck| luck.is_dead = true);
    }

    pub fn is_dead(&self) -> bool {
        self.with_luck(|luck| luck.is_dead)
    }

    /// How many calls have failed.
    pub fn failed(&self) -> usize {
        self.with_luck(|luck| luck.failed)
    }

    fn with_luck<T>(&self, with: impl FnOnce(&mut Luck) -> T) -> T {
        with(&mut self.luck.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn fate(&self) -> Fate {
        self.with_luck(|luck| {
            if luck.is_dead {
                return Fate::FailsBefore;
            }
            let either = if luck.dice.one_in(2) { Fate::FailsBefore } else { Fate::FailsAfter };
            if let Some(left) = &mut luck.risk.dies_after {
                if *left == 0 {
                    luck.is_dead = true;
                    return either;
                }
                *left -= 1;
            }
            if luck.risk.one_in.is_some_and(|times| luck.dice.one_in(times)) {
                luck.failed += 1;
                return either;
            }
            Fate::Works
        })
    }

    /// What was under way when the run died may still arrive.
    fn is_late(&self, mode: &PutMode) -> bool {
        self.with_luck(|luck| luck.is_dead && luck.dice.one_in(2)) && *mode == PutMode::Create
    }
}

fn failure() -> Error {
    Error::Generic { store: "simulated", source: "it fails".into() }
}

impl fmt::Display for Objects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the disk of run {}", self.run)
    }
}

#[async_trait::async_trait]
impl ObjectStore for Objects {
    async fn put_opts(&self, path: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let was_dead = self.is_dead();
        let fate = self.fate();
        if fate == Fate::FailsBefore {
            if !was_dead && self.is_late(&options.mode) {
                self.disk.seen().late.push((path.clone(), Bytes::from(payload)));
            }
            return Err(failure());
        }
        let put = self.disk.put(Some(self.run), path, payload, options).await?;
        if fate == Fate::FailsAfter { Err(failure()) } else { Ok(put) }
    }

    async fn put_multipart_opts(&self, path: &Path, options: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.disk.objects.put_multipart_opts(path, options).await
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        if self.fate() != Fate::Works {
            return Err(failure());
        }
        self.disk.objects.get_opts(path, options).await
    }

    async fn get_ranges(&self, path: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        if self.fate() != Fate::Works {
            return Err(failure());
        }
        self.disk.objects.get_ranges(path, ranges).await
    }

    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let (disk, fate) = (Arc::clone(&self.disk), self.fate());
        let deleted = paths.then(move |path| {
            let disk = Arc::clone(&disk);
            async move {
                let path = path?;
                if fate == Fate::FailsBefore {
                    return Err(failure());
                }
                disk.delete(&path).await?;
                if fate == Fate::FailsAfter { Err(failure()) } else { Ok(path) }
            }
        });
        deleted.boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.disk.objects.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        if self.fate() != Fate::Works {
            return Err(failure());
        }
        self.disk.objects.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.disk.objects.copy_opts(from, to, options).await
    }
}
