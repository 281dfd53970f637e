//! Whether a run is ready, from what is known of it.

use std::time::Duration;

use super::View;
use crate::telemetry::At;
use crate::telemetry::http::Verdict;

/// A request that fails and is tried again makes no outage.
const AWAY_AFTER: Duration = Duration::from_secs(3);
/// A sink that is written to takes something within this.
const SILENT_AFTER: Duration = Duration::from_secs(15);

/// What decides.
#[derive(Clone, Debug)]
pub struct Facts {
    pub at: At,
    /// The brokers of a topic do not answer.
    pub is_without_brokers: bool,
    /// A worker may publish nothing yet.
    pub is_held: bool,
    /// Not everything is read yet that there was at the start.
    pub is_behind: bool,
    /// How much is still to be read, where that is known.
    pub lag: Option<u64>,
    /// What the sink has refused to take, for a while.
    pub sink_trouble: Option<String>,
    /// How long it has taken nothing of what it was given.
    pub sink_silence: Option<Duration>,
    /// Why the last checkpoint could not be made.
    pub checkpoint_trouble: Option<String>,
}

/// Yes, where source and sink are connected, and everything is restored and caught up.
pub fn ready(facts: &Facts) -> Verdict {
    let sink = facts.sink_trouble.as_ref().map(|trouble| format!("the sink is away: {trouble}"));
    match (&facts.at, sink) {
        (At::Start, _) => return Err("starts".to_owned()),
        (At::Opening(what), None) => return Err(what.clone()),
        (At::Opening(what), Some(sink)) => return Err(format!("{what}: {sink}")),
        (At::Stop, _) => return Err("stops: nothing more is read".to_owned()),
        (At::Work, Some(sink)) => return Err(sink),
        (At::Work, None) => {}
    }
    if let Some(silence) = facts.sink_silence.filter(|silence| *silence >= SILENT_AFTER) {
        return Err(format!("the sink is away: it has taken nothing for {:.0} s", silence.as_secs_f64()));
    }
    if facts.is_without_brokers {
        return Err("waits for Kafka: the brokers do not answer".to_owned());
    }
    if let Some(trouble) = &facts.checkpoint_trouble {
        return Err(format!("checkpoints fail: {trouble}"));
    }
    let left = facts.lag.filter(|lag| *lag > 0).map_or(String::new(), |lag| format!(", {lag} messages are to be read"));
    if facts.is_behind {
        return Err(format!("catches up with what there was at the start{left}"));
    }
    if facts.is_held {
        return Err(format!("counts again what was published before, and publishes nothing until then{left}"));
    }
    Ok(())
}

impl View {
    pub(super) fn facts(&self) -> Facts {
        let (metrics, known) = (&self.metrics, self.known.get());
        let caught_up = known.and_then(|known| known.caught_up.as_ref());
        Facts {
            at: metrics.stage.at(),
            is_without_brokers: known.is_some_and(|known| known.reading.is_without_brokers()),
            is_held: metrics.pulse.seen().iter().any(|worker| !worker.has_ended && worker.state.is_held),
            is_behind: caught_up.is_some_and(|caught_up| caught_up.epoch().is_none()),
            lag: known.and_then(|known| known.reading.lag()),
            sink_trouble: metrics.sink_trouble.lasting(AWAY_AFTER),
            sink_silence: metrics.sink_silence.lasts(),
            checkpoint_trouble: metrics.checkpoints.trouble(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const READY: Facts = Facts {
        at: At::Work,
        is_without_brokers: false,
        is_held: false,
        is_behind: false,
        lag: Some(9),
        sink_trouble: None,
        sink_silence: Some(Duration::from_secs(1)),
        checkpoint_trouble: None,
    };

    #[test]
    fn whoever_is_not_ready_says_why() {
        assert_eq!(ready(&READY), Ok(()));
        let no = |facts: Facts| ready(&facts).unwrap_err();
        let trouble = || Some("no answer".to_owned());
        let opening = || At::Opening("waits for Kafka".to_owned());
        assert_eq!(no(Facts { at: At::Start, ..READY }), "starts");
        assert_eq!(no(Facts { at: opening(), ..READY }), "waits for Kafka");
        let both = Facts { at: opening(), sink_trouble: trouble(), ..READY };
        assert_eq!(no(both), "waits for Kafka: the sink is away: no answer");
        assert!(no(Facts { at: At::Stop, ..READY }).starts_with("stops"));
        assert_eq!(no(Facts { sink_trouble: trouble(), ..READY }), "the sink is away: no answer");
        let silent = Facts { sink_silence: Some(SILENT_AFTER), ..READY };
        assert_eq!(no(silent), "the sink is away: it has taken nothing for 15 s");
        assert!(no(Facts { is_without_brokers: true, ..READY }).starts_with("waits for Kafka"));
        assert_eq!(no(Facts { checkpoint_trouble: trouble(), ..READY }), "checkpoints fail: no answer");
        let behind = "catches up with what there was at the start, 9 messages are to be read";
        assert_eq!(no(Facts { is_behind: true, ..READY }), behind);
        assert!(no(Facts { is_held: true, lag: Some(0), ..READY }).ends_with("publishes nothing until then"));
    }
}
