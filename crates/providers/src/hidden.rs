//! Finds digits that are encoded in a text: behind escapes of any depth, or in base64.

use std::iter;

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use otpost_domain::masked::COULD_BE_A_CODE;

/// Maximum depth of nested escapes that are decoded: more than a callback's body is wrapped in practice.
const DEEPEST: usize = 8;
/// Shortest base64 of a code: four digits, without padding.
const SHORTEST: usize = 6;

/// Replaces escapes of digits of any script with those digits; see [`masked_in_base64`] for base64. Supports `\u0034`
/// (also `\\u0034`), `\u{34}`, `\x34`, `%34` (also `%2534`), `&#52;`, `&#x34;` (also `&amp;#52;`).
pub(crate) fn unescaped_digits(text: &str) -> String {
    let mut text = text.to_owned();
    for _ in 0..DEEPEST {
        let next = once(&text);
        if next == text {
            break;
        }
        text = next;
    }
    text
}

fn once(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let found = match c {
            '\\' => backslash(rest),
            '%' => percent(rest),
            '&' => entity(rest),
            _ => None,
        };
        let (digits, length) = found.unwrap_or_else(|| (c.to_string(), c.len_utf8()));
        out.push_str(&digits);
        rest = &rest[length..];
    }
    out
}

/// The digits that an escape at the start of `text` stands for, and its length in bytes; `None` if it is not one.
fn backslash(text: &str) -> Option<(String, usize)> {
    let name = text.trim_start_matches('\\');
    let slashes = text.len() - name.len();
    let (digits, length) = if let Some(inside) = name.strip_prefix("u{") {
        let end = inside.find('}')?;
        (&inside[..end], end + 3)
    } else if let Some(digits) = name.strip_prefix('u') {
        (digits.get(..4)?, 5)
    } else {
        (name.strip_prefix('x')?.get(..2)?, 3)
    };
    Some((number_sign(u32::from_str_radix(digits, 16).ok()?)?, slashes + length))
}

/// A run of percent-encoded bytes: a digit of another script is several bytes.
fn percent(text: &str) -> Option<(String, usize)> {
    let mut at = 0;
    let bytes: Vec<u8> = iter::from_fn(|| {
        let rest = text[at..].strip_prefix('%')?;
        let deeper = rest.len() - without_all(rest, "25").len();
        let byte = u8::from_str_radix(rest.get(deeper..deeper + 2)?, 16).ok()?;
        at += 1 + deeper + 2;
        Some(byte)
    })
    .collect();
    let decoded = String::from_utf8_lossy(&bytes);
    decoded.chars().any(char::is_numeric).then(|| (decoded.into_owned(), at))
}

fn entity(text: &str) -> Option<(String, usize)> {
    let number = without_all(text.strip_prefix('&')?, "amp;").strip_prefix('#')?;
    let end = number.find(';').filter(|end| *end <= 16)?;
    let code = match number[..end].strip_prefix(['x', 'X']) {
        Some(hex) => u32::from_str_radix(hex, 16),
        None => number[..end].parse(),
    };
    Some((number_sign(code.ok()?)?, text.len() - number.len() + end + 1))
}

fn without_all<'a>(mut text: &'a str, prefix: &str) -> &'a str {
    while let Some(rest) = text.strip_prefix(prefix) {
        text = rest;
    }
    text
}

fn number_sign(code: u32) -> Option<String> {
    char::from_u32(code).filter(|c| c.is_numeric()).map(String::from)
}

/// Masks digits inside base64: the result is base64 of the content with asterisks for each group of digits. WhatsApp's
/// message ids are of this kind, and contain the number. Both alphabets, with and without padding, at any offset.
pub(crate) fn masked_in_base64(text: &str) -> String {
    let is_base64 = |c: char| c.is_ascii_alphanumeric() || "+/-_".contains(c);
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let length = rest.find(|c| !is_base64(c)).unwrap_or(rest.len());
        if length == 0 {
            let next = rest.find(is_base64).unwrap_or(rest.len());
            out.push_str(&rest[..next]);
            rest = &rest[next..];
            continue;
        }
        out.push_str(&masked_word(&rest[..length]));
        rest = &rest[length..];
    }
    out
}

fn masked_word(word: &str) -> String {
    const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireNone);
    let is_url_safe = word.contains(['-', '_']);
    let alphabet = if is_url_safe { &alphabet::URL_SAFE } else { &alphabet::STANDARD };
    let engine = GeneralPurpose::new(alphabet, LENIENT);
    let mut word = word.to_owned();
    // It may follow another character of the alphabet, such as a slash.
    for begin in 0..4 {
        let Some(encoded) = word.get(begin..).filter(|encoded| encoded.len() >= SHORTEST) else { break };
        // A surplus character that completes no byte is not part of it.
        let whole = if encoded.len() % 4 == 1 { encoded.len() - 1 } else { encoded.len() };
        let Ok(mut content) = engine.decode(&encoded[..whole]) else { continue };
        if mask_runs(&mut content) {
            let end = begin + whole;
            word = format!("{}{}{}", &word[..begin], engine.encode(&content), &word[end..]);
        }
    }
    word
}

/// Returns whether there were any.
fn mask_runs(content: &mut [u8]) -> bool {
    let mut any = false;
    for run in content.chunk_by_mut(|a, b| a.is_ascii_digit() == b.is_ascii_digit()) {
        if run.len() >= COULD_BE_A_CODE && run[0].is_ascii_digit() {
            run.fill(b'*');
            any = true;
        }
    }
    any
}

#[cfg(test)]
mod tests {
    use base64::prelude::*;

    use super::*;

    #[test]
    fn digits_come_out_of_escapes_of_any_depth() {
        for (text, expected) in [
            (r"\u0034\u0039", "49"),
            (r"\\u0034 \\\\u0039", "4 9"),
            (r"\u{34}\x39 \n \u00e9", r"49 \n \u00e9"),
            ("%34%39 %2534 %20a%C3%B3", "49 4 %20a%C3%B3"),
            ("%D9%A4", "\u{664}"),
            ("&#52;&#x39;&#0051;&amp;#56;&lt;", "4938&lt;"),
            (r"\u %  & \ %4 \u12 &#;", r"\u %  & \ %4 \u12 &#;"),
            ("é\\é%é&é", "é\\é%é&é"),
        ] {
            assert_eq!(unescaped_digits(text), expected, "{text}");
        }
    }

    #[test]
    fn digits_within_base64_are_masked_and_the_rest_stays() {
        // Built like WhatsApp's own ids: the number between other bytes.
        let id = format!("wamid.{}", BASE64_STANDARD.encode(b"\x1c\x18\x0c628123450001\x15\x02\x00\x11"));
        let shown = masked_in_base64(&id);
        let content = BASE64_STANDARD.decode(shown.strip_prefix("wamid.").unwrap()).unwrap();
        assert_eq!(content, b"\x1c\x18\x0c************\x15\x02\x00\x11");
        for word in ["NDkzODE3", "NDkzOA==", "/v1/NDkzODE3", "ab-NDkzODE3", "id:NDkzODE3, x"] {
            assert!(!masked_in_base64(word).contains("NDkz"), "{word}");
        }
        for word in
            ["delivered", "01a21a23-511b-70f1-871a-356e4d497a00", "https://example.com/webhooks/example-main", "", "é"]
        {
            assert_eq!(masked_in_base64(word), word);
        }
    }
}
