//! Reading the pipeline file that a command was given.

use std::path::Path;

use super::CliError;
use crate::pipeline::Pipeline;

/// With the variables of this process's environment. A file that is not right is wrong usage.
pub(super) fn load_pipeline(path: &Path) -> Result<Pipeline, CliError> {
    let environment = |name: &str| std::env::var(name).ok();
    Ok(Pipeline::load(path, &environment)?)
}
