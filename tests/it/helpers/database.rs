//! A database per test, copied from one that is migrated once.
//!
//! `DATABASE_URL` names the server (its role must be allowed to create databases). Without it, the first test that
//! needs one starts a throwaway cluster. The kernel shuts it down when this process ends, also when it is killed; see
//! `TIE` in `src/postgres/server.rs`.
//!
//! `#[sqlx::test]` is not used, because it reads only `DATABASE_URL`, which a program without `unsafe` cannot set for
//! itself. No constructor before `main` is needed: the cluster's server belongs to a thread of its own, not to the
//! thread of the first test.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::PathBuf;
use std::sync::LazyLock;
use std::thread;
use std::time::Duration;

use otpost::postgres::{Cluster, PostgresError, Profile};
use sha2::{Digest, Sha256};
use sqlx::migrate::Migrator;
use sqlx::postgres::PgPoolOptions;
use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool};

static MIGRATIONS: Migrator = sqlx::migrate!();
static SERVER: LazyLock<Server> = LazyLock::new(|| block_on(Server::prepare));

/// More concurrent runs than anybody has.
const SLOTS: u32 = 64;
/// A cluster with a few databases takes 60-200 MB.
const ROOM: u64 = 1 << 30;
/// An arbitrary number; held while the template is created, for runs that share a `DATABASE_URL`.
const TEMPLATE_LOCK: i64 = 0x6f74_706f_7374;

/// An empty database with every table. Dropping this value drops it, even with open connections.
pub(crate) struct TestDatabase {
    url: String,
    name: String,
}

/// Takes about 20 ms; the first call of a run up to 2 s.
pub(crate) async fn fresh_database() -> TestDatabase {
    // Blocks this test only: each test has its own thread and runtime.
    let server = &*SERVER;
    let name = format!("otpost_test_{}", uuid::Uuid::now_v7().simple());
    // A file copy writes nothing to the write-ahead log, which is faster for such a small database.
    let create = format!("create database {name} template {} strategy file_copy", server.template);
    server.run(&create).await.expect("the server makes a database");
    TestDatabase { url: with_database(&server.url, &name), name }
}

impl TestDatabase {
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// At most 5 connections; the cluster allows 200.
    pub(crate) async fn pool(&self) -> PgPool {
        let options = PgPoolOptions::new().max_connections(5).acquire_timeout(Duration::from_secs(30));
        options.connect(&self.url).await.expect("the database that was just made takes connections")
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let drop = format!("drop database {} with (force)", self.name);
        if let Err(error) = block_on(|| SERVER.run(&drop)) {
            eprintln!("{drop}: {error}");
        }
    }
}

struct Server {
    /// The address of the database `postgres`, or `DATABASE_URL`.
    url: String,
    template: String,
    /// Never dropped, because it is in a static: the kernel stops it.
    _cluster: Option<Cluster>,
}

impl Server {
    async fn prepare() -> Self {
        let given = std::env::var("DATABASE_URL").ok().filter(|url| !url.is_empty());
        let cluster = given.is_none().then(|| first_free_slot().unwrap_or_else(|error| panic!("{error}")));
        let url = given.or(cluster.as_ref().map(|cluster| cluster.url("postgres"))).expect("one of the two");
        let server = Self { url, template: template_name(), _cluster: cluster };
        if server._cluster.is_some() {
            server.drop_left_over().await.expect("databases of killed runs can be dropped");
        }
        server.make_template().await.expect("the migrations run");
        server
    }

    async fn run(&self, statement: &str) -> Result<(), sqlx::Error> {
        let mut admin = PgConnection::connect(&self.url).await?;
        sqlx::raw_sql(AssertSqlSafe(statement.to_owned())).execute(&mut admin).await?;
        admin.close().await
    }

    /// A slot belongs to one run, so what is in it was left by a killed run or by other migrations.
    async fn drop_left_over(&self) -> Result<(), sqlx::Error> {
        let mut admin = PgConnection::connect(&self.url).await?;
        let names: Vec<String> = sqlx::query_scalar(
            "select datname::text from pg_database where datname like 'otpost\\_test\\_%' and datname <> $1",
        )
        .bind(&self.template)
        .fetch_all(&mut admin)
        .await?;
        for name in names {
            sqlx::raw_sql(AssertSqlSafe(format!("drop database \"{name}\" with (force)"))).execute(&mut admin).await?;
        }
        admin.close().await
    }

