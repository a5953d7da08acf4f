//! A PostgreSQL server that a test controls: killed, paused, made read-only, promoted, copied.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use sqlx::{AssertSqlSafe, Connection, PgConnection};

/// Time limit of a start, also after a crash.
const READY_WITHIN: Duration = Duration::from_secs(60);
const DATABASE: &str = "otpost";

/// Its folder contains `data` and `socket`. When dropped, it is killed with all its processes.
pub(crate) struct Node {
    dir: PathBuf,
    postmaster: Option<Child>,
}

impl Node {
    /// A new cluster with an empty database. `sync` makes it wait for a standby; see [`Node::wait_for_standby`].
    pub(crate) async fn primary(dir: &Path) -> Self {
        let mut node = Self::prepare(dir);
        let mut initdb = node.program("initdb");
        initdb.args(["--username=otpost", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync", "--pgdata"]);
        run(initdb.arg(node.data()));
        let conf = "listen_addresses = ''\nport = 5432\nfsync = off\nwal_level = replica\nmax_wal_senders = 8\n\
                    hot_standby = on\nshared_buffers = 64MB\nmax_connections = 100\nwal_keep_size = 256MB\n\
                    wal_retrieve_retry_interval = 200ms\n\
                    log_min_messages = warning\ninclude_if_exists = 'sync.conf'\n";
        let file = node.data().join("postgresql.conf");
        let old = fs::read_to_string(&file).unwrap();
        fs::write(&file, format!("{old}\n{conf}")).unwrap();
        node.start().await;
        node.run("postgres", &format!("create database {DATABASE}")).await.unwrap();
        node
    }

    /// A standby of `primary`, copied from it, that has begun to replicate.
    pub(crate) async fn standby(dir: &Path, primary: &Self) -> Self {
        let mut node = Self::prepare(dir);
        let mut copy = node.program("pg_basebackup");
        copy.args(["--username=otpost", "--write-recovery-conf", "--wal-method=stream", "--checkpoint=fast"]);
        run(copy.arg("--no-sync").arg("--host").arg(primary.socket()).arg("--pgdata").arg(node.data()));
        // After a promotion it must not wait for a standby that does not exist yet.
        fs::remove_file(node.data().join("sync.conf")).ok();
        node.start().await;
        node
    }

    fn prepare(dir: &Path) -> Self {
        // Left by killed runs: named after a process that no longer exists. Their servers end when they notice.
        for old in fs::read_dir(dir.parent().expect("a folder for all")).into_iter().flatten().flatten() {
            let name = old.file_name();
            let process = name.to_str().and_then(|name| name.rsplit_once('.')?.1.parse::<u32>().ok());
            if process.is_some_and(|process| !Path::new(&format!("/proc/{process}")).exists()) {
                fs::remove_dir_all(old.path()).ok();
            }
        }
        let node = Self { dir: dir.to_owned(), postmaster: None };
        fs::remove_dir_all(dir).ok();
        for folder in [dir.to_owned(), node.data(), node.socket()] {
            fs::DirBuilder::new().mode(0o700).create(&folder).unwrap();
            if let Some((uid, gid)) = lent() {
                chown(&folder, Some(uid), Some(gid)).unwrap();
            }
        }
        node
    }

    pub(crate) async fn start(&mut self) {
        let log = File::options().create(true).append(true).open(self.dir.join("log")).unwrap();
        let mut postgres = self.program("postgres");
        postgres.arg("-D").arg(self.data()).arg("-k").arg(self.socket()).process_group(0);
        postgres.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        self.postmaster = Some(postgres.spawn().unwrap());
        let began = Instant::now();
        while let Err(error) = PgConnection::connect(&self.url("postgres")).await {
            assert!(began.elapsed() < READY_WITHIN, "{error}: {}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.dir.join("log")).unwrap_or_default()
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.dir.join("socket")
    }

    fn url(&self, database: &str) -> String {
        format!("postgres://otpost@localhost/{database}?host={}", self.socket().display())
    }

    /// The address of the test's database.
    pub(crate) fn database_url(&self) -> String {
        self.url(DATABASE)
    }

    /// The address of the database on whichever of the two accepts writes.
    pub(crate) fn url_of_pair(one: &Path, other: &Path) -> String {
        let (one, other) = (one.join("socket"), other.join("socket"));
        format!(
            "postgres://otpost@/{DATABASE}?host={},{}&target_session_attrs=read-write",
            one.display(),
            other.display()
        )
    }

    pub(crate) async fn run(&self, database: &str, sql: &str) -> Result<(), sqlx::Error> {
        let mut connection = PgConnection::connect(&self.url(database)).await?;
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut connection).await?;
        connection.close().await
    }

    pub(crate) async fn ask(&self, sql: &str) -> Result<String, sqlx::Error> {
        let mut connection = PgConnection::connect(&self.url("postgres")).await?;
        let answer = sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_one(&mut connection).await?;
        connection.close().await?;
        Ok(answer)
    }

    /// From now on commits wait for the standby; returns when there is one.
    pub(crate) async fn wait_for_standby(&self) {
        fs::write(self.data().join("sync.conf"), "synchronous_standby_names = '*'\n").unwrap();
        self.signal(Signal::HUP);
        let began = Instant::now();
        while self.ask("select count(*)::text from pg_stat_replication where sync_state = 'sync'").await.unwrap() == "0"
        {
            assert!(began.elapsed() < READY_WITHIN, "no standby: {}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub(crate) async fn promote(&self) {
        self.ask("select pg_promote(true, 30)::text").await.unwrap();
    }

    /// To the postmaster.
    pub(crate) fn signal(&self, signal: Signal) {
        let postmaster = self.postmaster.as_ref().expect("it runs");
        kill_process(Pid::from_child(postmaster), signal).unwrap();
    }

    /// To all processes of the server, the postmaster last when `postmaster_too`.
    pub(crate) fn signal_backends(&self, signal: Signal, postmaster_too: bool) {
        let postmaster = self.postmaster.as_ref().expect("it runs");
        for child in children(postmaster.id()) {
            kill_process(child, signal).ok();
        }
        if postmaster_too {
            self.signal(signal);
        }
    }

    /// SIGKILL of all processes, as if the machine were gone.
    pub(crate) fn kill(&mut self) {
        self.signal_backends(Signal::KILL, true);
        self.reap();
    }

    /// Ends without a checkpoint, as `pg_ctl stop -m immediate`.
    pub(crate) fn stop_immediately(&mut self) {
        self.signal(Signal::QUIT);
        self.reap();
    }

    fn reap(&mut self) {
        if let Some(mut postmaster) = self.postmaster.take() {
            postmaster.wait().unwrap();
        }
    }

    fn program(&self, name: &str) -> Command {
        let mut command = Command::new(bin().join(name));
        command.current_dir(&self.dir).env_clear().env("PATH", "/usr/bin:/bin").stdin(Stdio::null());
        if let Some((uid, gid)) = lent() {
            command.uid(uid).gid(gid);
        }
        command
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(mut postmaster) = self.postmaster.take() {
            for child in children(postmaster.id()) {
                kill_process(child, Signal::KILL).ok();
            }
            postmaster.kill().ok();
            postmaster.wait().ok();
        }
        fs::remove_dir_all(&self.dir).ok();
    }
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// `OTPOST_PG_BIN`, or the newest installed version.
fn bin() -> PathBuf {
    if let Some(bin) = std::env::var_os("OTPOST_PG_BIN").filter(|bin| !bin.is_empty()) {
        return bin.into();
    }
    let installed = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let newest = installed.max_by_key(|entry| entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()));
    newest.expect("PostgreSQL is installed").path().join("bin")
}

/// The account that runs the server when the tests run as root, which PostgreSQL refuses.
fn lent() -> Option<(u32, u32)> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let passwd = fs::read_to_string("/etc/passwd").unwrap();
    let of = |name: &str| {
        let line = passwd.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut fields = line.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    };
    of("postgres").or_else(|| of("nobody"))
}

fn children(parent: u32) -> Vec<Pid> {
    let of = |entry: io::Result<fs::DirEntry>| {
        let pid: i32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let theirs: u32 = stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()?;
        (theirs == parent).then(|| Pid::from_raw(pid)).flatten()
    };
    fs::read_dir("/proc").unwrap().filter_map(of).collect()
}
