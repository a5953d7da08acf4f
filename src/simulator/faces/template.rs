//! The body of an authentication template. Meta's shape, which others took over but for the type of `index`.

use serde_json::{Map, Value};

/// What is wrong with a request body, and where. Each face says it in its own words.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fault {
    NotJson,
    Missing(String),
    Unknown(String),
    Wrong(String),
    /// Not one parameter in the body or in the button.
    Count(&'static str),
    TooLong,
    /// The code in the body is not the one in the button.
    Disagree,
    NoTemplate(String),
}

pub(super) struct Template {
    /// `name/language`, as an account's `templates` have it.
    pub name: String,
    pub code: String,
}

/// Longer parameters are refused. Source: Meta, authentication templates, "maximum 15 characters".
const LONGEST_CODE: usize = 15;

pub(super) fn parse(body: &[u8]) -> Result<Value, Fault> {
    serde_json::from_slice(body).map_err(|_| Fault::NotJson)
}

/// An object with none but known keys.
pub(super) fn object<'v>(value: &'v Value, at: &str, known: &[&str]) -> Result<&'v Map<String, Value>, Fault> {
    let object = value.as_object().ok_or_else(|| Fault::Wrong(at.into()))?;
    match object.keys().find(|key| !known.contains(&key.as_str())) {
        Some(key) => Err(Fault::Unknown(key.clone())),
        None => Ok(object),
    }
}

pub(super) fn text<'v>(object: &'v Map<String, Value>, key: &str) -> Result<&'v str, Fault> {
    let value = object.get(key).ok_or_else(|| Fault::Missing(key.into()))?;
    value.as_str().filter(|text| !text.is_empty()).ok_or_else(|| Fault::Wrong(key.into()))
}

pub(super) fn optional<'v>(object: &'v Map<String, Value>, key: &str) -> Result<Option<&'v str>, Fault> {
    if object.contains_key(key) { text(object, key).map(Some) } else { Ok(None) }
}

pub(super) fn exactly(object: &Map<String, Value>, key: &str, expected: &str) -> Result<(), Fault> {
    if text(object, key)? == expected { Ok(()) } else { Err(Fault::Wrong(key.into())) }
}

/// `index_as_text`: Meta's own examples write `"0"`, and its API takes both; the others take an integer only.
pub(super) fn read(
    object_with_it: &Map<String, Value>,
    index_as_text: bool,
    existing: &[String],
) -> Result<Template, Fault> {
    let template = object_with_it.get("template").ok_or_else(|| Fault::Missing("template".into()))?;
    let template = object(template, "template", &["name", "language", "components"])?;
    let name = text(template, "name")?;
    let language = template.get("language").ok_or_else(|| Fault::Missing("language".into()))?;
    let language = object(language, "language", &["code", "policy"])?;
    if optional(language, "policy")?.is_some_and(|policy| policy != "deterministic") {
        return Err(Fault::Wrong("policy".into()));
    }
    let name = existing_name(name, text(language, "code")?, existing)?;
    Ok(Template { name, code: code_in_components(template, index_as_text)? })
}

/// The code that both `components` of an authentication template carry.
pub(super) fn code_in_components(object_with_them: &Map<String, Value>, index_as_text: bool) -> Result<String, Fault> {
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
                if index.as_u64() != Some(0) && !(index_as_text && index.as_str() == Some("0")) {
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

/// Text and button carry the same code.
pub(super) fn the_code(in_body: &str, in_button: &str) -> Result<String, Fault> {
    if in_body.chars().count() > LONGEST_CODE || in_button.chars().count() > LONGEST_CODE {
        return Err(Fault::TooLong);
    }
    if in_body != in_button {
        return Err(Fault::Disagree);
    }
    Ok(in_body.to_owned())
}

/// The only entry of the list at `key`.
pub(super) fn only<'v>(object: &'v Map<String, Value>, key: &str) -> Result<&'v Value, Fault> {
    let list = object.get(key).ok_or_else(|| Fault::Missing(key.into()))?;
    match list.as_array().map(Vec::as_slice) {
        Some([only]) => Ok(only),
        _ => Err(Fault::Wrong(key.into())),
    }
}

/// The object at `key`, with none but known keys.
pub(super) fn child<'v>(
    object_with_it: &'v Map<String, Value>,
    key: &str,
    known: &[&str],
) -> Result<&'v Map<String, Value>, Fault> {
    let value = object_with_it.get(key).ok_or_else(|| Fault::Missing(key.into()))?;
    object(value, key, known)
}

/// `name/language`, when there is such a template.
pub(super) fn existing_name(name: &str, language: &str, existing: &[String]) -> Result<String, Fault> {
    let full_name = format!("{name}/{language}");
    if existing.is_empty() || existing.contains(&full_name) { Ok(full_name) } else { Err(Fault::NoTemplate(full_name)) }
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
