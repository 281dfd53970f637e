//! What a row has outside of its key's block, and how it is freed when the row goes.

use super::block::Row;
use super::features::FeatureTable;
use super::uniques_store::UniquesStore;
use crate::pipeline::RowShape;

/// Whether a row has uniques in the store.
pub(super) fn has_uniques(row: Row<'_>, features: &FeatureTable) -> bool {
    !row.is_single() && features.get(row.feature()).shape == RowShape::Uniques
}

/// Frees what a row that goes has outside of its block.
pub(super) fn release_row(row: Row<'_>, uniques: &mut UniquesStore, features: &mut FeatureTable) {
    let number = row.feature();
    if has_uniques(row, features) {
        let freed = uniques.remove(row.word());
        features.grow(number, -freed.cast_signed());
    }
    features.remove_row(number, features.get(number).all_words(row.is_single()));
}
