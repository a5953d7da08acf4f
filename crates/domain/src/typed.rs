//! A code as a person types it: digits of any script, with the separators that keyboards and clipboards add.

use zeroize::Zeroizing;

use crate::code::{Code, CodeError};

/// The zero of each script's decimal digits; the other nine follow it. Unicode 17, general category Nd.
const ZEROS: &[char] = &[
    '\u{30}',
    '\u{660}',
    '\u{6f0}',
    '\u{7c0}',
    '\u{966}',
    '\u{9e6}',
    '\u{a66}',
    '\u{ae6}',
    '\u{b66}',
    '\u{be6}',
    '\u{c66}',
    '\u{ce6}',
    '\u{d66}',
    '\u{de6}',
    '\u{e50}',
    '\u{ed0}',
    '\u{f20}',
    '\u{1040}',
    '\u{1090}',
    '\u{17e0}',
    '\u{1810}',
    '\u{1946}',
    '\u{19d0}',
    '\u{1a80}',
    '\u{1a90}',
    '\u{1b50}',
    '\u{1bb0}',
    '\u{1c40}',
    '\u{1c50}',
    '\u{a620}',
    '\u{a8d0}',
    '\u{a900}',
    '\u{a9d0}',
    '\u{a9f0}',
    '\u{aa50}',
    '\u{abf0}',
    '\u{ff10}',
    '\u{104a0}',
    '\u{10d30}',
    '\u{10d40}',
    '\u{11066}',
    '\u{110f0}',
    '\u{11136}',
    '\u{111d0}',
    '\u{112f0}',
    '\u{11450}',
    '\u{114d0}',
    '\u{11650}',
    '\u{116c0}',
    '\u{116d0}',
    '\u{116da}',
    '\u{11730}',
    '\u{118e0}',
    '\u{11950}',
    '\u{11bf0}',
    '\u{11c50}',
    '\u{11d50}',
    '\u{11da0}',
    '\u{11de0}',
    '\u{11f50}',
    '\u{16a60}',
    '\u{16ac0}',
    '\u{16b50}',
    '\u{16d70}',
    '\u{1ccf0}',
    '\u{1d7ce}',
    '\u{1d7d8}',
    '\u{1d7e2}',
    '\u{1d7ec}',
    '\u{1d7f6}',
    '\u{1e140}',
    '\u{1e2f0}',
    '\u{1e4f0}',
    '\u{1e5f1}',
    '\u{1e950}',
    '\u{1fbf0}',
];

/// General category Pd, the minus sign, and the long-vowel mark that Japanese keyboards produce for a dash.
const DASHES: &[char] = &[
    '\u{2d}',
    '\u{58a}',
    '\u{5be}',
    '\u{1400}',
    '\u{1806}',
    '\u{2010}',
    '\u{2011}',
    '\u{2012}',
    '\u{2013}',
    '\u{2014}',
    '\u{2015}',
    '\u{2e17}',
    '\u{2e1a}',
    '\u{2e3a}',
    '\u{2e3b}',
    '\u{2e40}',
    '\u{2e5d}',
    '\u{301c}',
    '\u{3030}',
    '\u{30a0}',
    '\u{fe31}',
    '\u{fe32}',
    '\u{fe58}',
    '\u{fe63}',
    '\u{ff0d}',
    '\u{10d6e}',
    '\u{10ead}',
    '\u{30fc}',
    '\u{ff70}',
    '\u{2212}',
];

/// Punctuation that may end a sentence after the code.
const STOPS: &[char] = &[
    '.', ',', ';', ':', '!', '\u{2026}', '\u{3002}', '\u{ff0e}', '\u{ff61}', '\u{ff01}', '\u{ff0c}', '\u{3001}',
    '\u{6d4}', '\u{964}', '\u{60c}', '\u{61b}', '\u{1362}', '\u{104b}', '\u{17d4}', '\u{589}',
];

/// Whether it is a decimal digit of some script.
pub fn is_digit(c: char) -> bool {
    digit(c).is_some()
}

/// Spaces, dashes and invisible marks, which are ignored in a code.
pub fn is_left_out(c: char) -> bool {
    c.is_whitespace() || is_invisible(c) || DASHES.contains(&c)
}

/// The ASCII digit of the same value.
pub(super) fn digit(c: char) -> Option<char> {
    let value = |zero: &char| u32::from(c).checked_sub(u32::from(*zero)).filter(|value| *value < 10);
    char::from_digit(ZEROS.iter().find_map(value)?, 10)
}

/// Invisible characters: direction marks, joiners, fillers and the like (Unicode's Default_Ignorable_Code_Point, and
/// the empty Braille cell), and the frame of a digit typed as an emoji.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{20e3}' | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}'
        | '\u{fff0}'..='\u{fff8}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// Removes spaces, dashes, invisible marks and final punctuation, and reads the digits of any script.
///
/// # Errors
/// When anything else is left, or not 4 to 10 digits. Such a text does not count as a try.
pub fn parse(text: &str) -> Result<Code, CodeError> {
    let text = text.trim_end_matches(|c| is_left_out(c) || STOPS.contains(&c));
    // With the capacity of the whole text: a reallocation would leave an unwiped copy behind.
    let mut digits = Zeroizing::new(String::with_capacity(text.len()));
    for c in text.chars().filter(|c| !is_left_out(*c)) {
        digits.push(digit(c).ok_or(CodeError)?);
    }
    Code::parse(&digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_type_and_paste_is_read() {
        for text in [
            "493817",
            " 493 817 ",
            "493-817",
            "493\u{2013}817",
            "493\u{2212}817",
            "4 9 3 8 1 7",
            "\u{200e}493817",
            "493817.",
            "493817\u{3002}",
            "\u{202a}493\u{a0}817\u{202c} ",
            "\u{feff}493817\n",
            "\u{664}\u{669}\u{663}\u{668}\u{661}\u{667}",
            "\u{6f4}\u{6f9}\u{6f3}\u{6f8}\u{6f1}\u{6f7}",
            "\u{ff14}\u{ff19}\u{ff13}\u{ff18}\u{ff11}\u{ff17}",
            "\u{96a}\u{96f}\u{969}\u{96e}\u{967}\u{96d}",
            "\u{664}93817",
            "4\u{fe0f}\u{20e3}9\u{fe0f}\u{20e3}3817",
            "493\u{30fc}817",
            "\u{2067}493817\u{2069}\u{6d4}",
            "493\u{34f}817\u{3164}",
            "493817\u{2026}",
            "\u{1d7d2}\u{1d7d7}\u{1d7d1}\u{1d7d6}\u{1d7cf}\u{1d7d5}",
        ] {
            assert_eq!(parse(text).map(|code| code.digits().to_owned()), Ok("493817".to_owned()), "{text:?}");
        }
    }

    #[test]
    fn each_scripts_digits_are_its_own() {
        for zero in ZEROS {
            let all: String = (0..10).filter_map(|n| char::from_u32(u32::from(*zero) + n)).collect();
            assert_eq!(parse(&all).unwrap().digits(), "0123456789", "{zero:?}");
        }
    }

    #[test]
    fn anything_else_is_no_code() {
        for text in [
            "",
            "   ",
            "...",
            "49.3817",
            "493817a",
            "O93817",
            "493",
            "12345678901",
            "\u{2460}93817",
            "\u{b2}93817",
            "493/817",
            "49\u{0}3817",
        ] {
            assert_eq!(parse(text).unwrap_err(), CodeError, "{text:?}");
        }
    }
}
