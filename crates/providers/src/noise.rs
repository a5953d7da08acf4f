//! Finds the JSON in an answer with other text around it: warnings of a script, a prefix against script inclusion, a
//! wrapping function call, several values in a row.

use std::borrow::Cow;

use serde_json::error::Category;
use serde_json::value::RawValue;

use crate::json;

/// Maximum number of values examined in one answer: the right one is among the first, or there is none.
const MOST_VALUES: usize = 32;
/// Maximum number of positions at which a value is tried, so that no body costs more than this many reads.
const MOST_TRIES: usize = 256;

/// The outermost values of the body, each with its own text: the whole body if it is JSON, else every readable object
/// and list in it, in order. A truncated value is ignored, because its inner values do not tell its meaning.
pub(crate) fn values(body: &[u8]) -> Vec<Cow<'_, str>> {
    let text = match json::text(body) {
        Cow::Borrowed(text) => Cow::Borrowed(trimmed(text)),
        Cow::Owned(text) => Cow::Owned(trimmed(&text).to_owned()),
    };
    if let Ok(raw) = serde_json::from_str::<&RawValue>(&text) {
        // An answer that was serialized to JSON twice.
        return match serde_json::from_str::<String>(raw.get()) {
            Ok(inner) if serde_json::from_str::<&RawValue>(trimmed(&inner)).is_ok() => vec![Cow::Owned(inner)],
            _ => vec![text],
        };
    }
    inside(&text).into_iter().map(|found| Cow::Owned(found.to_owned())).collect()
}

fn trimmed(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || c == '\0' || c == '\u{feff}')
}

fn inside(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut at = 0;
    for _ in 0..MOST_TRIES {
        let Some(start) = text[at..].find(['{', '[']).map(|offset| at + offset) else { break };
        let mut values = serde_json::Deserializer::from_str(&text[start..]).into_iter::<&RawValue>();
        at = match values.next() {
            Some(Ok(raw)) => {
                found.push(raw.get());
                start + values.byte_offset()
            }
            Some(Err(error)) if error.classify() == Category::Eof => break,
            _ => start + 1,
        };
        if found.len() == MOST_VALUES {
            break;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_values_in_the_noise_are_found_and_nothing_inside_of_them() {
        let object = r#"{"id":{"a":1}}"#;
        let deep = "[".repeat(200_000);
        for (body, expected) in [
            (object.to_owned(), vec![object]),
            (format!("\u{feff}{object}"), vec![object]),
            (format!("{object}\n"), vec![object]),
            (format!("\0 {object}\0\0"), vec![object]),
            (format!(")]}}',\n{object}"), vec![object]),
            (format!("while(1);{object}"), vec![object]),
            (format!("callback({object});"), vec![object]),
            (format!("/**/ cb && cb({object})"), vec![object]),
            (format!("<br />\n<b>Warning</b>: count() in /a.php({{closure}}) on line 3<br />\n{object}"), vec![object]),
            (format!("Parse error: unexpected '{{' in x\n{object}"), vec![object]),
            (format!("[2026-09-10 10:00:00] notice\n{object}"), vec![object]),
            (format!("OK {object}"), vec![object]),
            (format!("{object}{object}"), vec![object, object]),
            (format!("{object}\n[1]\n"), vec![object, "[1]"]),
            (serde_json::to_string(object).unwrap(), vec![object]),
            ("12345".to_owned(), vec!["12345"]),
            (r#""m-1""#.to_owned(), vec![r#""m-1""#]),
            (format!("OK {{\"ok\":false,\"data\":{object}"), vec![]),
            ("<html>OK</html>".to_owned(), vec![]),
            (String::new(), vec![]),
            (format!("x{deep}"), vec![]),
        ] {
            assert_eq!(values(body.as_bytes()), expected, "{}", &body[..body.len().min(80)]);
        }
    }
}
