//! Failures on demand, for tests: a step of a checkpoint at which the process dies, an error comes or time passes.
//!
//! `COUNTER_MACHINE_FAIL` names them, several separated by commas:
//!
//! ```text
//! STEP:kill[:N]     the process kills itself when it comes to this step for the Nth time (the first)
//! STEP:panic[:N]    the thread that comes to this step for the Nth time (the first) panics
//! STEP:error[:N]    the step fails, the first N times (always)
//! STEP:wait:MS[:N]  the step takes so many milliseconds longer, the first N times (always)
//! ```
//!
//! They are in every build, so that what is tested is what runs; without the variable a step costs one comparison. (The
//! crate `fail` keeps a table of its own behind a lock and needs a feature of the build: two builds instead of one.)

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::error::{CheckpointError, CheckpointErrorKind};

/// The variable that names the failures.
pub const VARIABLE: &str = "COUNTER_MACHINE_FAIL";

/// A step at which something may be made to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A segment was begun, nothing of it is written.
    SegmentBegun,
    /// Some of a segment is written, it has no name yet.
    SegmentPartlyWritten,
    /// All of a segment is durable under its name; no manifest names it.
    SegmentWritten,
    /// All of an object is written, nothing of it is durable.
    BeforeSync,
    /// An object is durable under its name.
    AfterSync,
    /// All that a manifest names is durable, the manifest is not begun.
    BeforeManifest,
    /// Some of a manifest is written, it has no name yet.
    ManifestPartlyWritten,
    /// A manifest is durable under its name.
    AfterManifest,
    /// Nothing of what no manifest names any more is deleted yet.
    BeforeDeleting,
    /// All of it is deleted.
    AfterDeleting,
}

impl Step {
    /// All steps.
    pub const ALL: [Step; 10] = [
        Step::SegmentBegun,
        Step::SegmentPartlyWritten,
        Step::SegmentWritten,
        Step::BeforeSync,
        Step::AfterSync,
        Step::BeforeManifest,
        Step::ManifestPartlyWritten,
        Step::AfterManifest,
        Step::BeforeDeleting,
        Step::AfterDeleting,
    ];

    /// Its name in the variable.
    pub fn as_str(self) -> &'static str {
        match self {
            Step::SegmentBegun => "segment_begun",
            Step::SegmentPartlyWritten => "segment_partly_written",
            Step::SegmentWritten => "segment_written",
            Step::BeforeSync => "before_sync",
            Step::AfterSync => "after_sync",
            Step::BeforeManifest => "before_manifest",
            Step::ManifestPartlyWritten => "manifest_partly_written",
            Step::AfterManifest => "after_manifest",
            Step::BeforeDeleting => "before_deleting",
            Step::AfterDeleting => "after_deleting",
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What is to fail.
#[derive(Debug, Default)]
pub struct Failpoints(Vec<Failpoint>);

#[derive(Debug)]
struct Failpoint {
    step: Step,
    action: Action,
    /// With `kill` and `panic` at which time; else how many times.
    count: u64,
    reached: AtomicU64,
}

#[derive(Clone, Copy, Debug)]
enum Action {
    Kill,
    Panic,
    Error,
    Wait(Duration),
}

impl Failpoints {
    /// What the environment asks for. Fails where it asks for what there is not.
    pub fn from_environment() -> Result<Failpoints, CheckpointError> {
        std::env::var(VARIABLE).map_or_else(|_| Ok(Failpoints::default()), |text| Failpoints::parse(&text))
    }

    /// What this text asks for, in the form above.
    pub fn parse(text: &str) -> Result<Failpoints, CheckpointError> {
        text.split(',').filter(|part| !part.is_empty()).map(Failpoint::parse).collect::<Result<_, _>>().map(Failpoints)
    }

    /// Whether something happens at this step.
    pub fn is_set(&self, step: Step) -> bool {
        self.0.iter().any(|point| point.step == step)
    }

    /// Comes to a step. Fails where it is to fail.
    pub fn reach(&self, step: Step) -> Result<(), CheckpointError> {
        self.0.iter().filter(|point| point.step == step).try_for_each(Failpoint::happen)
    }
}

impl Failpoint {
    fn parse(text: &str) -> Result<Failpoint, CheckpointError> {
        let wrong = || {
            let steps = Step::ALL.map(Step::as_str).join(", ");
            let message = format!(
                "{VARIABLE}: cannot read '{text}': it is STEP:kill[:N], STEP:panic[:N], STEP:error[:N] or STEP:wait:MS[:N], and \
                 STEP one of {steps}"
            );
            CheckpointError::new(CheckpointErrorKind::Usage, message)
        };
        let mut parts = text.split(':');
        let name = parts.next().unwrap_or_default();
        let step = Step::ALL.into_iter().find(|step| step.as_str() == name).ok_or_else(wrong)?;
        let number = |text: &str| text.parse::<u64>().map_err(|_| wrong());
        let (action, default) = match parts.next() {
            Some("kill") => (Action::Kill, 1),
            Some("panic") => (Action::Panic, 1),
            Some("error") => (Action::Error, u64::MAX),
            Some("wait") => (Action::Wait(Duration::from_millis(number(parts.next().unwrap_or_default())?)), u64::MAX),
            _ => return Err(wrong()),
        };
        let count = parts.next().map_or(Ok(default), number)?;
        if parts.next().is_some() {
            return Err(wrong());
        }
        Ok(Failpoint { step, action, count, reached: AtomicU64::new(0) })
    }

    fn happen(&self) -> Result<(), CheckpointError> {
        let time = self.reached.fetch_add(1, Ordering::Relaxed) + 1;
        match self.action {
            Action::Kill if time == self.count => kill(),
            Action::Panic if time == self.count => panic!("{VARIABLE} lets the step {} panic", self.step),
            Action::Error if time <= self.count => {
                let message = format!("{VARIABLE} lets the step {} fail", self.step);
                Err(CheckpointError::new(CheckpointErrorKind::Failed, message))
            }
            Action::Wait(duration) if time <= self.count => {
                std::thread::sleep(duration);
                Ok(())
            }
            Action::Kill | Action::Panic | Action::Error | Action::Wait(_) => Ok(()),
        }
    }
}

/// As `kill -9`: nothing is tidied up.
fn kill() -> ! {
    let _ = signal_hook::low_level::raise(signal_hook::consts::SIGKILL);
    std::process::abort()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_comes_as_often_as_it_was_asked_for() {
        let points = Failpoints::parse("before_sync:error:2,after_manifest:error").unwrap();
        let failures = |step: Step| (0..4).filter(|_| points.reach(step).is_err()).count();
        assert_eq!(failures(Step::BeforeSync), 2);
        assert_eq!(failures(Step::AfterManifest), 4);
        assert_eq!(failures(Step::SegmentBegun), 0);
        assert!(points.is_set(Step::BeforeSync) && !points.is_set(Step::AfterSync));
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for wrong in
            ["x", "before_sync", "before_sync:die", "before_sync:kill:x", "before_sync:kill:1:1", "before_sync:wait"]
        {
            let error = Failpoints::parse(wrong).unwrap_err();
            assert!(error.kind() == CheckpointErrorKind::Usage && error.to_string().contains(wrong), "{error}");
        }
        for step in Step::ALL {
            Failpoints::parse(&format!("{step}:kill:3,{step}:wait:1:2")).unwrap();
        }
    }
}
