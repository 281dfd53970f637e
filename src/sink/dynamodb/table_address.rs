//! Where the table is.

use std::fmt;

use crate::pipeline::DynamoDbConfig;

/// A table's name, region and endpoint: for requests, and for messages.
#[derive(Clone, Debug)]
pub(super) struct TableAddress {
    pub(super) name: String,
    pub(super) region: String,
    /// Another endpoint than AWS's own.
    pub(super) endpoint: Option<String>,
}

impl TableAddress {
    pub(super) fn of(config: &DynamoDbConfig) -> TableAddress {
        let DynamoDbConfig { table, endpoint, region, .. } = config.clone();
        TableAddress { name: table, region, endpoint }
    }
}

impl fmt::Display for TableAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "table {} in {}", self.name, self.region)?;
        self.endpoint.iter().try_for_each(|endpoint| write!(f, " at {endpoint}"))
    }
}
