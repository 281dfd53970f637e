//! What a synthetic feed is like.

use crate::event::TimeUnit;
use crate::synthetic::Traffic;

/// What a synthetic feed is like.
#[derive(Clone, Debug, PartialEq)]
pub struct FeedConfig {
    /// Who makes events, bots aside, and when. There is a creator for every ten users, and at least one for
    /// every category. Times are in seconds here, whatever the unit of the log's times.
    pub traffic: Traffic,
    /// The share of events that bots make, from 0 to 1.
    pub bot_share: f64,
    /// The field with the event's name.
    pub name_field: String,
    /// The field with the event's time.
    pub time_field: String,
    /// The unit of the event's time.
    pub time_unit: TimeUnit,
}
