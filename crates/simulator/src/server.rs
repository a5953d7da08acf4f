//! The HTTP side: maps addresses to faces.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::sync::Arc;

use actix_web::dev::Server;
use actix_web::web::{Bytes, Data, PayloadConfig, ServiceConfig, get, post};
use actix_web::{App, HttpRequest, HttpServer};

use crate::engine::control;
use crate::engine::face::{Call, Face, Route};
use crate::engine::send::send;
use crate::engine::status::status;
use crate::engine::world::World;
use crate::registry;

type Shared = Data<Arc<World>>;

/// Maximum length of a request body, in bytes; the largest real one has a few hundred.
const BODY_LIMIT: usize = 64 * 1024;

/// `workers`: threads that serve requests.
pub(crate) fn serve(world: &Arc<World>, workers: usize, listener: TcpListener) -> std::io::Result<Server> {
    let data = Data::new(Arc::clone(world));
    let app = move || {
        App::new()
            .app_data(data.clone())
            .app_data(PayloadConfig::new(BODY_LIMIT))
            .configure(faces)
            .configure(control::routes)
    };
    let server = HttpServer::new(app)
        .workers(workers.max(1))
        // The program that embeds the simulator handles the signals.
        .disable_signals()
        .listen(listener)?;
    Ok(server.run())
}

fn faces(app: &mut ServiceConfig) {
    let mut shared: BTreeMap<Route, Vec<&'static dyn Face>> = BTreeMap::new();
    for face in registry::all() {
        for route in face.product().routes {
            shared.entry(*route).or_default().push(face);
        }
    }
    for (route, faces) in shared {
        let faces: Arc<[_]> = faces.into();
        let answer = move |world: Shared, http: HttpRequest, body: Bytes| {
            let faces = Arc::clone(&faces);
            async move {
                let call = Call { http: &http, body: &body, now: world.clock.now() };
                match route {
                    Route::Send(_) => send(&world, &faces, &call).await,
                    Route::Status(_) => status(&world, &faces, &call),
                }
            }
        };
        let method = match route {
            Route::Send(_) => post(),
            Route::Status(_) => get(),
        };
        app.route(route.path(), method.to(answer));
    }
}
