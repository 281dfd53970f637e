//! What a process that is not process 0 reads.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::cli::CliError;
use crate::cli::run::running::{KafkaInput, Notes, RunningInput, handed_on, start_kafka};
use crate::cli::run::{Around, RunArgs};
use crate::clock::ArrivalClock;
use crate::cluster::StartFacts;
use crate::dataflow::Failure;
use crate::epoch::Epoch;
use crate::peers::Peers;
use crate::pipeline::Pipeline;
use crate::source::kafka::{
    FollowedClock, KafkaClock, KafkaOptions, KafkaProgress, KafkaSource, RecordArrivals, TellSize,
};
use crate::source::{CaughtUp, Feed, FeedSender, Followed, TellNote};

/// What a process that is not process 0 reads.
pub enum MemberInput {
    /// Its partitions of a topic.
    Topic { kafka: Box<KafkaInput>, notes: Notes, followed: Arc<Followed>, first: Epoch },
    /// What is handed on to it of event logs.
    HandedOn { followed: Arc<Followed>, first: Epoch },
}

/// What such a process is told, and tells.
pub struct Told<'a> {
    /// How it begins.
    pub facts: &'a StartFacts,
    /// Tells what readers note.
    pub tell_note: TellNote,
    /// Tells how much was read.
    pub tell_size: Box<dyn Fn(Epoch, u64, u64) + Send + Sync>,
}

impl MemberInput {
    /// Finds it. A `stop` ends the wait for brokers.
    pub fn open(
        args: &RunArgs,
        pipeline: &Pipeline,
        told: Told<'_>,
        now: ArrivalClock,
        stop: &AtomicBool,
    ) -> Result<MemberInput, CliError> {
        let Told { facts, tell_note, tell_size } = told;
        let first = facts.first_epoch;
        let followed = Arc::new(Followed::new(first));
        let Some((topic, config)) = facts.topic.as_ref().zip(pipeline.kafka.as_ref()) else {
            return Ok(MemberInput::HandedOn { followed, first });
        };
        let options = KafkaOptions { run_start: facts.run_start, until_end: args.until_end, ..KafkaOptions::default() };
        let source = KafkaSource::connect_as_told(config, options, stop, topic)?;
        let clock = KafkaClock::Followed(FollowedClock { followed: Arc::clone(&followed), tell: TellSize(tell_size) });
        let kafka = KafkaInput { source, clock, arrivals: RecordArrivals::new(now), until_end: args.until_end };
        let notes = Notes::Elsewhere { tell: tell_note, followed: Arc::clone(&followed) };
        Ok(MemberInput::Topic { kafka: Box::new(kafka), notes, followed, first })
    }

    /// What process 0 announces.
    pub fn followed(&self) -> Arc<Followed> {
        match self {
            MemberInput::Topic { followed, .. } | MemberInput::HandedOn { followed, .. } => Arc::clone(followed),
        }
    }

    /// Of a topic, how far it is read.
    pub fn topic(&self) -> Option<Arc<KafkaProgress>> {
        match self {
            MemberInput::Topic { kafka, .. } => Some(kafka.source.progress()),
            MemberInput::HandedOn { .. } => None,
        }
    }

    /// Starts to read: one feed per worker of this process, and where what is handed on comes in.
    pub fn start(
        self,
        peers: Peers,
        around: &Around,
        caught_up: &Arc<CaughtUp>,
        failure: &Failure,
    ) -> Result<(Option<FeedSender>, Vec<Feed>, RunningInput), CliError> {
        let Around { stop, metrics, .. } = around;
        match self {
            MemberInput::Topic { kafka, notes, first, .. } => {
                let (feeds, running) = start_kafka(*kafka, &notes, first, peers, stop, metrics, caught_up, failure)?;
                Ok((None, feeds, running))
            }
            MemberInput::HandedOn { first, .. } => {
                let (sender, feeds, running) = handed_on(first, peers.workers_here() as usize, stop, metrics);
                Ok((Some(sender), feeds, running))
            }
        }
    }
}
