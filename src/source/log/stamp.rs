//! Giving every piece its epoch, and its lines their windows. The reader alone moves the clock, so
//! stamps do not depend on the workers.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::cut::Piece;
use super::open::unreadable;
use super::options::LogOptions;
use super::reached::LogReached;
use super::tail::BlockTail;
use super::times::LineTimes;
use super::windows::cut_by_epoch;
use crate::clock::{ArrivalClock, SharedClock, WallClock};
use crate::counter::EventTime;
use crate::event::Arrival;
use crate::pipeline::ClockKind;
use crate::source::split::split_by_epoch;
use crate::source::{Block, Closed, FeedSender, LogBytes, Payload, SourceError};

/// How long whoever waits may take to notice that the run should stop.
pub(super) const STOP_NOTICE: Duration = Duration::from_millis(100);

/// Why reading a log ends before the log does.
#[derive(Debug)]
pub(super) enum Stop {
    /// The run should stop, or the workers are gone.
    Interrupted,
    /// The log is truncated or damaged; what came before that was handed over.
    Damaged(String),
    /// The run cannot go on.
    Failed(SourceError),
}

impl From<SourceError> for Stop {
    fn from(error: SourceError) -> Stop {
        Stop::Failed(error)
    }
}

/// Stamps pieces and hands them to the workers as blocks.
pub(super) struct Stamper<'a> {
    outlet: Outlet<'a>,
    rhythm: Rhythm,
    times: LineTimes,
    /// The start of the run.
    run_start: EventTime,
    /// The start by which the lines of a file are judged now: perhaps that of an earlier run.
    judged_by: EventTime,
    now: ArrivalClock,
    /// Whether the lines of the current log arrive as they are read.
    is_live: bool,
}

/// What moves the epochs.
enum Rhythm {
    /// Every window of the wall clock is an epoch.
    Wall(WallClock),
    /// The event clock looks at the last lines of each block.
    Blocks(SharedClock),
    /// The event clock looks at every line.
    EveryWindow(SharedClock),
}

impl<'a> Stamper<'a> {
    pub(super) fn new(
        options: &LogOptions,
        sender: &'a FeedSender,
        reached: &'a LogReached,
        stop: &'a AtomicBool,
    ) -> Stamper<'a> {
        let length = options.window_length;
        let unit = options.schema.time_unit;
        let event_clock = || SharedClock::new(length, unit, options.replay_batch, options.first_epoch);
        let rhythm = match options.clock {
            ClockKind::Wall => Rhythm::Wall(WallClock::new(length, options.first_epoch)),
            ClockKind::Event if options.every_window => Rhythm::EveryWindow(event_clock()),
            ClockKind::Event => Rhythm::Blocks(event_clock()),
        };
        Stamper {
            outlet: Outlet { sender, reached, log: 0, stop, gives_up: false },
            rhythm,
            times: LineTimes::new(&options.schema),
            run_start: options.run_start,
            judged_by: options.run_start,
            now: options.now.clone(),
            is_live: false,
        }
    }

    /// Whether the times of all lines are needed, so that they must be read here.
    pub(super) fn reads_every_line(&self) -> bool {
        matches!(self.rhythm, Rhythm::EveryWindow(_))
    }

    /// Begins the log of this index. The lines of a pipe arrive when they are read; those of a file did before the run.
    pub(super) fn begin_log(&mut self, index: usize, is_pipe: bool) {
        self.outlet.log = index;
        self.outlet.reached.begin(index);
        self.is_live = is_pipe;
        self.judged_by = self.run_start;
    }

    /// What follows of this log was read by the run that began then; `None`: by none before this one.
    pub(super) fn begin_part(&mut self, run_start: Option<EventTime>) {
        self.judged_by = run_start.unwrap_or(self.run_start);
    }

    /// Nothing is left of this log to read, though more of it may have been published.
    pub(super) fn nothing_is_left(&self) {
        self.outlet.reached.nothing_is_left_of(self.outlet.log);
    }

    fn arrival(&self) -> Arrival {
        if self.is_live { Arrival::at(self.now.now()) } else { Arrival::before(self.judged_by) }
    }

    /// Set when the run should stop.
    pub(super) fn stop_flag(&self) -> &'a AtomicBool {
        self.outlet.stop
    }

    /// Whether the run should stop.
    pub(super) fn should_stop(&self) -> bool {
        self.outlet.stop.load(Ordering::Relaxed)
    }

    /// From here on a block for which there is no room soon is not handed over: an error waits to be told.
    pub(super) fn give_up_waiting(&mut self) {
        self.outlet.gives_up = true;
    }

    /// Stamps the next piece of this log and hands it over.
    pub(super) fn hand_over(&mut self, log: &Arc<Path>, piece: Piece) -> Result<(), Stop> {
        let arrival = self.arrival();
        match &self.rhythm {
            Rhythm::Wall(clock) => {
                let (epoch, bytes) = (clock.now().0, piece.kept_bytes());
                self.outlet.send(Block { epoch, window_starts: Vec::new(), payload: payload(log, piece, arrival) })?;
                // How many lines they are nobody has counted; they bind no more memory than their bytes.
                clock.after_block(epoch, 0, bytes);
                Ok(())
            }
            Rhythm::Blocks(clock) => {
                let tail = match &piece {
                    Piece::Lines { offset, bytes } => BlockTail::of(bytes, *offset, arrival, &mut self.times)
                        .map_err(|error| Stop::Failed(unreadable(log, error)))?,
                    Piece::LineTooLong { .. } => BlockTail::LINE_WITHOUT_TIME,
                };
                let epoch = clock.after_block(tail.estimated_lines, piece.kept_bytes(), tail.times);
                self.outlet.send(Block { epoch, window_starts: Vec::new(), payload: payload(log, piece, arrival) })?;
                self.outlet.sender.announce(clock.epoch());
                Ok(())
            }
            Rhythm::EveryWindow(clock) => self.outlet.send_by_epoch(log, piece, arrival, clock, &mut self.times),
        }
    }

    /// Takes notice that everything that a pipe holds was handed over. An epoch that has been open
    /// for one window of wall time ends, so that the counts of a log that still grows show.
    pub(super) fn caught_up(&self) {
        let epoch = match &self.rhythm {
            Rhythm::Wall(clock) => clock.now().0,
            Rhythm::Blocks(clock) | Rhythm::EveryWindow(clock) => {
                clock.caught_up();
                clock.epoch()
            }
        };
        self.outlet.sender.announce(epoch);
    }
}

