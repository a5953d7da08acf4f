//! One more instance of the service.

use std::net::TcpListener;
use std::sync::Arc;

use otpost::app::{App, Loops, Means, Running};
use otpost::clock::Clock;
use otpost::config::Settings;
use otpost::services::delivery::dispatch::Dispatch;
use otpost::services::delivery::replace;
use otpost::services::ledger::transitions::Transitions;

use crate::helpers::app::{TestApp, code_keys};

/// One more instance of the service, on a database that has others.
pub(crate) struct Instance {
    pub url: String,
    pub transitions: Transitions,
    pub dispatch: Arc<Dispatch>,
    pub clock: Clock,
    pub running: Running,
}

impl Instance {
    pub(crate) async fn start(settings: &Settings, database_url: &str, clock: Option<Clock>, loops: Loops) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let mut settings = settings.clone();
        settings.server.listen = listener.local_addr().expect("an address");
        settings.server.public_url = format!("http://{}", settings.server.listen);
        let url = settings.server.public_url.clone();
        let means = Means { database_url: database_url.to_owned(), code_keys: code_keys(), clock, migrate: false };
        let app = App::build(&settings, means).await.expect("the app is built");
        let (transitions, dispatch, clock) = (app.transitions.clone(), Arc::clone(&app.dispatch), app.clock.clone());
        let running = app.start(listener, loops).expect("the app starts");
        Self { url, transitions, dispatch, clock, running }
    }

    pub(crate) async fn beside(app: &TestApp) -> Self {
        Self::start(&app.settings, app.database.url(), Some(app.clock.clone()), Loops::ByHand).await
    }

    /// Runs the loops until nothing is left to do, while others do the same.
    pub(crate) async fn work(&self) {
        loop {
            let round = self.dispatch.run_once().await.expect("the sender goes round");
            let mut busy = !round.sends.is_empty() || round.more_due;
            for send in round.sends {
                send.await.expect("a send ends");
            }
            busy |= replace::run_once(&self.transitions, &self.clock).await.expect("deadlines").due > 0;
            if !busy {
                return;
            }
        }
    }
}
