//! Sums of a share of the keys.

use std::sync::Arc;

use crate::clock::TimeSamples;
use crate::epoch::Window;
use crate::pipeline::{FeatureKey, GroupId, Pipeline};
use crate::sums::{Addition, Additions, ContributionBatch, KeyId, WindowSums};

/// Which keys a rehearsal goes on with: of those that are keyed alike a half, a quarter and so on.
#[derive(Clone, Debug)]
pub(super) struct Share {
    /// Of each group, the first that is keyed like it: their form.
    form_of: Vec<usize>,
    /// By form, so many zeros must the hash begin with.
    levels: Vec<u32>,
}

impl Share {
    /// All.
    pub fn new(pipeline: &Pipeline) -> Share {
        let groups = pipeline.groups.len();
        let form_of =
            (0..groups).map(|index| usize::from(pipeline.first_keyed_like(GroupId(index as u16)).0)).collect();
        Share { form_of, levels: vec![0; groups] }
    }

    pub fn form_of(&self, group: GroupId) -> usize {
        self.form_of[usize::from(group.0)]
    }

    pub fn forms(&self) -> usize {
        self.levels.len()
    }

    /// Whether a key of this group belongs to it.
    pub fn has(&self, key: KeyId, group: GroupId) -> bool {
        let [high, low] = key.words();
        // Tables find keys by the hash itself, and would suffer if it always began alike.
        let mixed = (high ^ low.rotate_left(32)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        mixed.leading_zeros() >= self.levels[self.form_of(group)]
    }

    /// Goes on with half of these keys.
    pub fn halve(&mut self, form: usize) {
        self.levels[form] += 1;
    }

    /// For how many a key of this group stands.
    pub fn stands_for(&self, group: GroupId) -> f64 {
        f64::from(self.levels[self.form_of(group)]).exp2()
    }
}

/// The sums of the keys that belong to a share.
pub(super) struct SampledSums {
    pipeline: Arc<Pipeline>,
    sums: WindowSums,
    pub share: Share,
    /// The key at hand, whose group is not known before something is added to it.
    begun: Option<KeyId>,
    text: Vec<u8>,
    belongs: bool,
}

impl Additions for SampledSums {
    fn begin_key(&mut self, id: KeyId, text: &[u8], _: &Pipeline) {
        self.begun = Some(id);
        self.text.clear();
        self.text.extend_from_slice(text);
    }

    fn add(&mut self, addition: Addition) {
        if let Some(id) = self.begun.take() {
            self.belongs = self.share.has(id, addition.feature.group);
            if self.belongs {
                self.sums.begin_key(id, &self.text, &self.pipeline);
            }
        }
        if self.belongs {
            self.sums.add(addition);
        }
    }
}

impl SampledSums {
    pub fn new(pipeline: Arc<Pipeline>) -> SampledSums {
        SampledSums {
            share: Share::new(&pipeline),
            sums: WindowSums::new(1),
            pipeline,
            begun: None,
            text: Vec::new(),
            belongs: false,
        }
    }

    /// Ends a window: its sums.
    pub fn take(&mut self, window: Window, times: &TimeSamples, features: &[FeatureKey]) -> Vec<ContributionBatch> {
        self.sums.close_window(window, &self.pipeline);
        self.sums.take_epoch(times, features, &self.pipeline).collect()
    }
}
