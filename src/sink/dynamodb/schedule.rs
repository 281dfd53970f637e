//! Which writes go next, and what follows from how they ended: the decisions of the writer, without its requests.
//!
//! - What was given first goes first. What was throttled waits for a moment of its own, and holds nobody up.
//! - A write that is throttled again and again is given back: what is newest is tried again with the next round.
//! - An attempt of unknown outcome is repeated *as it was* until it is known to be there, and for as long as it may still be carried
//!   out nothing newer of the item is sent ([`Unsettled`]). With `fence` that is not needed: a write is refused where something
//!   newer stands.
//! - Where a request is not allowed, its halves are tried alone, and theirs, until the write that is at fault is found.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::ops::Range;
use std::time::{Duration, Instant};

use super::unsettled::{ItemId, Unsettled};
use crate::sink::Outcome;

/// A write that is throttled so often in a row is given back.
const MOST_REFUSALS: u32 = 8;
/// An item that may not be written yet is held for so long, at most, and then given back.
const HELD_FOR: Duration = Duration::from_secs(1);
/// A request takes so many bytes at most; the service's limit is 16 MB, and the form on the wire is larger than an item's size.
const MOST_BYTES: usize = 8 << 20;

/// One write, of one item of the table.
#[derive(Clone, Debug)]
pub(super) struct Write {
    /// For which items of which batch it answers.
    pub(super) batch: usize,
    pub(super) items: Range<u32>,
    /// Which put of the batch it is.
    pub(super) put: usize,
    pub(super) id: ItemId,
    /// About so many.
    pub(super) bytes: usize,
    /// Of a key in several parts, the one that is written next; the last is 0.
    pub(super) part: u32,
    pub(super) attempts: Attempts,
}

/// What became of a write so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Attempts {
    /// How often in a row it was throttled.
    throttled: u32,
    /// How often in a row it failed otherwise.
    failed: u32,
    /// An attempt of unknown outcome may be carried out until then.
    unsettled: Option<Instant>,
    /// It is given back, unsent, when its time has come.
    is_too_early: bool,
}

/// How a request ended.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum End {
    /// All were taken, except for those with these indices, which were throttled.
    Taken { throttled: Vec<usize> },
    /// Nothing was taken, and nothing will be.
    Failed,
    /// It may have been carried out, or may be yet.
    Unknown,
    /// Something in it is not allowed, and nothing was taken.
    Invalid(String),
    /// A newer state of this run stands there. (Of a request with one write.)
    Superseded,
}

/// What becomes of a write.
#[derive(Clone, Debug)]
pub(super) struct Verdict {
    pub(super) write: Write,
    pub(super) outcome: Outcome,
    /// What the service said.
    pub(super) detail: String,
}

/// The writes of one call that are not under way.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    ready: VecDeque<Write>,
    /// Parts of requests that are not allowed; each is tried alone.
    suspects: Vec<Vec<Write>>,
    waiting: BinaryHeap<Reverse<Waiting>>,
    /// Tells waiting writes apart.
    next: u64,
}

#[derive(Debug)]
struct Waiting {
    until: Instant,
    number: u64,
    write: Write,
}

impl Attempts {
    /// Whether the last one was throttled.
    pub(super) fn was_throttled(&self) -> bool {
        self.throttled > 0
    }
}

impl Schedule {
    /// Takes notice of a write.
    pub(super) fn push(&mut self, mut write: Write, unsettled: &Unsettled, now: Instant) {
        match unsettled.until(write.id, now) {
            None => self.ready.push_back(write),
            Some(until) => {
                write.attempts.is_too_early = until > now + HELD_FOR;
                self.wait(write, until.min(now + HELD_FOR));
            }
        }
    }

    /// Whether there is nothing to write.
    pub(super) fn is_empty(&self) -> bool {
        !self.is_ready() && self.waiting.is_empty()
    }

    /// Whether a request can be made of what is there now.
    pub(super) fn is_ready(&self) -> bool {
        !self.ready.is_empty() || !self.suspects.is_empty()
    }

    /// How many writes can go now.
    pub(super) fn ready(&self) -> usize {
        self.ready.len() + self.suspects.iter().map(Vec::len).sum::<usize>()
    }

    /// When the next waiting write is ready.
    pub(super) fn next_ready(&self) -> Option<Instant> {
        self.waiting.peek().map(|Reverse(waiting)| waiting.until)
    }

