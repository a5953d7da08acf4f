//! Masks anything in foreign texts that could be a code or a phone number, so that they can be shown.

use crate::typed;

/// Groups of at least this many digits could be a code.
pub const COULD_BE_A_CODE: usize = 4;
/// Maximum number of visible marks between two digits of a group: the quotes and the comma of a list.
const MARKS: usize = 4;
/// Maximum number of characters of any kind between two digits of a group: a nested list printed over several lines.
const APART: usize = 64;

/// Replaces each digit of a group that could be a code with an asterisk, in any script, and any other numeric character
/// too. A group may contain spaces, line breaks, invisible marks and a few visible ones between its digits, but no
/// letters.
pub fn digits(text: &str) -> String {
    let mut chars: Vec<char> = text.chars().collect();
    let mut at = 0;
    while at < chars.len() {
        if !is_digit(chars[at]) {
            at += 1;
            continue;
        }
        let mut group = vec![at];
        let mut last = at;
        while let Some(next) = next_digit(&chars, last) {
            group.push(next);
            last = next;
        }
        if group.len() >= COULD_BE_A_CODE {
            group.into_iter().for_each(|at| chars[at] = '*');
        }
        at = last + 1;
    }
    chars.into_iter().collect()
}

/// The position of the digit that continues the group whose last digit is at `last`.
fn next_digit(chars: &[char], last: usize) -> Option<usize> {
    let mut marks = 0;
    for (place, c) in chars.iter().enumerate().skip(last + 1).take(APART) {
        if is_digit(*c) {
            return Some(place);
        }
        if c.is_alphanumeric() && !typed::is_left_out(*c) {
            return None;
        }
        marks += usize::from(!c.is_whitespace() && !typed::is_left_out(*c));
        if marks > MARKS {
            return None;
        }
    }
    None
}

fn is_digit(c: char) -> bool {
    typed::is_digit(c) || c.is_numeric()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_could_be_a_code_or_a_number_is_masked() {
        for (text, shown) in [
            ("your code is 493817.", "your code is ******."),
            ("4938", "****"),
            ("49 38 17", "** ** **"),
            ("493-817, 4 9 3 8", "***-***, * * * *"),
            ("+62 812-345.0003", "+** ***-***.****"),
            ("\u{664}\u{669}\u{663}\u{668}", "****"),
            ("4\u{200b}9\u{fe0f}\u{20e3}38", "*\u{200b}*\u{fe0f}\u{20e3}**"),
            (
                "[\n    \"4\",\n    \"9\",\n    \"3\",\n    \"8\"\n]",
                "[\n    \"*\",\n    \"*\",\n    \"*\",\n    \"*\"\n]",
            ),
            ("4|9|3|8 4/9/3/8 4938", "*|*|*|* */*/*/* ****"),
            ("493  817", "***  ***"),
            ("\u{2463}\u{2468}\u{2462}\u{2467}", "****"),
            ("\u{2074}\u{2079}\u{b3}\u{2078}", "****"),
            ("error 131 and 7", "error 131 and 7"),
            ("\"a\": 12, \"b\": 345", "\"a\": 12, \"b\": 345"),
            ("a1b2c3d4", "a1b2c3d4"),
            ("", ""),
        ] {
            assert_eq!(digits(text), shown, "{text}");
        }
    }
}
