//! Packing and unpacking are each other's inverse, and no bytes do harm.

use proptest::prelude::*;

use super::*;
use crate::counter::{DecayInterval, EventTime};
use crate::reading::mapped::MappedFeature;
use crate::reading::{expires_at, published};

/// A feature that owns what it is made of.
#[derive(Clone, Debug)]
pub(super) struct Owned {
    pub name: String,
    pub last_update: i64,
    pub ttl: Option<i64>,
    pub intervals: Vec<DecayInterval>,
    pub values: Vec<f64>,
    pub squares: Vec<f64>,
    pub errors: Vec<f64>,
}

impl Owned {
    pub fn feature(&self) -> Feature<'_> {
        Feature {
            name: &self.name,
            last_update: EventTime(self.last_update),
            ttl: self.ttl,
            intervals: &self.intervals,
            values: &self.values,
            squares: &self.squares,
            errors: &self.errors,
        }
    }

    /// What its reader has.
    pub fn published(&self, units_per_second: i64) -> (String, MappedFeature) {
        let of = |numbers: &[f64]| {
            self.intervals.iter().copied().zip(numbers.iter().map(|number| published(*number))).collect()
        };
        let last_update = EventTime(self.last_update);
        let feature = MappedFeature {
            last_update,
            expires_at: self.ttl.and_then(|ttl| expires_at(last_update, ttl, units_per_second)),
            values: of(&self.values),
            squares: of(&self.squares),
            errors: of(&self.errors),
        };
        (self.name.clone(), feature)
    }
}

pub(super) fn packed(features: &[Owned], units_per_second: i64) -> Vec<u8> {
    let features: Vec<Feature<'_>> = features.iter().map(Owned::feature).collect();
    let mut bytes = Vec::new();
    pack(&features, units_per_second, &mut bytes);
    assert_eq!(packed_length(&features, units_per_second), bytes.len());
    bytes
}

pub(super) fn unpacked(bytes: &[u8]) -> Result<Vec<(String, MappedFeature)>, Damaged> {
    let mut features = Vec::new();
    unpack(bytes, |feature| {
        let counts = feature.counts();
        let mapped = MappedFeature::of(feature.last_update, feature.expires_at, counts.values().copied());
        features.push((feature.name.to_owned(), mapped));
    })?;
    Ok(features)
}

/// Every number by its bits.
fn bits(features: &[(String, MappedFeature)]) -> Vec<u64> {
    let numbers = features.iter().flat_map(|(_, feature)| [&feature.values, &feature.squares, &feature.errors]);
    numbers.flat_map(|numbers| numbers.values().map(|number| number.to_bits())).collect()
}

fn any_value() -> impl Strategy<Value = f64> {
    prop_oneof![
        2 => prop::num::f64::POSITIVE | prop::num::f64::NEGATIVE | prop::num::f64::SUBNORMAL | prop::num::f64::ZERO,
        2 => prop::sample::select(vec![0.0, -0.0, 1.0, -1.0, 1e-130, 9.99e125, f64::MAX, 0.1 + 0.2]),
    ]
}

fn any_form() -> impl Strategy<Value = (Option<i64>, Vec<DecayInterval>, u8)> {
    let interval = prop_oneof![1..100i64, 1..=DecayInterval::MAX_UNITS];
    let intervals = prop::collection::btree_set(interval, 1..6);
    let ttl = prop::option::of(prop_oneof![1..100_000i64, 1..=i64::MAX]);
    (ttl, intervals, 0..3u8).prop_map(|(ttl, intervals, beside)| {
        (ttl, intervals.into_iter().map(|units| DecayInterval::new(units).unwrap()).collect(), beside)
    })
}

fn any_features() -> impl Strategy<Value = Vec<Owned>> {
    let name = prop_oneof![r"(user|post)\.[a-c]{0,3}\.(count|sum)", "[a-ü\0]{0,5}", Just(String::new()), "x{200,300}"];
    let names = prop::collection::btree_set(name, 0..20);
    let forms = prop::collection::vec(any_form(), 1..4);
    (names, forms).prop_flat_map(|(names, forms)| {
        let features: Vec<_> = names
            .into_iter()
            .map(|name| {
                let forms = prop::sample::select(forms.clone());
                let last_update = prop_oneof![1_707_605_000..1_707_606_000i64, any::<i64>()];
                let numbers = prop::collection::vec(any_value(), 10);
                (Just(name), last_update, forms, numbers, any::<bool>()).prop_map(
                    |(name, last_update, (ttl, intervals, beside), numbers, alike)| {
                        let some = |index: usize| {
                            if alike {
                                vec![numbers[index]; intervals.len()]
                            } else {
                                numbers[index..][..intervals.len()].to_vec()
                            }
                        };
                        Owned {
                            name,
                            last_update,
                            ttl,
                            values: some(0),
                            squares: if beside == 1 { some(4) } else { Vec::new() },
                            errors: if beside == 2 { some(5) } else { Vec::new() },
                            intervals,
                        }
                    },
                )
            })
            .collect();
        features
    })
}

