//! What a run shows of itself over HTTP, where it is asked to: the server begins before anything is opened, so that `/ready` can say what is waited for,
//! and ends last.

mod figures;
mod health;
mod status;
mod watched;

use std::net::{SocketAddr, TcpListener, ToSocketAddrs as _};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Instant, SystemTime};

use serde_json::Value;

use self::watched::Watched;
use super::RunArgs;
use super::running::Reading;
use crate::cli::get::look_up;
use crate::cli::{CliError, ErrorCode};
use crate::epoch::Generation;
use crate::findings::Observations;
use crate::peers::Peers;
use crate::pipeline::{HttpAddress, Pipeline};
use crate::sink::SinkTarget;
use crate::source::CaughtUp;
use crate::telemetry::Metrics;
use crate::telemetry::http::{Exposition, GetQuery, HttpServer, Pages, Refusal, Verdict};

/// Everything that is shown.
pub struct View {
    metrics: Arc<Metrics>,
    pipeline: Pipeline,
    target: SinkTarget,
    peers: Peers,
    began: (SystemTime, Instant),
    /// Known once the run has begun.
    known: OnceLock<Known>,
    watched: Mutex<Watched>,
}

/// What is known of a run once it has begun.
pub struct Known {
    /// How far its source is read.
    pub reading: Reading,
    /// Told when everything is read that there was at the start; of a topic.
    pub caught_up: Option<Arc<CaughtUp>>,
    /// What was noted of its events.
    pub observations: Arc<Observations>,
    /// Of a run with a state.
    pub generation: Option<Generation>,
}

/// The server of a run, where there is one.
pub struct Shown(Option<(Arc<View>, HttpServer)>);

impl Shown {
    /// Begins to serve, if the arguments or the pipeline file say where.
    pub fn begin(args: &RunArgs, pipeline: &Pipeline, peers: Peers, metrics: &Arc<Metrics>) -> Result<Shown, CliError> {
        let Some(address) = args.http.as_ref().or(pipeline.http.listen.as_ref()) else { return Ok(Shown(None)) };
        let target = SinkTarget::choose(args.sink.as_ref(), pipeline, "--sink")?;
        let listener = listen(address)?;
        let view = Arc::new(View {
            metrics: Arc::clone(metrics),
            pipeline: pipeline.clone(),
            target,
            peers,
            began: (SystemTime::now(), Instant::now()),
            known: OnceLock::new(),
            watched: Mutex::default(),
        });
        let server = HttpServer::start(listener, Arc::clone(&view) as Arc<dyn Pages>).map_err(|error| {
            CliError::new(ErrorCode::SystemRefuses, format!("cannot serve http on {address}: {error}"))
        })?;
        tracing::info!("http: listening on http://{}", server.address());
        Ok(Shown(Some((view, server))))
    }

    /// The run has begun, and this is known of it.
    pub fn knows(&self, known: impl FnOnce() -> Known) {
        if let Shown(Some((view, _))) = self {
            view.known.get_or_init(known);
        }
    }
}

fn listen(address: &HttpAddress) -> Result<TcpListener, CliError> {
    let cannot = |error: std::io::Error| {
        let text = format!(
            "cannot listen on {address} for http: {error}; name another address with --http HOST:PORT (port 0 is any that is free), or listen in \
             [http], or end what listens there"
        );
        CliError::new(ErrorCode::CannotListen, text)
    };
    let found: Vec<SocketAddr> = (address.bare_host(), address.port).to_socket_addrs().map_err(cannot)?.collect();
    TcpListener::bind(found.as_slice()).map_err(cannot)
}

impl View {
    fn watched(&self) -> MutexGuard<'_, Watched> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pages for View {
    fn live(&self) -> Verdict {
        self.watched().live()
    }

    fn ready(&self) -> Verdict {
        health::ready(&self.facts())
    }

    fn metrics(&self) -> Exposition {
        self.figures()
    }

    fn status(&self) -> Value {
        self.as_json()
    }

    fn get(&self, query: &GetQuery) -> Result<Vec<u8>, Refusal> {
        look_up(&self.pipeline, &self.target, query)
    }

    fn watch(&self) {
        let seen = self.metrics.pulse.seen();
        self.watched().look(Instant::now(), self.metrics.events.get(), &seen, &self.metrics.freshness.now());
    }
}
