//! Where a state is kept.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::checkpoint::error::{CheckpointError, CheckpointErrorKind};

/// A folder, or a bucket of an object store and what the names of a state's objects begin with there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// A folder of a local file system.
    Folder(PathBuf),
    /// `s3://bucket/prefix`: S3, or what speaks its language.
    Bucket {
        /// The bucket's name.
        bucket: String,
        /// Without slashes at its ends; may be empty.
        prefix: String,
    },
}

impl FromStr for Location {
    type Err = CheckpointError;

    fn from_str(text: &str) -> Result<Location, CheckpointError> {
        let refused = |why: &str| {
            let message = format!("cannot keep a state in '{text}': {why}; name a folder, or s3://BUCKET/PREFIX");
            Err(CheckpointError::new(CheckpointErrorKind::Usage, message))
        };
        let Some((scheme, rest)) = text.split_once("://") else {
            return if text.is_empty() { refused("it names nothing") } else { Ok(Location::Folder(text.into())) };
        };
        if scheme != "s3" {
            return refused("this kind of address is not known");
        }
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.is_empty() {
            return refused("the bucket is missing");
        }
        let prefix = prefix.trim_matches('/');
        if prefix.split('/').any(|part| matches!(part, "." | "..")) || prefix.contains("//") {
            return refused("its parts may not be empty, '.' or '..'");
        }
        Ok(Location::Bucket { bucket: bucket.to_owned(), prefix: prefix.to_owned() })
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Location::Folder(path) => path.display().fmt(f),
            Location::Bucket { bucket, prefix } if prefix.is_empty() => write!(f, "s3://{bucket}"),
            Location::Bucket { bucket, prefix } => write!(f, "s3://{bucket}/{prefix}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_in_a_folder_or_in_a_bucket() {
        for (text, shown) in [
            ("state/user_counters", "state/user_counters"),
            ("s3:/odd", "s3:/odd"),
            ("s3://bucket", "s3://bucket"),
            ("s3://bucket/", "s3://bucket"),
            ("s3://bucket/a/b/", "s3://bucket/a/b"),
        ] {
            assert_eq!(text.parse::<Location>().unwrap().to_string(), shown);
        }
        for text in ["", "s3://", "s3:///a", "gs://bucket", "file:///a", "s3://bucket/a/../b", "s3://bucket/a//b"] {
            let error = text.parse::<Location>().unwrap_err();
            assert!(error.kind() == CheckpointErrorKind::Usage && error.to_string().contains("s3://BUCKET"), "{text}");
        }
    }
}
