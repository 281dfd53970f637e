//! Reading the pipeline file that a command was given.

use std::path::Path;

use super::CliError;
use crate::pipeline::{Environment, Pipeline};

/// With the variables of this process's environment. A file that is not right is wrong usage.
pub(super) fn load_pipeline(path: &Path) -> Result<Pipeline, CliError> {
    load_pipeline_with(path, &|name| std::env::var(name).ok())
}

/// The same with these variables.
pub(super) fn load_pipeline_with(path: &Path, environment: Environment<'_>) -> Result<Pipeline, CliError> {
    Ok(Pipeline::load(path, environment)?)
}
