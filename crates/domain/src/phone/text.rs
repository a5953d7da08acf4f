//! Finds the digits of a number in a text that a person wrote.

use crate::typed::digit;

/// Maximum length of the text, in bytes.
const LONGEST: usize = 256;
/// A calling code and a number (E.164: 15 digits) with a trunk prefix or a former prefix between them.
const DIGITS: std::ops::RangeInclusive<usize> = 7..=18;
/// Maximum length of a word before the number, such as `whatsapp:`, in characters.
const LONGEST_LABEL: usize = 20;
/// Maximum length of an extension, in digits.
const LONGEST_EXTENSION: usize = 7;
/// Words before an extension; `p` and `w` are the pause and the wait of phone books.
const EXTENSION: &[&str] =
    &["x", "ext", "extn", "extension", "extensión", "extensao", "extensão", "int", "anexo", "доб", "p", "w"];

/// The digits of the number with its calling code, without `+` or `00`. `None` when there is no calling code, when the
/// text contains something that is not part of a number, or when it contains two numbers.
pub(super) fn digits(input: &str) -> Option<String> {
    if input.len() > LONGEST {
        return None;
    }
    let input = input.trim();
    // A `+` that was percent-encoded in an address and not decoded.
    let (encoded, rest) = match input.get(..3) {
        Some("%2B" | "%2b") => (true, &input[3..]),
        _ => (false, input),
    };
    let (mut has_plus, mut digits, mut label) = (encoded, String::new(), 0_usize);
    for (at, c) in rest.char_indices() {
        if let Some(digit) = digit(c) {
            digits.push(digit);
        } else if is_plus(c) {
            if !digits.is_empty() && digits != "00" {
                return None;
            }
            digits.clear();
            has_plus = true;
        } else if c.is_whitespace() {
            continue;
        } else if c.is_control() || c.is_numeric() || matches!(c, '%' | '*' | '@' | '=' | '&' | '\u{fffd}') {
            return None;
        } else if c.is_alphabetic() && digits.is_empty() && !has_plus {
            label += 1;
            if label > LONGEST_LABEL {
                return None;
            }
        } else if c == ';' {
            // Parameters of a `tel:` address (RFC 3966).
            break;
        } else if c.is_alphabetic() || matches!(c, ',' | '#') {
            if digits.len() < *DIGITS.start() || !is_extension(&rest[at..]) {
                return None;
            }
            break;
        }
        // Anything else is punctuation of some script, an invisible mark, or a flag.
    }
    let digits = match digits.strip_prefix("00") {
        Some(rest) => rest.to_owned(),
        None if has_plus => digits,
        None => return None,
    };
    (DIGITS.contains(&digits.len()) && !digits.starts_with('0')).then_some(digits)
}

fn is_plus(c: char) -> bool {
    matches!(c, '+' | '\u{ff0b}' | '\u{fe62}' | '\u{207a}' | '\u{2795}')
}

/// A known word, or a comma or `#`, followed only by a few digits.
fn is_extension(text: &str) -> bool {
    let behind = text.trim_start_matches(char::is_alphabetic);
    let word = text[..text.len() - behind.len()].to_lowercase();
    let rest: Vec<char> =
        behind.chars().filter(|c| !c.is_whitespace() && !matches!(c, '.' | ':' | ',' | '#')).collect();
    (word.is_empty() || EXTENSION.contains(&word.as_str()))
        && (1..=LONGEST_EXTENSION).contains(&rest.len())
        && rest.iter().all(|c| digit(*c).is_some())
}
