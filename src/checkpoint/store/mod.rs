//! Where a state is kept: named objects in a folder or in a bucket, and calls that wait for them.
//!
//! What it promises:
//!
//! - An object appears under its name as a whole, or not at all.
//! - What a call that writes has returned for is durable: on a local file system the file and the folders that lead to it
//!   are synced.
//! - [`Store::create`] never replaces. An answer that was lost on its way does no harm: an object that is there with
//!   just this content was created by the call before. So contents must tell runs apart.
//! - Once it [is fenced](Store::fence), it writes and deletes nothing while the run may not write.
//!
//! Its functions block, and must not be called from an asynchronous task. A store is cheap to clone and may be used from
//! several threads.

mod aside;
mod contents;
mod failure;
mod location;
mod lock;
mod open;
#[cfg(test)]
mod tests;
mod writer;

use std::fmt;
use std::fs::File;
use std::ops::Range;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use bytes::Bytes;
use object_store::path::Path as ObjectPath;
use object_store::{ObjectStore, ObjectStoreExt as _, PutMode, PutOptions, PutPayload, UpdateVersion};
use tokio::runtime::Runtime;

pub use aside::set_aside;
pub use contents::Contents;
pub use location::Location;
pub use lock::{LockHolder, StateLock};
pub use writer::ObjectWriter;

use crate::checkpoint::error::{CheckpointError, CheckpointErrorKind};
use crate::checkpoint::failpoint::{Failpoints, Step};
use crate::checkpoint::names::ObjectName;
use crate::file_id::folder_of;
use crate::lease::Lease;

/// How often a create whose outcome is unknown is tried.
const CREATE_ATTEMPTS: u32 = 3;
/// A folder's or bucket's objects.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    objects: Arc<dyn ObjectStore>,
    /// What the names of all objects begin with.
    prefix: ObjectPath,
    /// Drives what is asynchronous below; only while somebody waits.
    runtime: Runtime,
    location: Location,
    failpoints: Failpoints,
    /// Nothing is written while it is not held.
    lease: OnceLock<Lease>,
}

/// Which of the objects that have had a name one is. None of its kind: there was none.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen(Option<UpdateVersion>);

impl Store {
    /// From now on nothing is written or deleted while this lease is not held: that is waited for. (The lease of a state is written all the same.)
    pub(crate) fn fence(&self, lease: &Lease) {
        let _ = self.0.lease.set(lease.clone());
    }

    /// Where it is.
    pub fn location(&self) -> &Location {
        &self.0.location
    }

    /// Where an object of it is, for messages.
    pub fn place(&self, name: &ObjectName) -> String {
        format!("{}/{name}", self.0.location)
    }

    /// The size of an object, in bytes.
    pub fn size(&self, name: &ObjectName) -> Result<u64, CheckpointError> {
        let meta = self.wait(self.0.objects.head(&self.path(name)));
        meta.map(|meta| meta.size).map_err(|error| self.cannot_read(name, error))
    }

    /// All of an object.
    pub fn get(&self, name: &ObjectName) -> Result<Bytes, CheckpointError> {
        let content = self.wait(async { self.0.objects.get(&self.path(name)).await?.bytes().await });
        content.map_err(|error| self.cannot_read(name, error))
    }

    /// Parts of an object, in this order. Fails, as damaged, where the object is too short for one of them.
    pub fn get_ranges(&self, name: &ObjectName, ranges: &[Range<u64>]) -> Result<Vec<Bytes>, CheckpointError> {
        let parts = match self.wait(self.0.objects.get_ranges(&self.path(name), ranges)) {
            Ok(parts) => parts,
            // Every kind of store has words of its own for a range that is not there.
            Err(error) => {
                let bytes = self.size(name)?;
                let beyond = ranges.iter().any(|range| range.end > bytes);
                return Err(if beyond { self.cut_off(name) } else { self.cannot_read(name, error) });
            }
        };
        let whole = parts.iter().zip(ranges).all(|(part, range)| part.len() as u64 == range.end - range.start);
        if whole && parts.len() == ranges.len() { Ok(parts) } else { Err(self.cut_off(name)) }
    }

    /// Makes an object that must not exist. Fails with [`CheckpointErrorKind::Exists`] if it does, with other content.
    pub fn create(&self, name: &ObjectName, content: &Bytes) -> Result<(), CheckpointError> {
        let mut attempt = 1;
        loop {
            self.may_write()?;
            self.reach(Step::BeforeSync)?;
            let options = PutOptions::from(PutMode::Create);
            let payload = PutPayload::from_bytes(content.clone());
            let error = match self.wait(self.0.objects.put_opts(&self.path(name), payload, options)) {
                Ok(_) => return self.reach(Step::AfterSync),
                Err(error) => error,
            };
            let exists = matches!(error, object_store::Error::AlreadyExists { .. });
            match if exists { self.get(name).map(Some) } else { Ok(None) } {
                Ok(Some(there)) if there == *content => {
                    self.sync(name)?;
                    return self.reach(Step::AfterSync);
                }
                Ok(Some(_)) => {
                    let message = format!("{} exists already", self.place(name));
                    return Err(CheckpointError::caused_by(CheckpointErrorKind::Exists, message, error));
                }
                Err(unread) if unread.kind() != CheckpointErrorKind::Missing => return Err(unread),
                // A request of unknown outcome, or one that another was in the way of.
                _ if self.is_remote() && attempt < CREATE_ATTEMPTS && failure::may_pass(&error) => attempt += 1,
                _ => return Err(self.cannot_write(name, error)),
            }
        }
    }

    /// Deletes an object, if it is there.
    pub fn delete(&self, name: &ObjectName) -> Result<(), CheckpointError> {
        self.may_write()?;
        match self.wait(self.0.objects.delete(&self.path(name))) {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(failure::told(format!("cannot delete {}", self.place(name)), error)),
        }
    }

