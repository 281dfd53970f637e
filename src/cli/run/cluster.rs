//! A run of several processes: how they come together, and how they end.

use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::JoinHandle;
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use super::RunArgs;
use super::end::{Part, Published, RunEnd};
use crate::checkpoint::{CheckpointError, CheckpointErrorKind};
use crate::cli::{CliError, ErrorCode};
use crate::cluster::{HowItEnded, Leader, LeaderParts, MemberOfRun, PeerError, RestoreFacts, StartFacts};
use crate::dataflow::{self, Failure, ItemsTo};
use crate::lease::Leave;
use crate::mesh::{self, ClusterError, ClusterId, Connections, Members, MeshOptions, Role, Secret, into_timely};
use crate::peers::Peers;
use crate::pipeline::ClockKind;
use crate::sink::{Sink, SinkTarget, Writers};
use crate::source::{Feed, KnownCuts};
use crate::telemetry::{Metrics, Printable};

/// How long a process waits for all others.
const FORM_WITHIN: Duration = Duration::from_secs(120);

/// The processes of this run.
#[derive(Clone)]
pub struct Cluster {
    members: Members,
    secret: Option<Secret>,
    id: ClusterId,
    workers: usize,
    within: Duration,
}

/// Process 0 and its connections with all others.
pub struct Led {
    pub leader: Leader,
    data: Vec<Option<TcpStream>>,
}

/// Another process and its connections.
pub struct Followed {
    pub member: MemberOfRun,
    data: Vec<Option<TcpStream>>,
}

/// The others, while process 0 opens what it needs.
pub struct Forming(JoinHandle<Result<Led, CliError>>);

impl Cluster {
    /// Those that the arguments name; `None`: there is one.
    pub fn of(args: &RunArgs) -> Result<Option<Cluster>, CliError> {
        let usage = |message: &str| Err(CliError::usage(message.to_owned()));
        let Some(processes) = args.processes else {
            return match args.process.is_some() || args.hosts.is_some() {
                true => usage("-p and -h are for runs of several processes: add -n PROCESSES, or leave them out"),
                false => Ok(None),
            };
        };
        let Some(process) = args.process.or((processes == 1).then_some(0)) else {
            return usage("-n PROCESSES: which of them is this one? Add -p INDEX, from 0");
        };
        let members = Members::read(processes, process, args.hosts.as_deref())?;
        if processes == 1 {
            return Ok(None);
        }
        if args.events.is_empty() && args.clock == Some(ClockKind::Event) {
            return usage(
                "--clock event: over several processes a topic is read by the wall clock of process 0, which they all follow; leave \
                 it out",
            );
        }
        let (id, secret) = (id_of(args)?, Secret::from_environment());
        Ok(Some(Cluster { members, secret, id, workers: args.workers, within: args.peer_timeout }))
    }

    /// Whether this is process 0.
    pub fn leads(&self) -> bool {
        self.members.process() == 0
    }

    /// This process among the others.
    pub fn peers(&self) -> Peers {
        Peers::of_process(self.members.process(), self.members.processes(), self.workers as u32)
    }

    /// Process 0 waits for the others, and tells them with what they go on, while it opens what it needs itself.
    pub fn lead(
        self,
        facts: RestoreFacts,
        metrics: &Arc<Metrics>,
        stop: &Arc<AtomicBool>,
        leave: Leave,
    ) -> Result<Forming, CliError> {
        let (metrics, stop) = (Arc::clone(metrics), Arc::clone(stop));
        let form = move || {
            let (members, within) = (self.members.clone(), self.within);
            let Connections { data, links } = self.connect(Role::Leader(facts.generation), &stop)?;
            let leader = Leader::begin(&members, links, within, metrics, leave).map_err(PeerError::System)?;
            leader.restore(&facts);
            Ok(Led { leader, data })
        };
        let thread = std::thread::Builder::new().name("cluster".to_owned()).spawn(form);
        thread.map(Forming).map_err(|error| PeerError::System(error).into())
    }