    /// The template gets its name when it is complete, so an existing one is ready.
    async fn make_template(&self) -> Result<(), Box<dyn std::error::Error>> {
        let mut admin = PgConnection::connect(&self.url).await?;
        sqlx::query("select pg_advisory_lock($1)").bind(TEMPLATE_LOCK).execute(&mut admin).await?;
        let exists: bool = sqlx::query_scalar("select exists (select from pg_database where datname = $1)")
            .bind(&self.template)
            .fetch_one(&mut admin)
            .await?;
        if !exists {
            let new = format!("{}_new", self.template);
            self.run(&format!("drop database if exists {new} with (force)")).await?;
            self.run(&format!("create database {new}")).await?;
            let mut database = PgConnection::connect(&with_database(&self.url, &new)).await?;
            MIGRATIONS.run(&mut database).await?;
            database.close().await?;
            self.run(&format!("alter database {new} rename to {}", self.template)).await?;
        }
        admin.close().await?;
        Ok(())
    }
}

/// Other migrations get another template.
fn template_name() -> String {
    let mut digest = Sha256::new();
    for migration in MIGRATIONS.iter() {
        digest.update(migration.version.to_be_bytes());
        digest.update(&migration.checksum);
    }
    format!("otpost_test_template_{}", hex::encode(&digest.finalize()[..8]))
}

/// Concurrent runs take one slot each, and later runs reuse them. So a run usually finds its cluster and template
/// ready, and the disk usage is bounded.
fn first_free_slot() -> Result<Cluster, PostgresError> {
    let base = cluster_base();
    for slot in 0..SLOTS {
        match Cluster::start(&base.join(format!("slot-{slot}")), Profile::Throwaway) {
            Err(PostgresError::InUse(_)) => {}
            other => return other,
        }
    }
    panic!("all {SLOTS} slots in {} are in use", base.display());
}

/// Where tests put clusters: in memory if there is room, else below the target folder, else (as root in a checkout that
/// PostgreSQL's account cannot enter) in the temporary directory.
pub(crate) fn cluster_base() -> PathBuf {
    let me = rustix::process::geteuid().as_raw();
    let name = format!("otpost-test-{me}");
    let target = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let open = |dir: &PathBuf| {
        me != 0 || dir.ancestors().all(|dir| fs::metadata(dir).is_ok_and(|meta| meta.mode() & 0o001 != 0))
    };
    let memory = PathBuf::from("/dev/shm");
    let has_room = rustix::fs::statvfs(&memory).is_ok_and(|free| free.f_bavail * free.f_frsize >= ROOM);
    let places = [has_room.then_some(memory), open(&target).then_some(target), Some(std::env::temp_dir())];
    for base in places.into_iter().flatten().map(|place| place.join(&name)) {
        // The first two may be writable for everyone: a folder there is used only if we own it.
        DirBuilder::new().mode(0o755).create(&base).ok();
        if fs::symlink_metadata(&base).is_ok_and(|meta| meta.is_dir() && meta.uid() == me) {
            return base;
        }
    }
    panic!("no folder to put a test cluster in; set DATABASE_URL");
}

/// The same server, another database.
fn with_database(url: &str, name: &str) -> String {
    let (base, options) = url.split_once('?').map_or((url, None), |(base, options)| (base, Some(options)));
    let host = base.find("://").map_or(0, |at| at + 3);
    let server = base[host..].find('/').map_or(base, |at| &base[..host + at]);
    options.map_or_else(|| format!("{server}/{name}"), |options| format!("{server}/{name}?{options}"))
}

/// On a separate thread and runtime, so that it also works inside a running runtime.
fn block_on<T: Send, F: Future<Output = T>>(future: impl FnOnce() -> F + Send) -> T {
    let run = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime needs two file descriptors").block_on(future())
    };
    thread::scope(|scope| scope.spawn(run).join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
}

#[tokio::test]
async fn databases_are_apart_and_dropped() {
    let (one, other) = (fresh_database().await, fresh_database().await);
    let (one_pool, other_pool) = (one.pool().await, other.pool().await);
    sqlx::raw_sql("create table only_here (id int)").execute(&one_pool).await.unwrap();
    assert!(sqlx::raw_sql("select * from only_here").execute(&other_pool).await.is_err());
    let name = one.name.clone();
    drop(one);
    let left: i64 = sqlx::query_scalar("select count(*) from pg_database where datname = $1")
        .bind(name)
        .fetch_one(&other_pool)
        .await
        .unwrap();
    assert_eq!(left, 0);
}

#[test]
fn database_of_an_url_is_replaced() {
    assert_eq!(with_database("postgres://a:b@h:1/x?host=/s/t", "y"), "postgres://a:b@h:1/y?host=/s/t");
    assert_eq!(with_database("postgres://h", "y"), "postgres://h/y");
}
