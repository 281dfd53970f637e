//! What of the pipeline a sample does not bear out, in words.

use crate::counter::EventTime;
use crate::findings::{Observed, findings};
use crate::pipeline::Pipeline;

/// Warnings of what is hardly meant, then notes of what was missing otherwise; one line each. All
/// events arrived `now`, in the event's unit.
pub(super) fn describe(pipeline: &Pipeline, observed: &Observed, now: EventTime) -> String {
    let mut text = String::new();
    if let Some(doubt) = observed.times.doubt(pipeline.event.time_unit, now) {
        text += &format!("warning: {doubt}\n");
    }
    let found = findings(pipeline, observed);
    if found.is_empty() && observed.routes.events() > 0 {
        text += "nothing that the file names was missing\n";
    }
    for finding in found {
        let kind = if finding.is_sure { "warning" } else { "note" };
        text += &format!("{kind}: {}\n", finding.text);
    }
    text
}
