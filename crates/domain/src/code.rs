//! The one-time password itself.

use std::fmt;

use zeroize::Zeroizing;

/// 4 to 10 decimal digits. Wiped when dropped; prints as `[redacted]`; readable only through [`Code::digits`].
#[derive(Clone)]
pub struct Code(Zeroizing<String>);

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be 4 to 10 decimal digits")]
pub struct CodeError;

impl Code {
    pub const MIN_LENGTH: u8 = 4;
    pub const MAX_LENGTH: u8 = 10;
    /// Length unless the request asks for another (NIST SP 800-63B-4, 3.1.3.2: at least six digits).
    pub const DEFAULT_LENGTH: u8 = 6;

    /// # Errors
    /// When it is not 4 to 10 ASCII digits.
    pub fn parse(text: &str) -> Result<Self, CodeError> {
        let length = usize::from(Self::MIN_LENGTH)..=usize::from(Self::MAX_LENGTH);
        let fits = length.contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
        if fits { Ok(Self(Zeroizing::new(text.to_owned()))) } else { Err(CodeError) }
    }

    /// Every code of `length` digits is equally likely, leading zeros included: draws from `random` (uniform 64-bit
    /// words of the operating system) until one lies below the largest multiple of 10^`length`.
    pub fn generate(length: u8, mut random: impl FnMut() -> u64) -> Self {
        let length = length.clamp(Self::MIN_LENGTH, Self::MAX_LENGTH);
        let codes = 10_u64.pow(u32::from(length));
        let limit = u64::MAX - u64::MAX % codes;
        let word = loop {
            let word = random();
            if word < limit {
                break word;
            }
        };
        Self(Zeroizing::new(format!("{:0width$}", word % codes, width = usize::from(length))))
    }

    /// An example code for previewing texts, never sent to a person: the first `length` digits of `4938170625`.
    pub fn made_up(length: u8) -> Self {
        let length = length.clamp(Self::MIN_LENGTH, Self::MAX_LENGTH);
        Self(Zeroizing::new("4938170625"[..usize::from(length)].to_owned()))
    }

    /// The digits. For the message to the person and the keyed hash only; never for a log, an error or an answer.
    pub fn digits(&self) -> &str {
        &self.0
    }

    pub fn length(&self) -> i16 {
        self.0.len() as i16
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_four_to_ten_digits_are_a_code() {
        for ok in ["0000", "012345", "9999999999"] {
            assert_eq!(Code::parse(ok).unwrap().digits(), ok);
        }
        for bad in ["", "123", "12345678901", "12 456", "12345a", "１２３４５６", "-12345"] {
            assert_eq!(Code::parse(bad).unwrap_err(), CodeError, "{bad}");
        }
        assert_eq!(format!("{:?}", Code::parse("123456").unwrap()), "[redacted]");
    }

    #[test]
    fn words_above_the_last_whole_multiple_are_drawn_again() {
        let mut words = [u64::MAX, u64::MAX - u64::MAX % 1_000_000, 42].into_iter();
        assert_eq!(Code::generate(6, || words.next().unwrap()).digits(), "000042");
        assert_eq!(words.next(), None);
    }

    /// Chi-square over each digit of 10^5 codes (9 degrees of freedom; 27.9 is p = 0.001). The generator is fixed, so
    /// every run gives the same result: the test covers our arithmetic.
    #[test]
    fn each_digit_is_uniform() {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut next = || {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = state;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ (z >> 31)
        };
        let mut counts = [[0_f64; 10]; 6];
        for _ in 0..100_000 {
            for (place, digit) in Code::generate(6, &mut next).digits().bytes().enumerate() {
                counts[place][usize::from(digit - b'0')] += 1.0;
            }
        }
        for place in counts {
            let chi_square: f64 = place.iter().map(|n| (n - 10_000.0).powi(2) / 10_000.0).sum();
            assert!(chi_square < 27.9, "{chi_square} {place:?}");
        }
    }
}
