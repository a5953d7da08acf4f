//! The real program, started as an operator would, with Meta's WhatsApp and YCloud's SMS at a simulator.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use otpost::clock::Clock;
use otpost::domain::app_id::AppId;
use otpost::services::keys::app_keys::AppKeys;
use otpost::simulated;
use otpost::simulator::faces::{meta, ycloud};
use otpost::simulator::{SimConfig, Simulator};
use rustix::process::{Pid, Signal, kill_process};
use sqlx::PgPool;

use crate::helpers::database::{TestDatabase, cluster_base, fresh_database};

/// Looks random; used nowhere else.
pub(crate) const CODE_KEY: &str = "qT5xW0vYk2mJ8rB3nC7dF1gH6sL9pZ4a";
const STARTS_WITHIN: Duration = Duration::from_secs(60);

/// A database, simulated providers, an API key, and any number of running instances of the program.
pub(crate) struct Fixture {
    pub database: TestDatabase,
    pub pool: PgPool,
    pub sim: Simulator,
    pub key: String,
    dir: PathBuf,
}

/// A running instance; killed when dropped.
pub(crate) struct Program {
    pub child: Child,
    pub address: SocketAddr,
    pub log: PathBuf,
}

/// How to start an instance.
#[derive(Clone, Default)]
pub(crate) struct How {
    /// `ulimit -n`.
    pub descriptors: Option<u64>,
    /// Lines of the settings file, below `[server]`.
    pub server: &'static str,
    pub public_url: Option<String>,
    /// A different address of the database.
    pub database_url: Option<String>,
    /// Lines at the end of the settings file.
    pub more: String,
    /// `codes.keys`, as in the settings; [`CODE_KEY`] under the id 1 when there is none.
    pub keys: Vec<String>,
}

impl Fixture {
    pub(crate) async fn new(config: SimConfig) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let database = fresh_database().await;
        let pool = database.pool().await;
        let clock = Clock::live(&pool.clone().into()).await.expect("the database has a clock");
        let key =
            AppKeys::new(pool.clone().into(), clock).create(&AppId::stored("shop"), "program").await.expect("a key");
        let sim = Simulator::start(config, ([127, 0, 0, 1], 0).into()).expect("the simulator starts");
        let n = COUNT.fetch_add(1, Ordering::Relaxed);
        let dir = cluster_base().join(format!("program-{}-{n}", std::process::id()));
        fs::create_dir_all(&dir).expect("a folder");
        Self { key: key.key.expose().to_owned(), database, pool, sim, dir }
    }

    /// Where the simulator posts its callbacks.
    pub(crate) fn callbacks_to(&self, url: &str) {
        for account in ["meta-main", "ycloud-sms"] {
            self.sim.set_callback(account, Some(&simulated::callback_url(url, account))).expect("it has the account");
        }
    }

    pub(crate) fn free_port() -> u16 {
        TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("an address").port()
    }

    /// Starts an instance and waits until it is ready.
    pub(crate) async fn start(&self, port: u16, how: &How) -> Program {
        let program = self.spawn(port, how);
        program.ready().await;
        program
    }

    pub(crate) fn spawn(&self, port: u16, how: &How) -> Program {
        let dir = self.dir.join(port.to_string());
        fs::create_dir_all(&dir).expect("a folder");
        let public_url = how.public_url.clone().unwrap_or_else(|| format!("http://127.0.0.1:{port}"));
        let keys = if how.keys.is_empty() { vec![format!("1:{CODE_KEY}")] } else { how.keys.clone() };
        let text = format!(
            "data_dir = \"{dir}\"\n[server]\nlisten = \"127.0.0.1:{port}\"\npublic_url = \"{public_url}\"\nworkers = 2\n{more}\n\
             [database]\nurl = \"{url}\"\nconnections = 8\nledger_connections = 8\n\
             [codes]\nkeys = {keys:?}\non_newer = \"keep\"\n[limits]\nmode = \"off\"\n\
             [route]\nsteps = [\"meta-main\", \"ycloud-sms\"]\nreplace_after_s = 15\n\
             [accounts.meta-main]\nprovider = \"meta\"\nchannel = \"whatsapp\"\nbase_url = \"{sim}/meta\"\n\
             phone_number_id = \"{phone_number_id}\"\naccess_token = \"{access_token}\"\n\
             app_secret = \"{app_secret}\"\nverify_token = \"sim-verify-token\"\ntemplate = \"login_code\"\n\
             language = \"en_US\"\nper_second = 1000\n\
             [accounts.ycloud-sms]\nprovider = \"ycloud\"\nchannel = \"sms\"\nbase_url = \"{sim}/ycloud\"\n\
             api_key = \"{api_key}\"\nwebhook_secret = \"{webhook_secret}\"\nper_second = 1000\n{end}\n",
            phone_number_id = meta::PHONE_NUMBER_ID,
            access_token = meta::TOKEN,
            app_secret = meta::APP_SECRET,
            api_key = ycloud::KEY,
            webhook_secret = ycloud::SMS_SECRET,
            end = how.more,
            dir = dir.display(),
            more = how.server,
            url = how.database_url.as_deref().unwrap_or_else(|| self.database.url()),
            sim = self.sim.url(),
        );
        let settings = self.settings(port);
        fs::write(&settings, text).expect("the folder takes a file");
        let log = dir.join("log");
        let to = fs::OpenOptions::new().create(true).append(true).open(&log).expect("the folder takes a log");
        let limit = how.descriptors.map(|n| format!("ulimit -n {n} && ")).unwrap_or_default();
        let mut command = Command::new("sh");
        command.arg("-c").arg(format!("{limit}exec \"$0\" serve --config \"$1\""));
        command.arg(env!("CARGO_BIN_EXE_otpost")).arg(&settings);
        command.env_remove("DATABASE_URL").stdin(Stdio::null()).stdout(Stdio::null()).stderr(to);
        let child = command.spawn().expect("the program starts");
        Program { child, address: ([127, 0, 0, 1], port).into(), log }
    }

    /// The settings file of the instance on this port.
    pub(crate) fn settings(&self, port: u16) -> PathBuf {
        self.dir.join(port.to_string()).join("otpost.toml")
    }

    pub(crate) async fn stop(self) {
        self.sim.stop().await;
        self.pool.close().await;
        fs::remove_dir_all(&self.dir).ok();
    }
}

impl Program {
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) async fn ready(&self) {
        let began = Instant::now();
        let http = reqwest::Client::new();
        loop {
            if let Ok(answer) = http.get(format!("{}/readyz", self.url())).send().await
                && answer.status() == 200
            {
                return;
            }
            assert!(began.elapsed() < STARTS_WITHIN, "it is not ready: {}", self.told());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub(crate) fn told(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// SIGTERM.
    pub(crate) fn terminate(&self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).expect("it runs");
    }

    /// Resident memory, in KiB.
    pub(crate) fn resident_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a size");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// A number from the environment, for tests that can run longer than the gate allows.
pub(crate) fn number(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).ok().map_or(otherwise, |text| text.parse().expect("a whole number"))
}
