//! What one event adds to one feature of a key.

use super::identity::KeyId;
use crate::counter::{EventTime, MemberHash};
use crate::pipeline::{GroupId, Pipeline, RowShape};

/// What a single event adds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Amount {
    Weight(f64),
    Member(MemberHash),
}

/// What one event adds to one feature of a key.
#[derive(Clone, Copy)]
pub(crate) struct Addition {
    pub feature: FeatureRef,
    /// The event's time.
    pub time: EventTime,
    pub amount: Amount,
}

/// A feature that is counted, as the router knows it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FeatureRef {
    pub group: GroupId,
    /// Its index in [`super::Router::features`].
    pub number: u32,
    pub shape: RowShape,
    /// How many values its rows have, where they have values.
    pub width: u16,
}

/// Who takes what events add: the sums of a run, or a plan that only counts.
pub(crate) trait Additions {
    /// Takes notice of a key: what is [added](Additions::add) next belongs to it.
    fn begin_key(&mut self, id: KeyId, text: &[u8], pipeline: &Pipeline);

    /// Adds to the key that was begun last.
    fn add(&mut self, addition: Addition);
}
