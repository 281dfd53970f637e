//! Writes a large object bit by bit.

use bytes::Bytes;
use object_store::{ObjectStoreExt as _, WriteMultipart};

use super::Store;
use crate::checkpoint::error::CheckpointError;
use crate::checkpoint::failpoint::Step;
use crate::checkpoint::names::ObjectName;

/// What is sent at once, at least. An object that is smaller goes in one request.
const PART_BYTES: usize = 8 << 20;
/// S3 takes 10,000 parts an object.
const MOST_PARTS: u64 = 9_000;
/// Parts under way to a bucket. One is being filled meanwhile.
const PARTS_UNDER_WAY: usize = 4;

/// An object that is being written. It appears with [`ObjectWriter::finish`], and never if that is not called.
pub struct ObjectWriter {
    store: Store,
    name: ObjectName,
    part_bytes: usize,
    part: Vec<u8>,
    /// Begun with the first full part.
    upload: Option<WriteMultipart>,
    written_bytes: u64,
}

impl ObjectWriter {
    pub(super) fn new(store: Store, name: ObjectName, expected_bytes: u64) -> ObjectWriter {
        let part_bytes = usize::try_from(expected_bytes / MOST_PARTS).unwrap_or_default().max(PART_BYTES);
        let part = Vec::with_capacity(usize::try_from(expected_bytes).unwrap_or(usize::MAX).min(part_bytes));
        ObjectWriter { store, name, part_bytes, part, upload: None, written_bytes: 0 }
    }

    /// Writes behind what was written.
    pub fn write(&mut self, mut bytes: &[u8]) -> Result<(), CheckpointError> {
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(self.part_bytes - self.part.len()));
            self.part.extend_from_slice(now);
            self.written_bytes += now.len() as u64;
            bytes = later;
            if self.part.len() == self.part_bytes {
                self.send_part()?;
            }
        }
        Ok(())
    }

    /// How many bytes were written.
    pub fn written_bytes(&self) -> u64 {
        self.written_bytes
    }

    /// Makes the object durable under its name.
    pub fn finish(mut self) -> Result<(), CheckpointError> {
        self.store.reach(Step::BeforeSync)?;
        let rest = Bytes::from(std::mem::take(&mut self.part));
        match self.upload.take() {
            None => self.store.put(&self.name, rest)?,
            Some(mut upload) => {
                self.store.may_write()?;
                let finished = self.store.wait(async {
                    upload.put(rest);
                    upload.finish().await
                });
                finished.map_err(|error| self.store.cannot_write(&self.name, error))?;
            }
        }
        self.store.reach(Step::AfterSync)
    }

    fn send_part(&mut self) -> Result<(), CheckpointError> {
        self.store.may_write()?;
        let part = Bytes::from(std::mem::replace(&mut self.part, Vec::with_capacity(self.part_bytes)));
        let store = self.store.clone();
        store
            .wait(async {
                let upload = match &mut self.upload {
                    Some(upload) => upload,
                    None => {
                        let begun = store.0.objects.put_multipart(&store.path(&self.name)).await?;
                        self.upload.insert(WriteMultipart::new_with_chunk_size(begun, self.part_bytes))
                    }
                };
                upload.put(part);
                Ok(())
            })
            .map_err(|error| store.cannot_write(&self.name, error))?;
        self.wait_for_parts(if store.is_remote() { PARTS_UNDER_WAY } else { 1 })
    }

    /// Waits until fewer parts than this are under way.
    fn wait_for_parts(&mut self, under_way: usize) -> Result<(), CheckpointError> {
        let Some(upload) = &mut self.upload else { return Ok(()) };
        let sent = self.store.wait(upload.wait_for_capacity(under_way));
        sent.map_err(|error| self.store.cannot_write(&self.name, error))
    }
}

impl Drop for ObjectWriter {
    fn drop(&mut self) {
        if let Some(upload) = self.upload.take() {
            // What cannot be removed now has no name, and is only in the way: the error that led here is told.
            let _ = self.store.wait(upload.abort());
        }
    }
}
