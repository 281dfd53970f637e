//! Visits: a series of views, and what follows from each.

use super::agenda::Agenda;
use super::config::FeedConfig;
use super::world::{PostId, UserId, World};
use crate::synthetic::Traffic;
use crate::synthetic::random::SplitMix64;

/// What somebody does with a post.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Action {
    View,
    TimeSpent,
    Like,
    Unlike,
    Click,
    Comment,
    ProfileClick,
    Share,
    Unshare,
}

impl Action {
    pub(super) fn event_name(self) -> &'static str {
        match self {
            Action::View => "view",
            Action::TimeSpent => "time_spent",
            Action::Like => "like",
            Action::Unlike => "unlike",
            Action::Click => "click",
            Action::Comment => "comment",
            Action::ProfileClick => "profile_click",
            Action::Share => "share",
            Action::Unshare => "unshare",
        }
    }
}

/// Where in the product posts are seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Surface {
    Feed,
    Search,
    Profile,
    Notification,
}

impl Surface {
    fn draw(random: &mut SplitMix64) -> Surface {
        match random.below(20) {
            0..14 => Surface::Feed,
            14..17 => Surface::Search,
            17..19 => Surface::Profile,
            _ => Surface::Notification,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Surface::Feed => "feed",
            Surface::Search => "search",
            Surface::Profile => "profile",
            Surface::Notification => "notification",
        }
    }
}

/// Somebody's stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Visit {
    pub user: UserId,
    pub surface: Surface,
    /// Everything of this visit arrives so much after it happened.
    pub late_by_ms: i64,
}

impl Visit {
    /// The event time of what arrives now.
    pub(super) fn time_of(&self, now: i64) -> i64 {
        now.saturating_sub(self.late_by_ms).max(0)
    }

    fn is_of_bot(&self) -> bool {
        self.user.0 > u64::from(Traffic::MOST_USERS)
    }
}

/// One event, but for its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Happening {
    pub action: Action,
    pub visit: Visit,
    pub post: PostId,
    /// Tenths of a second of `TimeSpent`, characters of a `Comment`; else 0.
    pub amount: u64,
}

/// Everybody who is there.
#[derive(Clone, Debug)]
pub(super) struct Visitors {
    world: World,
    random: SplitMix64,
    agenda: Agenda<Happening>,
    late_share: f64,
    late_by_ms: u64,
    /// A bot likes each post that it views: so half of its events are views.
    bot_view_share: f64,
    bots: Bots,
}

/// A post is pushed with a number of views, each of which is somebody else's.
#[derive(Clone, Debug, Default)]
struct Bots {
    target: Option<PostId>,
    views_left: u64,
    users_so_far: u64,
}

/// What may follow from a view whose post is of usual appeal, with its probability.
const REACTIONS: [(Action, f64); 5] = [
    (Action::Click, 0.12),
    (Action::Like, 0.09),
    (Action::ProfileClick, 0.025),
    (Action::Comment, 0.02),
    (Action::Share, 0.015),
];

impl Visitors {
    pub(super) fn new(config: &FeedConfig, world: World) -> Visitors {
        Visitors {
            world,
            random: SplitMix64::new(config.traffic.seed),
            agenda: Agenda::new(),
            late_share: config.traffic.late_share,
            late_by_ms: config.traffic.late_by_seconds.saturating_mul(1_000),
            bot_view_share: config.bot_share / 2.0,
            bots: Bots::default(),
        }
    }

    pub(super) fn world(&self) -> &World {
        &self.world
    }

    /// What happens now: what was planned, or else somebody new comes.
    pub(super) fn next(&mut self, now: i64) -> Happening {
        let (due, happening) = if self.random.unit() < self.bot_view_share {
            (now, self.bot_view(now))
        } else if let Some(planned) = self.agenda.take_due(now) {
            planned
        } else {
            (now, self.first_view(now))
        };
        self.plan_what_follows(&happening, now, now.saturating_sub(due));
        happening
    }

