//! `counter-machine verify`: recounts event logs and compares every item of a sink with that.

mod input;
mod report;

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use clap::Args;
use crossbeam_channel::{RecvTimeoutError, bounded};
use jiff::Timestamp;

use self::input::{Input, KnownOfRun};
use self::report::Report;
use super::load::load_pipeline;
use super::time::parse_time;
use super::{CliError, ErrorCode};
use crate::audit::{Audit, AuditError, Deleted, JudgedBy, Sample, audit};
use crate::counter::EventTime;
use crate::pipeline::Pipeline;
use crate::sink::{SinkTarget, open_reader};
use crate::telemetry::{LogFormat, Metrics, Progress, Stopwatch};

const EXAMPLES: &str = "\
Examples:
  counter-machine verify pipelines/user_counters.toml \\
      --events pipelines/sample.jsonl
  counter-machine verify pipelines/user_counters.toml --events logs/ \\
      --from dynamodb --sample 1/100 -w 2
  counter-machine verify pipelines/user_counters.toml \\
      --until positions.json --from dynamodb        (from Kafka)

It exits with 0 only if every item is what the events say, and with 1 if not. docs/verify.md says what it sees, and \
what it cannot.";

/// Recount event logs, and compare every item of a sink with that.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct VerifyArgs {
    /// The pipeline file
    #[arg(value_name = "PIPELINE")]
    pipeline: PathBuf,
    /// The event logs that the run has read, in the same order: files, directories, or `-` for stdin
    #[arg(long, value_name = "PATH", num_args = 1..)]
    events: Vec<PathBuf>,
    /// Only up to where the run had read: what it left with `run --positions FILE`. Without --events, the pipeline's topic up to there
    #[arg(long, value_name = "POSITIONS")]
    until: Option<PathBuf>,
    /// Where the items are: dynamodb, sqlite:PATH or jsonl:PATH [default: the pipeline's sink]
    #[arg(long, value_name = "SINK")]
    from: Option<SinkTarget>,
    /// Look only at this share of the keys, the same every time: 1/N, as in 1/100
    #[arg(long, value_name = "1/N", default_value_t = Sample::ALL)]
    sample: Sample,
    /// Worker threads
    #[arg(short = 'w', value_name = "WORKERS", default_value_t = 1)]
    workers: usize,
    /// A relative difference of numbers up to this is none
    #[arg(long, value_name = "NUMBER", default_value_t = 1e-9)]
    tolerance: f64,
    /// Show so many examples of each kind of finding
    #[arg(long, value_name = "N", default_value_t = 5)]
    examples: usize,
    /// When the run began, by which it judged what was too far ahead: RFC 3339, or a number in the event's time unit [default:
    /// what the positions or the sink say, else now]
    #[arg(long, value_name = "TIME", allow_negative_numbers = true)]
    run_start: Option<String>,
    /// What time the run's --shift-to was, for a sink that does not say
    #[arg(long, value_name = "TIME", allow_negative_numbers = true)]
    shift_to: Option<String>,
    /// Print the findings as one JSON object
    #[arg(long)]
    json: bool,
}

/// How often progress is looked at.
const TICK: Duration = Duration::from_millis(100);

/// Compares, and fails where something is wrong.
pub fn run(args: &VerifyArgs, log_format: LogFormat, out: &mut impl Write) -> Result<(), CliError> {
    check(args)?;
    let stopwatch = Stopwatch::start();
    let pipeline = Arc::new(load_pipeline(&args.pipeline)?);
    let target = SinkTarget::choose(args.from.as_ref(), &pipeline, "--from")?;
    let time = |text: &Option<String>| {
        let parse = |text: &String| parse_time(text, pipeline.event.time_unit, Timestamp::now()).map(EventTime);
        text.as_ref().map(parse).transpose()
    };
    let mut reader = open_reader(&target, Some(&pipeline))?;
    let known = KnownOfRun::of(reader.as_mut(), time(&args.run_start)?, args.until.as_deref(), &pipeline)?;
    let input = Input::open(&args.events, &pipeline, &known)?;
    let shift = input.shift(time(&args.shift_to)?, &known)?;
    let metrics = Arc::new(Metrics::default());
    let running = input.start(args.workers, &metrics)?;
    let findings = with_progress(log_format, &running, &metrics, || {
        audit(Audit {
            pipeline: Arc::clone(&pipeline),
            feeds: running.feeds.clone(),
            again: running.again.clone(),
            items: reader,
            last_version: known.last_version(),
            sample: args.sample,
            judged_by: JudgedBy {
                shift,
                tolerance: args.tolerance,
                examples: args.examples,
                deleted: deleted(&pipeline, &target),
            },
            metrics: Arc::clone(&metrics),
        })
    });
    let damages = running.join()?;
    let findings = findings.map_err(of_audit)?;
    let report = Report {
        pipeline: &pipeline,
        target: &target,
        metrics: &metrics,
        findings: &findings,
        known: &known,
        shift,
        sample: args.sample,
        tolerance: args.tolerance,
        stopwatch,
    };
    report.print(args.json, out)?;
    report.verdict()?;
    if damages.is_empty() { Ok(()) } else { Err(CliError::new(ErrorCode::LogDamaged, damages.join("; "))) }
}

fn check(args: &VerifyArgs) -> Result<(), CliError> {
    super::run::check_workers(args.workers)?;
    if !(0.0..1.0).contains(&args.tolerance) {
        return Err(CliError::usage(format!(
            "--tolerance {}: a relative difference, as in 1e-9, is needed",
            args.tolerance
        )));
    }
    Ok(())
}

/// What may rightly be gone from this table.
fn deleted(pipeline: &Pipeline, target: &SinkTarget) -> Deleted {
    Deleted {
        expired_by: (*target == SinkTarget::DynamoDb).then(|| Timestamp::now().as_second()),
        forgotten_of_keys: target.is_table() && pipeline.publish.layout.holds_whole_keys(),
    }
}

/// Works, and shows meanwhile how far reading has come.
fn with_progress<T>(
    log_format: LogFormat,
    input: &input::RunningInput,
    metrics: &Metrics,
    work: impl FnOnce() -> T,
) -> T {
    let (working, done) = bounded::<()>(0);
    thread::scope(|scope| {
        scope.spawn(move || {
            let mut progress = Progress::of_reading(log_format == LogFormat::Json);
            while done.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                progress.tick(input.progress(), metrics);
            }
            progress.finish();
        });
        let result = work();
        drop(working);
        result
    })
}

fn of_audit(error: AuditError) -> CliError {
    match error {
        AuditError::Sink(error) => error.into(),
        AuditError::Source(error) => error.into(),
        AuditError::Threads(_) => CliError::of(ErrorCode::SystemRefuses, &error),
        AuditError::Gone(_) => CliError::of(ErrorCode::Bug, &error),
    }
}
