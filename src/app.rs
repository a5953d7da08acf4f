//! Wires everything. `main` and the tests both build an [`App`].

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use actix_web::web;
use chrono::TimeDelta;
use tokio::runtime::Handle;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;

use crate::clock::Clock;
use crate::config::Settings;
use crate::domain::code_keys::CodeKeys;
use crate::process;
use crate::providers::client::{Client, ClientError};
use crate::reload::Reload;
use crate::services::accept_message::AcceptMessage;
use crate::services::account::Accounts;
use crate::services::app_keys::AppKeys;
use crate::services::apply_receipts::ApplyReceipts;
use crate::services::ask::Ask;
use crate::services::backlog::Backlog;
use crate::services::choose_route::ChooseRoute;
use crate::services::dispatch::Dispatch;
use crate::services::instances::Instances;
use crate::services::intake::{self, Intake};
use crate::services::ledger::{GROUP, Ledger};
use crate::services::memory::NumberMemory;
use crate::services::quarantine::Quarantine;
use crate::services::randomness;
use crate::services::take_callback::TakeCallback;
use crate::services::take_pulse::TakePulse;
use crate::services::transitions::Transitions;
use crate::services::under_way::UnderWay;
use crate::services::watch::{WaitLimits, Watch};
use crate::store::StoreError;
use crate::store::database::{self, Database, Plans};
use crate::store::provider_ids::ProviderId;
use crate::telemetry;
use crate::telemetry::Ticks;
use crate::web::api::Api;
use crate::web::bodies::Bodies;
use crate::web::server::{Limits, Needs, Server};
use crate::workers::supervise::supervise;
use crate::workers::{asker, deadlines, instances as instance_loop, janitor, matcher, pulse, sender, watcher};

/// Tasks that commit groups. One commit serves a group, so few are enough; two keep both cores of a small machine busy.
const LEDGER_WORKERS: usize = 2;
/// For readiness, API keys, and those who wait: none of them waits behind the requests of apps.
const WATCH_CONNECTIONS: u32 = 3;
/// How long requests may take to finish after that, and then sends.
const FINISH: Duration = Duration::from_secs(25);

