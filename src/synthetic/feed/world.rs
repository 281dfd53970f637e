//! Creators, posts and tastes. Nothing of it is stored: what a person or a post is like is worked out
//! from its id and the seed.

use super::super::Population;
use super::super::random::{SplitMix64, Zipf};

/// A creator posts once in a time that lies between these two, in milliseconds.
const SHORTEST_RHYTHM: u64 = 3_600_000;
const LONGEST_RHYTHM: u64 = 6 * 3_600_000;

/// Views of a post come at ages that are distributed like the sum of two exponential times of so many
/// milliseconds: few at first, most after three hours, hardly any after a day.
const AGE_SCALE: f64 = 3.0 * 3_600_000.0;

/// Every post has one to three of these, the first of which is its creator's own.
pub(super) const CATEGORIES: [&str; 40] = [
    "music",
    "sports",
    "travel",
    "food",
    "news",
    "gaming",
    "fashion",
    "science",
    "film",
    "pets",
    "art",
    "fitness",
    "books",
    "cars",
    "nature",
    "comedy",
    "beauty",
    "history",
    "diy",
    "dance",
    "politics",
    "photography",
    "anime",
    "health",
    "space",
    "football",
    "gardening",
    "architecture",
    "cooking",
    "hiking",
    "design",
    "parenting",
    "money",
    "chess",
    "theatre",
    "cycling",
    "sailing",
    "languages",
    "robots",
    "weather",
];

/// A user. Numbers above [`super::super::Traffic::MOST_USERS`] are those of bots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct UserId(pub u64);

/// A creator, from 0 on; the home category is the id modulo the number of categories.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CreatorId(pub u64);

/// A post: the creator's id plus the number of creators times how often that creator has posted since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct PostId(pub u64);

/// The index of a category in [`CATEGORIES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CategoryId(pub usize);

/// What there is to see, and who likes to see what.
#[derive(Clone, Debug)]
pub(super) struct World {
    seed: u64,
    users: Population,
    /// Those of one category: there are as many in each.
    creators_of_category: Population,
    categories: Zipf,
}

/// What an attribute is worked out for, so that no two attributes hang together.
#[derive(Clone, Copy)]
enum About {
    Hours = 1,
    Taste = 2,
    Favourite = 3,
    Rhythm = 4,
    Quality = 5,
    Topics = 6,
}

impl World {
    pub(super) fn new(users: u32, zipf: f64, seed: u64) -> World {
        let creators = (users / 10).max(1);
        World {
            seed,
            users: Population::new(users, zipf),
            creators_of_category: Population::new(creators.div_ceil(CATEGORIES.len() as u32), zipf),
            categories: Zipf::new(CATEGORIES.len() as u32, 0.7),
        }
    }

    fn about(&self, about: About, id: u64) -> SplitMix64 {
        let mixed = SplitMix64::new(id ^ ((about as u64) << 56)).next();
        SplitMix64::new(self.seed ^ mixed)
    }

    /// Somebody who is up at this hour: mostly one of those whose hours these are.
    pub(super) fn visitor(&self, time_ms: i64, random: &mut SplitMix64) -> UserId {
        const TRIES: usize = 4;
        const OUT_OF_HOURS: f64 = 0.1;
        let hour = time_ms.div_euclid(3_600_000).rem_euclid(24) as u64;
        let mut user = UserId(0);
        for _ in 0..TRIES {
            user = UserId(u64::from(self.users.draw(random)));
            if self.is_active(user, hour) || random.unit() < OUT_OF_HOURS {
                break;
            }
        }
        user
    }

    /// Everybody has ten hours of the day.
    pub(super) fn is_active(&self, user: UserId, hour: u64) -> bool {
        let first = self.about(About::Hours, user.0).below(24);
        (hour + 24 - first) % 24 < 10
    }

