//! Feature names: no two groups, and no two measures of one group, may make the same one.
//!
//! The key text and the feature name are an item's primary key, and keys of different groups may
//! read the same (`a|b` is one field's value or two). So the names alone must tell items apart,
//! also those that come from events nobody has seen yet. Of two measures that name their features
//! after whatever event comes, either the text before the event or the one behind it must differ
//! for good; between groups that take every event the text before it must, by which a reader can
//! tell the groups apart.

use std::collections::HashMap;
use std::ops::Range;

use super::error::Fault;
use super::group::{EventSelector, Group, GroupId, Measure, MeasureId};

/// The longest feature name in bytes, DynamoDB's limit for a sort key.
pub(crate) const MAX_FEATURE_NAME_BYTES: usize = 1024;

/// One measure of one group, as the maker of feature names.
#[derive(Clone, Copy, Debug)]
struct Maker<'a> {
    group: &'a Group,
    group_id: GroupId,
    measure: &'a Measure,
    measure_id: MeasureId,
    span: &'a Range<usize>,
}

/// The feature names of every event there may be: what stands before and behind the event's name.
#[derive(Debug)]
struct OpenNames<'a> {
    prefix: String,
    suffix: String,
    maker: Maker<'a>,
}

fn makers<'a>(groups: &'a [Group], spans: &'a [Range<usize>]) -> impl Iterator<Item = Maker<'a>> {
    groups.iter().zip(spans).zip(0..).flat_map(|((group, span), group_id)| {
        group.measures.iter().zip(0..).map(move |(measure, measure_id)| Maker {
            group,
            group_id: GroupId(group_id),
            measure,
            measure_id: MeasureId(measure_id),
            span,
        })
    })
}

impl<'a> Maker<'a> {
    fn open_names(self) -> Option<OpenNames<'a>> {
        if self.group.events != EventSelector::All {
            return None;
        }
        let (prefix, suffix) = self.group.feature.around_event(&self.group.name, &self.measure.name)?;
        Some(OpenNames { prefix, suffix, maker: self })
    }

    fn fixed_names(self) -> Vec<String> {
        self.group.fixed_names(self.measure_id)
    }
}

/// Refuses groups of which two could make the same feature name. `spans[i]` is where the names of
/// `groups[i]` are written.
pub(super) fn refuse_collisions(groups: &[Group], spans: &[Range<usize>]) -> Result<(), Fault> {
    let mut fixed: HashMap<String, Maker<'_>> = HashMap::new();
    let mut open: Vec<OpenNames<'_>> = Vec::new();
    for maker in makers(groups, spans) {
        match maker.open_names() {
            Some(names) => open.push(names),
            None => maker.fixed_names().into_iter().try_for_each(|name| add_fixed(&mut fixed, name, maker))?,
        }
    }
    refuse_open_against_open(&open)?;
    refuse_fixed_against_open(&fixed, &open)
}

fn add_fixed<'a>(fixed: &mut HashMap<String, Maker<'a>>, name: String, maker: Maker<'a>) -> Result<(), Fault> {
    if name.len() > MAX_FEATURE_NAME_BYTES {
        let message = format!("a feature name of {} bytes is too long: at most {MAX_FEATURE_NAME_BYTES}", name.len());
        return Err(Fault::new(maker.span.clone(), message));
    }
    match fixed.get(&name) {
        Some(other) => Err(collision(*other, maker, &format!("the feature \"{name}\""))),
        None => {
            fixed.insert(name, maker);
            Ok(())
        }
    }
}

fn refuse_open_against_open(open: &[OpenNames<'_>]) -> Result<(), Fault> {
    for (index, later) in open.iter().enumerate() {
        for earlier in &open[..index] {
            let same_group = earlier.maker.group_id == later.maker.group_id;
            let prefixes_meet = one_starts_the_other(&earlier.prefix, &later.prefix);
            let suffixes_meet = earlier.suffix.ends_with(&later.suffix) || later.suffix.ends_with(&earlier.suffix);
            if prefixes_meet && (suffixes_meet || !same_group) {
                return Err(open_collision(earlier, later));
            }
        }
    }
    Ok(())
}

fn one_starts_the_other(one: &str, other: &str) -> bool {
    one.starts_with(other) || other.starts_with(one)
}

fn refuse_fixed_against_open(fixed: &HashMap<String, Maker<'_>>, open: &[OpenNames<'_>]) -> Result<(), Fault> {
    let mut names: Vec<(&String, &Maker<'_>)> = fixed.iter().collect();
    names.sort_unstable_by_key(|(name, _)| *name);
    for (name, maker) in names {
        if let Some(other) = open.iter().find(|open| open.makes(name)) {
            let (earlier, later) =
                if maker.group_id <= other.maker.group_id { (*maker, other.maker) } else { (other.maker, *maker) };
            return Err(collision(earlier, later, &format!("the feature \"{name}\"")));
        }
    }
    Ok(())
}

impl OpenNames<'_> {
    /// Whether some event could be called so that the feature gets this name.
    fn makes(&self, name: &str) -> bool {
        let longer = name.len() > self.prefix.len() + self.suffix.len();
        longer && name.starts_with(&self.prefix) && name.ends_with(&self.suffix)
    }
}

