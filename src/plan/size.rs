//! How large what is written is, as DynamoDB counts it.

/// What is one item of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ItemLayout {
    /// One feature of a key.
    Feature,
    /// A key with all its features.
    Key,
}

/// The size of an item that holds a whole key, packed: what it has once, without its key's text and the names of the key's
/// fields. (An estimate.)
pub(super) const PACKED_ITEM_BYTES: usize = {
    let key = "key".len();
    let sort_key = "featureName".len() + "#0".len();
    let version = "version".len() + 11;
    let expires_at = "expiresAt".len() + 6;
    let features = "features".len() + 12;
    key + sort_key + version + expires_at + features
};

/// What one feature takes in it: what its name has of its own, its times, and its values.
pub(super) fn packed_feature_bytes(name: &str, values: usize) -> usize {
    // Names of neighbours begin alike.
    const NAME_OF_ITS_OWN: usize = 10;
    const TIMES_AND_LENGTHS: usize = 6;
    name.len().min(NAME_OF_ITS_OWN) + TIMES_AND_LENGTHS + 8 * values
}
