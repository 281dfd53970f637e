//! Rehearsing several variants of publishing side by side.

use std::sync::Arc;

use super::clock::{RehearsalClock, RunningClock};
use super::meter::{Meter, Written};
use super::sampled::SampledSums;
use super::table::SimulatedTable;
use crate::clock::TimeSampler;
use crate::counter::EventTime;
use crate::epoch::Window;
use crate::event::{Arrival, Decoder, Utf8};
use crate::pipeline::{FeatureKey, GroupId, Pipeline};
use crate::sink::ItemBatch;
use crate::state::{ApplyError, Moment};
use crate::sums::{Additions, HashSeed, Router};

/// A run over events of which nothing is left but what it would have written.
pub struct Rehearsal {
    decoder: Decoder,
    router: Router,
    arrival: Arrival,
    events: u64,
    rehearsed: Rehearsed,
}

impl Rehearsal {
    /// Of these variants of one pipeline, which count the same and publish otherwise. All events have arrived so. No variant holds more rows than these.
    pub fn new(
        variants: Vec<Arc<Pipeline>>,
        clock: RehearsalClock,
        arrival: Arrival,
        most_rows: usize,
    ) -> Option<Rehearsal> {
        let pipeline = Arc::clone(variants.first()?);
        Some(Rehearsal {
            decoder: Decoder::new(Arc::new(pipeline.event.clone())),
            router: Router::new(Arc::clone(&pipeline), HashSeed(0)),
            arrival,
            events: 0,
            rehearsed: Rehearsed::new(pipeline, variants, clock, most_rows),
        })
    }

    /// Counts one line of an event log; what is no event that counts is left out.
    pub fn observe(&mut self, line: &[u8]) -> Result<(), ApplyError> {
        let Ok(Some(event)) = self.decoder.decode(line, self.arrival, Utf8::Unchecked) else { return Ok(()) };
        if self.rehearsed.enter(event.time(), self.router.features())? {
            self.router.forget_if_many();
        }
        if self.router.route(&event, self.rehearsed.sums()).is_ok() {
            self.events += 1;
        }
        Ok(())
    }

    /// How many events have counted.
    pub fn events(&self) -> u64 {
        self.events
    }

    /// What each variant has written, when what waits at the end is written, too.
    pub fn finish(self) -> Result<Vec<Written>, ApplyError> {
        self.rehearsed.finish(self.router.features())
    }
}

/// The same for whoever decodes and routes.
pub(crate) struct Rehearsed {
    clock: RunningClock,
    sums: SampledSums,
    times: TimeSampler,
    window: Window,
    tables: Vec<(SimulatedTable, Meter)>,
    most_rows: usize,
}

impl Rehearsed {
    pub fn new(
        pipeline: Arc<Pipeline>,
        variants: Vec<Arc<Pipeline>>,
        clock: RehearsalClock,
        most_rows: usize,
    ) -> Rehearsed {
        let table = |pipeline: Arc<Pipeline>| (SimulatedTable::new(&pipeline), Meter::new(pipeline));
        Rehearsed {
            clock: RunningClock::new(clock, &pipeline),
            sums: SampledSums::new(pipeline),
            times: TimeSampler::default(),
            window: Window(0),
            tables: variants.into_iter().map(table).collect(),
            most_rows,
        }
    }

    /// Takes notice of an event, before it is routed; says whether a window has ended before it: then no sum refers to these
    /// features of the router any more.
    pub fn enter(&mut self, time: EventTime, features: &[FeatureKey]) -> Result<bool, ApplyError> {
        let ended = self.clock.observe(time);
        if let Some(ended) = ended {
            self.end_window(ended, features)?;
            let begins = self.clock.window_begin();
            self.each_table(|table, write| {
                table.pass_to(begins, &mut |items: &ItemBatch| write(items));
                Ok(())
            })?;
        }
        self.times.observe(time, EventTime(i64::MAX));
        Ok(ended.is_some())
    }

    /// Takes what the event adds.
    pub fn sums(&mut self) -> &mut impl Additions {
        &mut self.sums
    }

    /// What each variant has written, when what waits at the end is written, too.
    pub fn finish(mut self, features: &[FeatureKey]) -> Result<Vec<Written>, ApplyError> {
        self.end_window(self.clock.window_end(), features)?;
        self.each_table(|table, write| {
            table.finish(&mut |items: &ItemBatch| write(items));
            Ok(())
        })?;
        let written = |(table, meter): (SimulatedTable, Meter)| Written {
            largest_error: table.counters().borrow().largest_held_back(),
            groups: meter.groups,
        };
        Ok(self.tables.into_iter().map(written).collect())
    }

    fn end_window(&mut self, now: Moment, features: &[FeatureKey]) -> Result<(), ApplyError> {
        self.window.0 += 1;
        let sums = self.sums.take(self.window, &self.times.take(), features);
        self.each_table(|table, write| table.end_window(&sums, now, &mut |items: &ItemBatch| write(items)))?;
        self.stay_within();
        Ok(())
    }

    /// Does something with each table, whose writes are counted.
    fn each_table(
        &mut self,
        mut step: impl FnMut(&mut SimulatedTable, &mut dyn FnMut(&ItemBatch)) -> Result<(), ApplyError>,
    ) -> Result<(), ApplyError> {
        let share = &self.sums.share;
        for (table, meter) in &mut self.tables {
            step(table, &mut |items| meter.count(items, share))?;
        }
        Ok(())
    }

    /// Goes on with fewer keys where there are too many rows.
    fn stay_within(&mut self) {
        // All of them hold the same rows, but for what has expired.
        while let Some((table, _)) = self.tables.iter().max_by_key(|(table, _)| table.counters().borrow().rows())
            && table.counters().borrow().rows() > self.most_rows
        {
            let share = &mut self.sums.share;
            let mut rows = vec![0u64; share.forms()];
            for (group, held) in (0u16..).map(GroupId).zip(table.counters().borrow().held()) {
                rows[share.form_of(group)] += held.rows;
            }
            let Some((largest, _)) = rows.iter().enumerate().max_by_key(|(_, rows)| **rows) else { return };
            share.halve(largest);
            for (table, _) in &self.tables {
                table.counters().borrow_mut().retain_keys(|key, group| share.has(key, group));
            }
        }
    }
}
