//! Infobip, WhatsApp template v1 and SMS v3. Source: Infobip, API description 3.210.0, "Response status and error codes",
//! "Logs". A message's id is the one that the client chose. An authentication template has the code as its only placeholder
//! and as the parameter of its only button, of type `URL`: same description, `WhatsAppTemplateDataContent` (3.210.0).

mod request;
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

pub(crate) const FACES: &[&dyn Face] = &[&Infobip(&WHATSAPP), &Infobip(&SMS)];

/// API key of both default accounts.
pub const KEY: &str = "sim-infobip-key";
/// User and password of the default accounts' subscriptions.
pub const BASIC: &str = "otpost:sim-infobip-password";

const WHATSAPP: Product = Product {
    name: "infobip-whatsapp",
    draw_no: 5,
    channel: Channel::Whatsapp,
    title: "Infobip",
    base_path: "infobip",
    routes: &[Route::Send("/infobip/whatsapp/1/message/template")],
    content_type: JSON,
    calls_back: CallsBack::Account { batches: false },
    takes_dlt: false,
    callback_query: "",
};

const SMS: Product = Product {
    name: "infobip-sms",
    draw_no: 6,
    channel: Channel::Sms,
    routes: &[Route::Send("/infobip/sms/3/messages"), Route::Status("/infobip/sms/3/logs")],
    takes_dlt: true,
    ..WHATSAPP
};

struct Infobip(&'static Product);

impl Face for Infobip {
    fn product(&self) -> &'static Product {
        self.0
    }

    fn default_account(&self) -> SimAccount {
        let (name, price_micros) = match self.0.channel {
            Channel::Whatsapp => ("infobip-wa", 24_000),
            Channel::Sms => ("infobip-sms", 42_000),
        };
        SimAccount { callback_secret: Some(BASIC.into()), price_micros, ..SimAccount::new(name, self.0.name, KEY) }
    }

    /// The WhatsApp account names an address in each message; the SMS account has a subscription.
    fn service_settings(&self, base_url: &str) -> String {
        let own = match self.0.channel {
            Channel::Whatsapp => format!(
                r#"
                from = "{SENDER}"
                callback_token = "sim-infobip-callback-token"
                template = "login_code"
                language = "en_US"
                "#
            ),
            Channel::Sms => {
                let (user, password) = BASIC.split_once(':').unwrap_or_default();
                format!(
                    r#"
                    sender = "Example"
                    basic = {{ user = "{user}", password = "{password}" }}
                    "#
                )
            }
        };
        format!(
            r#"
            provider = "infobip"
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
        call.authorization("App").map(str::to_owned)
    }

    fn read(&self, account: &SimAccount, body: &[u8]) -> Result<Request, Reply> {
        let read = match self.0.channel {
            Channel::Whatsapp => request::read_whatsapp(account, body),
            Channel::Sms => request::read_sms(body),
        };
        read.map_err(|fault| wire::refuse(self.0.channel, &fault))
    }

    fn trouble(&self, trouble: Trouble) -> Reply {
        wire::trouble(self.0.channel, trouble)
    }

    /// A rejected message is reported in an answer 200.
    fn refused(&self, trouble: Trouble, request: &Request) -> Reply {
        match trouble {
            Trouble::Rejected(_) => wire::rejected(self.0.channel, request),
            _ => self.trouble(trouble),
        }
    }

    fn accepted(&self, _: &SimAccount, _: &Request, facts: &Facts) -> (u16, String) {
        wire::accepted(self.0.channel, facts)
    }

    fn provider_id(&self, request: &Request, draws: &Draws) -> String {
        wire::id(request, draws)
    }

    fn post(&self, batch: &Batch<'_>) -> Post {
        wire::post(self.0.channel, batch)
    }

    fn status(&self, query: &StatusQuery<'_>) -> Option<Value> {
        let message = query.message(&query.call.query("messageId")?)?;
        Some(wire::log(query.account, &message, query.now()))
    }

    /// The log has no entry for it.
    fn no_such_message(&self) -> Reply {
        match self.0.channel {
            Channel::Whatsapp => self.trouble(Trouble::NoSuchMessage),
            Channel::Sms => Reply::ok(&json!({"results": []})),
        }
    }
}
