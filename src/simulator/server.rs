//! The HTTP side: which path is which face.

use std::net::TcpListener;
use std::sync::Arc;

use actix_web::dev::Server;
use actix_web::web::{Bytes, Data, Path, PayloadConfig, Query, ServiceConfig, get, post};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer};
use serde::Deserialize;

use crate::simulator::config::{Face, Mode};
use crate::simulator::control;
use crate::simulator::faces::sleekflow::number_of;
use crate::simulator::faces::{self, Trouble};
use crate::simulator::send::{answer, send};
use crate::simulator::world::{Account, World};

type Shared = Data<Arc<World>>;

/// Bytes of a request's body; the largest real one has a few hundred.
const BODY_LIMIT: usize = 64 * 1024;

pub(crate) fn serve(world: &Arc<World>, listener: TcpListener) -> std::io::Result<Server> {
    let data = Data::new(Arc::clone(world));
    let app = move || {
        App::new()
            .app_data(data.clone())
            .app_data(PayloadConfig::new(BODY_LIMIT))
            .configure(meta)
            .configure(ycloud)
            .configure(cliqtel)
            .configure(infobip)
            .configure(sleekflow)
            .configure(twilio)
            .configure(vonage)
            .configure(engagelab)
            .configure(http)
            .configure(control::routes)
    };
    let server = HttpServer::new(app)
        .workers(world.config.workers.max(1))
        // Whoever embeds the simulator handles the signals.
        .disable_signals()
        .listen(listener)?;
    Ok(server.run())
}

fn meta(app: &mut ServiceConfig) {
    let to = async |world: Shared, path: Path<(String, String)>, http: HttpRequest, body: Bytes| {
        let (version, sender) = path.into_inner();
        if !is_version(&version) {
            return answer(Face::Meta.trouble(Trouble::NoSuchMessage));
        }
        send(Arc::clone(&world), Face::Meta, Some(&sender), http, &body).await
    };
    app.route("/meta/{version}/{phone_number_id}/messages", post().to(to));
}

/// `v25.0`
fn is_version(text: &str) -> bool {
    let numbers = text.strip_prefix('v').and_then(|rest| rest.split_once('.'));
    numbers.is_some_and(|(major, minor)| major.parse::<u16>().is_ok() && minor.parse::<u16>().is_ok())
}

fn ycloud(app: &mut ServiceConfig) {
    let whatsapp = async |world: Shared, http: HttpRequest, body: Bytes| {
        send(Arc::clone(&world), Face::YcloudWhatsapp, None, http, &body).await
    };
    let sms = async |world: Shared, http: HttpRequest, body: Bytes| {
        send(Arc::clone(&world), Face::YcloudSms, None, http, &body).await
    };
    let one =
        async |world: Shared, id: Path<String>, http: HttpRequest| status(&world, Face::YcloudWhatsapp, &id, &http);
    let list = async |world: Shared, filter: Query<Filter>, http: HttpRequest| {
        status(&world, Face::YcloudSms, &filter.id, &http)
    };
    app.route("/ycloud/v2/whatsapp/messages/sendDirectly", post().to(whatsapp))
        .route("/ycloud/v2/whatsapp/messages", post().to(whatsapp))
        .route("/ycloud/v2/sms", post().to(sms))
        .route("/ycloud/v2/whatsapp/messages/{id}", get().to(one))
        .route("/ycloud/v2/sms", get().to(list));
}

#[derive(Deserialize)]
struct Filter {
    #[serde(rename = "filter.id")]
    id: String,
}

fn cliqtel(app: &mut ServiceConfig) {
    for (name, face) in [("whatsapp", Face::CliqtelWhatsapp), ("sms", Face::CliqtelSms)] {
        let to = move |world: Shared, http: HttpRequest, body: Bytes| async move {
            send(Arc::clone(&world), face, None, http, &body).await
        };
        let one =
            move |world: Shared, id: Path<String>, http: HttpRequest| async move { status(&world, face, &id, &http) };
        app.route(&format!("/cliqtel/api/v1/{name}/messages"), post().to(to))
            .route(&format!("/cliqtel/api/v1/{name}/messages/{{id}}"), get().to(one));
    }
}

fn infobip(app: &mut ServiceConfig) {
    let whatsapp = async |world: Shared, http: HttpRequest, body: Bytes| {
        send(Arc::clone(&world), Face::InfobipWhatsapp, None, http, &body).await
    };
    let sms = async |world: Shared, http: HttpRequest, body: Bytes| {
        send(Arc::clone(&world), Face::InfobipSms, None, http, &body).await
    };
    let log = async |world: Shared, which: Query<LogOf>, http: HttpRequest| {
        status(&world, Face::InfobipSms, &which.message_id, &http)
    };
    app.route("/infobip/whatsapp/1/message/template", post().to(whatsapp))
        .route("/infobip/sms/3/messages", post().to(sms))
        .route("/infobip/sms/3/logs", get().to(log));
}

#[derive(Deserialize)]
struct LogOf {
    #[serde(rename = "messageId")]
    message_id: String,
}

fn sleekflow(app: &mut ServiceConfig) {
    let face = Face::SleekflowWhatsapp;
    let to = move |world: Shared, http: HttpRequest, body: Bytes| async move {
        send(Arc::clone(&world), face, None, http, &body).await
    };
    let list = async |world: Shared, conversation: Path<String>, page: Query<Page>, http: HttpRequest| {
        conversation_list(&world, &conversation, &page, &http)
    };
    app.route("/sleekflow/api/message/send/json", post().to(to))
        .route("/sleekflow/api/conversation/message/{conversation}", get().to(list));
}

#[derive(Deserialize)]
struct Page {
    offset: usize,
    limit: usize,
}

