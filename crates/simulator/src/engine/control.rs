//! `/sim/...`: reads records and changes settings at run time. No key protects it: it is a test tool for one machine.

use std::sync::Arc;
use std::time::Duration;

use actix_web::web::{Bytes, Data, Path, Query, ServiceConfig, delete, get, post, put};
use actix_web::{HttpResponse, Responder};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use crate::engine::account::Mode;
use crate::engine::fates::GivenFate;
use crate::engine::laws::Laws;
use crate::engine::world::{Account, Command, World, lock};

type Shared = Data<Arc<World>>;

/// Default and maximum number of messages or phones in one answer.
const LIMIT: usize = 100;
const HIGHEST_LIMIT: usize = 100_000;

pub(crate) fn routes(app: &mut ServiceConfig) {
    app.route("/sim/messages", get().to(messages))
        .route("/sim/messages", delete().to(reset))
        .route("/sim/phones", get().to(phones))
        .route("/sim/phones/{phone}", get().to(phone))
        .route("/sim/stats", get().to(stats))
        .route("/sim/refusals", get().to(refusals))
        .route("/sim/accounts", get().to(accounts))
        .route("/sim/accounts/{name}", put().to(change_account))
        .route("/sim/fates", get().to(fates))
        .route("/sim/fates/{end}", put().to(give_fate))
        .route("/sim/fates/{end}", delete().to(take_fate))
        .route("/sim/laws", get().to(laws))
        .route("/sim/laws", put().to(change_laws))
        .route("/sim/time", get().to(time))
        .route("/sim/time/advance", post().to(advance));
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Which {
    to: Option<String>,
    limit: Option<usize>,
}

impl Which {
    fn limit(&self) -> usize {
        self.limit.unwrap_or(LIMIT).min(HIGHEST_LIMIT)
    }

    /// An unescaped `+` in a query is decoded as a space.
    fn to(&self) -> Option<String> {
        self.to.as_ref().map(|to| to.replace(' ', "+"))
    }
}

async fn messages(world: Shared, which: Query<Which>) -> impl Responder {
    HttpResponse::Ok().json(world.book.messages(which.to().as_deref(), which.limit()))
}

async fn reset(world: Shared) -> impl Responder {
    world.reset();
    HttpResponse::NoContent()
}

async fn phones(world: Shared, which: Query<Which>) -> impl Responder {
    HttpResponse::Ok().json(world.book.phones(which.to().as_deref(), which.limit()))
}

async fn phone(world: Shared, phone: Path<String>) -> impl Responder {
    HttpResponse::Ok().json(world.phone(&phone))
}

async fn stats(world: Shared) -> impl Responder {
    HttpResponse::Ok().json(world.stats())
}

async fn refusals(world: Shared) -> impl Responder {
    HttpResponse::Ok().json(&*lock(&world.refusals))
}

async fn accounts(world: Shared) -> impl Responder {
    HttpResponse::Ok().json(world.accounts.iter().map(shown).collect::<Vec<_>>())
}

fn shown(account: &Account) -> Value {
    let live = account.live();
    json!({
        "name": account.fixed.name,
        "face": account.fixed.face,
        "callback_url": live.callback_url,
        "signs": live.callback_secret.is_some(),
        "mode": live.mode,
    })
}

/// A missing key stays unchanged; `null` removes a URL or a secret.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    #[serde(default, deserialize_with = "given")]
    callback_url: Option<Option<String>>,
    #[serde(default, deserialize_with = "given")]
    callback_secret: Option<Option<String>>,
    mode: Option<Mode>,
}

fn given<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

async fn change_account(world: Shared, name: Path<String>, body: Bytes) -> HttpResponse {
    let change: Change = match serde_json::from_slice(&body) {
        Ok(change) => change,
        Err(error) => return wrong(&error),
    };
    let Some(account) = world.account(&name) else { return HttpResponse::NotFound().json("no such account") };
    {
        let mut live = lock(&account.live);
        if let Some(url) = change.callback_url {
            live.callback_url = url;
        }
        if let Some(secret) = change.callback_secret {
            live.callback_secret = secret;
        }
        if let Some(mode) = change.mode {
            live.mode = mode;
        }
    }
    HttpResponse::Ok().json(shown(account))
}

async fn fates(world: Shared) -> impl Responder {
    HttpResponse::Ok().json(lock(&world.fates).all())
}

async fn give_fate(world: Shared, end: Path<String>, body: Bytes) -> HttpResponse {
    match serde_json::from_slice::<GivenFate>(&body) {
        Ok(fate) => {
            lock(&world.fates).set(&end, fate);
            HttpResponse::NoContent().finish()
        }
        Err(error) => wrong(&error),
    }
}

async fn take_fate(world: Shared, end: Path<String>) -> HttpResponse {
    if lock(&world.fates).remove(&end) { HttpResponse::NoContent().finish() } else { HttpResponse::NotFound().finish() }
}

async fn laws(world: Shared) -> impl Responder {
    let laws = Arc::clone(&lock(&world.laws));
    HttpResponse::Ok().json(&*laws)
}

/// Replaces all laws; missing ones get their defaults. Messages already accepted keep theirs.
async fn change_laws(world: Shared, body: Bytes) -> HttpResponse {
    match serde_json::from_slice::<Laws>(&body) {
        Ok(laws) => {
            *lock(&world.laws) = Arc::new(laws);
            HttpResponse::NoContent().finish()
        }
        Err(error) => wrong(&error),
    }
}

async fn time(world: Shared) -> impl Responder {
    let (now, manual) = (world.clock.now(), world.clock.is_manual());
    HttpResponse::Ok().json(json!({"now": now, "manual": manual, "pending": world.pending()}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Advance {
    ms: u64,
}

async fn advance(world: Shared, body: Bytes) -> HttpResponse {
    let by = match serde_json::from_slice::<Advance>(&body) {
        Ok(Advance { ms }) => Duration::from_millis(ms),
        Err(error) => return wrong(&error),
    };
    if !world.clock.is_manual() {
        return HttpResponse::Conflict().json("the clock is real and goes by itself");
    }
    let (done, advanced) = oneshot::channel();
    if world.commands.send(Command::Advance(by, done)).is_err() {
        return HttpResponse::ServiceUnavailable().finish();
    }
    match advanced.await {
        Ok(advanced) => HttpResponse::Ok().json(advanced),
        Err(_) => HttpResponse::ServiceUnavailable().finish(),
    }
}

fn wrong(error: &serde_json::Error) -> HttpResponse {
    HttpResponse::BadRequest().json(json!({"error": error.to_string()}))
}
