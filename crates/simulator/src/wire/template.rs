//! The body of a WhatsApp authentication template. Other providers use the same shape, except for the type of `index`
//! and for the language's policy. Source: WhatsApp Business Platform, "Copy code authentication templates", "Sending
//! authentication templates" (page of 2026-06-24, read 2026-11-26), and the page that each face names.

use serde_json::{Map, Value};

/// The error in a request body, and its place. Each face reports it in the provider's format.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    NotJson,
    Missing(String),
    Unknown(String),
    Wrong(String),
    /// Not one parameter in the body or in the button.
    Count(&'static str),
    TooLong,
    /// A line break, a tab or more than four spaces in a row in a parameter. Source: WhatsApp, "Error codes", 132018.
    Spaces,
    /// The code in the body differs from the one in the button.
    Disagree,
    NoTemplate(String),
}

pub(crate) struct Template {
    /// `name/language`, as in an account's `templates`.
    pub name: String,
    pub code: String,
}

/// Longer parameters are refused. Source: WhatsApp, authentication templates, "maximum 15 characters".
const LONGEST_CODE: usize = 15;

pub(crate) fn parse(body: &[u8]) -> Result<Value, Fault> {
    serde_json::from_slice(body).map_err(|_| Fault::NotJson)
}

/// An object with known keys only.
pub(crate) fn object<'v>(value: &'v Value, at: &str, known: &[&str]) -> Result<&'v Map<String, Value>, Fault> {
    let object = value.as_object().ok_or_else(|| Fault::Wrong(at.into()))?;
    match object.keys().find(|key| !known.contains(&key.as_str())) {
        Some(key) => Err(Fault::Unknown(key.clone())),
        None => Ok(object),
    }
}

pub(crate) fn text<'v>(object: &'v Map<String, Value>, key: &str) -> Result<&'v str, Fault> {
    let value = object.get(key).ok_or_else(|| Fault::Missing(key.into()))?;
    value.as_str().filter(|text| !text.is_empty()).ok_or_else(|| Fault::Wrong(key.into()))
}

pub(crate) fn optional<'v>(object: &'v Map<String, Value>, key: &str) -> Result<Option<&'v str>, Fault> {
    if object.contains_key(key) { text(object, key).map(Some) } else { Ok(None) }
}

pub(crate) fn exactly(object: &Map<String, Value>, key: &str, expected: &str) -> Result<(), Fault> {
    if text(object, key)? == expected { Ok(()) } else { Err(Fault::Wrong(key.into())) }
}

/// The differences between providers.
#[derive(Clone, Copy)]
pub(crate) struct Shape {
    /// Whether `"0"` is accepted besides the integer.
    pub index_as_text: bool,
    /// Whether the language needs its policy. `deterministic` is the only one since "fallback" was removed.
    pub needs_policy: bool,
}

impl Shape {
    /// For providers that accept `"0"` besides the integer, and whose example has no policy.
    pub(crate) const EITHER: Self = Self { index_as_text: true, needs_policy: false };
    /// For providers that write an integer.
    pub(crate) const INTEGER: Self = Self { index_as_text: false, needs_policy: false };
}

pub(crate) fn read(object_with_it: &Map<String, Value>, shape: Shape, existing: &[String]) -> Result<Template, Fault> {
    let template = object_with_it.get("template").ok_or_else(|| Fault::Missing("template".into()))?;
    let template = object(template, "template", &["name", "language", "components"])?;
    let name = text(template, "name")?;
    let language = template.get("language").ok_or_else(|| Fault::Missing("language".into()))?;
    let language = object(language, "language", &["code", "policy"])?;
    match optional(language, "policy")? {
        None if shape.needs_policy => return Err(Fault::Missing("policy".into())),
        Some(policy) if policy != "deterministic" => return Err(Fault::Wrong("policy".into())),
        _ => {}
    }
    let name = existing_name(name, text(language, "code")?, existing)?;
    Ok(Template { name, code: code_in_components(template, shape)? })
}

