//! Eight bytes at a time in one machine word, the first byte lowest ("SIMD within a register").
//!
//! Event fields are short: a call into a vectorised search costs more than it saves there, and a
//! loop over single bytes mispredicts its end. One word mostly covers a whole field.

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH_BITS: u64 = 0x8080_8080_8080_8080;

/// The eight bytes from `at` on, if there are that many.
#[inline(always)]
pub(super) fn word_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// Which byte of the word comes first that a JSON string cannot run over: a quote, a backslash or
/// a control character.
#[inline(always)]
pub(super) fn first_string_stop(word: u64) -> Option<usize> {
    // The high bit of a byte is set where the byte is below 0x20, a quote or a backslash. A borrow
    // can set it wrongly, but only above a byte where it is set rightly.
    let control = word.wrapping_sub(ONES * 0x20);
    let quote = (word ^ (ONES * u64::from(b'"'))).wrapping_sub(ONES);
    let backslash = (word ^ (ONES * u64::from(b'\\'))).wrapping_sub(ONES);
    // All three bytes looked for have a clear high bit, before and after the `^`.
    first_marked((control | quote | backslash) & !word & HIGH_BITS)
}

/// Which byte of the word comes first that is not an ASCII digit.
#[inline(always)]
pub(super) fn first_non_digit(word: u64) -> Option<usize> {
    let digits = word ^ (ONES * u64::from(b'0'));
    // 9 + 0x76 is the last sum without the high bit. A carry reaches only bytes above one that is
    // no digit itself.
    first_marked((digits.wrapping_add(ONES * 0x76) | digits) & HIGH_BITS)
}

/// The number that eight ASCII digits say.
#[inline(always)]
pub(super) fn eight_digits(word: u64) -> u64 {
    let digits = word ^ (ONES * u64::from(b'0'));
    // Neighbours are joined: digits to pairs, pairs to fours, fours to the eight.
    let pairs = (digits.wrapping_mul(10).wrapping_add(digits >> 8)) & 0x00FF_00FF_00FF_00FF;
    let fours = (pairs.wrapping_mul(100).wrapping_add(pairs >> 16)) & 0x0000_FFFF_0000_FFFF;
    (fours.wrapping_mul(10_000).wrapping_add(fours >> 32)) & 0xFFFF_FFFF
}

#[inline(always)]
fn first_marked(marks: u64) -> Option<usize> {
    if marks == 0 { None } else { Some(marks.trailing_zeros() as usize / 8) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every byte value at every index, among neighbours that could borrow or carry into it.
    fn every_word() -> impl Iterator<Item = [u8; 8]> {
        let fillers = [b'a', b'0', b'9', b'/', b':', b' ', b'!', b'#', b'[', b']', 0x00, 0x1F, 0x7F, 0x80, 0xFF];
        fillers.into_iter().flat_map(|filler| {
            (0..8).flat_map(move |index| {
                (0..=255).map(move |byte| {
                    let mut word = [filler; 8];
                    word[index] = byte;
                    word
                })
            })
        })
    }

    #[test]
    fn a_string_stops_where_a_byte_by_byte_search_stops() {
        for bytes in every_word() {
            let naive = bytes.iter().position(|&byte| byte < 0x20 || byte == b'"' || byte == b'\\');
            assert_eq!(first_string_stop(u64::from_le_bytes(bytes)), naive, "{bytes:?}");
        }
    }

    #[test]
    fn digits_end_where_a_byte_by_byte_search_ends_them() {
        for bytes in every_word() {
            let naive = bytes.iter().position(|byte| !byte.is_ascii_digit());
            assert_eq!(first_non_digit(u64::from_le_bytes(bytes)), naive, "{bytes:?}");
        }
    }

    #[test]
    fn eight_digits_say_their_number() {
        for number in [0, 1, 9, 10, 99, 12_345_678, 90_000_009, 99_999_999] {
            let text = format!("{number:08}");
            assert_eq!(word_at(text.as_bytes(), 0).map(eight_digits), Some(number));
        }
    }

    #[test]
    fn a_word_is_never_read_past_the_end() {
        assert_eq!(word_at(b"1234567", 0), None);
        assert_eq!(word_at(b"12345678", 1), None);
        assert_eq!(word_at(b"12345678", 9), None);
        assert_eq!(word_at(b"12345678", usize::MAX), None);
    }
}