    /// What this user sees at this time: mostly what suits them, mostly what goes well.
    pub(super) fn post_for(&self, user: UserId, time_ms: i64, random: &mut SplitMix64) -> PostId {
        const TRIES: usize = 3;
        let category = self.category_for(user, random);
        let creator = self.creator_for(user, category, random);
        let mut post = PostId(0);
        for _ in 0..TRIES {
            let age = -libm::log((1.0 - random.unit()) * (1.0 - random.unit())) * AGE_SCALE;
            post = self.newest_post(creator, time_ms.saturating_sub(age as i64));
            let quality = self.quality(post);
            if random.unit() < 0.1 + 0.9 * quality * quality {
                break;
            }
        }
        post
    }

    fn category_for(&self, user: UserId, random: &mut SplitMix64) -> CategoryId {
        const OF_TASTE: f64 = 0.6;
        if random.unit() < OF_TASTE {
            let nth = random.below(3) as usize;
            self.taste(user)[nth]
        } else {
            CategoryId(self.categories.draw(random) as usize - 1)
        }
    }

    /// The three categories that a user prefers; they may be the same.
    fn taste(&self, user: UserId) -> [CategoryId; 3] {
        let mut random = self.about(About::Taste, user.0);
        [(); 3].map(|()| CategoryId(random.below(CATEGORIES.len() as u64) as usize))
    }

    /// In every category a user has a few favourite creators, more often popular ones.
    fn creator_for(&self, user: UserId, category: CategoryId, random: &mut SplitMix64) -> CreatorId {
        const FAVOURITE: f64 = 0.4;
        let nth = if random.unit() < FAVOURITE {
            let which = (category.0 as u64) << 40 | random.below(3) << 48;
            let skewed = self.about(About::Favourite, user.0 ^ which).unit();
            self.creators_of_category.of_rank(1 + (skewed * skewed * f64::from(self.creators_of_category.size)) as u32)
        } else {
            self.creators_of_category.draw(random)
        };
        CreatorId(u64::from(nth - 1) * CATEGORIES.len() as u64 + category.0 as u64)
    }

    fn creator_count(&self) -> u64 {
        u64::from(self.creators_of_category.size) * CATEGORIES.len() as u64
    }

    /// How often a creator posts, and when for the first time since 1970; in milliseconds.
    fn rhythm(&self, creator: CreatorId) -> (u64, u64) {
        let mut random = self.about(About::Rhythm, creator.0);
        let rhythm = SHORTEST_RHYTHM + random.below(LONGEST_RHYTHM - SHORTEST_RHYTHM);
        (rhythm, random.below(rhythm))
    }

    /// The creator's last post before this time (or the first one ever).
    fn newest_post(&self, creator: CreatorId, time_ms: i64) -> PostId {
        let (rhythm, first) = self.rhythm(creator);
        let posted_before = (time_ms.max(0) as u64).saturating_sub(first) / rhythm;
        PostId(posted_before * self.creator_count() + creator.0)
    }

    pub(super) fn creator(&self, post: PostId) -> CreatorId {
        CreatorId(post.0 % self.creator_count())
    }

    /// When the post was made.
    #[cfg(test)]
    pub(super) fn created(&self, post: PostId) -> i64 {
        let (rhythm, first) = self.rhythm(self.creator(post));
        (post.0 / self.creator_count() * rhythm + first) as i64
    }

    /// How well a post goes, from 0 to 1.
    fn quality(&self, post: PostId) -> f64 {
        self.about(About::Quality, post.0).unit()
    }

    /// How much more likely than usual this user is to do something with this post.
    pub(super) fn appeal(&self, user: UserId, post: PostId) -> f64 {
        let home = CategoryId(self.creator(post).0 as usize % CATEGORIES.len());
        let suits = if self.taste(user).contains(&home) { 1.4 } else { 0.7 };
        suits * (0.3 + 1.4 * self.quality(post))
    }

    /// The post's categories, all different.
    pub(super) fn categories(&self, post: PostId) -> impl Iterator<Item = &'static str> {
        let all = CATEGORIES.len();
        let home = self.creator(post).0 as usize % all;
        let mut random = self.about(About::Topics, post.0);
        let more = [0, 0, 0, 1, 1, 2][random.below(6) as usize];
        let step = 1 + random.below(all as u64 / 2 - 1) as usize;
        (0..=more).map(move |nth| CATEGORIES[(home + nth * step) % all])
    }
}
