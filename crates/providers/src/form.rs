//! Bodies of the type `application/x-www-form-urlencoded`.

use zeroize::Zeroizing;

use crate::json::BODY_CAPACITY;
use crate::query;

pub(crate) const CONTENT_TYPE: &str = "application/x-www-form-urlencoded";

/// A request body, written into one allocation like JSON bodies.
pub(crate) struct Form(Zeroizing<Vec<u8>>);

impl Form {
    pub(crate) fn new() -> Self {
        Self(Zeroizing::new(Vec::with_capacity(BODY_CAPACITY)))
    }

    /// `parts` together are the value, so that a code is never copied into another string first.
    pub(crate) fn field(mut self, name: &str, parts: &[&str]) -> Self {
        if !self.0.is_empty() {
            self.0.push(b'&');
        }
        query::encode_into(&mut self.0, name);
        self.0.push(b'=');
        for part in parts {
            query::encode_into(&mut self.0, part);
        }
        self
    }

    pub(crate) fn into_body(self) -> Zeroizing<Vec<u8>> {
        self.0
    }
}

/// A decoded field of a form, as bytes: the reader decides about invalid UTF-8.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Field {
    pub name: Vec<u8>,
    pub value: Vec<u8>,
}

/// The decoded fields in their order. A `%` without two hex digits is kept.
pub(crate) fn fields(body: &[u8]) -> Vec<Field> {
    let field = |pair: &[u8]| {
        let split = pair.iter().position(|b| *b == b'=');
        let (name, value) = split.map_or((pair, &[][..]), |at| (&pair[..at], &pair[at + 1..]));
        Field { name: query::decode_bytes(name), value: query::decode_bytes(value) }
    };
    body.split(|b| *b == b'&').filter(|pair| !pair.is_empty()).map(field).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_again() {
        let body =
            Form::new().field("To", &["+447700900123"]).field("Body", &["{\"1\":\"", "49 & é", "\"}"]).into_body();
        assert_eq!(
            std::str::from_utf8(&body).unwrap(),
            "To=%2B447700900123&Body=%7B%221%22%3A%2249%20%26%20%C3%A9%22%7D"
        );
        let expected = [("To", "+447700900123"), ("Body", "{\"1\":\"49 & é\"}")];
        assert_eq!(fields(&body), expected.map(|(n, v)| field(n, v)));
    }

    fn field(name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Field {
        Field { name: name.as_ref().to_owned(), value: value.as_ref().to_owned() }
    }

    #[test]
    fn a_field_that_is_no_text_is_its_bytes_and_spoils_no_other() {
        let body = b"&a&&b=+1=2&c=C\xf3d&d=C%F3d&%ff=1&e=100%&f=%zz&g=%4";
        let expected = [
            field("a", ""),
            field("b", " 1=2"),
            field("c", b"C\xf3d"),
            field("d", b"C\xf3d"),
            field(b"\xff", "1"),
            field("e", "100%"),
            field("f", "%zz"),
            field("g", "%4"),
        ];
        assert_eq!(fields(body), expected);
        assert_eq!(fields(b""), []);
    }
}
