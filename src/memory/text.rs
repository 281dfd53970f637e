//! Texts in whole words, the last one filled up with zeros: how keys lie in memory and cross the exchange.

#[cfg(target_endian = "big")]
compile_error!("texts lie in words as they are: little-endian");

/// Appends a text in whole words, the last one filled up with zeros.
#[inline(always)]
pub(crate) fn append_text(words: &mut Vec<u64>, text: &[u8]) {
    let (whole, rest) = text.as_chunks();
    // Keys are short: a call to copy them would take longer than the copying.
    whole.iter().for_each(|word| words.push(u64::from_le_bytes(*word)));
    if !rest.is_empty() {
        words.push(last_word(text));
    }
}

/// The last word of a text whose length is no multiple of eight, filled up with zeros.
#[inline(always)]
pub(crate) fn last_word(text: &[u8]) -> u64 {
    let byte = |index: usize| u64::from(text[index]) << (8 * index);
    match (text.last_chunk::<8>(), text.first_chunk::<4>(), text.last_chunk::<4>()) {
        (Some(last), ..) => u64::from_le_bytes(*last) >> (8 * (8 - text.len() % 8)),
        // Where they overlap they are the same.
        (None, Some(first), Some(last)) => {
            u64::from(u32::from_le_bytes(*first)) | u64::from(u32::from_le_bytes(*last)) << (8 * (text.len() - 4))
        }
        _ => byte(0) | byte(text.len() / 2) | byte(text.len() - 1),
    }
}

/// How many words a text takes.
#[inline]
pub(crate) fn text_words(length: usize) -> usize {
    length.div_ceil(8)
}

/// The first bytes of a text as a number: two of these are in the order of the texts, unless they are equal.
#[inline]
pub(crate) fn text_prefix(text: &[u8]) -> u64 {
    let mut bytes = [0; 8];
    let length = text.len().min(bytes.len());
    bytes[..length].copy_from_slice(&text[..length]);
    u64::from_be_bytes(bytes)
}
