//! `PgBouncer` between otpost and PostgreSQL. Runs where the program is installed.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use otpost::app::{App, Loops, Means};
use otpost::domain::app_id::AppId;
use otpost::simulated;
use otpost::simulator::{SimConfig, Simulator};
use otpost::store::database::{self, Plans};

use crate::helpers::app::{code_keys, plain, unlimited};
use crate::helpers::database::cluster_base;
use crate::helpers::node::Node;
use crate::helpers::tools;

/// Longest wait for the pooler to start and for messages to be delivered.
const BOUND: Duration = Duration::from_secs(30);

struct Bouncer {
    child: Child,
    dir: PathBuf,
}

impl Bouncer {
    /// `None` where it is not installed. `more`: lines of its settings.
    async fn start(node: &Node, mode: &str, more: &str) -> Option<Self> {
        let program = tools::program("pgbouncer")?;
        let dir = cluster_base().join(format!("bouncer-{}", uuid::Uuid::now_v7().simple()));
        fs::create_dir_all(&dir).unwrap();
        // No further options: otpost needs only the mode from a pooler.
        let ini = format!(
            "[databases]\n* = host={} port=5432 user=otpost\n[pgbouncer]\nlisten_addr =\nlisten_port = 6432\nunix_socket_dir = {}\n\
             auth_type = any\nmax_client_conn = 200\ndefault_pool_size = 60\npool_mode = {mode}\n{more}\n",
            node.socket().display(),
            dir.display()
        );
        fs::write(dir.join("pgbouncer.ini"), ini).unwrap();
        let mut command = Command::new(program);
        command.arg(dir.join("pgbouncer.ini")).stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(fs::File::create(dir.join("log")).unwrap());
        if rustix::process::geteuid().is_root() {
            // It refuses root; the account that runs the server may enter its folder.
            let owner = fs::metadata(node.socket()).unwrap().uid();
            chown(&dir, Some(owner), None).unwrap();
            command.uid(owner);
        }
        let bouncer = Self { child: command.spawn().unwrap(), dir };
        let began = Instant::now();
        while !bouncer.dir.join(".s.PGSQL.6432").exists() {
            assert!(began.elapsed() < BOUND, "{}", fs::read_to_string(bouncer.dir.join("log")).unwrap());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Some(bouncer)
    }

    fn url(&self) -> String {
        format!("postgres://otpost@localhost:6432/otpost?host={}", self.dir.display())
    }
}

impl Drop for Bouncer {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
        fs::remove_dir_all(&self.dir).ok();
    }
}

fn place(name: &str) -> PathBuf {
    cluster_base().join(format!("{name}.{}", std::process::id()))
}

#[tokio::test]
async fn a_pooler_that_keeps_no_sessions_is_refused_with_that_reason() {
    let node = Node::primary(&place("pooled")).await;
    // The second assigns its servers in turn, the others the most recently used one.
    let turns = "server_round_robin = 1\nmin_pool_size = 5";
    for (mode, more) in [("transaction", ""), ("transaction", turns), ("statement", "")] {
        let Some(bouncer) = Bouncer::start(&node, mode, more).await else { return };
        for _ in 0..3 {
            let found = database::connect(&bouncer.url(), "test", 1, Plans::Search).await;
            let refused = found.expect_err(mode).to_string();
            assert!(refused.contains("set pool_mode = session for database \"otpost\""), "{mode}: {refused}");
        }
    }
}

#[tokio::test]
async fn a_pooler_that_keeps_sessions_migrates_and_serves() {
    let node = Node::primary(&place("session")).await;
    let Some(bouncer) = Bouncer::start(&node, "session", "").await else { return };
    let sim = Simulator::start(SimConfig::default(), ([127, 0, 0, 1], 0).into()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut settings = simulated::settings(Path::new("/nonexistent"), listener.local_addr().unwrap(), &sim.url(), 15);
    unlimited(&mut settings);
    settings.server.workers = 1;
    for account in &simulated::accounts() {
        sim.set_callback(account, Some(&simulated::callback_url(&settings.server.public_url, account))).unwrap();
    }
    let means = Means { database_url: bouncer.url(), code_keys: code_keys(), clock: None, migrate: true };
    let app = App::build(&settings, means).await.expect("the app is built");
    // The limits are set, although no startup packet contained them.
    for (pool, plans) in [(&app.api.messages.pool, "on"), (&app.transitions.pool, "off")] {
        let set: (String, String) =
            sqlx::query_as("select current_setting('statement_timeout'), current_setting('enable_seqscan')")
                .fetch_one(pool)
                .await
                .unwrap();
        assert_eq!(set, ("2s".to_owned(), plans.to_owned()));
    }
    let api = app.api.clone();
    let running = app.start(listener, Loops::Run).unwrap();
    for n in 0..20 {
        api.accept
            .run(&AppId::stored("shop"), plain(&format!("+62812345{n:02}0001")), None)
            .await
            .expect("it is accepted");
    }
    let began = Instant::now();
    let delivered = "select count(*) from messages where state = 'delivered'";
    while sqlx::query_scalar::<_, i64>(delivered).fetch_one(&api.messages.pool).await.unwrap() < 20 {
        assert!(began.elapsed() < BOUND, "not all are delivered");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    running.stop(false).await;
    sim.stop().await;
}
