//! Reads a URL's query, and writes parts of one.

/// The decoded value of the parameter, if it occurs exactly once and is UTF-8.
pub(crate) fn single(query: &str, name: &str) -> Option<String> {
    let mut found = query.split('&').filter_map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(key)? == name).then_some(value)
    });
    let value = found.next()?;
    if found.next().is_some() {
        return None;
    }
    decode(value)
}

/// Percent-encodes everything except letters, digits, `-`, `.`, `_` and `~`. Source: RFC 3986, section 2.3.
pub(crate) fn encode(text: &str) -> String {
    let mut encoded = Vec::with_capacity(text.len());
    encode_into(&mut encoded, text);
    String::from_utf8(encoded).expect("what is encoded is ASCII")
}

/// The same, without an intermediate copy, for values that have to be wiped.
pub(crate) fn encode_into(encoded: &mut Vec<u8>, text: &str) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => encoded.push(byte),
            other => encoded.extend([b'%', HEX[usize::from(other >> 4)], HEX[usize::from(other & 0xf)]]),
        }
    }
}

/// The decoded bytes of a part of a form. A `%` without two hex digits is kept, as in the URL standard.
pub(crate) fn decode_bytes(part: &[u8]) -> Vec<u8> {
    let digit = |at: usize| char::from(*part.get(at)?).to_digit(16);
    let mut decoded = Vec::with_capacity(part.len());
    let mut at = 0;
    while let Some(&byte) = part.get(at) {
        let encoded = digit(at + 1).zip(digit(at + 2)).filter(|_| byte == b'%');
        at += if encoded.is_some() { 3 } else { 1 };
        decoded.push(match (byte, encoded) {
            (_, Some((high, low))) => (high * 16 + low) as u8,
            (b'+', None) => b' ',
            (other, None) => other,
        });
    }
    decoded
}

pub(crate) fn decode(text: &str) -> Option<String> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => {
                let high = char::from(bytes.next()?).to_digit(16)?;
                let low = char::from(bytes.next()?).to_digit(16)?;
                u8::try_from(high * 16 + low).ok()?
            }
            other => other,
        });
    }
    String::from_utf8(decoded).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_encoded_is_decoded_again() {
        for text in ["", "SM12", "a b/c?d=e&f+g%", "é 漢"] {
            let encoded = encode(text);
            assert!(encoded.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~%".contains(&b)), "{encoded}");
            assert_eq!(decode(&encoded).as_deref(), Some(text));
        }
    }

    #[test]
    fn a_value_counts_only_when_it_is_there_once_and_readable() {
        let query = "a=1&b=%3Cb%3E+x&c&d=%zz&e=%ff&f=%4&g=1&g=2&h.%69=3";
        for (name, value) in [("a", Some("1")), ("b", Some("<b> x")), ("c", Some("")), ("h.i", Some("3"))] {
            assert_eq!(single(query, name).as_deref(), value, "{name}");
        }
        for name in ["", "d", "e", "f", "g", "missing"] {
            assert_eq!(single(query, name), None, "{name}");
        }
    }
}