fn collision(earlier: Maker<'_>, later: Maker<'_>, what: &str) -> Fault {
    let message = if earlier.group_id == later.group_id {
        format!(
            "the measures {} and {} of the group \"{}\" both make {what}: put {{measure}} into feature, apart from {{event}}",
            earlier.measure.name, later.measure.name, later.group.name
        )
    } else {
        format!(
            "the groups \"{}\" and \"{}\" both make {what}: give one of them another feature, for example feature = \"{}.{{event}}.{{measure}}\"",
            earlier.group.name, later.group.name, later.group.name
        )
    };
    Fault::new(later.span.clone(), message)
}

fn open_collision(earlier: &OpenNames<'_>, later: &OpenNames<'_>) -> Fault {
    if earlier.maker.group_id == later.maker.group_id {
        return collision(earlier.maker, later.maker, "the same features");
    }
    let message = format!(
        "the groups \"{}\" and \"{}\" take every event and could make the same features: before {{event}} each needs a \
         text of its own, of which none begins the other; here they are \"{}\" and \"{}\"",
        earlier.maker.group.name, later.maker.group.name, earlier.prefix, later.prefix
    );
    Fault::new(later.maker.span.clone(), message)
}

#[cfg(test)]
mod tests {
    use crate::pipeline::Pipeline;

    /// A pipeline with one group per (name, events, further lines), each group in nine lines from line 3 on.
    fn check(groups: &[(&str, &str, &str)]) -> Result<(), String> {
        let mut text = "name = \"p\"\nevent = { name = \"n\", time = \"t\" }\n".to_owned();
        for (name, events, more) in groups {
            let group =
                format!("[[counters]]\nname = \"{name}\"\nkey = [\"k\"]\nevents = {events}\ndecays = [\"5s\"]\n{more}");
            text.push_str(&group);
            text.push_str(&"\n".repeat(9 - group.lines().count()));
            if !group.ends_with('\n') {
                text.push('\n');
            }
        }
        Pipeline::parse(&text, "p", &|_| None).map(|_| ()).map_err(|error| error.to_string())
    }

    #[track_caller]
    fn assert_collides(groups: &[(&str, &str, &str)], expected: &str) {
        assert_eq!(check(groups), Err(expected.to_owned()));
    }

    const ALL: &str = "\"*\"";
    const LIKE: &str = "[\"like\"]";
    const TWO: &str = "measures = [\"count\", \"sum(count)\"]\n";

    fn two_measures(feature: &str) -> String {
        format!("{TWO}feature = \"{feature}\"")
    }

    #[test]
    fn groups_with_names_of_their_own_stand_together() {
        let pooled = "feature = \"interactions\"";
        assert_eq!(check(&[("a", ALL, ""), ("b", ALL, ""), ("c", LIKE, ""), ("d", ALL, pooled)]), Ok(()));
        assert_eq!(
            check(&[("a", LIKE, "feature = \"{event}\""), ("b", "[\"view\"]", "feature = \"{event}\"")]),
            Ok(())
        );
        assert_eq!(check(&[("a", ALL, "feature = \"{event}\"")]), Ok(()));
    }

    #[test]
    fn two_groups_that_make_the_same_feature_are_refused() {
        assert_collides(
            &[("a", "[\"view\", \"like\"]", "feature = \"{event}\""), ("b", LIKE, "feature = \"{event}\"")],
            "p:17: the groups \"a\" and \"b\" both make the feature \"like\": \
             give one of them another feature, for example feature = \"b.{event}.{measure}\"",
        );
        assert_collides(
            &[("a", ALL, "feature = \"x\""), ("a.b", "[\"c\"]", ""), ("c", LIKE, "feature = \"a.b.c.count\"")],
            "p:26: the groups \"a.b\" and \"c\" both make the feature \"a.b.c.count\": \
             give one of them another feature, for example feature = \"c.{event}.{measure}\"",
        );
    }