    /// Another process waits for process 0 and all others.
    pub fn follow(self, metrics: &Arc<Metrics>, stop: &AtomicBool, leave: Leave) -> Result<Followed, CliError> {
        let (members, within) = (self.members.clone(), self.within);
        let Connections { data, links } = self.connect(Role::Member, stop)?;
        let Some(link) = links.into_iter().next() else {
            return Err(CliError::new(ErrorCode::Bug, "internal error: no connection with process 0"));
        };
        let member = MemberOfRun::begin(&members, link, within, Arc::clone(metrics), leave);
        Ok(Followed { member: member.map_err(PeerError::System)?, data })
    }

    fn connect(self, role: Role, stop: &AtomicBool) -> Result<Connections, CliError> {
        let Cluster { members, secret, id: cluster, within, .. } = self;
        let name = members.name(members.process());
        tracing::info!("this is {name} of {}", members.processes());
        let options = MeshOptions { members, cluster, secret, role, within: FORM_WITHIN };
        let mesh = mesh::form(options, stop)?;
        tracing::info!("all processes are there: run {}", mesh.generation().0);
        let connections = mesh.into_connections();
        connections.allow_silence(within).map_err(PeerError::System)?;
        Ok(connections)
    }
}

impl Forming {
    /// Process 0, when all others are there.
    pub fn join(self) -> Result<Led, CliError> {
        self.0
            .join()
            .unwrap_or_else(|_| Err(CliError::new(ErrorCode::Bug, "internal error: forming the cluster panicked")))
    }
}

/// What timely is given of a process's connections.
fn to_timely(data: Vec<Option<TcpStream>>, peers: Peers) -> Result<dataflow::Mesh, CliError> {
    let (workers, guard) = into_timely(data, peers.process() as usize, peers.workers_here() as usize)?;
    Ok(dataflow::Mesh { workers, guard })
}

impl Led {
    /// Has the other processes begin. A checkpoint that one of them finds damaged is `set_aside`: the next start takes the one before it.
    pub fn start(
        &self,
        parts: LeaderParts,
        facts: &StartFacts,
        failure: &Failure,
        set_aside: impl FnOnce() -> Result<Option<()>, CheckpointError>,
    ) -> Result<(), CliError> {
        match self.leader.start(parts, facts, failure) {
            Err(PeerError::State(damage)) if damage.kind() == CheckpointErrorKind::Damaged => {
                set_aside()?;
                Err(CliError::of(ErrorCode::StateSetAside, &damage))
            }
            started => Ok(started?),
        }
    }

    /// Has epochs announced, or blocks of event logs handed on, and gives what timely reaches the others through: to be taken right before the workers
    /// start.
    pub fn begin(
        &mut self,
        peers: Peers,
        feeds: &[Feed],
        cuts: Option<Arc<KnownCuts>>,
        is_topic: bool,
        failure: &Failure,
    ) -> Result<dataflow::Mesh, CliError> {
        if is_topic {
            self.leader.announce().map_err(PeerError::System)?;
        } else if let Some(feed) = feeds.first() {
            self.leader.hand_on(feed, cuts, failure).map_err(PeerError::System)?;
        }
        to_timely(std::mem::take(&mut self.data), peers)
    }

    /// Where the items of process 0 go, and with them those of all others where the sink wants one writer.
    pub fn items_to(&self, sink: Box<dyn Sink>, target: &SinkTarget) -> ItemsTo {
        match target.writers() {
            Writers::OnePerCluster => ItemsTo::HereForAll(sink, self.leader.take_writer()),
            Writers::OnePerProcess => ItemsTo::Here(sink),
        }
    }
}

impl Followed {
    /// What timely reaches the others through: to be taken right before the workers start.
    pub fn mesh(&mut self, peers: Peers) -> Result<dataflow::Mesh, CliError> {
        to_timely(std::mem::take(&mut self.data), peers)
    }
}

/// Who takes part in a run beside this process.
pub enum Company {
    /// Nobody.
    None,
    /// This is process 0.
    Led(Led),
    /// This is another one.
    Followed(Followed),
}

