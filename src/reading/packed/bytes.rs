//! Where packed bytes go, and where they come from; numbers are [`varint`]s.

use crate::counter::varint;

/// Where packed bytes go: into memory, or nowhere, to know how many there are.
pub(super) trait Output {
    fn put(&mut self, bytes: &[u8]);

    fn put_number(&mut self, number: u64) {
        varint::write_number(number, |byte| self.put(&[byte]));
    }

    /// Small where the number is near 0, see [`varint::zigzag`].
    fn put_signed(&mut self, number: i64) {
        self.put_number(varint::zigzag(number));
    }
}

impl Output for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// So many bytes.
pub(super) struct Length(pub usize);

impl Output for Length {
    fn put(&mut self, bytes: &[u8]) {
        self.0 += bytes.len();
    }
}

/// Bytes to be read from the front.
pub(super) struct Input<'a> {
    bytes: &'a [u8],
    offset: usize,
}

impl<'a> Input<'a> {
    pub fn new(bytes: &'a [u8]) -> Input<'a> {
        Input { bytes, offset: 0 }
    }

    /// How many were taken.
    pub fn offset(&self) -> usize {
        self.offset
    }

    pub fn is_empty(&self) -> bool {
        self.offset == self.bytes.len()
    }

    /// The next so many; `None` where there are fewer.
    pub fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let taken = self.bytes[self.offset..].get(..count)?;
        self.offset += count;
        Some(taken)
    }

    /// `None` where the number does not end, or is larger than 64 bits.
    pub fn number(&mut self) -> Option<u64> {
        let mut rest = &self.bytes[self.offset..];
        let number = varint::read_number(&mut rest);
        self.offset = self.bytes.len() - rest.len();
        number
    }

    /// A number that counts or names something: it fits a `usize`.
    pub fn count(&mut self) -> Option<usize> {
        usize::try_from(self.number()?).ok()
    }

    /// See [`Output::put_signed`].
    pub fn signed(&mut self) -> Option<i64> {
        self.number().map(varint::unzigzag)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn numbers_read_back(number in prop_oneof![any::<u64>(), 0..300u64], signed in prop_oneof![any::<i64>(), -70..70i64]) {
            let (mut bytes, mut length) = (Vec::new(), Length(0));
            bytes.put_number(number);
            length.put_number(number);
            bytes.put_signed(signed);
            length.put_signed(signed);
            prop_assert_eq!(bytes.len(), length.0);
            let mut input = Input::new(&bytes);
            prop_assert_eq!((input.number(), input.signed(), input.is_empty()), (Some(number), Some(signed), true));
        }
    }

    #[test]
    fn what_does_not_end_or_fit_is_no_number() {
        for bytes in [&[][..], &[0x80], &[0xff; 10], &[0x80; 11]] {
            assert_eq!(Input::new(bytes).number(), None, "{bytes:?}");
        }
        let largest = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
        assert_eq!(Input::new(&largest).number(), Some(u64::MAX));
    }

    #[test]
    fn small_numbers_of_either_sign_take_one_byte() {
        let bytes = [0, -1, 1, -64, 63].map(|number| {
            let mut bytes = Vec::new();
            bytes.put_signed(number);
            bytes
        });
        assert_eq!(bytes, [[0], [1], [2], [127], [126]]);
    }
}