    fn first_view(&mut self, now: i64) -> Happening {
        let late_by_ms = self.late_by();
        let user = self.world.visitor(now, &mut self.random);
        let visit = Visit { user, surface: Surface::draw(&mut self.random), late_by_ms };
        self.view(visit, now)
    }

    fn late_by(&mut self) -> i64 {
        let is_late = self.random.unit() < self.late_share;
        let late_by = 1_000 + self.random.below(self.late_by_ms - 999);
        if is_late { late_by as i64 } else { 0 }
    }

    fn view(&mut self, visit: Visit, now: i64) -> Happening {
        let post = self.world.post_for(visit.user, visit.time_of(now), &mut self.random);
        Happening { action: Action::View, visit, post, amount: 0 }
    }

    fn bot_view(&mut self, now: i64) -> Happening {
        let user = UserId(u64::from(Traffic::MOST_USERS) + 1 + self.bots.users_so_far);
        let visit = Visit { user, surface: Surface::Feed, late_by_ms: 0 };
        self.bots.users_so_far += 1;
        if self.bots.views_left == 0 {
            self.bots.target = None;
            self.bots.views_left = 100 + self.random.below(900);
        }
        self.bots.views_left -= 1;
        let post = match self.bots.target {
            Some(post) => post,
            None => self.world.post_for(user, now, &mut self.random),
        };
        self.bots.target = Some(post);
        Happening { action: Action::View, visit, post, amount: 0 }
    }

    fn plan_what_follows(&mut self, happening: &Happening, now: i64, behind: i64) {
        match happening.action {
            Action::View if happening.visit.is_of_bot() => self.plan(happening, Action::Like, now + 1_000, 0),
            Action::View => self.plan_after_view(happening, now, behind),
            Action::Like if !happening.visit.is_of_bot() => self.perhaps_take_back(happening, Action::Unlike, now),
            Action::Share => self.perhaps_take_back(happening, Action::Unshare, now),
            _ => {}
        }
    }

    fn plan_after_view(&mut self, view: &Happening, now: i64, behind: i64) {
        /// So the views of a visit are ten in the mean.
        const ANOTHER: f64 = 0.9;
        /// When more happens than is asked for, visits end: so a log begins with a rush that is over at once.
        const LONGEST_BEHIND: i64 = 2_000;
        /// Whoever goes on sooner has not looked.
        const SHORTEST_LOOK: u64 = 20;
        let appeal = self.world.appeal(view.visit.user, view.post);
        let tenths = 5 + self.exponential(60.0 * appeal);
        let gone = now + 100 * tenths as i64;
        if tenths >= SHORTEST_LOOK {
            self.plan(view, Action::TimeSpent, gone, tenths);
        }
        for (action, probability) in REACTIONS {
            if self.random.unit() < probability * appeal {
                let length = if action == Action::Comment { 1 + self.exponential(80.0) } else { 0 };
                let when = now + self.random.below(100 * tenths) as i64;
                self.plan(view, action, when, length);
            }
        }
        if self.random.unit() < ANOTHER && behind <= LONGEST_BEHIND {
            let next = self.view(view.visit, gone);
            self.agenda.plan(gone, next);
        }
    }

    fn perhaps_take_back(&mut self, happening: &Happening, action: Action, now: i64) {
        const REGRET: f64 = 0.05;
        const MEAN_MS: f64 = 300_000.0;
        const LONGEST_MS: u64 = 3_600_000;
        if self.random.unit() < REGRET {
            let after = self.exponential(MEAN_MS).min(LONGEST_MS);
            self.plan(happening, action, now + 1 + after as i64, 0);
        }
    }

    fn plan(&mut self, after: &Happening, action: Action, due: i64, amount: u64) {
        self.agenda.plan(due, Happening { action, amount, ..*after });
    }

    /// A whole number with an exponential distribution of this mean.
    fn exponential(&mut self, mean: f64) -> u64 {
        (-libm::log(1.0 - self.random.unit()) * mean) as u64
    }
}
