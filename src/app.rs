//! Wires everything. `main`, the tests and the benchmarks build the same [`App`].

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
use crate::outbound::{Client, ClientError};
use crate::process;
use crate::reload::Reload;
use crate::services::accounts::account::Accounts;
use crate::services::accounts::backlog::Backlog;
use crate::services::accounts::instances::Instances;
use crate::services::accounts::take_pulse::TakePulse;
use crate::services::callbacks::apply_receipts::ApplyReceipts;
use crate::services::callbacks::status_queries::StatusQueries;
use crate::services::callbacks::take_callback::TakeCallback;
use crate::services::delivery::dispatch::Dispatch;
use crate::services::delivery::under_way::UnderWay;
use crate::services::keys::app_keys::AppKeys;
use crate::services::keys::code_keys;
use crate::services::ledger::group_commit::{GROUP, LandedIds, Ledger};
use crate::services::ledger::quarantine::Quarantine;
use crate::services::ledger::transitions::Transitions;
use crate::services::limits::admission::{self, Admission};
use crate::services::limits::sms_guard::SmsGuard;
use crate::services::limits::spraying::Spraying;
use crate::services::messages::Messages;
use crate::services::messages::accept_message::AcceptMessage;
use crate::services::messages::intake::{self, Intake};
use crate::services::messages::watch::{WaitLimits, Watch, Watcher};
use crate::services::randomness;
use crate::services::routing::choose_route::ChooseRoute;
use crate::services::routing::memory::NumberMemory;
use crate::services::upkeep::loops::{LoopName, Ticks};
use crate::store::StoreError;
use crate::store::database::{self, Database, Plans};
use crate::telemetry;
use crate::web::api::Api;
use crate::web::bodies::Bodies;
use crate::web::server::{Limits, Needs, Server};
use crate::workers::{self, Services, matcher};

/// Tasks that commit groups. One commit serves a group, so few are enough; two keep both cores of a small machine busy.
const LEDGER_WORKERS: usize = 2;
/// For API keys and held GETs: neither waits behind other requests.
const WATCH_CONNECTIONS: u32 = 3;
/// How long requests may take to finish after the last connection was accepted, and sends after them.
const FINISH: Duration = Duration::from_secs(25);

