//! How the values of a key's fields make its text.

/// Appends the text of a key: a single value as it stands; several joined with `|`, after `\` and
/// `|` in each were escaped with a `\`, so that different values never make the same text.
pub fn append_key<'a>(values: impl IntoIterator<Item = &'a [u8]>, text: &mut Vec<u8>) {
    let mut values = values.into_iter().peekable();
    let Some(first) = values.next() else { return };
    if values.peek().is_none() {
        text.extend_from_slice(first);
        return;
    }
    append_escaped(first, text);
    for value in values {
        text.push(b'|');
        append_escaped(value, text);
    }
}

fn append_escaped(value: &[u8], text: &mut Vec<u8>) {
    for byte in value {
        if matches!(byte, b'\\' | b'|') {
            text.push(b'\\');
        }
        text.push(*byte);
    }
}

/// Takes the text of a key of so many fields apart again.
pub fn split_key(text: &str, fields: usize) -> Vec<String> {
    if fields == 1 {
        return vec![text.to_owned()];
    }
    let mut values = vec![String::new()];
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '|' => values.push(String::new()),
            '\\' => values.iter_mut().last().into_iter().for_each(|value| value.extend(characters.next())),
            other => values.iter_mut().last().into_iter().for_each(|value| value.push(other)),
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_key_comes_apart_as_it_was_joined(values in prop::collection::vec(r"[a|\\é]{0,4}", 1..4)) {
            let mut text = Vec::new();
            append_key(values.iter().map(String::as_bytes), &mut text);
            let text = String::from_utf8(text).expect("joined from strings");
            prop_assert_eq!(split_key(&text, values.len()), values);
        }
    }
}
