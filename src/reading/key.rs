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

    proptest! {
        #[test]
        fn different_values_make_different_texts(parts in prop::collection::vec(r"[a|\\ü]{0,4}", 2..5)) {
            let texts: Vec<_> = parts.iter().map(String::as_str).collect();
            prop_assert_eq!(split_key(&key(&texts), parts.len()), parts);
        }
    }
}
