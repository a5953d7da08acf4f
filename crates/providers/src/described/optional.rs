//! Removes fields that would be empty: India's ids, for all other countries.

use serde_json::Value;

use super::place::Place;

/// A character that occurs in no text; marks numbers that were outside of quotes.
const MARK: char = '\u{e000}';

/// The same address or body without the fields that only an SMS to India has; `None` when it has none.
pub(super) fn without_dlt(text: &str) -> Option<String> {
    if !mentions(text) {
        return None;
    }
    let is_address = text.starts_with("https://") || text.starts_with("http://");
    let start = text.trim_start().chars().next();
    match text.split_once('?').filter(|_| is_address) {
        Some((path, query)) => {
            let query = without_pairs(query);
            let joint = if query.is_empty() { "" } else { "?" };
            Some([path, joint, &query].concat())
        }
        None if is_address => Some(text.to_owned()),
        None if matches!(start, Some('{' | '[')) => without_members(text),
        None => Some(without_pairs(text)),
    }
}

fn mentions(text: &str) -> bool {
    Place::OF_DLT.iter().any(|place| text.contains(&format!("{{{place}}}")))
}

fn without_pairs(form: &str) -> String {
    Vec::from_iter(form.split('&').filter(|pair| !mentions(pair))).join("&")
}

/// `None` for a text that is not JSON after its numbers were quoted.
fn without_members(text: &str) -> Option<String> {
    let mut json: Value = serde_json::from_str(&with_marks(text)).ok()?;
    take_out(&mut json);
    let mut text = json.to_string();
    for place in Place::NUMBERS {
        text = text.replace(&format!("\"{MARK}{{{place}}}\""), &format!("{{{place}}}"));
    }
    Some(text)
}

/// Puts placeholders that are allowed outside of quotes into quotes, with a mark before them.
fn with_marks(text: &str) -> String {
    let (mut marked, mut rest) = (String::with_capacity(text.len()), text);
    let (mut in_text, mut escaped) = (false, false);
    while let Some(c) = rest.chars().next() {
        let place = Place::NUMBERS.iter().map(|place| format!("{{{place}}}")).find(|place| rest.starts_with(place));
        if let Some(place) = place.filter(|_| !in_text) {
            marked.push_str(&format!("\"{MARK}{place}\""));
            rest = &rest[place.len()..];
            continue;
        }
        in_text ^= c == '"' && !escaped;
        escaped = in_text && c == '\\' && !escaped;
        marked.push(c);
        rest = &rest[c.len_utf8()..];
    }
    marked
}

/// Removes members and entries for India, and parents that become empty.
fn take_out(json: &mut Value) {
    let stays = |value: &mut Value| match value {
        Value::String(text) => !mentions(text),
        other => {
            let was_empty = is_empty(other);
            take_out(other);
            was_empty || !is_empty(other)
        }
    };
    match json {
        Value::Array(list) => list.retain_mut(stays),
        Value::Object(map) => map.retain(|_, value| stays(value)),
        _ => {}
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_india_has_is_left_out_with_its_name() {
        for (text, without) in [
            ("to={to}&text={text}", None),
            ("to={to}&pe={dlt_entity_id}&te={dlt_template_id}&text={text}", Some("to={to}&text={text}")),
            ("pe={dlt_entity_id}&to={to}", Some("to={to}")),
            ("to={to}&pe=x{dlt_entity_id}", Some("to={to}")),
            ("https://a.example/s?to={to}&pe={dlt_entity_id}", Some("https://a.example/s?to={to}")),
            ("https://a.example/s?pe={dlt_entity_id}", Some("https://a.example/s")),
            ("https://a.example/{dlt_entity_id}/s", Some("https://a.example/{dlt_entity_id}/s")),
            (r#"{"to": "{to}", "pe": "{dlt_entity_id}"}"#, Some(r#"{"to":"{to}"}"#)),
            (
                r#"{"india": {"dlt": {"pe": "{dlt_entity_id}", "te": "{dlt_template_id}"}}, "ttl": {life_s}}"#,
                Some(r#"{"ttl":{life_s}}"#),
            ),
            (
                r#"{"extra": {}, "list": [], "o": {"a": 1, "te": "{dlt_template_id}"}, "to": {to_digits}}"#,
                Some(r#"{"extra":{},"list":[],"o":{"a":1},"to":{to_digits}}"#),
            ),
            (r#"[{"tag": ["{dlt_template_id}", "x"]}, {"a": ["{dlt_entity_id}"]}]"#, Some(r#"[{"tag":["x"]}]"#)),
            // A placeholder in quotes stays in quotes, also after an escaped quote.
            (
                r#"{"s": "a\"{life_s}", "t": "{life_s}", "n": {life_s}, "pe": "{dlt_entity_id}"}"#,
                Some(r#"{"s":"a\"{life_s}","t":"{life_s}","n":{life_s}}"#),
            ),
            (r#"{"pe": {dlt_entity_id}}"#, None),
        ] {
            assert_eq!(without_dlt(text).as_deref(), without, "{text}");
        }
    }
}
