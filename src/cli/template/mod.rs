//! `counter-machine template`: what it takes to operate a pipeline, to be printed, changed and kept beside it. Nothing is asked of any service, and
//! nothing is written.

mod fill;
mod service;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use self::fill::{fill, indented};
use self::service::{Place, Service};
use super::CliError;
use super::load::load_pipeline_with;
use super::output::printed;
use crate::checkpoint::Location;
use crate::pipeline::Pipeline;
use crate::telemetry::Waits;

/// Print a Grafana dashboard, Prometheus alerts, a systemd unit or Kubernetes manifests for a pipeline
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  counter-machine template alerts pipelines/user_counters.toml
  counter-machine template kubernetes pipelines/user_counters.toml \\
      -n 2 --state s3://bucket/user_counters")]
pub struct TemplateArgs {
    /// What to print
    #[arg(value_enum)]
    kind: Kind,

    /// The pipeline file
    pipeline: PathBuf,

    /// Worker threads of each process
    #[arg(short = 'w', value_name = "WORKERS", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    workers: u16,

    /// Processes of the run
    #[arg(short = 'n', value_name = "PROCESSES", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    processes: u16,

    /// Where the state is kept [default: as in the file where that is a bucket, else a folder of the service]
    #[arg(long, value_name = "DIR|URL")]
    state: Option<Location>,
}

/// What there is to print.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// A dashboard for Grafana (JSON)
    Dashboard,
    /// Alert rules for Prometheus (YAML)
    Alerts,
    /// A unit for systemd
    Systemd,
    /// Manifests for Kubernetes (YAML)
    Kubernetes,
}

impl Kind {
    fn template(self) -> &'static str {
        match self {
            Kind::Dashboard => include_str!("dashboard.json"),
            Kind::Alerts => include_str!("alerts.yaml"),
            Kind::Systemd => include_str!("counter-machine.service"),
            Kind::Kubernetes => include_str!("kubernetes.yaml"),
        }
    }
}

/// Prints it.
pub fn run(args: &TemplateArgs, out: &mut impl Write) -> Result<(), CliError> {
    let variables = RefCell::new(BTreeSet::new());
    let pipeline = load_pipeline_with(&args.pipeline, &|name| {
        variables.borrow_mut().insert(name.to_owned());
        std::env::var(name).ok()
    })?;
    let text = match args.kind {
        Kind::Dashboard | Kind::Alerts => watching(args.kind, &pipeline),
        Kind::Systemd => unit(args, &pipeline, &variables.into_inner())?,
        Kind::Kubernetes => manifests(args, &pipeline, &variables.into_inner())?,
    };
    printed(out.write_all(text.as_bytes()))
}

/// Dashboard and alerts: the names, and from when on something is late.
fn watching(kind: Kind, pipeline: &Pipeline) -> String {
    let (stale, checkpoint) = (stale_after(pipeline).as_secs(), checkpoint_late_after(pipeline).as_secs());
    fill(
        kind.template(),
        &[
            ("name", &service::job_name(&pipeline.name)),
            ("uid", &service::label(&pipeline.name)),
            ("stale_seconds", &stale.to_string()),
            ("slow_seconds", &Waits::bound_from(stale_after(pipeline)).as_secs().to_string()),
            ("stale_half", &(stale / 2).to_string()),
            ("checkpoint_seconds", &checkpoint.to_string()),
            ("checkpoint_half", &(checkpoint / 2).to_string()),
        ],
    )
}

/// An item that waits for longer than this is late: three rounds of its group, and what is held back may wait for its `max_age`.
fn stale_after(pipeline: &Pipeline) -> Duration {
    let rounds = pipeline.publish.rhythms.iter().map(|rhythm| 3 * rhythm.every);
    let held_back = pipeline.groups.iter().map(|group| pipeline.publish.held_back_of(group));
    let ages = held_back.filter(|held_back| held_back.min_change > 0.0).map(|held_back| 2 * held_back.max_age);
    rounds.chain(ages).fold(Duration::from_secs(300), Duration::max)
}

/// Ten checkpoints could have been made.
fn checkpoint_late_after(pipeline: &Pipeline) -> Duration {
    Duration::from_secs(600).max(10 * pipeline.checkpoint.every)
}

fn unit(args: &TemplateArgs, pipeline: &Pipeline, variables: &BTreeSet<String>) -> Result<String, CliError> {
    let service = Service::of(args.workers, args.processes, args.state.as_ref(), pipeline, Place::Systemd)?;
    let words: Vec<String> = service.command_line().iter().map(|word| service::unit_word(word)).collect();
    let names: Vec<&str> = variables.iter().map(String::as_str).collect();
    let variables = match names.as_slice() {
        [] => "# The pipeline file takes none; AWS_ variables and RUST_LOG may stand there.".to_owned(),
        names => format!("# The pipeline file takes {}.", names.join(", ")),
    };
    Ok(fill(
        Kind::Systemd.template(),
        &[
            ("name", &service::job_name(&pipeline.name)),
            ("service", &service.label),
            ("file", &service::unit_word(&args.pipeline.display().to_string())),
            ("program", &words.join(" \\\n    ")),
            ("variables", &variables),
        ],
    ))
}

fn manifests(args: &TemplateArgs, pipeline: &Pipeline, variables: &BTreeSet<String>) -> Result<String, CliError> {
    let service = Service::of(args.workers, args.processes, args.state.as_ref(), pipeline, Place::Kubernetes)?;
    let text = std::fs::read_to_string(&args.pipeline).unwrap_or_default();
    let words: Vec<String> = service.command_line().iter().map(|word| format!("- {}", json(word))).collect();
    let literals: Vec<String> =
        variables.iter().map(|name| format!(" \\\n#       --from-literal={name}=...")).collect();
    let several = args.processes > 1;
    Ok(fill(
        Kind::Kubernetes.template(),
        &[
            ("name", &service::job_name(&pipeline.name)),
            ("service", &service.label),
            ("version", env!("CARGO_PKG_VERSION")),
            ("processes", &args.processes.to_string()),
            ("workers", &args.workers.to_string()),
            ("update", if several { "OnDelete" } else { "RollingUpdate" }),
            ("hosts", &indented(&service.hosts(), 4)),
            ("pipeline", &indented(&text, 4)),
            ("args", &indented(&words.join("\n"), 12)),
            ("literals", &literals.concat()),
        ],
    ))
}

/// As a text of JSON, which is one of YAML.
fn json(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests;