    #[test]
    fn groups_of_every_event_need_prefixes_of_which_none_begins_another() {
        let expected = |line: u32, names: [&str; 4]| {
            let [a, b, before_a, before_b] = names;
            format!(
                "p:{line}: the groups \"{a}\" and \"{b}\" take every event and could make the same features: \
                 before {{event}} each needs a text of its own, of which none begins the other; \
                 here they are \"{before_a}\" and \"{before_b}\""
            )
        };
        let groups = [("a", ALL, ""), ("b", ALL, "feature = \"{event}\"")];
        assert_collides(&groups, &expected(17, ["a", "b", "a.", ""]));
        let groups = [("a", ALL, "feature = \"{event}.a\""), ("b", ALL, "feature = \"{event}.b\"")];
        assert_collides(&groups, &expected(17, ["a", "b", "", ""]));
        let groups = [("user.x", ALL, ""), ("user", ALL, "")];
        assert_collides(&groups, &expected(12, ["user.x", "user", "user.x.", "user."]));
        let groups =
            [("a", ALL, two_measures("{measure}:{event}")), ("b", ALL, "feature = \"count:{event}\"".to_owned())];
        let groups: Vec<_> = groups.iter().map(|(name, events, more)| (*name, *events, more.as_str())).collect();
        assert_collides(&groups, &expected(17, ["a", "b", "count:", "count:"]));
    }

    #[test]
    fn a_listed_or_pooled_name_that_some_event_could_make_is_refused() {
        let expected = |line: u32, groups: [&str; 2], name: &str| {
            let [earlier, later] = groups;
            format!(
                "p:{line}: the groups \"{earlier}\" and \"{later}\" both make the feature \"{name}\": give one of them \
                 another feature, for example feature = \"{later}.{{event}}.{{measure}}\""
            )
        };
        let groups = [("a", ALL, "feature = \"{event}\""), ("b", LIKE, "")];
        assert_collides(&groups, &expected(12, ["a", "b"], "b.like.count"));
        let groups = [("b", LIKE, ""), ("a", ALL, "feature = \"{event}\"")];
        assert_collides(&groups, &expected(17, ["b", "a"], "b.like.count"));
        let groups = [("a", ALL, "feature = \"u:{event}\""), ("b", ALL, "feature = \"u:all\"")];
        assert_collides(&groups, &expected(17, ["a", "b"], "u:all"));
        let groups = [("a", ALL, "feature = \"u:{event}\""), ("b", ALL, "feature = \"u:\"")];
        assert_eq!(check(&groups), Ok(()), "an event's name is not empty");
    }

    #[test]
    fn several_measures_need_their_place_in_the_name() {
        let expected = |line: u32, what: &str| {
            format!(
                "p:{line}: the measures count and sum_count of the group \"a\" both make {what}: \
                 put {{measure}} into feature, apart from {{event}}"
            )
        };
        assert_collides(&[("a", ALL, &two_measures("{event}"))], &expected(9, "the same features"));
        assert_collides(&[("a", LIKE, &two_measures("{event}"))], &expected(9, "the feature \"like\""));
        assert_collides(&[("a", ALL, &two_measures("all"))], &expected(9, "the feature \"all\""));
        // The event "xsum_" and the event "x" would make the same name.
        assert_collides(&[("a", ALL, &two_measures("{event}{measure}"))], &expected(9, "the same features"));
        for feature in ["{event}.{measure}", "{measure}.{event}", "{measure}{event}"] {
            assert_eq!(check(&[("a", ALL, &two_measures(feature))]), Ok(()), "{feature}");
        }
        assert_eq!(check(&[("a", ALL, TWO)]), Ok(()), "the default has it");
    }

    #[test]
    fn a_name_that_no_table_could_hold_is_refused() {
        let feature = format!("feature = \"{}\"", "x".repeat(1025));
        assert_collides(&[("a", ALL, &feature)], "p:8: a feature name of 1025 bytes is too long: at most 1024");
        assert_eq!(check(&[("a", ALL, &format!("feature = \"{}\"", "x".repeat(1024)))]), Ok(()));
    }
}
