//! The OpenAPI 3.1 document, made from the types and tables of `api`.

mod operations;
mod parts;

use utoipa::ToSchema;
use utoipa::openapi::OpenApi;
use utoipa::openapi::path::{HttpMethod, Paths};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::server::Server;
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{ComponentsBuilder, InfoBuilder, LicenseBuilder, OpenApiBuilder, RefOr, Schema};

use crate::api::channels::Channels;
use crate::api::checks::CheckAnswer;
use crate::api::examples;
use crate::api::health::{Health, Readiness};
use crate::api::meanings;
use crate::api::messages::{Message, MessageList};
use crate::api::operations::{Method, Operation};
use crate::api::problems::{Kind, Problem};
use crate::api::requests::{ChannelsRequest, CheckRequest, MessageRequest, ResendRequest};
use crate::api::timeline::Timeline;

/// Name of the way in which a request proves its app.
const KEY: &str = "api_key";

/// The whole document. The same for every instance of a version.
pub fn document() -> OpenApi {
    let description = include_str!("about.md");
    let info =
        InfoBuilder::new().title("otpost").version(env!("CARGO_PKG_VERSION")).description(Some(description)).license(
            Some(LicenseBuilder::new().name("MIT OR Apache-2.0").identifier(Some("MIT OR Apache-2.0")).build()),
        );
    let mut paths = Paths::new();
    for operation in Operation::ALL {
        let method = match operation.method() {
            Method::Get => HttpMethod::Get,
            Method::Post => HttpMethod::Post,
        };
        paths.add_path_operation(operation.path(), vec![method], operations::describe(*operation));
    }
    let mut components = ComponentsBuilder::new()
        .schemas_from_iter(schemas())
        .security_scheme(KEY, SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
    for kind in Kind::ALL {
        components = components.example(kind.about().name, parts::example(&examples::problem(kind)));
    }
    OpenApiBuilder::new()
        .info(info)
        .servers(Some([Server::new("/")]))
        .paths(paths)
        .components(Some(components.build()))
        .tags(Some(Tag::ALL.map(|tag| TagBuilder::new().name(tag.name()).description(Some(tag.about())).build())))
        .build()
}

/// Every type that an operation names, and those within.
fn schemas() -> Vec<(String, RefOr<Schema>)> {
    let mut all = Vec::new();
    with::<MessageRequest>(&mut all);
    with::<Message>(&mut all);
    with::<MessageList>(&mut all);
    with::<Timeline>(&mut all);
    with::<CheckRequest>(&mut all);
    with::<CheckAnswer>(&mut all);
    with::<ResendRequest>(&mut all);
    with::<ChannelsRequest>(&mut all);
    with::<Channels>(&mut all);
    with::<Health>(&mut all);
    with::<Readiness>(&mut all);
    with::<Problem>(&mut all);
    with::<meanings::WaitFor>(&mut all);
    all
}

fn with<T: ToSchema>(all: &mut Vec<(String, RefOr<Schema>)>) {
    all.push((T::name().into_owned(), T::schema()));
    T::schemas(all);
}

/// The document as JSON text.
pub fn json() -> String {
    document().to_pretty_json().expect("the document has only strings for keys")
}

/// What an operation is for.
#[derive(Clone, Copy)]
enum Tag {
    Messages,
    Channels,
    Webhooks,
    Service,
}

impl Tag {
    const ALL: [Self; 4] = [Self::Messages, Self::Channels, Self::Webhooks, Self::Service];

    fn name(self) -> &'static str {
        match self {
            Self::Messages => "messages",
            Self::Channels => "channels",
            Self::Webhooks => "webhooks",
            Self::Service => "service",
        }
    }

    fn about(self) -> &'static str {
        match self {
            Self::Messages => "Send a code, check it, and follow its delivery.",
            Self::Channels => "Find out what to offer before a code is sent.",
            Self::Webhooks => "Callbacks from providers. Apps do not use them.",
            Self::Service => "For operators and tools. No key is needed.",
        }
    }
}
