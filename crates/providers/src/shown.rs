//! Formats a callback's body for display, without anything that could be a code or a number.

use serde_json::Value;

use crate::{hidden, query};
use otpost_domain::masked;

/// Maximum length of the text, in characters.
const LONGEST: usize = 64 * 1024;

/// Invalid bytes are represented by this character and those after it, until they are written in hex.
const NO_TEXT: u32 = 0xf700;

/// JSON indented, a form with one line per field, anything else unchanged. Every group of digits that could be a code
/// or a number is masked, also behind escapes and in base64. Invalid UTF-8 is shown as `\xd3`.
pub fn readable(body: &[u8]) -> String {
    let text = as_text(body);
    let text = as_json(body).or_else(|| as_form(&text)).unwrap_or(text);
    let shown: String = text.chars().filter(|c| !c.is_control() || *c == '\n').take(LONGEST).collect();
    let cut = text.chars().count().saturating_sub(LONGEST);
    let end = if cut > 0 { format!("\n({cut} more characters)") } else { String::new() };
    let masked = masked::digits(&hidden::masked_in_base64(&hidden::unescaped_digits(&shown)));
    format!("{}{end}", with_hex(&masked))
}

/// Invalid UTF-8 must neither hide digits nor be mistaken for some, so it becomes hex only after everything is masked.
fn as_text(body: &[u8]) -> String {
    let mut text = String::with_capacity(body.len());
    for chunk in body.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().filter_map(|byte| char::from_u32(NO_TEXT + u32::from(*byte))));
    }
    text
}

fn with_hex(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match u32::from(c).checked_sub(NO_TEXT) {
            Some(byte) if byte <= 0xff => out.push_str(&format!("\\x{byte:02x}")),
            _ => out.push(c),
        }
    }
    out
}

fn as_json(body: &[u8]) -> Option<String> {
    let value: Value = serde_json::from_slice(body).ok()?;
    serde_json::to_string_pretty(&value).ok()
}

fn as_form(text: &str) -> Option<String> {
    let is_form = text.contains('=') && !text.trim_start().starts_with(['{', '[', '<', '"']);
    let field = |pair: &str| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let unreadable = || format!("({} bytes that are no text)", value.len());
        format!("{} = {}", query::decode(name).unwrap_or_default(), query::decode(value).unwrap_or_else(unreadable))
    };
    is_form.then(|| text.trim().split('&').map(field).collect::<Vec<_>>().join("\n"))
}

#[cfg(test)]
mod tests {
    use base64::prelude::*;

    use super::*;

    #[test]
    fn no_code_is_readable_in_what_is_shown() {
        for body in [
            r#"{"text":"your code is 493817","to":"+628123450003"}"#,
            r#"{"text":"your code is \u0034\u0039\u0033\u0038\u0031\u0037"}"#,
            r#"{"text":"\u0034\u0039\u0033\u0038\u0031\u0037", broken"#,
            "Body=Your+code+is+493817&To=%2B628123450003",
            "Body=%34%39%33%38%31%37&Status=sent",
            "<p>&#52;&#57;&#51;&#56;&#49;&#55;</p>",
            "493817",
            "text 493 817 here",
        ] {
            let shown = readable(body.as_bytes());
            assert!(!shown.contains("493817") && !shown.contains("93 81") && !shown.contains("0003"), "{shown}");
        }
        let not_text = readable(b"msgid=dd&text=\xd3digo 493817&stat=DELIVRD");
        assert!(not_text.contains("stat = DELIVRD") && !not_text.contains("493817"), "{not_text}");
        // A Latin-1 space divides it.
        assert_eq!(readable(b"c\xf3digo 493\xa0817"), r"c\xf3digo ***\xa0***");
        assert_eq!(readable(b"\x00\xff\x01"), r"\xff");
        assert_eq!(readable(b"{\"a\":{\"b\":[true]}}"), "{\n  \"a\": {\n    \"b\": [\n      true\n    ]\n  }\n}");
        assert!(readable("x".repeat(70_000).as_bytes()).ends_with("(4464 more characters)"));
    }

    /// However a code is written and wrapped, neither it nor the written form can be read.
    #[test]
    fn no_writing_of_a_code_survives_any_wrapping() {
        type Writing = Box<dyn Fn(&str) -> String>;
        type Wrapping = fn(&str) -> String;
        let each = |form: fn(char) -> String| move |code: &str| code.chars().map(form).collect::<String>();
        let writings: [(&str, Writing); 14] = [
            ("plain", Box::new(str::to_owned)),
            ("spaced", Box::new(|code| Vec::from_iter(code.split("")).join(" ").trim().to_owned())),
            ("in two groups", Box::new(|code| format!("{} {}", &code[..3], &code[3..]))),
            ("dashed", Box::new(|code| format!("{}\u{2011}{}", &code[..3], &code[3..]))),
            ("a list", Box::new(|code| Vec::from_iter(code.split("").filter(|d| !d.is_empty())).join(", "))),
            ("json escapes", Box::new(each(|c| format!("\\u{:04x}", u32::from(c))))),
            ("hex escapes", Box::new(each(|c| format!("\\x{:02x}", u32::from(c))))),
            ("percent", Box::new(each(|c| format!("%{:02X}", u32::from(c))))),
            ("percent twice", Box::new(each(|c| format!("%25{:02X}", u32::from(c))))),
            ("entities", Box::new(each(|c| format!("&#{};", u32::from(c))))),
            ("hex entities", Box::new(each(|c| format!("&#x{:X};", u32::from(c))))),
            ("wide", Box::new(each(|c| char::from_u32(u32::from(c) - 0x30 + 0xff10).unwrap().to_string()))),
            ("base64", Box::new(|code| BASE64_STANDARD.encode(code))),
            ("base64url", Box::new(|code| BASE64_URL_SAFE_NO_PAD.encode(format!("code={code}?")))),
        ];
        let wrappings: [(&str, Wrapping); 9] = [
            ("text", |inner| format!("your code is {inner}")),
            ("json", |inner| serde_json::json!({ "text": inner }).to_string()),
            ("json in json", |inner| {
                serde_json::json!({ "raw": serde_json::json!({ "text": inner }).to_string() }).to_string()
            }),
            ("json in json in json", |inner| {
                let raw = serde_json::json!({ "raw": serde_json::json!({ "text": inner }).to_string() }).to_string();
                serde_json::json!([raw]).to_string()
            }),
            ("form", |inner| format!("Body={}&Status=sent", query::encode(inner))),
            ("form as it is", |inner| format!("Body={inner}&Status=sent")),
            ("form in json", |inner| serde_json::json!({ "q": format!("Body={}", query::encode(inner)) }).to_string()),
            ("xml", |inner| format!("<sms><text>{inner}</text></sms>")),
            ("broken json", |inner| format!("{{\"text\": \"{inner}\", ")),
        ];
        let mut tried = 0;
        for code in ["493817", "0042", "9876543210"] {
            for (writing, write) in &writings {
                let written = write(code);
                for (wrapping, wrap) in &wrappings {
                    let shown = readable(wrap(&written).as_bytes());
                    let seen: String = shown.chars().filter(char::is_ascii_digit).collect();
                    let at = format!("{code} {writing} in {wrapping}: {shown}");
                    assert!(!shown.contains(code) && !seen.contains(code), "{at}");
                    assert!(!shown.contains(&written), "{at}");
                    tried += 1;
                }
            }
        }
        assert_eq!(tried, 378);
    }
}