#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    #[error(transparent)]
    Connect(#[from] database::ConnectError),
    #[error(transparent)]
    Tables(#[from] database::SchemaError),
    #[error("cannot use the database")]
    Store(#[from] StoreError),
    #[error(transparent)]
    Keys(#[from] code_keys::KeysError),
    #[error("cannot migrate the database")]
    Migrate(#[from] database::MigrationError),
    #[error("cannot set up the HTTP client")]
    Client(#[from] ClientError),
    #[error("cannot listen on {0}")]
    Listen(SocketAddr, #[source] std::io::Error),
}

/// The database's address, the code keys, and a clock other than the database's for tests.
pub struct Means {
    pub database_url: String,
    pub code_keys: CodeKeys,
    pub clock: Option<Clock>,
    pub migrate: bool,
}

/// Who runs the loops.
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
    pub ask: Arc<StatusQueries>,
    pub take_pulse: Arc<TakePulse>,
    pub instances: Instances,
    pub backlog: Backlog,
    pub clock: Clock,
    pub keys: CodeKeys,
    pub accounts: Accounts,
    pub reload: Arc<Reload>,
    pub ticks: Ticks,
    landed: LandedIds,
    web_workers: usize,
    limits: Limits,
    watch_pool: Database,
    linger: Duration,
}

impl App {
    /// Connects, migrates if requested, and wires. Call it inside a tokio runtime.
    ///
    /// # Errors
    /// See [`BuildError`].
    pub async fn build(settings: &Settings, means: Means) -> Result<Self, BuildError> {
        let Means { database_url: url, code_keys: keys, clock, migrate } = means;
        telemetry::start_metrics();
        let server = database::Server::find(&url).await?;
        let api_pool = server.pool("otpost api", settings.database.connections, Plans::Search);
        let work_pool = server.pool("otpost work", settings.database.ledger_connections, Plans::ByKey);
        let intake_connections = intake::CONNECTIONS + admission::CONNECTIONS;
        let intake_pool = server.pool("otpost intake", intake_connections, Plans::ByKey);
        server.keep_watch();
        if migrate {
            database::migrate(&work_pool).await?;
        } else {
            database::check_tables(&work_pool).await?;
        }
        let clock = match clock {
            Some(clock) => clock,
            None => Clock::live(&work_pool).await?,
        };
        code_keys::agree(&work_pool, &keys, clock.now()).await?;
        let limits = limits(settings);
        let waiting = WaitLimits { all: limits.waiting, per_app: limits.waiting_per_app };
        let watch = Watch::new(waiting);
        let watch_pool = server.pool("otpost watch", WATCH_CONNECTIONS, Plans::ByKey);
        let wake_sender = Arc::new(Notify::new());
        let reload = Arc::new(Reload::new(settings.clone(), clock.clone()));
        let (accounts, pulse) = (reload.accounts.clone(), reload.pulse.clone());
        let remember_for = settings.memory.remember_for;
        let instance = randomness::token();
        let spraying = Spraying::new(work_pool.clone(), clock.clone(), instance);
        let sms_guard = SmsGuard::start(&intake_pool, &clock, &reload.policy);
        let transitions = Transitions {
            pool: work_pool.clone(),
            keys: keys.clone(),
            watch: watch.clone(),
            wake_sender: Arc::clone(&wake_sender),
            pulse: pulse.clone(),
            accounts: accounts.clone(),
            quarantine: Quarantine::default(),
            under_way: UnderWay::default(),
            sms_guard: sms_guard.clone(),
            spraying: spraying.clone(),
            policy: reload.policy.clone(),
            remember_for,
            share_memory: settings.memory.shared,
        };
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
        let ask = Arc::new(StatusQueries {
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
            sms_guard,
            lease: TimeDelta::from_std(settings.sending.lease).unwrap_or(TimeDelta::seconds(20)),
            stopped: tokio::sync::Mutex::new(false),
        });
        let ticks = Ticks::default();
        let admission = Admission::start(&intake_pool, &clock, &keys, &reload.policy, &spraying);
        let api = web::Data::new(Api {
            accept: AcceptMessage {
                pool: api_pool.clone(),
                intake: Intake::start(&intake_pool, &clock),
                admission: admission.clone(),
                ledger: ledger.clone(),
                clock: clock.clone(),
                keys: keys.clone(),
                choose: ChooseRoute { accounts: accounts.clone(), pulse: pulse.clone(), memory: memory.clone() },
                backlog: backlog.clone(),
                policy: reload.policy.clone(),
                wake_sender,
            },
            app_keys: AppKeys::new(watch_pool.clone(), clock.clone()),
            trusted_proxies: settings.server.trusted_proxies.clone(),
            messages: Messages { pool: api_pool, ledger, clock: clock.clone(), admission },
            clock: clock.clone(),
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

    /// Starts the HTTP server, and the loops unless a test runs them.
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
        let watch_pool = self.watch_pool.clone();
        let services = self.services();
        let mut tasks = vec![tokio::spawn(matcher::run(services.apply.clone(), self.landed))];
        match loops {
            Loops::Run => {
                let (pool, keys, clock) = (api.messages.pool.clone(), self.keys, self.clock);
                tasks.push(tokio::spawn(code_keys::tell_missing(pool, keys, clock)));
                tasks.extend(workers::start(&services, &self.ticks));
            }
            // Not in the ticks: with `ByHand` nobody runs the other loops.
            Loops::ByHand => tasks.push(workers::start_one(LoopName::Watcher, &services, &Ticks::default())),
        }
        Ok(Running { address, api, reload, dispatch, take_pulse, instances, tasks, server, watch_pool, linger })
    }

    /// What the loops call.
    pub fn services(&self) -> Services {
        Services {
            transitions: self.transitions.clone(),
            clock: self.clock.clone(),
            accounts: self.accounts.clone(),
            apply: self.api.callbacks.apply.clone(),
            dispatch: Arc::clone(&self.dispatch),
            ask: Arc::clone(&self.ask),
            take_pulse: Arc::clone(&self.take_pulse),
            instances: self.instances.clone(),
            backlog: self.backlog.clone(),
            app_keys: self.api.app_keys.clone(),
            watcher: Watcher { watch: self.api.watch.clone(), pool: self.watch_pool.clone() },
        }
    }
}

/// How many connections are possible with this process's limit of open files.
fn limits(settings: &Settings) -> Limits {
    let database = &settings.database;
    let intake = intake::CONNECTIONS + admission::CONNECTIONS;
    let database = database.connections + database.ledger_connections + intake + WATCH_CONNECTIONS;
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

/// A running service.
pub struct Running {
    pub address: SocketAddr,
    pub api: web::Data<Api>,
    pub reload: Arc<Reload>,
    dispatch: Arc<Dispatch>,
    take_pulse: Arc<TakePulse>,
    instances: Instances,
    tasks: Vec<JoinHandle<()>>,
    server: Server,
    watch_pool: Database,
    linger: Duration,
}

impl Running {
    /// Stops without losing anything: first readiness fails, then no new connections are accepted, then no new sends
    /// start; work in progress finishes. `linger`: whether to wait for load balancers to notice.
    pub async fn stop(self, linger: bool) {
        self.api.stop();
        if linger {
            tokio::time::sleep(self.linger).await;
        }
        self.server.stop(FINISH).await;
        if tokio::time::timeout(FINISH, self.dispatch.stop()).await.is_err() {
            tracing::warn!("some sends did not finish; the next start finds them");
        }
        for one in self.tasks {
            one.abort();
        }
        if let Err(error) = self.take_pulse.finish().await {
            tracing::warn!(error = %telemetry::chain(&error), "the last counts of the accounts are lost");
        }
        let transitions = &self.dispatch.transitions;
        if let Err(error) = code_keys::let_go(&transitions.pool, &transitions.keys, self.api.clock.now()).await {
            tracing::warn!(error = %telemetry::chain(&error), "the other instances notice later that its code keys are gone");
        }
        if let Err(error) = self.instances.leave().await {
            tracing::warn!(error = %telemetry::chain(&error), "the other instances notice later that this one is gone");
        }
        self.watch_pool.close().await;
        self.api.messages.pool.close().await;
        self.dispatch.transitions.pool.close().await;
    }
}
