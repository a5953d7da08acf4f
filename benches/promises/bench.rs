//! The base of every benchmark: the database server, a fresh database, and the service on it.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use otpost::app::{App, Loops, Means, Running};
use otpost::config::Settings;
use otpost::domain::app_id::AppId;
use otpost::domain::code_keys::{CodeKey, CodeKeys};
use otpost::domain::limits::{LimitRule, Mode, OnNewer};
use otpost::postgres::{Cluster, Profile, ensure_database};
use otpost::services::ledger::group_commit::Ledger;
use otpost::simulated;
use otpost::simulator::{Laws, SimConfig, Simulator};
use sqlx::postgres::PgPoolOptions;
use sqlx::{AssertSqlSafe, PgPool};

pub(crate) struct Bench {
    pub seconds: u64,
    pub version: String,
    cluster: Cluster,
    dir: PathBuf,
}

/// How the service makes callbacks durable.
#[derive(Clone, Copy)]
pub(crate) enum Arm {
    /// As shipped: group commit.
    Ours,
    /// The control: one transaction per callback, on this many connections.
    OneByOne(u32),
}

/// The service, listening.
pub(crate) struct Service {
    pub address: SocketAddr,
    pub key: String,
    pub running: Running,
}

/// Without limits: a benchmark sends far more to a range of numbers than an app does.
fn unlimited(settings: &mut Settings) {
    settings.limits.mode = Mode::Off;
    settings.codes.on_newer = OnNewer::Keep;
    settings.pumping.rules.set_all(Mode::Off);
}

/// With every limit of messages counted, and none reached. Each number gets one message.
pub(crate) fn limited(settings: &mut Settings) {
    settings.limits.mode = Mode::Enforce;
    settings.codes.on_newer = OnNewer::Supersede;
    for rule in [LimitRule::PrefixPerHour, LimitRule::CountryPerHour, LimitRule::AppPerHour] {
        settings.limits.usual = settings.limits.usual.with(rule, 1_000_000_000);
    }
}

impl Bench {
    pub(crate) fn prepare() -> anyhow::Result<Self> {
        let base = std::env::var("OTPOST_BENCH_DIR").unwrap_or_else(|_| "/var/tmp".to_owned());
        let dir = Path::new(&base).join("otpost-bench");
        let seconds = match std::env::var("OTPOST_BENCH_SECONDS") {
            Ok(text) => text.parse().context("OTPOST_BENCH_SECONDS must be a whole number")?,
            Err(_) => 10,
        };
        let cluster = Cluster::start(&dir, Profile::Durable)?;
        let version = std::fs::read_to_string(dir.join("data/PG_VERSION")).unwrap_or_default().trim().to_owned();
        Ok(Self { seconds, version, cluster, dir })
    }

    /// An empty database with every table, and a pool for the benchmark's own statements.
    pub(crate) async fn database(&self, name: &str) -> anyhow::Result<(String, PgPool)> {
        let admin = self.cluster.url("postgres");
        let pool = PgPool::connect(&admin).await?;
        sqlx::raw_sql(AssertSqlSafe(format!("drop database if exists {name} with (force)"))).execute(&pool).await?;
        pool.close().await;
        ensure_database(&admin, name).await?;
        let url = self.cluster.url(name);
        let pool = PgPoolOptions::new().max_connections(2).connect(&url).await?;
        otpost::store::database::migrate(&pool.clone().into()).await?;
        Ok((url, pool))
    }

    /// Simulator settings, and a listener for them.
    pub(crate) fn settings(&self, simulator_url: &str) -> anyhow::Result<(TcpListener, Settings)> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let mut settings = simulated::settings(&self.dir, listener.local_addr()?, simulator_url, 30);
        unlimited(&mut settings);
        Ok((listener, settings))
    }

    /// The service on `url`, with all its loops.
    pub(crate) async fn service(&self, url: &str, arm: Arm, sim: &Simulator) -> anyhow::Result<Service> {
        let (listener, settings) = self.settings(&sim.url())?;
        self.service_with(url, arm, sim, listener, settings).await
    }

    pub(crate) async fn service_with(
        &self,
        url: &str,
        arm: Arm,
        sim: &Simulator,
        listener: TcpListener,
        mut settings: Settings,
    ) -> anyhow::Result<Service> {
        if let Arm::OneByOne(connections) = arm {
            settings.database.ledger_connections = connections;
        }
        let app = self.build(url, sim, arm, &settings).await?;
        let key = app.api.app_keys.create(&AppId::stored("bench"), "bench").await?.key.expose().to_owned();
        let running = app.start(listener, Loops::Run)?;
        Ok(Service { address: running.address, key, running })
    }

    pub(crate) async fn build(&self, url: &str, sim: &Simulator, arm: Arm, settings: &Settings) -> anyhow::Result<App> {
        for account in &simulated::accounts() {
            sim.set_callback(account, Some(&simulated::callback_url(&settings.server.public_url, account)))?;
        }
        let means = Means { database_url: url.to_owned(), code_keys: code_keys(), clock: None, migrate: false };
        let mut app = App::build(settings, means).await?;
        if let Arm::OneByOne(connections) = arm {
            let (landed, _) = tokio::sync::mpsc::unbounded_channel();
            let ledger = Ledger::start(&app.transitions, connections as usize, 1, landed);
            // Nobody else holds it before the start.
            let mut api = app.api.into_inner();
            let inside = Arc::get_mut(&mut api).context("the service runs already")?;
            inside.messages.ledger = ledger.clone();
            inside.callbacks.apply.ledger = ledger;
            app.api = api.into();
        }
        Ok(app)
    }
}

impl Service {
    pub(crate) async fn stop(self) {
        self.running.stop(false).await;
    }
}

/// Everything is delivered at once.
pub(crate) fn simulator() -> anyhow::Result<Simulator> {
    let config = SimConfig { laws: Laws::instant(), ..SimConfig::default() };
    Ok(Simulator::start(config, ([127, 0, 0, 1], 0).into())?)
}

pub(crate) fn code_keys() -> CodeKeys {
    let key = CodeKey::new(1, &[7; 32]).expect("long enough");
    CodeKeys::new(vec![key]).expect("one key")
}

/// Lets earlier writes finish, so that they do not count.
pub(crate) async fn settle(pool: &PgPool) -> anyhow::Result<()> {
    sqlx::raw_sql("vacuum (analyze)").execute(pool).await?;
    sqlx::raw_sql("checkpoint").execute(pool).await?;
    tokio::time::sleep(Duration::from_millis(500)).await;
    Ok(())
}
