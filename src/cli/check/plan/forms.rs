//! The keys that a run would hold, by the fields that they are made of.
//!
//! Groups that are keyed alike share their keys, in a run and so here. Each such *form* of keys remembers a fair share
//! of its own: many keys of one form take nothing from the few of another.

use super::distinct::DistinctSample;
use super::figures::GroupPlan;
use super::memory::{MemberBits, RowMemory};
use crate::event::FieldId;
use crate::pipeline::{GroupId, Pipeline, RowShape};
use crate::state::{key_bytes, row_words};
use crate::sums::KeyId;

/// All keys.
pub(super) struct Forms {
    forms: Vec<Form>,
    /// Which of them each group has.
    of_group: Vec<usize>,
    /// Of the keys that are remembered, how many have a row of each group.
    keys: Vec<u64>,
}

/// The keys of one list of fields.
#[derive(Default)]
struct Form {
    keys: DistinctSample<KeyTally>,
    /// How many rows the keys have that are remembered.
    rows: usize,
}

/// What is counted of one key.
struct KeyTally {
    text_length: u16,
    rows: Vec<RowTally>,
}

/// What is counted of one row.
struct RowTally {
    /// Of its feature's name.
    feature: u64,
    group: GroupId,
    shape: RowShape,
    /// Whether it has seen a single event, or of uniques a single member, which is this one.
    single: bool,
    member: Option<u64>,
    members: MemberBits,
    item_bytes: u32,
}

/// What the rows and items of one feature are like.
#[derive(Clone, Copy)]
pub(super) struct PlannedFeature {
    /// Of its name.
    pub hash: u64,
    /// The size of an item without its key.
    pub item_bytes: u32,
    pub shape: RowShape,
    /// The place of its members' field in [`super::Planner::member_fields`].
    pub members: Option<usize>,
}

/// What an event adds to.
#[derive(Clone, Copy)]
pub(super) struct SeenRow<'a> {
    pub feature: &'a PlannedFeature,
    pub group: GroupId,
    /// Of uniques, the member's hash.
    pub member: Option<u64>,
}

impl Forms {
    /// Nothing is counted yet.
    pub fn new(pipeline: &Pipeline) -> Forms {
        let mut known: Vec<&[FieldId]> = Vec::new();
        let mut of_group = Vec::with_capacity(pipeline.groups.len());
        for group in &pipeline.groups {
            let form = known.iter().position(|key| *key == group.key).unwrap_or_else(|| {
                known.push(&group.key);
                known.len() - 1
            });
            of_group.push(form);
        }
        let forms = known.iter().map(|_| Form::default()).collect();
        Forms { forms, of_group, keys: vec![0; pipeline.groups.len()] }
    }

    /// Counts what an event adds to a row of a key.
    pub fn count(&mut self, key: KeyId, text_length: u16, seen: SeenRow<'_>) {
        let group = usize::from(seen.group.0);
        let form = &mut self.forms[self.of_group[group]];
        let new = || KeyTally { text_length, rows: Vec::new() };
        let Some(tally) = form.keys.entry(key.words()[1], new) else { return };
        // Sorted: a key may have very many features.
        match tally.rows.binary_search_by_key(&seen.feature.hash, |row| row.feature) {
            Ok(row) => tally.rows[row].count(seen),
            Err(row) => {
                self.keys[group] += u64::from(!tally.rows.iter().any(|row| row.group == seen.group));
                form.rows += 1;
                tally.rows.insert(row, RowTally::new(seen));
            }
        }
    }

    /// Forgets keys, of the form that has the most, until no more keys and rows are remembered than these.
    pub fn stay_within(&mut self, most: usize) {
        while self.forms.iter().map(Form::len).sum::<usize>() > most {
            let Some((largest, _)) = self.forms.iter().enumerate().max_by_key(|(_, form)| form.len()) else { return };
            self.forms[largest].keys.thin();
            self.forms[largest].rows = self.forms[largest].keys.values().map(|key| key.rows.len()).sum();
            self.count_keys_anew();
        }
    }

    fn count_keys_anew(&mut self) {
        self.keys.fill(0);
        let mut last_seen = vec![0u64; self.keys.len()];
        for (number, key) in (1..).zip(self.forms.iter().flat_map(|form| form.keys.values())) {
            for row in &key.rows {
                let group = usize::from(row.group.0);
                self.keys[group] += u64::from(last_seen[group] != number);
                last_seen[group] = number;
            }
        }
    }

    /// How many different keys each group has had.
    pub fn keys_by_group(&self) -> Vec<u64> {
        let forms = self.of_group.iter().map(|form| &self.forms[*form]);
        self.keys.iter().zip(forms).map(|(keys, form)| keys * form.keys.stands_for()).collect()
    }

    /// Whether a share of some keys stands for all.
    pub fn are_thinned(&self) -> bool {
        self.forms.iter().any(|form| form.keys.is_thinned())
    }

    /// What each group would hold.
    pub fn plan(&self, pipeline: &Pipeline) -> Vec<GroupPlan> {
        let memory: Vec<RowMemory> = pipeline.groups.iter().map(|group| RowMemory::of(group, pipeline)).collect();
        let mut plans: Vec<GroupPlan> = pipeline.groups.iter().map(|_| GroupPlan::default()).collect();
        let mut bytes = vec![0.0; plans.len()];
        for form in &self.forms {
            let stands_for = form.keys.stands_for();
            for key in form.keys.values() {
                let words = |row: &RowTally| memory[usize::from(row.group.0)].words(row.shape, row.single);
                let own = |row: &RowTally| 8 * row_words(words(row));
                let all = key_bytes(usize::from(key.text_length), key.rows.iter().map(words));
                let shared = all - key.rows.iter().map(own).sum::<usize>();
                for row in &key.rows {
                    let group = usize::from(row.group.0);
                    let beside = memory[group].beside(row.shape, row.single, row.members);
                    let share = shared as f64 / key.rows.len() as f64;
                    bytes[group] += stands_for as f64 * ((own(row) + beside) as f64 + share);
                    row.add_to(&mut plans[group], key.text_length, stands_for);
                }
            }
        }
        plans.iter_mut().zip(bytes).for_each(|(plan, bytes)| plan.row_bytes = bytes.round() as u64);
        plans
    }
}

impl Form {
    /// How many keys and rows it remembers.
    fn len(&self) -> usize {
        self.keys.len() + self.rows
    }
}

impl RowTally {
    fn new(seen: SeenRow<'_>) -> RowTally {
        RowTally {
            feature: seen.feature.hash,
            group: seen.group,
            shape: seen.feature.shape,
            single: true,
            member: seen.member,
            members: MemberBits::of(seen.member),
            item_bytes: seen.feature.item_bytes,
        }
    }

    fn count(&mut self, seen: SeenRow<'_>) {
        self.single &= self.shape == RowShape::Uniques && self.member == seen.member;
        self.members.add(MemberBits::of(seen.member));
    }

    /// Adds what it holds.
    fn add_to(&self, plan: &mut GroupPlan, text_length: u16, stands_for: u64) {
        plan.rows += stands_for;
        plan.table_bytes += stands_for * u64::from(self.item_bytes + u32::from(text_length));
    }
}
