//! Headers of every answer: it must not be cached, framed, or interpreted as another type.

use actix_web::http::header::{CACHE_CONTROL, HeaderMap, HeaderValue, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS};

/// The headers that [`put`] sets, as lines.
const LINES: &[u8] = b"cache-control: no-store\r\nx-content-type-options: nosniff\r\nx-frame-options: DENY\r\n";

pub(super) fn put(headers: &mut HeaderMap) {
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
}

/// Adds the headers to an answer that actix wrote itself, to a malformed head. `None` when `answer` is not one.
pub(super) fn added_to(answer: &[u8]) -> Option<Vec<u8>> {
    let status = answer.strip_prefix(b"HTTP/1.1 ").or_else(|| answer.strip_prefix(b"HTTP/1.0 "))?;
    if status.first() == Some(&b'1') {
        return None;
    }
    let end = answer.windows(2).position(|pair| pair == b"\r\n")? + 2;
    Some([&answer[..end], LINES, &answer[end..]].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_of_its_own_gets_the_headers_and_a_go_ahead_does_not() {
        let with = added_to(b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\n\r\n").unwrap();
        let expected = "HTTP/1.1 408 Request Timeout\r\ncache-control: no-store\r\nx-content-type-options: nosniff\r\n\
                        x-frame-options: DENY\r\ncontent-length: 0\r\n\r\n";
        assert_eq!(String::from_utf8(with).unwrap(), expected);
        assert_eq!(added_to(b"HTTP/1.1 100 Continue\r\n\r\n"), None);
        assert_eq!(added_to(b"{}"), None);
    }
}
