//! Checks values against the schemas of the OpenAPI document. Supports the keywords that the document uses, and refuses
//! others.

use serde_json::{Map, Value};

/// Keywords that do not constrain a value, or that are not checked here (`format` and `pattern` have separate tests).
const SILENT: [&str; 9] =
    ["description", "example", "examples", "format", "pattern", "writeOnly", "default", "title", "$comment"];

/// Each mismatch of `value` with its place; empty when it fits.
pub(crate) fn faults(document: &Value, schema: &Value, value: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    check(document, schema, value, "", &mut faults);
    faults
}

fn check(document: &Value, schema: &Value, value: &Value, place: &str, faults: &mut Vec<String>) {
    for (keyword, rule) in schema.as_object().expect("a schema is an object") {
        let fits = match keyword.as_str() {
            "$ref" => {
                let path = rule.as_str().expect("a text").strip_prefix('#').expect("within the document");
                let inner = document.pointer(path).unwrap_or_else(|| panic!("{path} is not there"));
                check(document, inner, value, place, faults);
                true
            }
            "type" => match rule {
                Value::Array(several) => several.iter().any(|one| is(one, value)),
                one => is(one, value),
            },
            "enum" => rule.as_array().expect("words").contains(value),
            "oneOf" => matching(document, rule, value) == 1,
            "anyOf" => matching(document, rule, value) > 0,
            "minimum" => value.as_f64().is_none_or(|n| n >= rule.as_f64().expect("a number")),
            "maximum" => value.as_f64().is_none_or(|n| n <= rule.as_f64().expect("a number")),
            "minLength" => value.as_str().is_none_or(|s| s.chars().count() as u64 >= rule.as_u64().expect("a number")),
            "maxLength" => value.as_str().is_none_or(|s| s.chars().count() as u64 <= rule.as_u64().expect("a number")),
            "minItems" => value.as_array().is_none_or(|a| a.len() as u64 >= rule.as_u64().expect("a number")),
            "required" => value.as_object().is_none_or(|o| has_all(o, rule)),
            "items" => {
                for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                    check(document, rule, item, &format!("{place}[{index}]"), faults);
                }
                true
            }
            "properties" => {
                for (name, member) in rule.as_object().expect("members") {
                    if let Some(inner) = value.get(name) {
                        check(document, member, inner, &format!("{place}.{name}"), faults);
                    }
                }
                true
            }
            "additionalProperties" => match rule {
                Value::Bool(false) => value.as_object().is_none_or(|o| o.keys().all(|k| knows(schema, k))),
                _ => true,
            },
            silent if SILENT.contains(&silent) => true,
            unknown => panic!("{unknown}: teach this reader what it means"),
        };
        if !fits {
            faults.push(format!("{place} does not fit {keyword}: {rule}"));
        }
    }
}

fn matching(document: &Value, several: &Value, value: &Value) -> usize {
    several.as_array().expect("schemas").iter().filter(|one| faults(document, one, value).is_empty()).count()
}

fn has_all(object: &Map<String, Value>, names: &Value) -> bool {
    names.as_array().expect("names").iter().all(|name| object.contains_key(name.as_str().expect("a name")))
}

fn knows(schema: &Value, name: &str) -> bool {
    schema["properties"].get(name).is_some()
}

fn is(kind: &Value, value: &Value) -> bool {
    match kind.as_str().expect("a type") {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        other => panic!("{other} is no type"),
    }
}
