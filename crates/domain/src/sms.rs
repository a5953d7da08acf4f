//! The size of a text as an SMS: its alphabet, its length and the number of parts that are sent and billed.

use std::fmt;

/// GSM 7-bit default alphabet, 3GPP TS 23.038, 6.2.1: a character takes one septet.
const BASIC: &str = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿\
                     abcdefghijklmnopqrstuvwxyzäöñüà";

/// Its extension table, 6.2.1.1: a character takes two septets, of which the first is an escape.
const EXTENSION: &str = "\u{c}^{}\\[~]|€";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Seven bits per character, for Latin letters with few accents: 160 in one part.
    Gsm7,
    /// Sixteen bits per character, for everything else: 70 in one part. One such character is enough.
    Ucs2,
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Gsm7 => "GSM-7",
            Self::Ucs2 => "UCS-2",
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weight {
    pub encoding: Encoding,
    /// Septets of GSM-7, or UTF-16 units of UCS-2.
    pub length: usize,
    /// Each segment is billed like a message.
    pub segments: usize,
}

/// A long text is split into segments. Each has less room, because a header numbers it.
pub fn weigh(text: &str) -> Weight {
    let septets: Option<Vec<usize>> = text.chars().map(septets).collect();
    let (encoding, units, alone, in_parts) = match septets {
        Some(septets) => (Encoding::Gsm7, septets, 160, 153),
        None => (Encoding::Ucs2, text.chars().map(char::len_utf16).collect(), 70, 67),
    };
    let length = units.iter().sum();
    let segments = if length <= alone { 1 } else { parts(&units, in_parts) };
    Weight { encoding, length, segments }
}

/// A character of two units is never split between two parts.
fn parts(units: &[usize], room: usize) -> usize {
    let (mut parts, mut used) = (1, 0);
    for unit in units {
        if used + unit > room {
            parts += 1;
            used = 0;
        }
        used += unit;
    }
    parts
}

fn septets(c: char) -> Option<usize> {
    if BASIC.contains(c) {
        Some(1)
    } else if EXTENSION.contains(c) {
        Some(2)
    } else {
        None
    }
}

/// The characters that make a text UCS-2, each once, in the order of the text.
pub fn beyond_gsm7(text: &str) -> Vec<char> {
    let mut found = Vec::new();
    for c in text.chars().filter(|&c| septets(c).is_none()) {
        if !found.contains(&c) {
            found.push(c);
        }
    }
    found
}

/// Maximum length in bytes of a text that the SMS Retriever reads. Source: Google, "Perform SMS Verification on a
/// Server".
pub const RETRIEVER_BYTES: usize = 140;

/// Length of a text for [`RETRIEVER_BYTES`]. Google does not say whether it counts the transmitted bytes or UTF-8, so
/// the greater number is used.
pub fn retriever_bytes(text: &str) -> usize {
    let weight = weigh(text);
    let travelling = match weight.encoding {
        Encoding::Gsm7 => (weight.length * 7).div_ceil(8),
        Encoding::Ucs2 => weight.length * 2,
    };
    travelling.max(text.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn weight(encoding: Encoding, length: usize, segments: usize) -> Weight {
        Weight { encoding, length, segments }
    }

    #[test]
    fn texts_weigh_what_the_standard_says() {
        use Encoding::{Gsm7, Ucs2};
        for (text, expected) in [
            (String::new(), weight(Gsm7, 0, 1)),
            ("a".repeat(160), weight(Gsm7, 160, 1)),
            ("a".repeat(161), weight(Gsm7, 161, 2)),
            ("a".repeat(306), weight(Gsm7, 306, 2)),
            ("a".repeat(307), weight(Gsm7, 307, 3)),
            ("é".repeat(160), weight(Gsm7, 160, 1)),
            ("€".repeat(80), weight(Gsm7, 160, 1)),
            ("€".repeat(81), weight(Gsm7, 162, 2)),
            // 152 septets, then an escape sequence that would be split: the second part begins early, and so does the
            // third.
            (format!("{}{}", "a".repeat(152), "€".repeat(77)), weight(Gsm7, 306, 3)),
            ("ç".repeat(70), weight(Ucs2, 70, 1)),
            ("ç".repeat(71), weight(Ucs2, 71, 2)),
            ("ç".repeat(134), weight(Ucs2, 134, 2)),
            ("ç".repeat(135), weight(Ucs2, 135, 3)),
            ("😀".repeat(35), weight(Ucs2, 70, 1)),
            // 67 units hold 33 pairs.
            ("😀".repeat(66), weight(Ucs2, 132, 2)),
            ("😀".repeat(67), weight(Ucs2, 134, 3)),
            (format!("{}’", "a".repeat(69)), weight(Ucs2, 70, 1)),
            (format!("{}’", "a".repeat(70)), weight(Ucs2, 71, 2)),
        ] {
            assert_eq!(weigh(&text), expected, "{text}");
        }
    }

    #[test]
    fn the_alphabet_is_whole() {
        // 128 code points, one of which is the escape, and ten in the extension table.
        assert_eq!((BASIC.chars().count(), EXTENSION.chars().count()), (127, 10));
        assert_eq!(beyond_gsm7("Ça va? Ñandú, Ä Ö Ü ß à è é ì ò ù € [x] {y} ~ | ^ \\ ç ú"), ['ú', 'ç']);
        assert_eq!(beyond_gsm7("It’s “here” – it’s `so`"), ['’', '“', '”', '–', '`']);
    }

    #[test]
    fn bytes_are_counted_in_the_way_that_gives_more() {
        assert_eq!(retriever_bytes("a".repeat(140).as_str()), 140);
        // 70 units of two bytes; UTF-8 would give 71.
        assert_eq!(retriever_bytes(&format!("{}ó", "a".repeat(69))), 140);
        // Three bytes each in UTF-8.
        assert_eq!(retriever_bytes("码"), 3);
    }

    proptest! {
        #[test]
        fn a_longer_text_never_weighs_less(text in "\\PC{0,200}", more in "\\PC{0,20}") {
            let (less, all) = (weigh(&text), weigh(&format!("{text}{more}")));
            prop_assert!(all.segments >= less.segments && all.length >= less.length);
        }

        #[test]
        fn parts_hold_the_text_and_waste_at_most_a_unit_each(text in "[a€ç😀 ]{0,400}") {
            let Weight { encoding, length, segments } = weigh(&text);
            let room = if encoding == Encoding::Gsm7 { 153 } else { 67 };
            prop_assert!(segments == 1 || length <= segments * room);
            prop_assert!(segments == 1 || length > (segments - 1) * (room - 1));
            prop_assert_eq!(encoding == Encoding::Gsm7, beyond_gsm7(&text).is_empty());
        }
    }
}
