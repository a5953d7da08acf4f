//! A provider that does not exist, for accounts that settings describe: WhatsApp with JSON and signatures, SMS with forms.
//! Its documentation is a table in README.md.

mod request;
mod settings;
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
    Batch, Call, CallsBack, FORM, Face, JSON, Post, Product, Reply, Request, Route, StatusQuery, Trouble,
};

pub(crate) const FACES: &[&dyn Face] = &[&Described(&WHATSAPP), &Described(&SMS)];

/// `X-Api-Key` of the default `http-wa`.
pub const KEY: &str = "sim-http-key";
/// User and password of the default `http-sms`.
pub const LOGIN: (&str, &str) = ("sim-http-user", "sim-http-password");
/// Secret that signs callbacks of `http-wa`.
pub const SECRET: &str = "sim-http-callback-secret";

const WHATSAPP: Product = Product {
    name: "http-whatsapp",
    draw_no: 14,
    channel: Channel::Whatsapp,
    title: "a provider for settings to describe",
    base_path: "http",
    routes: &[Route::Send("/http/v3/messages"), Route::Status("/http/v3/messages/{id}")],
    content_type: JSON,
    calls_back: CallsBack::Account { batches: false },
    takes_dlt: false,
    callback_query: "",
};

const SMS: Product = Product {
    name: "http-sms",
    draw_no: 15,
    channel: Channel::Sms,
    routes: &[Route::Send("/http/send"), Route::Status("/http/status")],
    content_type: FORM,
    takes_dlt: true,
    callback_query: "?token=sim-http-callback-token",
    ..WHATSAPP
};

struct Described(&'static Product);

impl Face for Described {
    fn product(&self) -> &'static Product {
        self.0
    }

    fn default_account(&self) -> SimAccount {
        match self.0.channel {
            Channel::Whatsapp => SimAccount {
                callback_secret: Some(SECRET.into()),
                price_micros: 18_000,
                ..SimAccount::new("http-wa", self.0.name, KEY)
            },
            Channel::Sms => {
                let credential = format!("{}:{}", LOGIN.0, LOGIN.1);
                SimAccount { price_micros: 30_000, ..SimAccount::new("http-sms", self.0.name, &credential) }
            }
        }
    }

    fn service_settings(&self, base_url: &str) -> String {
        match self.0.channel {
            Channel::Whatsapp => settings::whatsapp(base_url),
            Channel::Sms => settings::sms(base_url),
        }
    }

    fn hint(&self, _: &SimAccount) -> String {
        String::new()
    }

    fn credential(&self, call: &Call<'_>) -> Option<String> {
        match self.0.channel {
            Channel::Whatsapp => call.header("x-api-key").map(str::to_owned),
            Channel::Sms => call.basic(),
        }
    }

    fn read(&self, account: &SimAccount, body: &[u8]) -> Result<Request, Reply> {
        let read = match self.0.channel {
            Channel::Whatsapp => request::read_whatsapp(account, body),
            Channel::Sms => request::read_sms(body),
        };
        read.map_err(|fault| wire::refuse(&fault, self.0.channel))
    }

    fn trouble(&self, trouble: Trouble) -> Reply {
        wire::trouble(trouble, self.0.channel)
    }

    fn accepted(&self, _: &SimAccount, _: &Request, facts: &Facts) -> (u16, String) {
        wire::accepted(self.0.channel, facts)
    }

    fn provider_id(&self, _: &Request, draws: &Draws) -> String {
        wire::id(draws, self.0.channel)
    }

    fn post(&self, batch: &Batch<'_>) -> Post {
        wire::post(self.0.channel, batch)
    }

    fn status(&self, query: &StatusQuery<'_>) -> Option<Value> {
        let id = match self.0.channel {
            Channel::Whatsapp => query.call.path("id").to_owned(),
            Channel::Sms => query.call.query("msgid")?,
        };
        Some(wire::status(&query.message(&id)?, query.now()))
    }
}