/// The code in both `components` of an authentication template.
pub(crate) fn code_in_components(object_with_them: &Map<String, Value>, shape: Shape) -> Result<String, Fault> {
    let components = object_with_them.get("components").ok_or_else(|| Fault::Missing("components".into()))?;
    let components = components.as_array().ok_or_else(|| Fault::Wrong("components".into()))?;
    let (mut in_body, mut in_button) = (None, None);
    for component in components {
        let known = ["type", "sub_type", "index", "parameters"];
        let component = object(component, "components", &known)?;
        let place = match text(component, "type")? {
            "body" => {
                if let Some(extra) = ["sub_type", "index"].into_iter().find(|key| component.contains_key(*key)) {
                    return Err(Fault::Unknown(extra.into()));
                }
                &mut in_body
            }
            "button" => {
                exactly(component, "sub_type", "url")?;
                let index = component.get("index").ok_or_else(|| Fault::Missing("index".into()))?;
                if index.as_u64() != Some(0) && !(shape.index_as_text && index.as_str() == Some("0")) {
                    return Err(Fault::Wrong("index".into()));
                }
                &mut in_button
            }
            _ => return Err(Fault::Wrong("type".into())),
        };
        if place.replace(parameters(component)?).is_some() {
            return Err(Fault::Wrong("components".into()));
        }
    }
    let in_body = one(in_body.ok_or(Fault::Count("body"))?, "body")?;
    let in_button = one(in_button.ok_or_else(|| Fault::Missing("button".into()))?, "button")?;
    the_code(in_body, in_button)
}

/// Text and button must contain the same code.
pub(crate) fn the_code(in_body: &str, in_button: &str) -> Result<String, Fault> {
    if in_body.chars().count() > LONGEST_CODE || in_button.chars().count() > LONGEST_CODE {
        return Err(Fault::TooLong);
    }
    if [in_body, in_button].iter().any(|text| text.contains(['\n', '\r', '\t']) || text.contains("     ")) {
        return Err(Fault::Spaces);
    }
    if in_body != in_button {
        return Err(Fault::Disagree);
    }
    Ok(in_body.to_owned())
}

/// The only entry of the list at `key`.
pub(crate) fn only<'v>(object: &'v Map<String, Value>, key: &str) -> Result<&'v Value, Fault> {
    let list = object.get(key).ok_or_else(|| Fault::Missing(key.into()))?;
    match list.as_array().map(Vec::as_slice) {
        Some([only]) => Ok(only),
        _ => Err(Fault::Wrong(key.into())),
    }
}

/// The object at `key`, with known keys only.
pub(crate) fn child<'v>(
    object_with_it: &'v Map<String, Value>,
    key: &str,
    known: &[&str],
) -> Result<&'v Map<String, Value>, Fault> {
    let value = object_with_it.get(key).ok_or_else(|| Fault::Missing(key.into()))?;
    object(value, key, known)
}

/// `name/language`, if the template exists. A name that no template can have does not exist: with a namespace before
/// it, or with capitals. Source: WhatsApp, "Message templates", `name`: at most 512 of a-z, 0-9 and _.
pub(crate) fn existing_name(name: &str, language: &str, existing: &[String]) -> Result<String, Fault> {
    let full_name = format!("{name}/{language}");
    let fits = |b: u8| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_');
    let is_name = name.len() <= 512 && name.bytes().all(fits);
    let is_there = existing.is_empty() || existing.contains(&full_name);
    if is_name && is_there { Ok(full_name) } else { Err(Fault::NoTemplate(full_name)) }
}

fn parameters(component: &Map<String, Value>) -> Result<Vec<&str>, Fault> {
    let parameters = component.get("parameters").ok_or_else(|| Fault::Missing("parameters".into()))?;
    let parameters = parameters.as_array().ok_or_else(|| Fault::Wrong("parameters".into()))?;
    let each = parameters.iter().map(|parameter| {
        let parameter = object(parameter, "parameters", &["type", "text"])?;
        exactly(parameter, "type", "text")?;
        text(parameter, "text")
    });
    each.collect()
}

fn one<'v>(parameters: Vec<&'v str>, place: &'static str) -> Result<&'v str, Fault> {
    match parameters[..] {
        [only] => Ok(only),
        _ => Err(Fault::Count(place)),
    }
}