    /// Begins an object that is written bit by bit, and replaces what has its name. It should have about so many bytes.
    pub fn writer(&self, name: ObjectName, expected_bytes: u64) -> ObjectWriter {
        ObjectWriter::new(self.clone(), name, expected_bytes)
    }

    /// Whether other machines may write to it, too.
    pub(super) fn is_remote(&self) -> bool {
        matches!(self.0.location, Location::Bucket { .. })
    }

    /// Comes to a step that a test may let fail.
    pub(super) fn reach(&self, step: Step) -> Result<(), CheckpointError> {
        self.0.failpoints.reach(step)
    }

    /// Comes to a step at which an object is half written: if a test lets it fail, some of it is.
    pub(super) fn reach_half_written(&self, step: Step, name: &ObjectName, half: &[u8]) -> Result<(), CheckpointError> {
        if !self.0.failpoints.is_set(step) {
            return Ok(());
        }
        let begun = self.wait(async {
            let mut upload = self.0.objects.put_multipart(&self.path(name)).await?;
            upload.put_part(PutPayload::from_bytes(Bytes::copy_from_slice(half))).await?;
            Ok(upload)
        });
        let mut upload = begun.map_err(|error| self.cannot_write(name, error))?;
        let reached = self.reach(step);
        let _ = self.wait(upload.abort());
        reached
    }

    /// Syncs an object that was written by a call that failed: perhaps it was this that failed.
    fn sync(&self, name: &ObjectName) -> Result<(), CheckpointError> {
        let Location::Folder(state) = self.location() else { return Ok(()) };
        let file = state.join(name.as_str());
        let synced = File::open(&file).and_then(|open| open.sync_all());
        let synced = synced.and_then(|()| File::open(folder_of(&file))?.sync_all());
        synced.map_err(|error| {
            let message = format!("cannot make {} durable", self.place(name));
            CheckpointError::caused_by(CheckpointErrorKind::Failed, message, error)
        })
    }

    /// All of an object, and which it is; none: there is none.
    pub(super) fn get_seen(&self, name: &ObjectName) -> Result<(Option<Bytes>, Seen), CheckpointError> {
        let got = self.wait(async {
            let got = self.0.objects.get(&self.path(name)).await?;
            let version = UpdateVersion { e_tag: got.meta.e_tag.clone(), version: got.meta.version.clone() };
            Ok((got.bytes().await?, version))
        });
        match got {
            Ok((content, version)) => Ok((Some(content), Seen(Some(version)))),
            Err(object_store::Error::NotFound { .. }) => Ok((None, Seen(None))),
            Err(error) => Err(self.cannot_read(name, error)),
        }
    }

    /// Writes an object in the place of the one that was seen, whether the run may write or not. Fails with [`CheckpointErrorKind::Exists`] where
    /// another one is in that place meanwhile, perhaps of a call before that seemed to fail. In a folder, whose lock says who writes, it replaces.
    pub(super) fn replace(&self, name: &ObjectName, content: Bytes, seen: &Seen) -> Result<Seen, CheckpointError> {
        let mode = match (self.is_remote(), &seen.0) {
            (false, _) => PutMode::Overwrite,
            (true, None) => PutMode::Create,
            (true, Some(version)) => PutMode::Update(version.clone()),
        };
        let options = PutOptions::from(mode);
        match self.wait(self.0.objects.put_opts(&self.path(name), PutPayload::from_bytes(content), options)) {
            Ok(put) => Ok(Seen(Some(put.into()))),
            Err(error @ (object_store::Error::Precondition { .. } | object_store::Error::AlreadyExists { .. })) => {
                let message = format!("{} is another one by now", self.place(name));
                Err(CheckpointError::caused_by(CheckpointErrorKind::Exists, message, error))
            }
            Err(error) => Err(self.cannot_write(name, error)),
        }
    }

    /// Waits until the run may write, for as long as a request to a bucket is tried: it may be as short.
    pub(super) fn may_write(&self) -> Result<(), CheckpointError> {
        let until = Instant::now() + open::RETRY_FOR;
        if self.0.lease.get().is_none_or(|lease| lease.wait(Some(until))) {
            return Ok(());
        }
        let message = format!(
            "{}: nothing is written, as this run may not: it was stopped or cut off, and another one may have this state",
            self.location()
        );
        Err(CheckpointError::new(CheckpointErrorKind::Failed, message))
    }

    /// Writes an object, whether it is there or not.
    pub(super) fn put(&self, name: &ObjectName, content: Bytes) -> Result<(), CheckpointError> {
        self.may_write()?;
        let put = self.wait(self.0.objects.put(&self.path(name), PutPayload::from_bytes(content)));
        put.map(drop).map_err(|error| self.cannot_write(name, error))
    }

    fn path(&self, name: &ObjectName) -> ObjectPath {
        self.0.prefix.parts().chain(ObjectPath::from(name.as_str()).parts()).collect()
    }

    fn wait<F: Future>(&self, future: F) -> F::Output {
        self.0.runtime.block_on(future)
    }

    fn cut_off(&self, name: &ObjectName) -> CheckpointError {
        CheckpointError::damaged(self.place(name), "it is shorter than what was written")
    }

    fn cannot_read(&self, name: &ObjectName, error: object_store::Error) -> CheckpointError {
        failure::told(format!("cannot read {}", self.place(name)), error)
    }

    fn cannot_write(&self, name: &ObjectName, error: object_store::Error) -> CheckpointError {
        failure::told(format!("cannot write {}", self.place(name)), error)
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Store").field(&self.0.location).finish()
    }
}
