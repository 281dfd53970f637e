//! What was probably meant.

use crate::pipeline::nearest;

/// What reads much like what was written, among what was seen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Likeness<'a> {
    pub(super) text: &'a str,
    /// Nothing in the file names it: so what is written is a slip of the pen.
    pub(super) is_slip: bool,
}

impl<'a> Likeness<'a> {
    /// The name that is nearest to the written one: rather one that the file does not name.
    pub(super) fn find(
        written: &str,
        seen: impl Iterator<Item = &'a str>,
        is_declared: impl Fn(&str) -> bool,
    ) -> Option<Likeness<'a>> {
        let (declared, free): (Vec<&str>, Vec<&str>) =
            seen.filter(|name| *name != written).partition(|name| is_declared(name));
        let slip = alike(written, &free).map(|text| Likeness { text, is_slip: true });
        slip.or_else(|| alike(written, &declared).map(|text| Likeness { text, is_slip: false }))
    }
}

/// A text that is nearly the same; or, of paths, one that ends in the same name. Of names of two letters each would be
/// near to each, so these must be the same.
fn alike<'a>(written: &str, seen: &[&'a str]) -> Option<&'a str> {
    let is_long = |text: &str| text.chars().count() > 2;
    let (whole, last) = (plain(written), plain(last_name(written)));
    let near = is_long(&whole).then(|| nearest(written, seen.iter().copied())).flatten();
    let ends_alike = |name: &str| plain(name) == whole || is_long(&last) && plain(last_name(name)) == last;
    near.or_else(|| seen.iter().copied().find(|name| ends_alike(name)))
}

fn last_name(path: &str) -> &str {
    path.rsplit('.').next().unwrap_or(path)
}

/// Without what one writes differently from place to place.
fn plain(name: &str) -> String {
    name.chars().filter(|letter| letter.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find<'a>(written: &str, free: &[&'a str], declared: &[&'a str]) -> Option<(&'a str, bool)> {
        let seen = free.iter().chain(declared).copied();
        Likeness::find(written, seen, |name| declared.contains(&name)).map(|found| (found.text, found.is_slip))
    }

    #[test]
    fn a_slip_reads_like_something_that_nothing_names() {
        assert_eq!(find("userid", &["userId", "postId"], &[]), Some(("userId", true)));
        assert_eq!(find("user_id", &["userId"], &["userIp"]), Some(("userId", true)));
        assert_eq!(find("price1", &[], &["price2"]), Some(("price2", false)));
        assert_eq!(find("price", &["colour"], &["size"]), None);
    }

    #[test]
    fn a_field_may_stand_in_an_object() {
        assert_eq!(find("userId", &["payload.user_id", "at"], &[]), Some(("payload.user_id", true)));
        assert_eq!(find("user.id", &["userId"], &[]), Some(("userId", true)));
        assert_eq!(find("user.id", &["post.id"], &[]), None);
    }

    #[test]
    fn of_short_names_only_the_same_one_is_alike() {
        assert_eq!(find("a", &["b", "A"], &[]), Some(("A", true)));
        assert_eq!(find("ab", &["ac"], &[]), None);
    }
}
