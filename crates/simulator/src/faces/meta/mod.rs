//! Meta's WhatsApp Cloud API. Sources: Meta, Cloud API, "Messages", "Authentication templates", "Error codes" and
//! "Webhooks, messages".

mod signature;
mod wire;
#[cfg(test)]
mod tests;

use otpost_domain::channel::Channel;

use crate::engine::account::SimAccount;
use crate::engine::callback::Facts;
use crate::engine::draw::Draws;
use crate::engine::face::{Batch, Call, CallsBack, Face, JSON, Post, Product, Reply, Request, Route, Trouble};
use crate::wire::whatsapp;

pub(crate) const FACES: &[&dyn Face] = &[&Meta];

/// Bearer token of the default account. All credentials here are invented and valid nowhere else.
pub const TOKEN: &str = "sim-meta-token";
/// App secret that signs the default account's callbacks.
pub const APP_SECRET: &str = "sim-meta-app-secret";
/// Sender of the default account, as in the request's path.
pub const PHONE_NUMBER_ID: &str = "200300400500600";

const PRODUCT: Product = Product {
    name: "meta",
    draw_no: 0,
    channel: Channel::Whatsapp,
    title: "Meta",
    base_path: "meta",
    routes: &[Route::Send("/meta/{version}/{phone_number_id}/messages")],
    content_type: JSON,
    // Source: Meta, Webhooks, "up to 1000 updates per POST".
    calls_back: CallsBack::Account { batches: true },
    takes_dlt: false,
    callback_query: "",
};

struct Meta;

impl Face for Meta {
    fn product(&self) -> &'static Product {
        &PRODUCT
    }

    fn default_account(&self) -> SimAccount {
        SimAccount {
            callback_secret: Some(APP_SECRET.into()),
            phone_number_id: PHONE_NUMBER_ID.into(),
            price_micros: 20_000,
            ..SimAccount::new("meta-main", PRODUCT.name, TOKEN)
        }
    }

    fn service_settings(&self, base_url: &str) -> String {
        format!(
            r#"
            provider = "meta"
            base_url = "{base_url}"
            version = "v25.0"
            phone_number_id = "{PHONE_NUMBER_ID}"
            access_token = "{TOKEN}"
            app_secret = "{APP_SECRET}"
            verify_token = "sim-verify-token"
            template = "login_code"
            language = "en_US"
            "#
        )
    }

    fn hint(&self, account: &SimAccount) -> String {
        format!("phone number id {}", account.phone_number_id)
    }

    fn credential(&self, call: &Call<'_>) -> Option<String> {
        call.authorization("Bearer").map(str::to_owned)
    }

    fn fits_path(&self, account: &SimAccount, call: &Call<'_>) -> bool {
        wire::is_version(call.path("version")) && call.path("phone_number_id") == account.phone_number_id
    }

    fn read(&self, account: &SimAccount, body: &[u8]) -> Result<Request, Reply> {
        wire::read(account, body)
    }

    fn trouble(&self, trouble: Trouble) -> Reply {
        wire::trouble(trouble)
    }

    fn accepted(&self, _: &SimAccount, request: &Request, facts: &Facts) -> (u16, String) {
        wire::accepted(request, facts)
    }

    fn provider_id(&self, request: &Request, draws: &Draws) -> String {
        whatsapp::wamid(&request.to, draws)
    }

    fn post(&self, batch: &Batch<'_>) -> Post {
        wire::post(batch)
    }
}
