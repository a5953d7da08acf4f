//! Vonage Messages API v1, WhatsApp and SMS. Sources: Vonage, "Messages API" reference, "Authentication", "Signed webhooks",
//! "Messages API errors", and for the WhatsApp "Send a WhatsApp Authentication Template" (read 2026-11-26).

mod request;
mod signature;
mod token;
mod wire;
#[cfg(test)]
mod tests;

use otpost_domain::channel::Channel;

use crate::engine::account::{SENDER, SimAccount};
use crate::engine::callback::Facts;
use crate::engine::draw::Draws;
use crate::engine::face::{Batch, Call, CallsBack, Face, JSON, Post, Product, Reply, Request, Route, Trouble};

pub(crate) const FACES: &[&dyn Face] = &[&Vonage(&WHATSAPP), &Vonage(&SMS)];

/// API key of both default accounts, which their callbacks name.
pub const API_KEY: &str = "5ca1ab1e";
/// The secret with which `vonage-sms` sends.
pub const API_SECRET: &str = "sim-vonage-api-secret";
/// Application with which `vonage-wa` sends.
pub const APPLICATION_ID: &str = "00000000-0000-4000-8000-000000005100";
/// Its private key.
pub const PRIVATE_KEY: &str = include_str!("private-key.pem");
/// Signs callbacks of both default accounts.
pub const SIGNATURE_SECRET: &str = "sim-vonage-signature-secret";

const WHATSAPP: Product = Product {
    name: "vonage-whatsapp",
    draw_no: 10,
    channel: Channel::Whatsapp,
    title: "Vonage",
    base_path: "vonage",
    routes: &[Route::Send("/vonage/v1/messages")],
    content_type: JSON,
    calls_back: CallsBack::Account { batches: false },
    takes_dlt: false,
    callback_query: "",
};

const SMS: Product = Product { name: "vonage-sms", draw_no: 11, channel: Channel::Sms, takes_dlt: true, ..WHATSAPP };

struct Vonage(&'static Product);

impl Face for Vonage {
    fn product(&self) -> &'static Product {
        self.0
    }

    fn default_account(&self) -> SimAccount {
        let (name, credential, price_micros) = match self.0.channel {
            Channel::Whatsapp => ("vonage-wa", APPLICATION_ID.to_owned(), 24_000),
            Channel::Sms => ("vonage-sms", format!("{API_KEY}:{API_SECRET}"), 44_000),
        };
        SimAccount {
            callback_secret: Some(SIGNATURE_SECRET.into()),
            business_id: API_KEY.into(),
            price_micros,
            ..SimAccount::new(name, self.0.name, &credential)
        }
    }

    fn service_settings(&self, base_url: &str) -> String {
        let own = match self.0.channel {
            Channel::Whatsapp => format!(
                r#"
                application_id = "{APPLICATION_ID}"
                private_key = '''{PRIVATE_KEY}'''
                template = "login_code"
                language = "en_US"
                "#
            ),
            Channel::Sms => format!(r#"api_secret = "{API_SECRET}""#),
        };
        format!(
            r#"
            provider = "vonage"
            base_url = "{base_url}"
            api_key = "{API_KEY}"
            from = "{SENDER}"
            signature_secret = "{SIGNATURE_SECRET}"
            {own}
            "#
        )
    }

    fn hint(&self, account: &SimAccount) -> String {
        format!("api key {}, sender {}", account.business_id, account.sender)
    }

    fn is_meant(&self, call: &Call<'_>) -> bool {
        request::channel_of(call.body) == self.0.channel
    }

    fn credential(&self, call: &Call<'_>) -> Option<String> {
        match call.authorization("Bearer") {
            Some(token) => token::application(token, call.now),
            None => call.basic(),
        }
    }

    fn read(&self, account: &SimAccount, body: &[u8]) -> Result<Request, Reply> {
        request::read(self.0.channel, account, body)
    }

    fn trouble(&self, trouble: Trouble) -> Reply {
        wire::trouble(trouble, self.0.channel)
    }

    fn accepted(&self, _: &SimAccount, _: &Request, facts: &Facts) -> (u16, String) {
        wire::accepted(facts)
    }

    fn provider_id(&self, _: &Request, draws: &Draws) -> String {
        wire::id(draws)
    }

    fn post(&self, batch: &Batch<'_>) -> Post {
        wire::post(self.0.channel, batch)
    }
}