#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    #[error("cannot use the database")]
    Store(#[from] StoreError),
    #[error("cannot migrate the database")]
    Migrate(#[from] database::MigrationError),
    #[error("cannot set up the HTTP client")]
    Client(#[from] ClientError),
    #[error("cannot listen on {0}")]
    Listen(SocketAddr, #[source] std::io::Error),
}

/// Where the database is, how codes are kept, and a clock other than the database's when a test wants one.
pub struct Means {
    pub database_url: String,
    pub code_keys: CodeKeys,
    pub clock: Option<Clock>,
    pub migrate: bool,
}

/// Who goes round the loops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loops {
    Run,
    /// A test, with a stopped clock.
    ByHand,
}

/// All parts, wired but not running.
pub struct App {
    pub api: web::Data<Api>,
    pub transitions: Transitions,
    pub dispatch: Arc<Dispatch>,
    pub ask: Arc<Ask>,
    pub take_pulse: Arc<TakePulse>,
    pub instances: Instances,
    pub backlog: Backlog,
    pub clock: Clock,
    pub keys: CodeKeys,
    pub accounts: Accounts,
    pub reload: Arc<Reload>,
    pub ticks: Ticks,
    landed: mpsc::UnboundedReceiver<Vec<ProviderId>>,
    web_workers: usize,
    limits: Limits,
    watch_pool: Database,
    linger: Duration,
}

impl App {
    /// Connects, migrates when asked to, and wires. Call it inside a tokio runtime.
    ///
    /// # Errors
    /// See [`BuildError`].
    pub async fn build(settings: &Settings, means: Means) -> Result<Self, BuildError> {
        let Means { database_url: url, code_keys: keys, clock, migrate } = means;
        telemetry::start_metrics();
        let server = database::Server::find(&url).await?;
        let api_pool = server.pool("otpost api", settings.database.connections, Plans::Search);
        let work_pool = server.pool("otpost work", settings.database.ledger_connections, Plans::ByKey);
        let intake_pool = server.pool("otpost intake", intake::CONNECTIONS, Plans::ByKey);
        server.keep_watch();
        if migrate {
            database::migrate(&work_pool).await?;
        }
        let clock = match clock {
            Some(clock) => clock,
            None => Clock::live(&work_pool).await?,
        };
        let limits = limits(settings);
        let waiting = WaitLimits { all: limits.waiting, per_app: limits.waiting_per_app };
        let watch = Watch::new(waiting);
        let watch_pool = server.pool("otpost watch", WATCH_CONNECTIONS, Plans::ByKey);
        let wake_sender = Arc::new(Notify::new());
        let reload = Arc::new(Reload::new(settings.clone(), clock.clone()));
        let (accounts, pulse) = (reload.accounts.clone(), reload.pulse.clone());
        let remember_for = settings.memory.remember_for;
        let transitions = Transitions {
            pool: work_pool.clone(),
            keys: keys.clone(),
            watch: watch.clone(),
            wake_sender: Arc::clone(&wake_sender),
            pulse: pulse.clone(),
            quarantine: Quarantine::default(),
            under_way: UnderWay::default(),
            remember_for,
            share_memory: settings.memory.shared,
        };
        let instance = randomness::token();
        let instances = Instances::new(work_pool.clone(), clock.clone(), accounts.clone(), instance);
        instances.beat().await?;
        let backlog = Backlog::new(accounts.clone());
        let take_pulse = TakePulse::new(work_pool.clone(), clock.clone(), pulse.clone(), instance);
        let take_pulse = Arc::new(take_pulse);
        let memory = NumberMemory {
            pool: api_pool.clone(),
            clock: clock.clone(),
            keys: keys.clone(),
            remember_for,
            shared: settings.memory.shared,
        };
        let (landed_sender, landed) = mpsc::unbounded_channel();
        let ledger = Ledger::start(&transitions, LEDGER_WORKERS, GROUP, landed_sender);
        let apply = ApplyReceipts { pool: work_pool.clone(), ledger: ledger.clone() };
        let callbacks = TakeCallback {
            pool: work_pool.clone(),
            clock: clock.clone(),
            keys: keys.clone(),
            accounts: accounts.clone(),
            apply: apply.clone(),
        };
        let client = Client::new(&settings.sending.client)?;
        let ask = Arc::new(Ask {
            pool: work_pool,
            clock: clock.clone(),
            client: client.clone(),
            accounts: accounts.clone(),
            apply,
        });
        let dispatch = Arc::new(Dispatch {
            transitions: transitions.clone(),
            ledger: ledger.clone(),
            clock: clock.clone(),
            client,
            accounts: accounts.clone(),
            policy: reload.policy.clone(),
            instances: instances.clone(),
            lease: TimeDelta::from_std(settings.sending.lease).unwrap_or(TimeDelta::seconds(20)),
            stopped: tokio::sync::Mutex::new(false),
        });
        let ticks = Ticks::default();
        let api = web::Data::new(Api {
            accept: AcceptMessage {
                pool: api_pool.clone(),
                intake: Intake::start(&intake_pool),
                clock: clock.clone(),
                keys: keys.clone(),
                choose: ChooseRoute { accounts: accounts.clone(), pulse: pulse.clone(), memory: memory.clone() },
                backlog: backlog.clone(),
                policy: reload.policy.clone(),
                wake_sender,
            },
            app_keys: AppKeys::new(watch_pool.clone(), clock.clone()),
            pool: api_pool,
            clock: clock.clone(),
            ledger,
            watch,
            callbacks,
            pulse,
            memory,
            ticks: ticks.clone(),
            bodies: Bodies::default(),
            runtime: Handle::current(),
            stopping: AtomicBool::new(false),
        });
        let web_workers = settings.server.workers;
        Ok(Self {
            api,
            transitions,
            dispatch,
            ask,
            take_pulse,
            instances,
            backlog,
            clock,
            keys,
            accounts,
            reload,
            ticks,
            landed,
            web_workers,
            limits,
            watch_pool,
            linger: settings.server.linger,
        })
    }

    /// Starts the HTTP server, and the loops unless a test goes round them by hand.
    ///
    /// # Errors
    /// When the listener cannot be used.
    pub fn start(self, listener: TcpListener, loops: Loops) -> Result<Running, BuildError> {
        let address = listener.local_addr().map_err(|e| BuildError::Listen(([0, 0, 0, 0], 0).into(), e))?;
        let server = Server::start(listener, self.web_workers, self.limits.clone(), &self.api);
        let server = server.map_err(|e| BuildError::Listen(address, e))?;
        let linger = self.linger;
        let (api, dispatch, reload) = (self.api.clone(), Arc::clone(&self.dispatch), Arc::clone(&self.reload));
        let take_pulse = Arc::clone(&self.take_pulse);
        let instances = self.instances.clone();
        let (watch, watch_pool) = (api.watch.clone(), self.watch_pool.clone());
        let loops = match loops {
            Loops::Run => {
                let (w, p, k) = (watch, watch_pool.clone(), self.ticks.clone());
                let watcher = supervise("watcher", &self.ticks, move || watcher::run(w.clone(), p.clone(), k.clone()));
                let mut loops = self.spawn_loops();
                loops.push(watcher);
                loops
            }
            Loops::ByHand => vec![
                tokio::spawn(matcher::run(api.callbacks.apply.clone(), self.landed)),
                // It is left out of the ticks: by hand nobody goes round the other loops.
                tokio::spawn(watcher::run(watch, watch_pool.clone(), Ticks::default())),
            ],
        };
        Ok(Running { address, api, reload, dispatch, take_pulse, instances, loops, server, watch_pool, linger })
    }

    fn spawn_loops(self) -> Vec<JoinHandle<()>> {
        let Self {
            api,
            transitions,
            dispatch,
            ask,
            take_pulse,
            instances,
            backlog,
            clock,
            accounts,
            ticks,
            landed,
            ..
        } = self;
        let apply = api.callbacks.apply.clone();
        let (t, c, k) = (transitions.clone(), clock.clone(), ticks.clone());
        let mut loops =
            vec![supervise("deadlines", &ticks, move || deadlines::replace_loop(t.clone(), c.clone(), k.clone()))];
        let (t, c, k) = (transitions.clone(), clock.clone(), ticks.clone());
        loops.push(supervise("lives", &ticks, move || deadlines::end_loop(t.clone(), c.clone(), k.clone())));
        let (t, c, k) = (transitions.clone(), clock.clone(), ticks.clone());
        loops.push(supervise("clock", &ticks, move || janitor::clock_loop(t.clone(), c.clone(), k.clone())));
        let (t, c, k) = (transitions.clone(), clock.clone(), ticks.clone());
        loops.push(supervise("instances", &ticks, move || {
            instance_loop::run(instances.clone(), backlog.clone(), t.clone(), c.clone(), k.clone())
        }));
        let (p, c, k) = (apply.clone(), clock.clone(), ticks.clone());
        loops.push(supervise("waiting", &ticks, move || janitor::waiting_loop(p.clone(), c.clone(), k.clone())));
        loops.push(tokio::spawn(janitor::forget_loop(transitions.pool.clone(), clock.clone())));
        let (t, c, a, k) = (transitions, clock, accounts, ticks.clone());
        loops.push(supervise("recovery", &ticks, move || {
            janitor::recover_loop(t.clone(), c.clone(), a.clone(), k.clone())
        }));
        let k = ticks.clone();
        loops.push(supervise("pulse", &ticks, move || pulse::run(Arc::clone(&take_pulse), k.clone())));
        let k = ticks.clone();
        loops.push(supervise("sender", &ticks, move || sender::run(Arc::clone(&dispatch), k.clone())));
        let k = ticks.clone();
        loops.push(supervise("asker", &ticks, move || asker::run(Arc::clone(&ask), k.clone())));
        loops.push(tokio::spawn(matcher::run(apply, landed)));
        loops
    }
}

/// How many connections there is room for, with this process's limit of open files.
fn limits(settings: &Settings) -> Limits {
    let database = &settings.database;
    let database = database.connections + database.ledger_connections + intake::CONNECTIONS + WATCH_CONNECTIONS;
    let sends: u64 = settings.accounts.values().map(|account| account.concurrency as u64).sum();
    let needs = Needs { database: u64::from(database), sends };
    let server = &settings.server;
    Limits::new(
        process::descriptors(),
        &needs,
        server.max_connections,
        server.max_connections_per_address,
        server.trusted_proxies.clone(),
    )
}

/// A service that is up.
pub struct Running {
    pub address: SocketAddr,
    pub api: web::Data<Api>,
    pub reload: Arc<Reload>,
    dispatch: Arc<Dispatch>,
    take_pulse: Arc<TakePulse>,
    instances: Instances,
    loops: Vec<JoinHandle<()>>,
    server: Server,
    watch_pool: Database,
    linger: Duration,
}

impl Running {
    /// Stops without losing anything: not ready at once, then no new connections, then no new sends; what is under way
    /// finishes. `linger`: whether to wait for load balancers to notice.
    pub async fn stop(self, linger: bool) {
        self.api.stop();
        if linger {
            tokio::time::sleep(self.linger).await;
        }
        self.server.stop(FINISH).await;
        if tokio::time::timeout(FINISH, self.dispatch.stop()).await.is_err() {
            tracing::warn!("some sends did not finish; the next start finds them");
        }
        for one in self.loops {
            one.abort();
        }
        if let Err(error) = self.take_pulse.finish().await {
            tracing::warn!(error = %telemetry::chain(&error), "the last counts of the accounts are lost");
        }
        if let Err(error) = self.instances.leave().await {
            tracing::warn!(error = %telemetry::chain(&error), "the other instances notice later that this one is gone");
        }
        self.watch_pool.close().await;
        self.api.pool.close().await;
        self.dispatch.transitions.pool.close().await;
    }
}
