//! The HTTP side: which path is which face.

use std::net::TcpListener;
use std::sync::Arc;

use actix_web::dev::Server;
use actix_web::web::{Bytes, Data, Path, PayloadConfig, Query, ServiceConfig, get, post};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer};
use serde::Deserialize;

use crate::simulator::config::{Face, Mode};
use crate::simulator::control;
use crate::simulator::faces::Trouble;
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

/// What the provider says when it is asked for a message.
fn status(world: &World, face: Face, id: &str, http: &HttpRequest) -> HttpResponse {
    let shown = face.credential(http.headers()).unwrap_or_default();
    let is_known = |no: &&Account| no.fixed.face == face && no.fixed.credential == shown;
    let Some(account) = world.accounts.iter().find(is_known).filter(|_| !shown.is_empty()) else {
        return answer(face.trouble(Trouble::Unauthorized));
    };
    if matches!(account.live().mode, Mode::Outage | Mode::Refuse) {
        return answer(face.trouble(Trouble::Outage));
    }
    match world.book.by_provider_id(id).filter(|message| message.face == face) {
        Some(message) => HttpResponse::Ok().json(face.status(&account.fixed, &message, world.clock.now())),
        None if face == Face::YcloudSms => {
            HttpResponse::Ok().json(serde_json::json!({"offset": 0, "limit": 10, "length": 0, "items": []}))
        }
        None => answer(face.trouble(Trouble::NoSuchMessage)),
    }
}
