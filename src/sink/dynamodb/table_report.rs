//! What is asked of a table, what it is like, and what became of the difference: said in plain words.

use std::fmt;

use super::attributes::EXPIRES_AT;
use super::table::Ttl;

/// What a table is to be like besides its key. What is not asked for is left as it is.
#[derive(Clone, Copy, Debug, Default)]
pub struct TableWishes {
    /// A table that is made without it is on demand.
    pub billing: Option<Billing>,
    /// Items are deleted some time after their `expiresAt`.
    pub ttl: bool,
    /// The table can be brought back as it was at any time of the last weeks.
    pub point_in_time_recovery: bool,
}

/// What a table's reads and writes are paid by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Billing {
    /// Each request.
    OnDemand,
    /// Units a second, used or not.
    Provisioned {
        /// Read units a second.
        read: u64,
        /// Write units a second.
        write: u64,
    },
}

impl fmt::Display for Billing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Billing::OnDemand => f.write_str("on demand"),
            Billing::Provisioned { read, write } => {
                write!(f, "provisioned, {read} read and {write} write units a second")
            }
        }
    }
}

/// What became of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableReport {
    /// The table, its region and its endpoint, to be shown.
    pub table: String,
    /// It was not there before.
    pub created: bool,
    /// Its settings that were asked for.
    pub settings: Vec<SettingReport>,
}

impl TableReport {
    /// Whether something is not as it was asked for.
    pub fn differs(&self) -> bool {
        self.settings.iter().any(|setting| matches!(setting.verdict, Verdict::Differs(_) | Verdict::Fixed { .. }))
    }

    /// Whether `--apply` would change something more.
    pub fn can_be_changed(&self) -> bool {
        self.settings.iter().any(|setting| matches!(setting.verdict, Verdict::Differs(_)))
    }
}

/// What became of one setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingReport {
    /// What it is called.
    pub name: &'static str,
    /// What it was found to be.
    pub is: String,
    /// What follows.
    pub verdict: Verdict,
}

/// Whether a setting is as it was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is.
    Right,
    /// It is now: what it has become.
    Changed(String),
    /// It is not, but can be changed: what was asked for.
    Differs(String),
    /// It is not, and cannot be changed now.
    Fixed {
        /// What was asked for.
        asked: String,
        /// Why not, and what to do.
        because: String,
    },
}

impl fmt::Display for SettingReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SettingReport { name, is, verdict } = self;
        match verdict {
            Verdict::Right => write!(f, "{name}: {is}"),
            Verdict::Changed(now) => write!(f, "{name}: was {is}, is now {now}"),
            Verdict::Differs(asked) => write!(f, "{name}: is {is}, asked for is {asked}"),
            Verdict::Fixed { asked, because } => write!(f, "{name}: is {is}, asked for is {asked} ({because})"),
        }
    }
}

pub(super) const TTL: &str = "TTL";
pub(super) const BILLING: &str = "billing";
pub(super) const POINT_IN_TIME_RECOVERY: &str = "point-in-time recovery";

/// What TTL is asked to be.
pub(super) fn ttl_by_expires_at() -> String {
    format!("on, by `{EXPIRES_AT}`")
}

pub(super) fn judge_ttl(ttl: &Ttl) -> SettingReport {
    let asked = ttl_by_expires_at();
    let (is, verdict) = match ttl {
        Ttl::On(attribute) if attribute == EXPIRES_AT => (asked, Verdict::Right),
        Ttl::TurningOn(attribute) if attribute == EXPIRES_AT => {
            (format!("being turned on, by `{EXPIRES_AT}`"), Verdict::Right)
        }
        Ttl::Off => ("off".to_owned(), Verdict::Differs(asked)),
        Ttl::TurningOff => {
            let because = "that takes up to an hour; run this again when it is off".to_owned();
            ("being turned off".to_owned(), Verdict::Fixed { asked, because })
        }
        Ttl::On(other) | Ttl::TurningOn(other) => {
            let because = format!(
                "the table deletes items by `{other}`, which somebody wanted: turn that off first, with `aws dynamodb \
                 update-time-to-live`, and run this again an hour later"
            );
            (format!("on, by `{other}`"), Verdict::Fixed { asked, because })
        }
    };
    SettingReport { name: TTL, is, verdict }
}

pub(super) fn judge_billing(is: Billing, asked: Billing) -> SettingReport {
    let verdict = if is == asked { Verdict::Right } else { Verdict::Differs(asked.to_string()) };
    SettingReport { name: BILLING, is: is.to_string(), verdict }
}

pub(super) fn judge_point_in_time_recovery(is_on: bool) -> SettingReport {
    let verdict = if is_on { Verdict::Right } else { Verdict::Differs("on".to_owned()) };
    SettingReport { name: POINT_IN_TIME_RECOVERY, is: if is_on { "on" } else { "off" }.to_owned(), verdict }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ttl_is_right_or_can_be_turned_on_or_must_be_waited_for() {
        let told = |ttl: Ttl| judge_ttl(&ttl).to_string();
        assert_eq!(told(Ttl::On("expiresAt".to_owned())), "TTL: on, by `expiresAt`");
        assert_eq!(told(Ttl::TurningOn("expiresAt".to_owned())), "TTL: being turned on, by `expiresAt`");
        assert_eq!(told(Ttl::Off), "TTL: is off, asked for is on, by `expiresAt`");
        for (ttl, hint) in [(Ttl::TurningOff, "up to an hour"), (Ttl::On("other".to_owned()), "turn that off first")] {
            let report = judge_ttl(&ttl);
            assert!(matches!(report.verdict, Verdict::Fixed { .. }) && report.to_string().contains(hint), "{report}");
        }
    }

    #[test]
    fn a_report_says_whether_something_is_left_and_can_be_changed() {
        let report = |settings: Vec<SettingReport>| TableReport { table: String::new(), created: false, settings };
        let right = judge_point_in_time_recovery(true);
        let wrong = judge_billing(Billing::OnDemand, Billing::Provisioned { read: 1, write: 2 });
        assert_eq!(
            wrong.to_string(),
            "billing: is on demand, asked for is provisioned, 1 read and 2 write units a second"
        );
        let fixed = judge_ttl(&Ttl::TurningOff);
        let said = |settings| {
            let report = report(settings);
            (report.differs(), report.can_be_changed())
        };
        assert_eq!(said(vec![right.clone()]), (false, false));
        assert_eq!(said(vec![right.clone(), wrong]), (true, true));
        assert_eq!(said(vec![fixed, right]), (true, false));
    }
}
