//! When a run may send its first write.
//!
//! An earlier run may have sent requests that are carried out only now: unconditional ones would take back what this run
//! writes. So nothing is sent before they are certain to be over: a request is given up `request_timeout` after it
//! was sent, and can be carried out for `settle` after that. Only writing waits for it; reading and counting do not. With
//! `fence` a condition takes the place of the wait.

use std::time::{Duration, Instant};

use crate::pipeline::DynamoDbConfig;
use crate::sink::SinkOptions;

/// The wait before a run's first write.
#[derive(Debug)]
pub(super) struct FirstWrite {
    begins: Instant,
    /// Whoever started the run is still to be told.
    tells: bool,
}

impl FirstWrite {
    /// Of a run that has opened its table `opened`. `is_empty`: there was nothing in it.
    pub(super) fn new(config: &DynamoDbConfig, options: &SinkOptions, opened: Instant, is_empty: bool) -> FirstWrite {
        let since = options.alone_since.unwrap_or(opened);
        let (since, wait) = match options.goes_on {
            _ if config.fence => (opened, Duration::ZERO),
            // The table may be empty because the first write of all is still on its way.
            true => (since, config.request_timeout + config.settle),
            false if is_empty => (opened, Duration::ZERO),
            false => (opened, config.settle),
        };
        FirstWrite { begins: since + wait, tells: options.goes_on }
    }

    /// No request may begin before this.
    pub(super) fn begins(&self) -> Instant {
        self.begins
    }

    /// How long the wait still is, to be told now that something waits for it; once.
    pub(super) fn take_telling(&mut self, now: Instant) -> Option<Duration> {
        let left = self.begins.saturating_duration_since(now);
        (!left.is_zero() && std::mem::take(&mut self.tells)).then_some(left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUEST: Duration = Duration::from_secs(15);
    const SETTLE: Duration = Duration::from_secs(10);

    fn first(fence: bool, goes_on: bool, is_empty: bool, alone_for: Option<Duration>) -> (FirstWrite, Instant) {
        let config = DynamoDbConfig {
            fence,
            request_timeout: REQUEST,
            settle: SETTLE,
            ..DynamoDbConfig::of_table("UserCounters")
        };
        let opened = Instant::now() + Duration::from_secs(3_600);
        let alone_since = alone_for.map(|alone_for| opened - alone_for);
        let options = SinkOptions { goes_on, alone_since, ..SinkOptions::default() };
        (FirstWrite::new(&config, &options, opened, is_empty), opened)
    }

    fn wait(fence: bool, goes_on: bool, is_empty: bool, alone_for: Option<Duration>) -> Duration {
        let (first, opened) = first(fence, goes_on, is_empty, alone_for);
        first.begins().saturating_duration_since(opened)
    }

    #[test]
    fn a_run_that_goes_on_waits_until_no_earlier_write_can_be_carried_out() {
        for is_empty in [false, true] {
            assert_eq!(wait(false, true, is_empty, None), REQUEST + SETTLE);
            let alone = |seconds| Some(Duration::from_secs(seconds));
            assert_eq!(wait(false, true, is_empty, alone(20)), Duration::from_secs(5));
            assert_eq!(wait(false, true, is_empty, alone(40)), Duration::ZERO);
            assert_eq!(wait(true, true, is_empty, None), Duration::ZERO, "a condition is enough");
        }
    }

    #[test]
    fn it_waits_longer_where_processes_of_the_run_before_may_go_on_to_send() {
        let opened = Instant::now();
        let config =
            DynamoDbConfig { request_timeout: REQUEST, settle: SETTLE, ..DynamoDbConfig::of_table("UserCounters") };
        let ten = Duration::from_secs(10);
        let options = SinkOptions { goes_on: true, alone_since: Some(opened + ten), ..SinkOptions::default() };
        assert_eq!(FirstWrite::new(&config, &options, opened, false).begins() - opened, ten + REQUEST + SETTLE);
    }

    #[test]
    fn a_run_that_starts_over_waits_where_another_may_have_written() {
        assert_eq!(wait(false, false, false, None), SETTLE);
        assert_eq!(wait(false, false, true, None), Duration::ZERO);
        assert_eq!(wait(true, false, false, None), Duration::ZERO);
    }

    #[test]
    fn the_wait_is_told_once_and_only_while_there_is_one() {
        let (mut going_on, opened) = first(false, true, false, None);
        let later = opened + Duration::from_secs(2);
        assert_eq!(going_on.take_telling(later), Some(Duration::from_secs(23)));
        assert_eq!(going_on.take_telling(later), None);
        let (mut late, opened) = first(false, true, false, None);
        assert_eq!(late.take_telling(opened + REQUEST + SETTLE), None);
        let (mut starting_over, opened) = first(false, false, false, None);
        assert_eq!(starting_over.take_telling(opened), None);
    }
}