    /// Has those go on whose time has come; gives back those that may still not be sent.
    pub(super) fn wake(&mut self, now: Instant) -> Vec<Verdict> {
        let mut verdicts = Vec::new();
        while self.next_ready().is_some_and(|until| until <= now)
            && let Some(Reverse(Waiting { write, .. })) = self.waiting.pop()
        {
            if write.attempts.is_too_early {
                verdicts.push(verdict(write, Outcome::NotWritten));
            } else {
                self.ready.push_front(write);
            }
        }
        verdicts
    }

    /// The next request, of at most so many writes.
    pub(super) fn next_request(&mut self, most: usize) -> Option<Vec<Write>> {
        if let Some(suspects) = self.suspects.pop() {
            return Some(suspects);
        }
        let mut bytes = 0;
        let mut request = Vec::new();
        while let Some(next) = self.ready.pop_front_if(|next| request.is_empty() || bytes + next.bytes <= MOST_BYTES) {
            bytes += next.bytes;
            request.push(next);
            if request.len() >= most {
                break;
            }
        }
        (!request.is_empty()).then_some(request)
    }

    /// Takes the end of a request. `pause` says how long to wait after so many failures in a row.
    pub(super) fn ended(
        &mut self,
        request: Vec<Write>,
        end: End,
        unsettled: &mut Unsettled,
        now: Instant,
        pause: impl Fn(u32) -> Duration,
    ) -> Vec<Verdict> {
        let mut verdicts = Vec::new();
        match end {
            End::Taken { throttled } => {
                for (index, write) in request.into_iter().enumerate() {
                    if throttled.contains(&index) {
                        verdicts.extend(self.throttled(write, now, &pause));
                    } else {
                        verdicts.extend(self.taken(write, unsettled, now));
                    }
                }
            }
            End::Superseded => {
                verdicts.extend(request.into_iter().map(|write| verdict(write, Outcome::Superseded)));
            }
            End::Failed | End::Unknown => {
                let settles = (end == End::Unknown).then(|| unsettled.settles(now));
                let failed = request.iter().map(|write| write.attempts.failed).max().unwrap_or_default() + 1;
                // They come back together: as one request.
                let until = now + pause(failed);
                for mut write in request {
                    write.attempts.failed = failed;
                    write.attempts.unsettled = settles.or(write.attempts.unsettled);
                    self.wait(write, until);
                }
            }
            End::Invalid(detail) => match request.len() {
                0 => {}
                1 => verdicts.extend(request.into_iter().map(|write| Verdict {
                    write,
                    outcome: Outcome::Refused,
                    detail: detail.clone(),
                })),
                writes => {
                    let mut first = request;
                    let second = first.split_off(writes / 2);
                    self.suspects.extend([second, first]);
                }
            },
        }
        verdicts
    }

    fn taken(&mut self, mut write: Write, unsettled: &mut Unsettled, now: Instant) -> Option<Verdict> {
        if let Some(until) = write.attempts.unsettled.filter(|until| *until > now) {
            unsettled.hold(write.id, until);
        }
        if write.part > 0 {
            // Its other parts follow, before all else.
            write.part -= 1;
            write.attempts = Attempts { unsettled: write.attempts.unsettled, ..Attempts::default() };
            self.ready.push_front(write);
            return None;
        }
        Some(verdict(write, Outcome::Written))
    }

    fn throttled(&mut self, mut write: Write, now: Instant, pause: impl Fn(u32) -> Duration) -> Option<Verdict> {
        write.attempts.throttled += 1;
        // What may still be carried out must not be given up for something newer.
        let is_settled = write.attempts.unsettled.is_none_or(|until| until <= now);
        if write.attempts.throttled >= MOST_REFUSALS && is_settled {
            return Some(verdict(write, Outcome::NotWritten));
        }
        let until = now + pause(write.attempts.throttled);
        self.wait(write, until);
        None
    }

    fn wait(&mut self, write: Write, until: Instant) {
        self.next += 1;
        self.waiting.push(Reverse(Waiting { until, number: self.next, write }));
    }
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Waiting {}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Waiting {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.until, self.number).cmp(&(other.until, other.number))
    }
}

fn verdict(write: Write, outcome: Outcome) -> Verdict {
    Verdict { write, outcome, detail: String::new() }
}

#[cfg(test)]
mod tests;
