//! The text of a key: how the values of several key fields become one.

/// Appends the key text that these values of a group's key fields make, in the group's order.
///
/// A single value stands as it is; several are joined with `|`, after `\` -> `\\` and `|` -> `\|` in
/// each, so that different values never make the same text.
///
/// ```
/// use counter_machine::reading::append_key;
/// let mut text = Vec::new();
/// append_key([b"a|b".as_slice(), b"c"], &mut text);
/// assert_eq!(text, br"a\|b|c");
/// ```
pub fn append_key<'a, P>(parts: P, text: &mut Vec<u8>)
where
    P: IntoIterator<Item = &'a [u8], IntoIter: ExactSizeIterator>,
{
    let parts = parts.into_iter();
    if parts.len() == 1 {
        parts.for_each(|part| text.extend_from_slice(part));
        return;
    }
    for (index, part) in parts.enumerate() {
        if index > 0 {
            text.push(b'|');
        }
        append_escaped(part, text);
    }
}

/// The text of the names of a key's fields, in the key's order, as it stands in an item of all features of a key.
///
/// Joined with `|` after `\` -> `\\`, `|` -> `\|` and `#` -> `\#` in each, also in a single one: different lists never make the same
/// text, and none makes one that another makes with `#` and more behind it.
///
/// ```
/// # use counter_machine::reading::key_fields;
/// assert_eq!(key_fields(["userId", "a|b#0"]), r"userId|a\|b\#0");
/// ```
pub fn key_fields<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let mut text = String::new();
    for (index, name) in names.into_iter().enumerate() {
        if index > 0 {
            text.push('|');
        }
        for letter in name.chars() {
            if matches!(letter, '\\' | '|' | '#') {
                text.push('\\');
            }
            text.push(letter);
        }
    }
    text
}

/// The sort key of a part of an item: the text of the [`key_fields`] and the part's number.
pub fn sort_key(fields: &str, part: u32) -> String {
    format!("{fields}#{part}")
}

/// Takes a sort key apart again; `None` where it is none.
pub fn split_sort_key(text: &str) -> Option<(&str, u32)> {
    let (fields, part) = text.rsplit_once('#')?;
    let number = part.parse().ok()?;
    // As it is written: no sign, no zeros before it.
    (sort_key(fields, number) == text).then_some((fields, number))
}

fn append_escaped(part: &[u8], text: &mut Vec<u8>) {
    let mut rest = part;
    while let Some(offset) = memchr::memchr2(b'\\', b'|', rest) {
        text.extend_from_slice(&rest[..offset]);
        text.extend_from_slice(&[b'\\', rest[offset]]);
        rest = &rest[offset + 1..];
    }
    text.extend_from_slice(rest);
}

/// Takes the text of a key of so many fields apart again.
pub fn split_key(text: &str, fields: usize) -> Vec<String> {
    if fields == 1 {
        return vec![text.to_owned()];
    }
    let (mut values, mut value) = (Vec::with_capacity(fields), String::new());
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '|' => values.push(std::mem::take(&mut value)),
            '\\' => value.extend(letters.next()),
            _ => value.push(letter),
        }
    }
    values.push(value);
    values
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(parts: &[&str]) -> String {
        let mut text = Vec::new();
        append_key(parts.iter().map(|part| part.as_bytes()), &mut text);
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn a_single_value_stands_as_it_is_and_several_are_joined() {
        assert_eq!(key(&[r"a|b\c"]), r"a|b\c");
        assert_eq!(key(&["1234", "7777"]), "1234|7777");
        assert_eq!(key(&[r"a|b", r"\", "c"]), r"a\|b|\\|c");
    }

    #[test]
    fn a_sort_key_names_fields_and_part_and_nothing_else_is_one() {
        assert_eq!(split_sort_key("userId|creatorId#12"), Some(("userId|creatorId", 12)));
        for text in ["userId", "userId#", "userId#01", "userId#+1", "userId#-1", "userId#4294967296", "#a"] {
            assert_eq!(split_sort_key(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn different_fields_and_parts_make_different_sort_keys_and_none_is_the_beginning_of_anothers(
            one in prop::collection::vec(r"[a|\\#0]{1,3}", 1..4), part in 0..20u32,
            other in prop::collection::vec(r"[a|\\#0]{1,3}", 1..4), other_part in 0..20u32,
        ) {
            let fields = |names: &[String]| key_fields(names.iter().map(String::as_str));
            let own = fields(&one);
            let key = sort_key(&own, part);
            prop_assert_eq!(split_sort_key(&key), Some((own.as_str(), part)));
            if one != other {
                prop_assert_ne!(&key, &sort_key(&fields(&other), other_part));
                prop_assert!(!key.starts_with(&(fields(&other) + "#")), "{}", key);
            }
        }

        #[test]
        fn different_values_make_different_texts(parts in prop::collection::vec(r"[a|\\ü]{0,4}", 2..5)) {
            let texts: Vec<_> = parts.iter().map(String::as_str).collect();
            prop_assert_eq!(split_key(&key(&texts), parts.len()), parts);
        }
    }
}
