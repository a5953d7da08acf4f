//! Bodies of the type `application/x-www-form-urlencoded`.

use zeroize::Zeroizing;

use crate::providers::json::BODY_CAPACITY;
use crate::providers::query;

pub const CONTENT_TYPE: &str = "application/x-www-form-urlencoded";

/// A request body, written into one allocation like JSON ones.
pub struct Form(Zeroizing<Vec<u8>>);

impl Form {
    pub fn new() -> Self {
        Self(Zeroizing::new(Vec::with_capacity(BODY_CAPACITY)))
    }

    /// `parts` together are the value: a code is never put together with others outside of the body.
    pub fn field(mut self, name: &str, parts: &[&str]) -> Self {
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

    pub fn into_body(self) -> Zeroizing<Vec<u8>> {
        self.0
    }
}

/// The fields in their order, decoded. `None` when the body is no form: not UTF-8, or a broken percent-encoding.
pub fn fields(body: &[u8]) -> Option<Vec<(String, String)>> {
    let text = std::str::from_utf8(body).ok()?;
    let field = |pair: &str| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        Some((query::decode(name)?, query::decode(value)?))
    };
    text.split('&').filter(|pair| !pair.is_empty()).map(field).collect()
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
        assert_eq!(fields(&body).unwrap(), expected.map(|(n, v)| (n.to_owned(), v.to_owned())));
    }

    #[test]
    fn a_body_that_is_no_form_is_refused() {
        for bad in [b"a=%zz".as_slice(), b"a=%f", b"a=\xff", b"%ff=1"] {
            assert_eq!(fields(bad), None);
        }
        assert_eq!(fields(b""), Some(Vec::new()));
        assert_eq!(
            fields(b"&a&&b=+1=2").unwrap(),
            [("a", ""), ("b", " 1=2")].map(|(n, v)| (n.to_owned(), v.to_owned()))
        );
    }
}
