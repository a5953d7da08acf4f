//! Wrong shapes of a template, as changes of a valid one.

use serde_json::{Value, json};

use self::Wrong::*;

/// A change of a valid body at a JSON pointer; `None` removes the value.
pub(crate) type Change = (&'static str, Option<Value>);

/// The error that a change causes; each provider has its own code for it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Wrong {
    /// Too few or too many parameters.
    Count,
    /// Part of the button is missing.
    Missing,
    /// Part of the template is missing.
    Absent,
    Invalid,
    Unknown,
    TooLong,
    Spaces,
    Disagree,
    NoTemplate,
}

fn body(code: &str) -> Value {
    json!({"type": "body", "parameters": [{"type": "text", "text": code}]})
}

fn button(code: &str) -> Value {
    json!({"type": "button", "sub_type": "url", "index": 0, "parameters": [{"type": "text", "text": code}]})
}

/// Of WhatsApp's components; the pointers begin where `components` stands.
pub(crate) fn of_components() -> Vec<(Change, Wrong)> {
    let text = |code: &str| json!({"type": "text", "text": code});
    let other = json!([body("493817"), button("493818")]);
    let both = |code: &str| json!([body(code), button(code)]);
    let header = json!({"type": "header", "parameters": [text("493817")]});
    let set = |at, value, wrong| ((at, Some(value)), wrong);
    let drop = |at, wrong| ((at, None), wrong);
    vec![
        drop("/components", Absent),
        set("/components", json!({}), Invalid),
        set("/components", json!([]), Count),
        set("/components", json!([button("493817")]), Count),
        set("/components", json!([body("493817")]), Missing),
        set("/components", json!([body("493817"), button("493817"), button("493817")]), Invalid),
        set("/components", json!([body("493817"), body("493817"), button("493817")]), Invalid),
        set("/components", json!([header, body("493817"), button("493817")]), Invalid),
        set("/components", other, Disagree),
        set("/components", both("4938174938174938"), TooLong),
        set("/components", both("4938\n17"), Spaces),
        set("/components", both("49\t3817"), Spaces),
        set("/components", both("49     3817"), Spaces),
        set("/components", both(""), Invalid),
        drop("/components/0/parameters", Missing),
        set("/components/0/parameters", json!([]), Count),
        set("/components/0/parameters", json!([text("493817"), text("5")]), Count),
        set("/components/0/parameters/0/text", json!(493817), Invalid),
        drop("/components/0/parameters/0/text", Missing),
        set("/components/0/parameters/0/type", json!("payload"), Invalid),
        set("/components/0/parameters/0/parameter_name", json!("code"), Unknown),
        set("/components/0/index", json!(0), Unknown),
        set("/components/0/type", json!("BODY_TEXT"), Invalid),
        drop("/components/1/sub_type", Missing),
        set("/components/1/sub_type", json!("copy_code"), Invalid),
        set("/components/1/sub_type", json!("quick_reply"), Invalid),
        set("/components/1/sub_type", json!("otp"), Invalid),
        drop("/components/1/index", Missing),
        set("/components/1/index", json!(1), Invalid),
        set("/components/1/index", json!("1"), Invalid),
        set("/components/1/index", json!("first"), Invalid),
        set("/components/1/parameters", json!([]), Count),
        set("/components/1/parameters", json!([text("493817"), text("493817")]), Count),
        set("/components/1/parameters/0", json!({"type": "payload", "payload": "493817"}), Unknown),
        set("/components/1/parameters/0", json!({"type": "coupon_code", "coupon_code": "493817"}), Unknown),
        set("/namespace", json!("ns"), Unknown),
    ]
}

/// Of a template whose name stands at `name` and whose language at `language`.
pub(crate) fn of_name(name: &'static str, language: &'static str) -> Vec<(Change, Wrong)> {
    vec![
        ((name, None), Absent),
        ((name, Some(json!(""))), Invalid),
        ((name, Some(json!("00000000_0000_0000_0000_000000005100:login_code"))), NoTemplate),
        ((name, Some(json!("Login_Code"))), NoTemplate),
        ((name, Some(json!("login code"))), NoTemplate),
        ((name, Some(json!("another_code"))), NoTemplate),
        ((language, None), Absent),
        ((language, Some(json!("pt_BR"))), NoTemplate),
    ]
}

/// Of a `language` that is an object.
pub(crate) fn of_policy() -> Vec<(Change, Wrong)> {
    vec![
        (("/language", Some(json!("en_US"))), Invalid),
        (("/language/policy", Some(json!("fallback"))), Invalid),
        (("/language/locale", Some(json!("en_US"))), Unknown),
    ]
}
