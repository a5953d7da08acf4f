//! The page: what the API is, each operation, each problem, each type.

use maud::{DOCTYPE, Markup, PreEscaped, html};
use serde_json::Value;

use crate::api::operations::Operation;
use crate::api::problems::Kind;
use crate::web::docs::markdown::{blocks, inline};
use crate::web::docs::{STYLE, schemas};

/// An operation, and what the document says of it.
struct Entry<'a> {
    method: &'static str,
    path: &'static str,
    operation: &'a Value,
}

pub(super) fn render(document: &Value) -> Markup {
    let info = &document["info"];
    let title = format!("{} API {}", text(&info["title"]), text(&info["version"]));
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                (contents(document))
                main {
                    h1 id="top" { (title) }
                    (blocks(text(&info["description"])))
                    p { "For programs: " a href="openapi.json" { code { "/openapi.json" } } " (OpenAPI " (text(&document["openapi"])) ")." }
                    @for tag in array(&document["tags"]) {
                        h2 id={ "tag-" (text(&tag["name"])) } { (text(&tag["name"])) }
                        p { (inline(text(&tag["description"]))) }
                        @for entry in entries(document, text(&tag["name"])) { (section(document, &entry)) }
                    }
                    h2 id="problems" { "problems" }
                    @for kind in Kind::ALL { (problem(document, kind)) }
                    h2 id="types" { "types" }
                    @for (name, schema) in object(&document["components"]["schemas"]) { (schemas::section(name, schema)) }
                }
            }
        }
    }
}

fn contents(document: &Value) -> Markup {
    html! {
        nav {
            a.home href="#top" { "otpost" }
            @for tag in array(&document["tags"]) {
                div {
                    strong { (text(&tag["name"])) }
                    ul {
                        @for entry in entries(document, text(&tag["name"])) {
                            li { a href={ "#" (text(&entry.operation["operationId"])) } { (text(&entry.operation["summary"])) } }
                        }
                    }
                }
            }
            div {
                strong { "reference" }
                ul { li { a href="#problems" { "Problems" } } li { a href="#types" { "Types" } } } }
        }
    }
}

fn section(document: &Value, entry: &Entry<'_>) -> Markup {
    let operation = entry.operation;
    let parameters: Vec<&Value> = array(&operation["parameters"]).collect();
    html! {
        section.operation id=(text(&operation["operationId"])) {
            h3 { (text(&operation["summary"])) }
            p.route { span.method { (entry.method) } " " code { (entry.path) } }
            (blocks(text(&operation["description"])))
            @if operation.get("security").is_none() { p { small { "No key is needed." } } }
            @if !parameters.is_empty() {
                h4 { "Parameters" }
                div.wide { table {
                    thead { tr { th { "name" } th { "in" } th { "type" } th { "meaning" } } }
                    tbody { @for parameter in parameters { tr {
                        td { code { (text(&parameter["name"])) } }
                        td { (text(&parameter["in"])) }
                        td { (schemas::kind(&parameter["schema"])) }
                        td { (inline(text(&parameter["description"]))) }
                    } } }
                } }
            }
            (body(document, &operation["requestBody"]))
            h4 { "Example" }
            pre { code { (curl(entry)) } }
            h4 { "Answers" }
            @for (status, answer) in object(&operation["responses"]) { (answer_of(status, answer)) }
        }
    }
}

fn body(document: &Value, body: &Value) -> Markup {
    let Some((content_type, content)) = object(&body["content"]).next() else { return html! {} };
    let name = content["schema"]["$ref"].as_str().and_then(|path| path.rsplit('/').next());
    html! {
        h4 { "Body" }
        p { (inline(text(&body["description"]))) " " @if content.get("schema").is_some() { (schemas::kind(&content["schema"])) ", " code { (content_type) } "." } }
        @if let Some(name) = name { (schemas::members(&document["components"]["schemas"][name])) }
    }
}

/// Refusals are only named here; a separate section describes them.
fn answer_of(status: &str, answer: &Value) -> Markup {
    let refusals = &answer["content"]["application/problem+json"]["examples"];
    if refusals.is_object() {
        return html! {
            p.answer { span.status.refused { (status) } @for (name, _) in object(refusals) { " " a href={ "#problem-" (name) } { code { (name) } } } }
        };
    }
    let content = object(&answer["content"]).next();
    let schema = content.map(|(_, content)| &content["schema"]).filter(|schema| !schema.is_null());
    let one = content.and_then(|(_, content)| content.get("example")).map(|example| ("example", example));
    let several = content.into_iter().flat_map(|(_, content)| object(&content["examples"]));
    let examples = one.into_iter().chain(several.map(|(name, example)| (name, &example["value"])));
    html! {
        p.answer {
            span.status { (status) } " " (inline(text(&answer["description"])))
            @if let Some(schema) = schema { " " (schemas::kind(schema)) "." }
            @for (name, header) in object(&answer["headers"]) { br; code { (name) } ": " (inline(text(&header["description"]))) }
        }
        @for (name, example) in examples { details { summary { (name) } pre { code { (pretty(example)) } } } }
    }
}

fn problem(document: &Value, kind: Kind) -> Markup {
    let about = kind.about();
    let codes = kind.codes();
    let example = &document["components"]["examples"][about.name]["value"];
    html! {
        section id={ "problem-" (about.name) } {
            h3 { (about.name) }
            p { span.status.refused { (about.status) } " " strong { (about.title) ". " } (inline(about.when)) }
            p { (inline(about.remedy)) }
            p { code { "type" } ": " code { (kind.uri()) }
                @if codes.len() < 20 { br; code { "code" } ": " @for (index, code) in codes.iter().enumerate() { @if index > 0 { ", " } code { (code) } } }
                @else { br; code { "code" } ": a " a href={ "#" (schemas::anchor("FieldCode")) } { "FieldCode" } }
            }
            details { summary { "example" } pre { code { (pretty(example)) } } }
        }
    }
}

/// The operation as a command, with the example of its body.
fn curl(entry: &Entry<'_>) -> String {
    let mut path = entry.path.to_owned();
    for parameter in array(&entry.operation["parameters"]).filter(|one| one["in"] == "path") {
        path = path.replace(&format!("{{{}}}", text(&parameter["name"])), text(&parameter["example"]));
    }
    let mut command = "curl".to_owned();
    if entry.method != "GET" {
        command.push_str(&format!(" -X {}", entry.method));
    }
    command.push_str(&format!(" \"$OTPOST_URL{path}\""));
    if entry.operation.get("security").is_some() {
        command.push_str(" \\\n  -H \"Authorization: Bearer $OTPOST_KEY\"");
    }
    if let Some(example) = entry.operation["requestBody"]["content"]["application/json"].get("example") {
        command.push_str(&format!(" \\\n  -H 'Content-Type: application/json' \\\n  -d '{example}'"));
    }
    command
}

/// The operations of a tag, in the order of the table.
fn entries<'a>(document: &'a Value, tag: &'a str) -> impl Iterator<Item = Entry<'a>> {
    Operation::ALL
        .iter()
        .map(|operation| {
            let (method, path) = (operation.method().as_str(), operation.path());
            Entry { method, path, operation: &document["paths"][path][method.to_lowercase()] }
        })
        .filter(move |entry| array(&entry.operation["tags"]).any(|one| one == tag))
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).expect("JSON has a text")
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn array(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn object(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    value.as_object().into_iter().flatten().map(|(name, value)| (name.as_str(), value))
}
