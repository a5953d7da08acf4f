//! Twilio Programmable Messaging, SMS and WhatsApp. Sources: Twilio, "Messages resource", "Content API", "Outbound
//! message status in status callbacks", "Error and warning dictionary".

mod request;
mod signature;
mod wire;
#[cfg(test)]
mod tests;

use otpost_domain::channel::Channel;
use serde_json::Value;

use crate::engine::account::{SENDER, SimAccount};
use crate::engine::callback::Facts;
use crate::engine::draw::Draws;
use crate::engine::face::{
    Batch, Call, CallsBack, FORM, Face, Post, Product, Reply, Request, Route, StatusQuery, Trouble,
};

pub(crate) const FACES: &[&dyn Face] = &[&Twilio(&WHATSAPP), &Twilio(&SMS)];

/// AccountSid of both default accounts; it is part of the request's path.
pub const ACCOUNT_SID: &str = "AC5100000000000000000000000000c0de";
/// Auth token of both: it signs callbacks, and `twilio-wa` sends with it.
pub const AUTH_TOKEN: &str = "sim-twilio-auth-token";
/// API key with which `twilio-sms` sends.
pub const API_KEY_SID: &str = "SK5100000000000000000000000000c0de";
/// Its secret.
pub const API_KEY_SECRET: &str = "sim-twilio-api-key-secret";

const WHATSAPP: Product = Product {
    name: "twilio-whatsapp",
    draw_no: 8,
    channel: Channel::Whatsapp,
    title: "Twilio",
    base_path: "twilio",
    routes: &[
        Route::Send("/twilio/2010-04-01/Accounts/{account_sid}/Messages.json"),
        Route::Status("/twilio/2010-04-01/Accounts/{account_sid}/Messages/{sid}.json"),
    ],
    content_type: FORM,
    calls_back: CallsBack::WhereAsked,
    takes_dlt: false,
    callback_query: "",
};

const SMS: Product = Product { name: "twilio-sms", draw_no: 9, channel: Channel::Sms, ..WHATSAPP };

struct Twilio(&'static Product);

impl Face for Twilio {
    fn product(&self) -> &'static Product {
        self.0
    }

    fn default_account(&self) -> SimAccount {
        let (name, credential, price_micros) = match self.0.channel {
            Channel::Whatsapp => ("twilio-wa", format!("{ACCOUNT_SID}:{AUTH_TOKEN}"), 22_000),
            Channel::Sms => ("twilio-sms", format!("{API_KEY_SID}:{API_KEY_SECRET}"), 42_000),
        };
        SimAccount {
            callback_secret: Some(AUTH_TOKEN.into()),
            phone_number_id: ACCOUNT_SID.into(),
            price_micros,
            ..SimAccount::new(name, self.0.name, &credential)
        }
    }

    fn service_settings(&self, base_url: &str) -> String {
        let own = match self.0.channel {
            Channel::Whatsapp => r#"template = "HX5100000000000000000000000000c0de""#.to_owned(),
            Channel::Sms => format!(
                r#"
                api_key_sid = "{API_KEY_SID}"
                api_key_secret = "{API_KEY_SECRET}"
                "#
            ),
        };
        format!(
            r#"
            provider = "twilio"
            base_url = "{base_url}"
            account_sid = "{ACCOUNT_SID}"
            auth_token = "{AUTH_TOKEN}"
            from = "{SENDER}"
            {own}
            "#
        )
    }

    fn hint(&self, account: &SimAccount) -> String {
        format!("account sid {}, sender {}", account.phone_number_id, account.sender)
    }

    fn is_meant(&self, call: &Call<'_>) -> bool {
        request::channel_of(call.body) == self.0.channel
    }

    fn credential(&self, call: &Call<'_>) -> Option<String> {
        call.basic()
    }

    fn fits_path(&self, account: &SimAccount, call: &Call<'_>) -> bool {
        call.path("account_sid") == account.phone_number_id
    }

    fn read(&self, account: &SimAccount, body: &[u8]) -> Result<Request, Reply> {
        request::read(self.0.channel, account, body)
    }

    fn trouble(&self, trouble: Trouble) -> Reply {
        wire::trouble(trouble, self.0.channel)
    }

    fn accepted(&self, account: &SimAccount, request: &Request, facts: &Facts) -> (u16, String) {
        wire::accepted(self.0.channel, account, request, facts)
    }

    fn provider_id(&self, _: &Request, draws: &Draws) -> String {
        wire::id(draws)
    }

    fn post(&self, batch: &Batch<'_>) -> Post {
        wire::post(self.0.channel, batch)
    }

    fn status(&self, query: &StatusQuery<'_>) -> Option<Value> {
        Some(wire::status(query.account, &query.message(query.call.path("sid"))?, query.now()))
    }
}
