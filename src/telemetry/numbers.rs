//! Numbers as people read them.

use std::fmt;

/// A number with its thousands apart: `1,234,567`.
#[derive(Clone, Copy, Debug)]
pub struct HumanCount(pub u64);

impl fmt::Display for HumanCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        for (index, digit) in digits.char_indices() {
            if index > 0 && (digits.len() - index).is_multiple_of(3) {
                f.write_str(",")?;
            }
            write!(f, "{digit}")?;
        }
        Ok(())
    }
}

/// Bytes in the largest unit of which there is at least one: `23.19 KiB`.
#[derive(Clone, Copy, Debug)]
pub struct HumanBytes(pub u64);

impl fmt::Display for HumanBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 < 1_024 {
            return write!(f, "{} B", self.0);
        }
        let mut size = self.0 as f64;
        let mut unit = "B";
        for larger in ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"] {
            if size < 1_024.0 {
                break;
            }
            (size, unit) = (size / 1_024.0, larger);
        }
        write!(f, "{size:.2} {unit}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_stand_apart() {
        let shown = [0, 12, 999, 1_000, 65_496, 20_000_000, u64::MAX].map(|number| HumanCount(number).to_string());
        assert_eq!(shown, ["0", "12", "999", "1,000", "65,496", "20,000,000", "18,446,744,073,709,551,615"]);
    }

    #[test]
    fn bytes_have_the_largest_unit_that_fits() {
        let shown = [0, 1_023, 1_024, 23_747, 3 << 30, u64::MAX].map(|bytes| HumanBytes(bytes).to_string());
        assert_eq!(shown, ["0 B", "1023 B", "1.00 KiB", "23.19 KiB", "3.00 GiB", "16.00 EiB"]);
    }
}
