//! SleekFlow's Platform API, WhatsApp. Written from public client code, because the API reference was not accessible:
//! the bodies of refusals are assumed. It sends no callbacks; a conversation's messages can be listed.

mod wire;
#[cfg(test)]
mod tests;

use otpost_domain::channel::Channel;
use serde_json::Value;

use crate::engine::account::{SENDER, SimAccount};
use crate::engine::callback::Facts;
use crate::engine::draw::Draws;
use crate::engine::face::{
    Batch, Call, CallsBack, Face, JSON, Post, Product, Reply, Request, Route, StatusQuery, Trouble,
};
use crate::wire::integer_id;

pub(crate) const FACES: &[&dyn Face] = &[&Sleekflow];

/// API key of the default account.
pub const KEY: &str = "sim-sleekflow-key";

/// Messages in one list by default.
const LIMIT: usize = 10;

const PRODUCT: Product = Product {
    name: "sleekflow-whatsapp",
    draw_no: 7,
    channel: Channel::Whatsapp,
    title: "SleekFlow",
    base_path: "sleekflow",
    routes: &[
        Route::Send("/sleekflow/api/message/send/json"),
        Route::Status("/sleekflow/api/conversation/message/{conversation}"),
    ],
    content_type: JSON,
    calls_back: CallsBack::Never,
    takes_dlt: false,
    callback_query: "",
};

struct Sleekflow;

impl Face for Sleekflow {
    fn product(&self) -> &'static Product {
        &PRODUCT
    }

    fn default_account(&self) -> SimAccount {
        SimAccount { price_micros: 26_000, ..SimAccount::new("sleekflow-wa", PRODUCT.name, KEY) }
    }

    fn service_settings(&self, base_url: &str) -> String {
        format!(
            r#"
            provider = "sleekflow"
            base_url = "{base_url}"
            api_key = "{KEY}"
            channel_type = "whatsappcloudapi"
            from = "{SENDER}"
            hook_secret = "sim-sleekflow-hook-secret"
            template = "login_code"
            language = "en_US"
            "#
        )
    }

    fn hint(&self, account: &SimAccount) -> String {
        format!("sender {}", account.sender)
    }

    fn credential(&self, call: &Call<'_>) -> Option<String> {
        call.header("x-sleekflow-api-key").map(str::to_owned)
    }

    fn read(&self, account: &SimAccount, body: &[u8]) -> Result<Request, Reply> {
        wire::read(account, body)
    }

    fn trouble(&self, trouble: Trouble) -> Reply {
        wire::trouble(trouble)
    }

    fn accepted(&self, account: &SimAccount, request: &Request, facts: &Facts) -> (u16, String) {
        wire::accepted(account, request, facts)
    }

    fn provider_id(&self, _: &Request, draws: &Draws) -> String {
        integer_id(draws).to_string()
    }

    /// Never called, because there are no callbacks.
    fn post(&self, _: &Batch<'_>) -> Post {
        Post::default()
    }

    /// The newest messages of a conversation first. Assumed, because no order is published.
    fn status(&self, query: &StatusQuery<'_>) -> Option<Value> {
        let number = wire::number_of(query.call.path("conversation"))?;
        let count = |name: &str| query.call.query(name)?.parse::<usize>().ok();
        let messages = query.messages_to(&number);
        let page = messages.iter().rev().skip(count("offset").unwrap_or(0)).take(count("limit").unwrap_or(LIMIT));
        Some(page.map(|message| wire::message(query.account, message, query.now())).collect())
    }
}
