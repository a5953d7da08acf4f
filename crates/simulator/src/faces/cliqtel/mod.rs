//! Cliqtel API v1, WhatsApp and SMS. Requests and the answers 401, 403 and 429 are documented; every webhook and most
//! other bodies are assumed, since Cliqtel publishes none.

mod signature;
mod wire;
#[cfg(test)]
mod tests;

use otpost_domain::channel::Channel;
use serde_json::Value;

use crate::engine::account::SimAccount;
use crate::engine::callback::Facts;
use crate::engine::draw::Draws;
use crate::engine::face::{
    Batch, Call, CallsBack, Face, JSON, Post, Product, Reply, Request, Route, StatusQuery, Trouble,
};
use crate::wire::integer_id;

pub(crate) const FACES: &[&dyn Face] = &[&Cliqtel(&WHATSAPP), &Cliqtel(&SMS)];

/// Bearer token of both default accounts; the number and the bar belong to it.
pub const KEY: &str = "17|sim-cliqtel-key";
/// Secret of both default accounts for the assumed header `X-Cliqtel-Signature`.
pub const SECRET: &str = "sim-cliqtel-secret";
/// `account_id` that the default `cliqtel-wa` expects.
pub const ACCOUNT_ID: u64 = 7;
/// `from_number_id` that the default `cliqtel-sms` accepts instead of the sender number.
pub const FROM_NUMBER_ID: u64 = 42;

const WHATSAPP: Product = Product {
    name: "cliqtel-whatsapp",
    draw_no: 3,
    channel: Channel::Whatsapp,
    title: "Cliqtel",
    base_path: "cliqtel",
    routes: &[
        Route::Send("/cliqtel/api/v1/whatsapp/messages"),
        Route::Status("/cliqtel/api/v1/whatsapp/messages/{id}"),
    ],
    content_type: JSON,
    calls_back: CallsBack::Account { batches: false },
    takes_dlt: false,
    callback_query: "?token=sim-cliqtel-callback-token",
};

const SMS: Product = Product {
    name: "cliqtel-sms",
    draw_no: 4,
    channel: Channel::Sms,
    routes: &[Route::Send("/cliqtel/api/v1/sms/messages"), Route::Status("/cliqtel/api/v1/sms/messages/{id}")],
    calls_back: CallsBack::WhereAsked,
    callback_query: "",
    ..WHATSAPP
};

struct Cliqtel(&'static Product);

impl Face for Cliqtel {
    fn product(&self) -> &'static Product {
        self.0
    }

    fn default_account(&self) -> SimAccount {
        let (name, account_id, price_micros) = match self.0.channel {
            Channel::Whatsapp => ("cliqtel-wa", ACCOUNT_ID, 25_000),
            Channel::Sms => ("cliqtel-sms", FROM_NUMBER_ID, 45_000),
        };
        let callback_secret = Some(SECRET.into());
        SimAccount { callback_secret, price_micros, account_id, ..SimAccount::new(name, self.0.name, KEY) }
    }

    fn service_settings(&self, base_url: &str) -> String {
        let own = match self.0.channel {
            Channel::Whatsapp => format!(
                r#"
                account_id = {ACCOUNT_ID}
                callback_token = "sim-cliqtel-callback-token"
                template = "login_code"
                language = "en_US"
                "#
            ),
            Channel::Sms => format!(
                r#"
                number_id = {FROM_NUMBER_ID}
                callback_secret = "sim-cliqtel-callback-secret"
                "#
            ),
        };
        format!(
            r#"
            provider = "cliqtel"
            base_url = "{base_url}"
            api_key = "{KEY}"
            {own}
            "#
        )
    }

    fn hint(&self, account: &SimAccount) -> String {
        match self.0.channel {
            Channel::Whatsapp => format!("account id {}", account.account_id),
            Channel::Sms => format!("from number id {}", account.account_id),
        }
    }

    fn credential(&self, call: &Call<'_>) -> Option<String> {
        call.authorization("Bearer").map(str::to_owned)
    }

    fn read(&self, account: &SimAccount, body: &[u8]) -> Result<Request, Reply> {
        match self.0.channel {
            Channel::Whatsapp => wire::read_whatsapp(account, body),
            Channel::Sms => wire::read_sms(account, body),
        }
    }

    fn trouble(&self, trouble: Trouble) -> Reply {
        wire::trouble(trouble)
    }

    fn accepted(&self, account: &SimAccount, request: &Request, facts: &Facts) -> (u16, String) {
        wire::accepted(self.0.channel, account, request, facts)
    }

    fn provider_id(&self, _: &Request, draws: &Draws) -> String {
        integer_id(draws).to_string()
    }

    fn post(&self, batch: &Batch<'_>) -> Post {
        wire::post(self.0.channel, batch)
    }

    fn status(&self, query: &StatusQuery<'_>) -> Option<Value> {
        Some(wire::status(&query.message(query.call.path("id"))?, query.now()))
    }
}