/// The newest messages first. Assumed: no order is published.
fn conversation_list(world: &World, conversation: &str, page: &Page, http: &HttpRequest) -> HttpResponse {
    let face = Face::SleekflowWhatsapp;
    let account = match asked(world, face, http) {
        Ok(account) => account,
        Err(trouble) => return answer(face.trouble(trouble)),
    };
    let Some(number) = number_of(conversation) else { return answer(face.trouble(Trouble::NoSuchMessage)) };
    let (all, now) = (world.book.messages(Some(&number), usize::MAX), world.clock.now());
    let ours =
        all.iter().rev().filter(|message| message.account == account.fixed.name && message.provider_id.is_some());
    let list: Vec<_> =
        ours.skip(page.offset).take(page.limit).map(|one| face.status(&account.fixed, one, now)).collect();
    HttpResponse::Ok().json(list)
}

fn twilio(app: &mut ServiceConfig) {
    let to = async |world: Shared, account_sid: Path<String>, http: HttpRequest, body: Bytes| {
        let face = if faces::twilio::is_whatsapp(&body) { Face::TwilioWhatsapp } else { Face::TwilioSms };
        send(Arc::clone(&world), face, Some(&account_sid), http, &body).await
    };
    let one = async |world: Shared, path: Path<(String, String)>, http: HttpRequest| {
        let (account_sid, sid) = path.into_inner();
        let face = world.book.by_provider_id(&sid).map_or(Face::TwilioSms, |message| message.face);
        if world.accounts.iter().all(|account| account.fixed.phone_number_id != account_sid) {
            return answer(face.trouble(Trouble::NoSuchMessage));
        }
        status(&world, face, &sid, &http)
    };
    app.route("/twilio/2010-04-01/Accounts/{account_sid}/Messages.json", post().to(to))
        .route("/twilio/2010-04-01/Accounts/{account_sid}/Messages/{sid}.json", get().to(one));
}

fn vonage(app: &mut ServiceConfig) {
    let to = async |world: Shared, http: HttpRequest, body: Bytes| {
        let face = if faces::vonage::is_whatsapp(&body) { Face::VonageWhatsapp } else { Face::VonageSms };
        send(Arc::clone(&world), face, None, http, &body).await
    };
    app.route("/vonage/v1/messages", post().to(to));
}

/// One address for both channels: in truth the template says which it is, here the key does.
fn engagelab(app: &mut ServiceConfig) {
    let to = async |world: Shared, http: HttpRequest, body: Bytes| {
        let shown = Face::EngagelabSms.credential(http.headers(), world.clock.now());
        let is_sms = world.accounts.iter().any(|account| {
            account.fixed.face == Face::EngagelabSms && Some(&account.fixed.credential) == shown.as_ref()
        });
        let face = if is_sms { Face::EngagelabSms } else { Face::EngagelabWhatsapp };
        send(Arc::clone(&world), face, None, http, &body).await
    };
    app.route("/engagelab/v1/codes", post().to(to));
    // The plain products have hosts of their own.
    for (name, face) in [("wa", Face::EngagelabPlainWhatsapp), ("sms", Face::EngagelabPlainSms)] {
        let to = move |world: Shared, http: HttpRequest, body: Bytes| async move {
            send(Arc::clone(&world), face, None, http, &body).await
        };
        app.route(&format!("/engagelab-{name}/v1/messages"), post().to(to));
    }
}

fn http(app: &mut ServiceConfig) {
    let whatsapp = async |world: Shared, http: HttpRequest, body: Bytes| {
        send(Arc::clone(&world), Face::HttpWhatsapp, None, http, &body).await
    };
    let sms = async |world: Shared, http: HttpRequest, body: Bytes| {
        send(Arc::clone(&world), Face::HttpSms, None, http, &body).await
    };
    let one = async |world: Shared, id: Path<String>, http: HttpRequest| status(&world, Face::HttpWhatsapp, &id, &http);
    let by_id =
        async |world: Shared, of: Query<OfSms>, http: HttpRequest| status(&world, Face::HttpSms, &of.msgid, &http);
    app.route("/http/v3/messages", post().to(whatsapp))
        .route("/http/v3/messages/{id}", get().to(one))
        .route("/http/send", post().to(sms))
        .route("/http/status", get().to(by_id));
}

#[derive(Deserialize)]
struct OfSms {
    msgid: String,
}

/// The account of the credential that a question shows.
fn asked<'w>(world: &'w World, face: Face, http: &HttpRequest) -> Result<&'w Account, Trouble> {
    let shown = face.credential(http.headers(), world.clock.now()).unwrap_or_default();
    let is_known = |no: &&Account| no.fixed.face == face && no.fixed.credential == shown;
    let known = world.accounts.iter().find(is_known).filter(|_| !shown.is_empty());
    let account = known.ok_or(Trouble::Unauthorized)?;
    let is_down = matches!(account.live().mode, Mode::Outage | Mode::Refuse);
    if is_down { Err(Trouble::Outage) } else { Ok(account) }
}

/// What the provider says when it is asked for a message.
fn status(world: &World, face: Face, id: &str, http: &HttpRequest) -> HttpResponse {
    let account = match asked(world, face, http) {
        Ok(account) => account,
        Err(trouble) => return answer(face.trouble(trouble)),
    };
    match world.book.by_provider_id(id).filter(|message| message.face == face) {
        Some(message) => HttpResponse::Ok().json(face.status(&account.fixed, &message, world.clock.now())),
        None if face == Face::YcloudSms => {
            HttpResponse::Ok().json(serde_json::json!({"offset": 0, "limit": 10, "length": 0, "items": []}))
        }
        None if face == Face::InfobipSms => HttpResponse::Ok().json(serde_json::json!({"results": []})),
        None => answer(face.trouble(Trouble::NoSuchMessage)),
    }
}