/// The feed, and the wish to stop.
struct Outlet<'a> {
    sender: &'a FeedSender,
    reached: &'a LogReached,
    /// The index of the log that is handed over.
    log: usize,
    stop: &'a AtomicBool,
    /// Nothing is waited for any more.
    gives_up: bool,
}

impl Outlet<'_> {
    /// Hands over a block; waits while the feed is full, but not when the run should stop.
    fn send(&self, mut block: Block) -> Result<(), Stop> {
        let end = end_of(&block.payload);
        loop {
            block = match self.sender.try_send(block, STOP_NOTICE) {
                Ok(None) => {
                    self.reached.reached(self.log, end);
                    return Ok(());
                }
                Ok(Some(block)) => block,
                Err(Closed) => return Err(Stop::Interrupted),
            };
            if self.gives_up || self.stop.load(Ordering::Relaxed) {
                return Err(Stop::Interrupted);
            }
        }
    }

    /// Hands over a piece in which windows and epochs may begin at any line.
    fn send_by_epoch(
        &self,
        log: &Arc<Path>,
        piece: Piece,
        arrival: Arrival,
        clock: &SharedClock,
        times: &mut LineTimes,
    ) -> Result<(), Stop> {
        let parts = match &piece {
            Piece::Lines { bytes: LogBytes::Read(bytes), .. } => cut_by_epoch(bytes, arrival, clock, times),
            // One line, so it is one part.
            _ => clock.cut(|parts| parts.add(None, piece.kept_bytes(), 1)),
        };
        split_by_epoch(payload(log, piece, arrival), parts).try_for_each(|block| self.send(block))
    }
}

/// Where these lines end in their log. (The newline of a line that is too long is left to what follows.)
fn end_of(payload: &Payload) -> u64 {
    match payload {
        Payload::Lines { offset, bytes, .. } => offset + bytes.length() as u64,
        Payload::LineTooLong { offset, length, .. } => offset + length,
        Payload::Messages { .. } => 0,
    }
}

/// A piece of this log, as workers get it.
pub(super) fn payload(log: &Arc<Path>, piece: Piece, arrival: Arrival) -> Payload {
    let file = Arc::clone(log);
    match piece {
        Piece::Lines { offset, bytes } => Payload::Lines { file, offset, bytes, arrival },
        Piece::LineTooLong { offset, length, head } => Payload::LineTooLong { file, offset, length, head },
    }
}
