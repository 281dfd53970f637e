//! Patterns on feature names: `*` is any text, be it empty, `?` any one character, everything else
//! itself. They match whole names, with their case.

/// A pattern, as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern(pub String);

/// Names that differ only in what the event is called: what stands before the event's name and
/// what stands behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct OpenName {
    pub prefix: String,
    pub suffix: String,
}

/// A piece of what is matched.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Symbol {
    Letter(char),
    /// A text that is not yet known; not empty.
    Unknown,
}

/// What is asked of the names that an unknown text can make.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Quantifier {
    Some,
    Every,
}

impl Pattern {
    /// Whether the pattern matches this name.
    pub(super) fn matches(&self, name: &str) -> bool {
        self.fits(&letters(name).collect::<Vec<_>>(), Quantifier::Some)
    }

    /// Whether the pattern matches the name for some event.
    pub(super) fn may_match(&self, name: &OpenName) -> bool {
        self.fits(&name.symbols(), Quantifier::Some)
    }

    /// Whether the pattern matches the name whatever the event is called.
    pub(super) fn covers(&self, name: &OpenName) -> bool {
        self.fits(&name.symbols(), Quantifier::Every)
    }

    /// Goes through the pattern and keeps, for each number of symbols, whether the pattern so far fits
    /// exactly that many: as many steps as pattern times name is long, whatever the pattern.
    fn fits(&self, symbols: &[Symbol], quantifier: Quantifier) -> bool {
        let mut fitting = vec![false; symbols.len() + 1];
        fitting[0] = true;
        for wanted in self.0.chars() {
            let mut next = vec![false; symbols.len() + 1];
            next[0] = wanted == '*' && fitting[0];
            for (index, symbol) in symbols.iter().enumerate() {
                next[index + 1] = match (wanted, symbol) {
                    ('*', _) => fitting[index + 1] || next[index],
                    ('?', Symbol::Letter(_)) => fitting[index],
                    (wanted, Symbol::Letter(letter)) => wanted == *letter && fitting[index],
                    // The unknown text may begin with what is wanted, or go on with it.
                    (_, Symbol::Unknown) => quantifier == Quantifier::Some && (fitting[index] || fitting[index + 1]),
                };
            }
            fitting = next;
        }
        fitting[symbols.len()]
    }
}

impl OpenName {
    fn symbols(&self) -> Vec<Symbol> {
        letters(&self.prefix).chain([Symbol::Unknown]).chain(letters(&self.suffix)).collect()
    }
}

fn letters(text: &str) -> impl Iterator<Item = Symbol> {
    text.chars().map(Symbol::Letter)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn matches(pattern: &str, name: &str) -> bool {
        Pattern(pattern.to_owned()).matches(name)
    }

    #[test]
    fn stars_are_any_text_and_question_marks_one_letter() {
        for (pattern, name) in
            [("*", ""), ("post.*", "post.like.count"), ("post.*.count", "post.a.b.count"), ("*like*", "like")]
        {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [("p?st", "pöst"), ("a*b*c", "abbc"), ("a.b", "a.b"), ("[x]", "[x]")] {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [
            ("", "a"),
            ("post", "post.like"),
            ("like", "unlike"),
            ("p?st", "pst"),
            ("POST.*", "post.like"),
            ("a.b", "axb"),
        ] {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
    }

    #[test]
    fn of_names_that_events_make_it_is_known_whether_some_or_all_match() {
        let name = OpenName { prefix: "user.".to_owned(), suffix: ".count".to_owned() };
        let answers = |pattern: &str| {
            let pattern = Pattern(pattern.to_owned());
            (pattern.may_match(&name), pattern.covers(&name))
        };
        assert_eq!(answers("user.*"), (true, true));
        assert_eq!(answers("*.count"), (true, true));
        assert_eq!(answers("u*.*.c*t"), (true, true));
        assert_eq!(answers("user.like.count"), (true, false));
        assert_eq!(answers("user.?.count"), (true, false));
        assert_eq!(answers("*like*"), (true, false));
        assert_eq!(answers("user.count"), (false, false));
        assert_eq!(answers("user..count"), (false, false), "an event's name is not empty");
        assert_eq!(answers("post.*"), (false, false));
        assert_eq!(answers("*.sum_x"), (false, false));
    }

    /// The definition, letter by letter.
    fn naive(pattern: &[char], name: &[char]) -> bool {
        match (pattern, name) {
            ([], []) => true,
            (['*', rest @ ..], _) => (0..=name.len()).any(|taken| naive(rest, &name[taken..])),
            (['?', rest @ ..], [_, others @ ..]) => naive(rest, others),
            ([letter, rest @ ..], [other, others @ ..]) => letter == other && naive(rest, others),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn it_is_what_the_definition_says(pattern in "[ab*?]{0,7}", name in "[ab]{0,7}") {
            let (letters, name_letters): (Vec<_>, Vec<_>) = (pattern.chars().collect(), name.chars().collect());
            prop_assert_eq!(matches(&pattern, &name), naive(&letters, &name_letters));
        }

        #[test]
        fn what_is_said_of_open_names_holds_for_each(pattern in "[ab*?]{0,7}", parts in ("[ab]{0,2}", "[ab]{1,4}", "[ab]{0,2}")) {
            let (prefix, event, suffix) = parts;
            let name = format!("{prefix}{event}{suffix}");
            let (pattern, open) = (Pattern(pattern), OpenName { prefix, suffix });
            prop_assert!(!pattern.matches(&name) || pattern.may_match(&open));
            prop_assert!(!pattern.covers(&open) || pattern.matches(&name));
        }
    }
}
