//! How a store is opened: the folder made and synced, or the bucket's client configured from the environment.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::local::LocalFileSystem;
use object_store::path::Path as ObjectPath;
use object_store::{ClientConfigKey, ObjectStore, RetryConfig};

use super::{Inner, Location, Store};
use crate::checkpoint::error::{CheckpointError, CheckpointErrorKind};
use crate::checkpoint::failpoint::Failpoints;
use crate::file_id::folder_of;

/// How long a request to a bucket is tried again. What waits for it is a checkpoint, or the journal and with it
/// publishing; whoever asked tries again later.
pub(super) const RETRY_FOR: Duration = Duration::from_secs(30);
/// A connection that was idle longer is not used again. Nothing notices that the other side has closed it, as
/// nothing runs between two calls. (S3 closes after some 20 s.)
const POOL_IDLE: &str = "5 seconds";

impl Store {
    /// Opens a state to run with it: a folder is made if there is none.
    ///
    /// A bucket is reached as the usual variables say: `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`,
    /// `AWS_REGION`, or the roles of containers and instances; `AWS_ENDPOINT_URL` (and `AWS_ALLOW_HTTP=true`) for another
    /// service than S3.
    pub fn open(location: &Location) -> Result<Store, CheckpointError> {
        if let Location::Folder(folder) = location {
            make_folder(folder).map_err(|error| {
                let message = format!("cannot make the folder {} for a state", folder.display());
                CheckpointError::caused_by(CheckpointErrorKind::Failed, message, error)
            })?;
        }
        Store::open_existing(location)
    }

    /// Opens a state to look at it: makes nothing.
    pub fn open_existing(location: &Location) -> Result<Store, CheckpointError> {
        let (objects, prefix): (Arc<dyn ObjectStore>, _) = match location {
            Location::Folder(folder) => (Arc::new(local(folder)?), ObjectPath::default()),
            Location::Bucket { bucket, prefix } => {
                let cannot = |error: object_store::Error| {
                    let message = format!("cannot reach {location}: the AWS_ variables do not fit together");
                    CheckpointError::caused_by(CheckpointErrorKind::Usage, message, error)
                };
                let builder = AmazonS3Builder::from_env()
                    .with_bucket_name(bucket)
                    .with_config(AmazonS3ConfigKey::Client(ClientConfigKey::PoolIdleTimeout), POOL_IDLE)
                    .with_retry(RetryConfig { retry_timeout: RETRY_FOR, ..RetryConfig::default() });
                let prefix = ObjectPath::parse(prefix).map_err(|error| cannot(error.into()))?;
                (Arc::new(builder.build().map_err(cannot)?), prefix)
            }
        };
        Store::over(objects, prefix, location.clone(), Failpoints::from_environment()?)
    }

    /// The store over these objects.
    pub(in crate::checkpoint) fn over(
        objects: Arc<dyn ObjectStore>,
        prefix: ObjectPath,
        location: Location,
        failpoints: Failpoints,
    ) -> Result<Store, CheckpointError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| {
            let message = format!("cannot begin to work with {location}");
            CheckpointError::caused_by(CheckpointErrorKind::Failed, message, error)
        })?;
        Ok(Store(Arc::new(Inner { objects, prefix, runtime, location, failpoints, lease: OnceLock::new() })))
    }
}

fn local(folder: &Path) -> Result<LocalFileSystem, CheckpointError> {
    if folder.to_str().is_none() || folder.canonicalize().is_ok_and(|whole| whole.to_str().is_none()) {
        let message =
            format!("cannot keep a state in {}: its path is not UTF-8; name another folder", folder.display());
        return Err(CheckpointError::new(CheckpointErrorKind::Usage, message));
    }
    let opened = LocalFileSystem::new_with_prefix(folder).map(|files| files.with_fsync(true));
    let opened = opened.map_err(|error| {
        let message = format!("cannot open the state in {}", folder.display());
        CheckpointError::caused_by(CheckpointErrorKind::Failed, message, error)
    })?;
    if folder.is_dir() {
        return Ok(opened);
    }
    let message = format!("{} is no folder: a state is kept in a folder of its own", folder.display());
    Err(CheckpointError::new(CheckpointErrorKind::Usage, message))
}

/// Makes a folder and those that lead to it, durably.
pub(super) fn make_folder(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let parent = folder_of(folder);
    make_folder(parent)?;
    match fs::create_dir(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    File::open(parent)?.sync_all()
}
