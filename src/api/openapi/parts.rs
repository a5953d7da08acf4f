//! Parts that operations are described with.

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa::openapi::example::{Example, ExampleBuilder};
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::request_body::{RequestBody, RequestBodyBuilder};
use utoipa::openapi::response::ResponseBuilder;
use utoipa::openapi::schema::{ObjectBuilder, SchemaFormat, Type};
use utoipa::openapi::{Content, ContentBuilder, Header, Ref, RefOr, Required};

use crate::api::examples;
use crate::api::problems::{Kind, Problem};

pub(super) const JSON: &str = "application/json";
const PROBLEM: &str = "application/problem+json";

fn value(example: &impl Serialize) -> Value {
    serde_json::to_value(example).expect("an example is JSON")
}

/// A JSON body of type `T`, with an example of it.
pub(super) fn json<T: ToSchema + Serialize>(example: &T) -> Content {
    content::<T>().example(Some(value(example))).build()
}

/// The same with several examples.
pub(super) fn json_of_many<T: ToSchema + Serialize>(named: &[(&str, T)]) -> Content {
    content::<T>().examples_from_iter(named.iter().map(|(name, one)| (*name, example(one)))).build()
}

pub(super) fn example(of: &impl Serialize) -> Example {
    ExampleBuilder::new().value(Some(value(of))).build()
}

fn content<T: ToSchema>() -> ContentBuilder {
    ContentBuilder::new().schema(Some(Ref::from_schema_name(T::name())))
}

pub(super) fn body<T: ToSchema + Serialize>(description: &str, required: Required, example: &T) -> RequestBody {
    RequestBodyBuilder::new()
        .description(Some(description))
        .required(Some(required))
        .content(JSON, json(example))
        .build()
}

pub(super) fn answer(description: &str) -> ResponseBuilder {
    ResponseBuilder::new().description(description)
}

/// One answer for all these kinds of one status: an example of each.
pub(super) fn refusal(kinds: &[Kind]) -> ResponseBuilder {
    let lines: Vec<String> = kinds.iter().map(|kind| line(*kind)).collect();
    let names = kinds.iter().map(|kind| kind.about().name);
    let examples = names.map(|name| (name, RefOr::<Example>::Ref(Ref::new(format!("#/components/examples/{name}")))));
    let documents = content::<Problem>().examples_from_iter(examples).build();
    let mut answer = answer(&lines.join("\n")).content(PROBLEM, documents);
    if kinds.iter().all(|kind| kind.may_be_repeated()) {
        answer = answer.header("Retry-After", number_header("Seconds to wait before repeating the request."));
    }
    if kinds.contains(&Kind::Unauthorized) {
        answer = answer.header("WWW-Authenticate", text_header("`Bearer`."));
    }
    if kinds.contains(&Kind::MethodNotAllowed) {
        answer = answer.header("Allow", text_header("The methods of this path."));
    }
    answer
}

fn line(kind: Kind) -> String {
    let (about, codes) = (kind.about(), kind.codes());
    let codes = match codes.len() {
        2..20 => format!(" `code` is one of `{}`.", codes.join("`, `")),
        _ => String::new(),
    };
    format!("- `{}`: {} {}{codes}", about.name, about.when, about.remedy)
}

pub(super) fn text_header(description: &str) -> Header {
    header(description, Type::String)
}

fn number_header(description: &str) -> Header {
    header(description, Type::Integer)
}

fn header(description: &str, schema: Type) -> Header {
    let schema = ObjectBuilder::new().schema_type(schema);
    HeaderBuilder::new().schema(Some(schema)).description(Some(description)).build()
}

/// A header of the request that may be left out.
pub(super) fn request_header(name: &str, description: &str, schema: ObjectBuilder) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some(description))
        .schema(Some(schema))
        .build()
}

/// The message's id in the path.
pub(super) fn id() -> Parameter {
    let uuid = ObjectBuilder::new().schema_type(Type::String).format(Some(SchemaFormat::Custom("uuid".to_owned())));
    in_path("id", "The message's `id`.", uuid, examples::ID)
}

/// The account's name in the path.
pub(super) fn account() -> Parameter {
    in_path("account", "Name of a provider account in the settings.", text(), "whatsapp-main")
}

fn in_path(name: &str, description: &str, schema: ObjectBuilder, example: &str) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Path)
        .required(Required::True)
        .description(Some(description))
        .schema(Some(schema))
        .example(Some(example.into()))
        .build()
}

pub(super) fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}
