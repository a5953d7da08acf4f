//! EngageLab's OTP product with a code chosen by the app, for one WhatsApp template and one SMS template, and its plain
//! WhatsApp and SMS products. Sources: EngageLab OTP, "Custom OTP send", "Error codes" and "Callback"; WhatsApp, "Send
//! message" and "Message status callback"; SMS, "Send SMS".

mod request;
mod signature;
mod wire;
#[cfg(test)]
mod tests;

use otpost_domain::channel::Channel;

use crate::engine::account::{SENDER, SimAccount};
use crate::engine::callback::Facts;
use crate::engine::draw::Draws;
use crate::engine::face::{Batch, Call, CallsBack, Face, JSON, Post, Product, Reply, Request, Route, Trouble};

pub(crate) const FACES: &[&dyn Face] = &[
    &Engagelab { product: &OTP_WHATSAPP, kind: Kind::Otp },
    &Engagelab { product: &OTP_SMS, kind: Kind::Otp },
    &Engagelab { product: &PLAIN_WHATSAPP, kind: Kind::PlainWhatsapp },
    &Engagelab { product: &PLAIN_SMS, kind: Kind::PlainSms },
];

/// `dev_key:dev_secret` of the default `engagelab-wa`; the key identifies the account that sends.
pub const WHATSAPP_KEY: &str = "sim-engagelab-wa:sim-engagelab-secret";
/// `dev_key:dev_secret` of the default `engagelab-sms`.
pub const SMS_KEY: &str = "sim-engagelab-sms:sim-engagelab-secret";
/// `dev_key:dev_secret` of the default `engagelab-wa-plain`.
pub const PLAIN_WHATSAPP_KEY: &str = "sim-engagelab-wa-plain:sim-engagelab-secret";
/// `dev_key:dev_secret` of the default `engagelab-sms-plain`.
pub const PLAIN_SMS_KEY: &str = "sim-engagelab-sms-plain:sim-engagelab-secret";
/// User name in `X-CALLBACK-ID` of those that send it.
pub const USERNAME: &str = "sim-engagelab-hook";
/// Secret that signs callbacks of the same.
pub const CALLBACK_SECRET: &str = "sim-engagelab-callback-secret";
/// `Authorization` of the same callbacks.
pub const AUTHORIZATION: &str = "Bearer sim-engagelab-authorization";

/// One address for both channels: in reality the template decides which it is, here the key does.
const OTP_WHATSAPP: Product = Product {
    name: "engagelab-whatsapp",
    draw_no: 12,
    channel: Channel::Whatsapp,
    title: "EngageLab",
    base_path: "engagelab",
    routes: &[Route::Send("/engagelab/v1/codes")],
    content_type: JSON,
    calls_back: CallsBack::Account { batches: false },
    takes_dlt: false,
    callback_query: "",
};

const OTP_SMS: Product = Product { name: "engagelab-sms", draw_no: 13, channel: Channel::Sms, ..OTP_WHATSAPP };

/// The plain products have their own hosts.
const PLAIN_WHATSAPP: Product = Product {
    name: "engagelab-plain-whatsapp",
    draw_no: 16,
    base_path: "engagelab-wa",
    routes: &[Route::Send("/engagelab-wa/v1/messages")],
    callback_query: "?token=sim-engagelab-callback-token",
    ..OTP_WHATSAPP
};

const PLAIN_SMS: Product = Product {
    name: "engagelab-plain-sms",
    draw_no: 17,
    channel: Channel::Sms,
    base_path: "engagelab-sms",
    routes: &[Route::Send("/engagelab-sms/v1/messages")],
    ..OTP_WHATSAPP
};

struct Engagelab {
    product: &'static Product,
    kind: Kind,
}

#[derive(Clone, Copy)]
enum Kind {
    Otp,
    PlainWhatsapp,
    PlainSms,
}

impl Face for Engagelab {
    fn product(&self) -> &'static Product {
        self.product
    }

    fn default_account(&self) -> SimAccount {
        let (name, key, price_micros) = match (self.kind, self.product.channel) {
            (Kind::Otp, Channel::Whatsapp) => ("engagelab-wa", WHATSAPP_KEY, 21_000),
            (Kind::Otp, Channel::Sms) => ("engagelab-sms", SMS_KEY, 42_000),
            (Kind::PlainWhatsapp, _) => ("engagelab-wa-plain", PLAIN_WHATSAPP_KEY, 21_000),
            (Kind::PlainSms, _) => ("engagelab-sms-plain", PLAIN_SMS_KEY, 42_000),
        };
        let is_signed = !matches!(self.kind, Kind::PlainWhatsapp);
        let callback_secret = is_signed.then(|| CALLBACK_SECRET.into());
        SimAccount { callback_secret, price_micros, ..SimAccount::new(name, self.product.name, key) }
    }

    /// The OTP product's SMS account also requires the header `Authorization`.
    fn service_settings(&self, base_url: &str) -> String {
        let account = self.default_account();
        let (dev_key, dev_secret) = account.credential.split_once(':').unwrap_or_default();
        let own = match (self.kind, self.product.channel) {
            (Kind::Otp, Channel::Whatsapp) => {
                r#"
                params = { brand = "Example" }
                template = "login_code"
                language = "en_US"
                "#
            }
            (Kind::Otp, Channel::Sms) => &format!(
                r#"
                params = {{ brand = "Example" }}
                callback_authorization = "{AUTHORIZATION}"
                template = "login-sms"
                "#
            ),
            (Kind::PlainWhatsapp, _) => &format!(
                r#"
                product = "plain"
                from = "{SENDER}"
                callback_token = "sim-engagelab-callback-token"
                template = "login_code"
                language = "en_US"
                "#
            ),
            (Kind::PlainSms, _) => {
                r#"
                product = "plain"
                params = { content = "{text}" }
                template = "login-sms"
                "#
            }
        };
        let proof = match self.kind {
            Kind::PlainWhatsapp => String::new(),
            Kind::Otp | Kind::PlainSms => format!(
                r#"
                callback_username = "{USERNAME}"
                callback_secret = "{CALLBACK_SECRET}"
                "#
            ),
        };
        format!(
            r#"
            provider = "engagelab"
            base_url = "{base_url}"
            dev_key = "{dev_key}"
            dev_secret = "{dev_secret}"
            {proof}
            {own}
            "#
        )
    }

    fn hint(&self, account: &SimAccount) -> String {
        match self.kind {
            Kind::Otp => String::new(),
            Kind::PlainWhatsapp => format!("plain product, sender {}", account.sender),
            Kind::PlainSms => "plain product".to_owned(),
        }
    }

    fn credential(&self, call: &Call<'_>) -> Option<String> {
        call.basic()
    }

    fn read(&self, account: &SimAccount, body: &[u8]) -> Result<Request, Reply> {
        let read = match self.kind {
            Kind::Otp => request::read(self.product.channel, account, body),
            Kind::PlainWhatsapp => request::read_whatsapp(account, body),
            Kind::PlainSms => request::read_sms(body),
        };
        read.map_err(|fault| wire::refuse(&fault))
    }

    fn trouble(&self, trouble: Trouble) -> Reply {
        wire::trouble(trouble, self.product.channel)
    }

    fn accepted(&self, _: &SimAccount, _: &Request, facts: &Facts) -> (u16, String) {
        wire::accepted(self.kind, self.product.channel, facts)
    }

    fn provider_id(&self, _: &Request, draws: &Draws) -> String {
        wire::id(draws)
    }

    fn post(&self, batch: &Batch<'_>) -> Post {
        wire::post(self.kind, self.product.channel, batch)
    }
}
