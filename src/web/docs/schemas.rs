//! Schemas as tables: a row per member, a line per word.

use maud::{Markup, html};
use serde_json::Value;

use crate::web::docs::markdown::{blocks, inline};

/// A named schema, in its own section.
pub(super) fn section(name: &str, schema: &Value) -> Markup {
    html! {
        section id=(anchor(name)) {
            h3 { (name) }
            @if let Some(text) = schema["description"].as_str() { (blocks(text)) }
            (members(schema))
        }
    }
}

/// The members of an object; nothing for any other schema.
pub(super) fn members(schema: &Value) -> Markup {
    let Some(members) = schema["properties"].as_object() else { return html! {} };
    let required: Vec<&str> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    html! {
        div.wide { table {
            thead { tr { th { "field" } th { "type" } th { "meaning" } } }
            tbody {
                @for (name, member) in members {
                    tr {
                        td { code { (name) } @if !required.contains(&name.as_str()) { " " small { "optional" } } }
                        td { (kind(member)) }
                        td { (inline(description(member))) }
                    }
                }
            }
        } }
    }
}

/// Its own description. The description of a type that it refers to is in that type's section.
fn description(schema: &Value) -> &str {
    let inner = schema["oneOf"].as_array().into_iter().flatten().find_map(|one| one["description"].as_str());
    schema["description"].as_str().or(inner).unwrap_or_default()
}

/// What a value may be, in a few words: `integer, 15 to 60`, `State or null`.
pub(super) fn kind(schema: &Value) -> Markup {
    if let Some(name) = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next()) {
        return html! { a href={ "#" (anchor(name)) } { (name) } };
    }
    if let Some(several) = schema["oneOf"].as_array().or_else(|| schema["anyOf"].as_array()) {
        return html! { @for (index, one) in several.iter().enumerate() { @if index > 0 { " or " } (kind(one)) } };
    }
    let types: Vec<&str> = match &schema["type"] {
        Value::Array(types) => types.iter().filter_map(Value::as_str).collect(),
        one => one.as_str().into_iter().collect(),
    };
    if types.contains(&"array") {
        return html! { "array of " (kind(&schema["items"])) };
    }
    let name = if types.is_empty() { "anything".to_owned() } else { types.join(" or ") };
    html! { (name) (bounds(schema)) }
}

fn bounds(schema: &Value) -> String {
    let number = |name: &str| schema[name].as_f64();
    let mut text = match (number("minimum"), number("maximum")) {
        (Some(least), Some(most)) => format!(", {least} to {most}"),
        (Some(least), None) => format!(", at least {least}"),
        (None, Some(most)) => format!(", at most {most}"),
        (None, None) => String::new(),
    };
    match (number("minLength"), number("maxLength")) {
        (Some(least), Some(most)) => text.push_str(&format!(", {least} to {most} characters")),
        (Some(least), None) => text.push_str(&format!(", at least {least} characters")),
        (None, Some(most)) => text.push_str(&format!(", at most {most} characters")),
        (None, None) => {}
    }
    if let Some(format) = schema["format"].as_str().filter(|format| !format.starts_with("int")) {
        text.push_str(&format!(", {format}"));
    }
    if let Some(default) = schema.get("default") {
        text.push_str(&format!(", {default} unless given"));
    }
    text
}

pub(super) fn anchor(name: &str) -> String {
    format!("type-{name}")
}
