//! YCloud API v2, WhatsApp and SMS. Sources: YCloud, API reference (OpenAPI 1.16.2), "Errors", "Webhooks", and for the
//! template "WhatsApp messaging examples", "Authentication template message" (read 2026-11-26). `index` is text there
//! and an integer in the OpenAPI file, so both are accepted. The policy is in its example and optional in the file.

mod signature;
mod wire;
#[cfg(test)]
mod tests;

use otpost_domain::channel::Channel;
use serde_json::{Value, json};

use crate::engine::account::{SENDER, SimAccount};
use crate::engine::callback::Facts;
use crate::engine::draw::Draws;
use crate::engine::face::{
    Batch, Call, CallsBack, Face, JSON, Post, Product, Reply, Request, Route, StatusQuery, Trouble,
};

pub(crate) const FACES: &[&dyn Face] = &[&Ycloud(&WHATSAPP), &Ycloud(&SMS)];

/// `X-API-Key` of both default accounts.
pub const KEY: &str = "sim-ycloud-key";
/// Endpoint secret that signs callbacks of `ycloud-wa`; the prefix belongs to the key.
pub const WHATSAPP_SECRET: &str = "whsec_sim_ycloud_wa";
/// Endpoint secret that signs callbacks of `ycloud-sms`.
pub const SMS_SECRET: &str = "whsec_sim_ycloud_sms";

const WHATSAPP: Product = Product {
    name: "ycloud-whatsapp",
    draw_no: 1,
    channel: Channel::Whatsapp,
    title: "YCloud",
    base_path: "ycloud",
    routes: &[
        Route::Send("/ycloud/v2/whatsapp/messages/sendDirectly"),
        Route::Send("/ycloud/v2/whatsapp/messages"),
        Route::Status("/ycloud/v2/whatsapp/messages/{id}"),
    ],
    content_type: JSON,
    calls_back: CallsBack::Account { batches: false },
    takes_dlt: false,
    callback_query: "",
};

const SMS: Product = Product {
    name: "ycloud-sms",
    draw_no: 2,
    channel: Channel::Sms,
    routes: &[Route::Send("/ycloud/v2/sms"), Route::Status("/ycloud/v2/sms")],
    ..WHATSAPP
};

struct Ycloud(&'static Product);

impl Face for Ycloud {
    fn product(&self) -> &'static Product {
        self.0
    }

    fn default_account(&self) -> SimAccount {
        let (name, secret, price_micros) = match self.0.channel {
            Channel::Whatsapp => ("ycloud-wa", WHATSAPP_SECRET, 20_000),
            Channel::Sms => ("ycloud-sms", SMS_SECRET, 40_000),
        };
        let callback_secret = Some(secret.into());
        SimAccount { callback_secret, price_micros, ..SimAccount::new(name, self.0.name, KEY) }
    }

    fn service_settings(&self, base_url: &str) -> String {
        let own = match self.0.channel {
            Channel::Whatsapp => format!(
                r#"
                webhook_secret = "{WHATSAPP_SECRET}"
                from = "{SENDER}"
                template = "login_code"
                language = "en_US"
                "#
            ),
            Channel::Sms => format!(r#"webhook_secret = "{SMS_SECRET}""#),
        };
        format!(
            r#"
            provider = "ycloud"
            base_url = "{base_url}"
            api_key = "{KEY}"
            {own}
            "#
        )
    }

    fn hint(&self, account: &SimAccount) -> String {
        match self.0.channel {
            Channel::Whatsapp => format!("sender {}", account.sender),
            Channel::Sms => String::new(),
        }
    }

    fn credential(&self, call: &Call<'_>) -> Option<String> {
        call.header("x-api-key").map(str::to_owned)
    }

    fn read(&self, account: &SimAccount, body: &[u8]) -> Result<Request, Reply> {
        match self.0.channel {
            Channel::Whatsapp => wire::read_whatsapp(account, body),
            Channel::Sms => wire::read_sms(body),
        }
    }

    fn trouble(&self, trouble: Trouble) -> Reply {
        wire::trouble(trouble, self.0.channel)
    }

    fn accepted(&self, account: &SimAccount, request: &Request, facts: &Facts) -> (u16, String) {
        match self.0.channel {
            Channel::Whatsapp => wire::accepted_whatsapp(account, request, facts),
            Channel::Sms => wire::accepted_sms(account, request, facts),
        }
    }

    fn provider_id(&self, _: &Request, draws: &Draws) -> String {
        wire::id(draws)
    }

    fn post(&self, batch: &Batch<'_>) -> Post {
        wire::post(self.0.channel, batch)
    }

    /// The message, or a list of one SMS.
    fn status(&self, query: &StatusQuery<'_>) -> Option<Value> {
        let id = match self.0.channel {
            Channel::Whatsapp => query.call.path("id").to_owned(),
            Channel::Sms => query.call.query("filter.id")?,
        };
        Some(wire::status(self.0.channel, query.account, &query.message(&id)?, query.now()))
    }

    /// SMS are listed, so an unknown id finds none.
    fn no_such_message(&self) -> Reply {
        match self.0.channel {
            Channel::Whatsapp => self.trouble(Trouble::NoSuchMessage),
            Channel::Sms => Reply::ok(&json!({"offset": 0, "limit": 10, "length": 0, "items": []})),
        }
    }
}