proptest! {
    #[test]
    fn what_is_packed_reads_back_bit_by_bit(
        features in any_features(), units_per_second in prop::sample::select(vec![1, 1_000, 1_000_000, 1_000_000_000]),
    ) {
        let bytes = packed(&features, units_per_second);
        let expected: Vec<_> = features.iter().map(|feature| feature.published(units_per_second)).collect();
        let read = unpacked(&bytes).unwrap();
        prop_assert_eq!(&read, &expected);
        prop_assert_eq!(bits(&read), bits(&expected));
        prop_assert_eq!(unpacked(&[&bytes[..], &[0]].concat()).unwrap_err().offset, bytes.len());
    }

    /// Cut, changed and made up: an answer or an error that names a byte that is there, or the end.
    #[test]
    fn no_bytes_do_harm(
        features in any_features(), cut in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
        made_up in prop::collection::vec(any::<u8>(), 0..60),
    ) {
        let bytes = packed(&features, 1);
        let at = cut.index(bytes.len());
        let error = unpacked(&bytes[..at]).unwrap_err();
        prop_assert!(error.offset <= at, "{error}");
        let mut changed = bytes;
        for (index, byte) in changes {
            let index = index.index(changed.len());
            changed[index] = byte;
        }
        for bytes in [changed, made_up.clone(), [&[FORMAT, 1][..], &made_up].concat()] {
            match unpacked(&bytes) {
                Ok(features) => prop_assert!(features.is_sorted_by(|one, next| one.0 < next.0)),
                Err(error) => prop_assert!(error.offset <= bytes.len(), "{error}"),
            }
        }
    }
}

#[test]
fn a_large_number_of_anything_is_not_believed() {
    const HUGE: [u8; 9] = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f];
    let one_form = [0, 0, 1, 5];
    let cases: [(&[&[u8]], &str); 7] = [
        (&[&[FORMAT, 1], &HUGE], "it ends here"),
        (&[&[FORMAT, 1, 1, 0, 0], &HUGE], "a number that does not end"),
        (&[&[FORMAT, 1, 0, 0], &HUGE], "a number that does not end"),
        (&[&[FORMAT, 1, 1], &one_form, &[0, 1, 0], &HUGE], "it ends here"),
        (&[&[FORMAT, 1, 1], &one_form, &[0, 1], &HUGE, &[0]], "a name that cannot follow the one before"),
        (&[&[FORMAT, 1, 1], &one_form, &[0, 1, 0, 0], &HUGE], "a form that is not there"),
        (&[&[FORMAT, 1, 1], &one_form, &[0, 1, 0, 0, 0, 0], &HUGE], "more or fewer values than intervals"),
    ];
    for (bytes, expected) in cases {
        let error = unpacked(&bytes.concat()).unwrap_err();
        assert_eq!(error.what, expected, "{bytes:?}");
    }
}

#[test]
fn most_features_take_few_bytes_beside_their_values() {
    let intervals: Vec<_> = [60, 3_600, 86_400].map(|units| DecayInterval::new(units).unwrap()).into();
    let events = ["click", "comment", "like", "share", "view"];
    let features = events.map(|event| Owned {
        name: format!("user.{event}.count"),
        last_update: 1_707_605_599,
        ttl: Some(604_800),
        intervals: intervals.clone(),
        values: vec![1.5, 1.25, 1.125],
        squares: Vec::new(),
        errors: Vec::new(),
    });
    let names =
        "user.click.count".len() + "omment.count".len() + "like.count".len() + "share.count".len() + "view.count".len();
    let bytes = packed(&features, 1);
    // A form of 11 bytes, a head of 9; for each feature two lengths, a form, a difference and how many values.
    assert_eq!(bytes.len(), 20 + names + 5 * (5 + 24));
}
