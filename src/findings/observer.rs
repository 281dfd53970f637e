//! Observing: what each worker notes, and where all of it comes together.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{FirstTimes, GroupTally, LOOKS_PER_NAME, RouteTally, Sample, Shapes};
use crate::counter::EventTime;
use crate::event::{Arrival, Decoder, Event, FieldId, Reason, TimeUnit, Utf8};
use crate::pipeline::Pipeline;

/// All that was noted of the events of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Observed {
    /// What was counted while events were routed.
    pub routes: RouteTally,
    /// What the first events of each name look like.
    pub sample: Sample,
    /// When these were.
    pub times: FirstTimes,
    /// How lines look that are no events.
    pub shapes: Shapes,
}

impl Observed {
    /// Nothing yet.
    pub fn new(pipeline: &Pipeline) -> Observed {
        Observed {
            routes: RouteTally::new(pipeline),
            sample: Sample::default(),
            times: FirstTimes::default(),
            shapes: Shapes::default(),
        }
    }

    /// Takes over what a router and an observer have noted, which begin anew.
    pub fn take(&mut self, routes: &mut RouteTally, observer: &mut Observer) {
        self.routes.absorb(routes);
        self.sample.absorb(&mut observer.sample);
        self.times.absorb(&mut observer.times);
        self.shapes.absorb(&mut observer.shapes);
    }
}

/// Looks at the first events of one worker.
#[derive(Debug)]
pub struct Observer {
    sample: Sample,
    times: FirstTimes,
    shapes: Shapes,
    condition_fields: Vec<FieldId>,
    /// Reads the times that are too late to count.
    any_time: Decoder,
    refused_looks_left: u32,
}

impl Observer {
    /// Nothing was seen yet.
    pub fn new(pipeline: &Pipeline) -> Observer {
        let mut condition_fields: Vec<FieldId> =
            pipeline.groups.iter().flat_map(|group| &group.conditions).map(|condition| condition.field).collect();
        condition_fields.sort_unstable();
        condition_fields.dedup();
        let any_time = pipeline.event.without_fields().at_any_time();
        Observer {
            sample: Sample::default(),
            times: FirstTimes::default(),
            shapes: Shapes::default(),
            condition_fields,
            any_time: Decoder::new(Arc::new(any_time)),
            refused_looks_left: LOOKS_PER_NAME,
        }
    }

    /// Looks at an event that counts: to be called for the first [`LOOKS_PER_NAME`] of a name.
    #[cold]
    pub fn look(&mut self, line: &[u8], event: &Event<'_>) {
        self.times.observe(event.time());
        self.sample.look(line, event, &self.condition_fields);
    }

    /// Takes notice of a line that does not count, for this reason; of one that is too long, its beginning is enough.
    pub fn refused(&mut self, line: &[u8], reason: Reason) {
        self.shapes.look(line, reason);
        if !matches!(reason, Reason::TimeAhead | Reason::BadName | Reason::BadTime(_)) || self.refused_looks_left == 0 {
            return;
        }
        self.refused_looks_left -= 1;
        if reason == Reason::TimeAhead {
            let time = self.time_of(line);
            self.times.observe(time);
        } else {
            self.sample.look_at_refused(line, reason);
        }
    }

    /// The time of a line whose time is too late, be it later than a time can be.
    fn time_of(&mut self, line: &[u8]) -> EventTime {
        let event = self.any_time.decode(line, Arrival::before(EventTime(i64::MAX)), Utf8::Unchecked);
        event.ok().flatten().map_or(EventTime(i64::MAX), |event| event.time())
    }
}

/// What the workers of a run have observed, put together.
#[derive(Debug)]
pub struct Observations {
    observed: Mutex<Observed>,
    unit: TimeUnit,
    /// The start of the run, in the event's unit.
    now: EventTime,
    times_are_judged: AtomicBool,
}

impl Observations {
    /// Nothing yet, of a run that begins now.
    pub fn new(pipeline: &Pipeline, now: EventTime) -> Observations {
        Observations {
            observed: Mutex::new(Observed::new(pipeline)),
            unit: pipeline.event.time_unit,
            now,
            times_are_judged: AtomicBool::new(false),
        }
    }

    /// Takes over what a worker has noted since the last time: to be called once per block. As soon as
    /// the first times tell that something is odd about them, that is said.
    pub fn add(&self, routes: &mut RouteTally, observer: &mut Observer) {
        let mut observed = self.lock();
        observed.take(routes, observer);
        let enough = observed.times.are_enough();
        drop(observed);
        if enough {
            self.judge_times();
        }
    }

    /// What was observed until now.
    pub fn observed(&self) -> Observed {
        self.lock().clone()
    }

    /// What was counted of each group until now, in the pipeline's order.
    pub fn groups(&self) -> Vec<GroupTally> {
        self.lock().routes.groups().to_vec()
    }

    /// What is odd about the first times.
    pub fn doubt_of_times(&self) -> Option<String> {
        self.lock().times.doubt(self.unit, self.now)
    }

    /// Says so, once: to be called when there are enough of them, or no more come.
    pub fn judge_times(&self) {
        if self.times_are_judged.swap(true, Ordering::Relaxed) {
            return;
        }
        if let Some(doubt) = self.doubt_of_times() {
            tracing::warn!("{doubt}");
        }
    }

    fn lock(&self) -> MutexGuard<'_, Observed> {
        self.observed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
