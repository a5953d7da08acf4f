//! Reading a URL's query, and writing parts of one.

/// The parameter's value with its percent-encoding undone, when it is there exactly once and is UTF-8.
pub fn single(query: &str, name: &str) -> Option<String> {
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

/// Percent-encodes all but letters, digits, `-`, `.`, `_` and `~`. Source: RFC 3986, section 2.3.
pub fn encode(text: &str) -> String {
    let mut encoded = Vec::with_capacity(text.len());
    encode_into(&mut encoded, text);
    String::from_utf8(encoded).expect("what is encoded is ASCII")
}

/// The same, without a copy on the way: for what has to be wiped.
pub fn encode_into(encoded: &mut Vec<u8>, text: &str) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => encoded.push(byte),
            other => encoded.extend([b'%', HEX[usize::from(other >> 4)], HEX[usize::from(other & 0xf)]]),
        }
    }
}

pub fn decode(text: &str) -> Option<String> {
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
