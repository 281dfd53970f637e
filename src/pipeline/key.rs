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
