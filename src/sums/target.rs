//! What an event adds to one feature, if anything: by a weight, or by a member.

use super::addition::{Addition, Amount, FeatureRef};
use super::identity::HashSeed;

use crate::event::{Event, FieldId};
use crate::pipeline::{Group, Measure};

/// One feature that events of some name add to.
pub(super) struct Target {
    pub feature: FeatureRef,
    weight: Weight,
    /// The field that names a member, of `uniques`.
    members: Option<FieldId>,
    /// How often a field was missing.
    missing: u64,
}

/// What an event weighs in one measure.
enum Weight {
    /// The weight that its name has.
    Constant(f64),
    /// The value of a field.
    Field(FieldId),
    /// The weight that its name has, times the values of these fields.
    Product(f64, Vec<FieldId>),
}

impl Target {
    /// What events of this weight add to a measure of a group.
    pub fn new(feature: FeatureRef, weight: f64, group: &Group, measure: &Measure) -> Target {
        Target { feature, weight: Weight::new(weight, group, measure), members: measure.members, missing: 0 }
    }

    /// What the event adds; nothing where one of its fields is missing, or where it takes a member back.
    #[inline(always)]
    pub fn addition(&mut self, event: &Event<'_>, seed: HashSeed) -> Option<Addition> {
        let Some(amount) = self.amount(event, seed) else {
            self.missing += 1;
            return None;
        };
        amount.map(|amount| Addition { feature: self.feature, time: event.time(), amount })
    }

    /// Nothing where a field is missing; in it nothing where uniques would have to take something back.
    #[inline(always)]
    fn amount(&self, event: &Event<'_>, seed: HashSeed) -> Option<Option<Amount>> {
        match self.members {
            None => Some(Some(Amount::Weight(self.weight.of(event)?))),
            Some(field) => {
                let text = event.key(field)?;
                let counts = self.weight.of(event)? >= 0.0;
                Some(counts.then(|| Amount::Member(seed.member(text))))
            }
        }
    }

    /// How often a field was missing since the last time.
    pub fn take_missing(&mut self) -> u64 {
        std::mem::take(&mut self.missing)
    }
}

impl Weight {
    fn new(constant: f64, group: &Group, measure: &Measure) -> Weight {
        let fields: Vec<FieldId> = group.weight.into_iter().chain(measure.weight).collect();
        match fields.as_slice() {
            [] => Weight::Constant(constant),
            [field] if constant == 1.0 => Weight::Field(*field),
            _ => Weight::Product(constant, fields),
        }
    }

    /// `None` where a field is missing.
    #[inline(always)]
    fn of(&self, event: &Event<'_>) -> Option<f64> {
        match self {
            Weight::Constant(weight) => Some(*weight),
            Weight::Field(field) => event.value(*field),
            Weight::Product(constant, fields) => {
                let values = fields.iter().map(|field| event.value(*field));
                values.into_iter().try_fold(*constant, |product, value| Some(times(product, value?)))
            }
        }
    }
}

/// The product, held within the finite numbers like every sum of weights; 0 is never -0.
fn times(one: f64, other: f64) -> f64 {
    (one * other).clamp(-f64::MAX, f64::MAX) + 0.0
}