impl Company {
    /// The end of the run for all, of which this process has ended so; process 0 takes in what the others have counted.
    pub fn settle(&self, end: RunEnd, metrics: &Metrics) -> RunEnd {
        let failed = match &end {
            RunEnd::Failed { error, .. } => Some(error.to_string()),
            RunEnd::ReaderLeft => Some("whoever read the items has left".to_owned()),
            _ => None,
        };
        let how = match &end {
            RunEnd::Done => HowItEnded::Done,
            RunEnd::AskedToStop => HowItEnded::Stopped,
            RunEnd::Interrupted => HowItEnded::Interrupted,
            _ => HowItEnded::Otherwise,
        };
        let ended = match (self, failed) {
            (Company::None, _) => return end,
            // What was read is published everywhere, whatever else is to be said of it.
            (Company::Led(led), Some(why)) if end.published() != Published::All => {
                led.leader.fail(&why);
                return end;
            }
            (Company::Led(led), _) => led.leader.end(how).map(|all| {
                all.iter().for_each(|totals| metrics.add(totals));
                end
            }),
            (Company::Followed(followed), Some(why)) => {
                followed.member.fail(&why);
                return end;
            }
            // Whether all was read that there was, process 0 knows.
            (Company::Followed(followed), None) => followed.member.end(metrics.totals()).map(|of_all| match of_all {
                _ if how == HowItEnded::Otherwise => end,
                HowItEnded::Done => RunEnd::Done,
                HowItEnded::Stopped => RunEnd::AskedToStop,
                HowItEnded::Interrupted => RunEnd::Interrupted,
                HowItEnded::Otherwise => end,
            }),
        };
        ended.unwrap_or_else(|error| RunEnd::failed(Part::Peer, error))
    }
}

/// What all processes must have alike: a run of two pipelines, or of two versions of the program, is none.
fn id_of(args: &RunArgs) -> Result<ClusterId, CliError> {
    let pipeline = std::fs::read(&args.pipeline).map_err(|error| {
        CliError::new(
            ErrorCode::PipelineUnreadable,
            format!("cannot read {}: {error}", Printable(args.pipeline.display())),
        )
    })?;
    let alike = format!(
        "{}\n{}\n{:?}\n{:?}\n{}\n{}\n{}\n",
        env!("CARGO_PKG_VERSION"),
        args.workers,
        args.sink,
        args.clock,
        args.every_window,
        args.events.is_empty(),
        args.state.is_some() || !args.no_state,
    );
    Ok(ClusterId(Sha256::new().chain_update(alike).chain_update(pipeline).finalize().into()))
}

impl From<ClusterError> for CliError {
    fn from(error: ClusterError) -> CliError {
        let text = error.to_string();
        let code = match error {
            ClusterError::Missing { unproven: true, .. } => ErrorCode::SecretWrong,
            ClusterError::Missing { .. } => ErrorCode::NotFormed,
            ClusterError::Lost { .. } => ErrorCode::PeerLost,
            ClusterError::Interrupted => ErrorCode::Interrupted,
            ClusterError::System { .. } => ErrorCode::SystemRefuses,
            ClusterError::Listen { .. } => ErrorCode::CannotListen,
            ClusterError::Differs { .. } => ErrorCode::ProcessesDiffer,
            ClusterError::NoSecret { .. } => ErrorCode::SecretMissing,
            ClusterError::Role { .. } => ErrorCode::Bug,
            ClusterError::Processes { .. }
            | ClusterError::Index { .. }
            | ClusterError::HostsUnreadable { .. }
            | ClusterError::TooFewHosts { .. }
            | ClusterError::Host { .. }
            | ClusterError::HostTwice { .. } => ErrorCode::Hosts,
        };
        CliError::new(code, text)
    }
}

impl From<PeerError> for CliError {
    fn from(error: PeerError) -> CliError {
        match error {
            PeerError::State(error) => error.into(),
            PeerError::Lost(culprit) => CliError::new(ErrorCode::PeerLost, culprit),
            PeerError::Stopped => CliError::new(ErrorCode::Interrupted, error.to_string()),
            PeerError::System(_) => CliError::new(ErrorCode::SystemRefuses, error.to_string()),
        }
    }
}
