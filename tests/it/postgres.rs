//! The private cluster: started, found running, killed in every way, and refused where it must be.
//!
//! Some tests need the service as a separate process, to kill it: they run this test binary again, with the one "test"
//! [`service`], which does nothing in an ordinary run.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use otpost::postgres::{Cluster, PostgresError, Profile, ensure_database};
use otpost::store::database::Plans;
use rustix::process::{Pid, Signal, kill_process};
use sqlx::{Connection, PgConnection};

use crate::helpers::database::cluster_base;

const DIRECTORY: &str = "OTPOST_TEST_CLUSTER";
const NOBODY: u32 = 65534;

/// A directory for clusters, removed at the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        // Left by killed runs: named after a process that no longer exists.
        for old in fs::read_dir(cluster_base()).unwrap().flatten() {
            let process = old.file_name().to_str().and_then(|name| name.rsplit_once('.')?.1.parse().ok());
            if process.is_some_and(has_ended) {
                fs::remove_dir_all(old.path()).ok();
            }
        }
        let dir = cluster_base().join(format!("{name}.{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        Self(dir)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

/// The service of some tests: starts the cluster in the directory that it is given and waits to be killed.
#[test]
fn service() {
    let Some(dir) = std::env::var_os(DIRECTORY) else { return };
    match Cluster::start(Path::new(&dir), Profile::Durable) {
        Ok(cluster) => {
            println!("\nready {} {}", cluster.server_id(), cluster.url("postgres"));
            loop {
                std::thread::park();
            }
        }
        Err(error) => println!("\nrefused {error}"),
    }
}

fn run_service(dir: &Path, change: impl FnOnce(&mut Command)) -> (Child, String) {
    run_service_of(&std::env::current_exe().unwrap(), dir, change)
}

fn run_service_of(binary: &Path, dir: &Path, change: impl FnOnce(&mut Command)) -> (Child, String) {
    let mut command = Command::new(binary);
    command.args(["--exact", "postgres::service", "--nocapture", "--test-threads=1"]).env(DIRECTORY, dir);
    change(command.stdout(Stdio::piped()));
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let said = lines.find(|line| line.starts_with("ready ") || line.starts_with("refused "));
    std::thread::spawn(move || lines.for_each(drop));
    (child, said.expect("the service says how it went"))
}

fn server_of(said: &str) -> u32 {
    let words: Vec<&str> = said.split(' ').collect();
    assert_eq!(words[0], "ready", "{said}");
    words[1].parse().unwrap()
}

fn kill(id: u32) {
    kill_process(Pid::from_raw(id.try_into().unwrap()).unwrap(), Signal::KILL).unwrap();
}

/// A zombie counts: its new parent may be slow to reap it.
fn has_ended(id: u32) -> bool {
    fs::read_to_string(format!("/proc/{id}/stat")).map_or(true, |stat| stat.contains(") Z "))
}

fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < Duration::from_secs(20), "not within 20 s: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

async fn run(cluster: &Cluster, statement: &'static str) -> Option<String> {
    let mut connection = PgConnection::connect(&cluster.url("postgres")).await.unwrap();
    let answer = sqlx::query_scalar(statement).fetch_optional(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    answer
}

#[tokio::test]
async fn cluster_starts_cold_then_warm_and_keeps_its_rows() {
    let scratch = Scratch::new("warm");
    let started = Instant::now();
    let cluster = Cluster::start(&scratch.0, Profile::Durable).unwrap();
    let cold = started.elapsed();
    run(&cluster, "create table kept as select 'a'::text as word").await;
    assert_eq!(run(&cluster, "show fsync").await.as_deref(), Some("on"));
    assert_eq!(run(&cluster, "show data_checksums").await.as_deref(), Some("on"));
    assert_eq!(run(&cluster, "show listen_addresses").await.as_deref(), Some(""));
    let server = cluster.server_id();
    let started = Instant::now();
    cluster.stop();
    let stop = started.elapsed();
    assert!(has_ended(server));

    let started = Instant::now();
    let cluster = Cluster::start(&scratch.0, Profile::Durable).unwrap();
    println!("cold {cold:?}, stop {stop:?}, warm {:?}", started.elapsed());
    assert_eq!(run(&cluster, "select word from kept").await.as_deref(), Some("a"));
}

#[tokio::test]
async fn two_clusters_run_side_by_side() {
    let scratch = Scratch::new("two");
    let one = Cluster::start(&scratch.0.join("one"), Profile::Throwaway).unwrap();
    let other = Cluster::start(&scratch.0.join("other"), Profile::Throwaway).unwrap();
    run(&one, "create table here (id int)").await;
    assert_eq!(run(&other, "select relname::text from pg_class where relname = 'here'").await, None);
}

#[test]
fn second_process_is_refused_and_told_the_lock() {
    let scratch = Scratch::new("second");
    let _cluster = Cluster::start(&scratch.0, Profile::Throwaway).unwrap();
    let Err(refused) = Cluster::start(&scratch.0, Profile::Throwaway) else { panic!("both run") };
    assert!(matches!(refused, PostgresError::InUse(_)));
    let (mut child, said) = run_service(&scratch.0, |_| {});
    child.wait().unwrap();
    assert!(said.contains("another otpost process") && said.contains("/lock"), "{said}");
}

#[tokio::test]
async fn killed_server_is_revived_at_the_same_address() {
    let scratch = Scratch::new("killed-server");
    let mut cluster = Cluster::start(&scratch.0, Profile::Durable).unwrap();
    run(&cluster, "create table kept as select 'a'::text as word").await;
    let (server, url) = (cluster.server_id(), cluster.url("postgres"));
    assert!(!cluster.revive().unwrap());
    // A busy backend does not notice that its server is gone, and holds the directory until it is done.
    let mut busy = PgConnection::connect(&url).await.unwrap();
    let busy = tokio::spawn(async move {
        sqlx::query("select count(*) from generate_series(1, 10000000)").execute(&mut busy).await
    });
    tokio::time::sleep(Duration::from_millis(200)).await;
    let killed = Instant::now();
    kill(server);
    wait_until("the server is gone", || has_ended(server));
    assert!(cluster.revive().unwrap());
    println!("revived after {:?}", killed.elapsed());
    busy.await.unwrap().ok();
    assert_eq!(cluster.url("postgres"), url);
    assert_eq!(run(&cluster, "select word from kept").await.as_deref(), Some("a"));

    kill(cluster.server_id());
    drop(cluster);
    let cluster = Cluster::start(&scratch.0, Profile::Durable).unwrap();
    assert_eq!(run(&cluster, "select word from kept").await.as_deref(), Some("a"));
}

#[tokio::test]
async fn killed_service_takes_its_server_along() {
    let scratch = Scratch::new("killed-service");
    let (mut child, said) = run_service(&scratch.0, |_| {});
    let server = server_of(&said);
    child.kill().unwrap();
    child.wait().unwrap();
    wait_until("the kernel has stopped the server", || has_ended(server));
    assert!(run(&Cluster::start(&scratch.0, Profile::Durable).unwrap(), "select 'a'::text").await.is_some());
}

/// The server's process may then stay a zombie for a while: its new parent is slow to reap it here.
#[tokio::test]
async fn service_and_server_killed_together_come_back() {
    let scratch = Scratch::new("killed-both");
    let (mut child, said) = run_service(&scratch.0, |_| {});
    kill(server_of(&said));
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(run(&Cluster::start(&scratch.0, Profile::Durable).unwrap(), "select 'a'::text").await.is_some());
}

/// Without setpriv and a shell the server survives a killed service; the next start ends it and starts its own.
#[tokio::test]
async fn orphaned_server_is_ended_by_the_next_start() {
    let scratch = Scratch::new("orphan");
    let (mut child, said) = run_service(&scratch.0, |command| {
        command.env("PATH", "").env("OTPOST_PG_BIN", programs());
    });
    let orphan = server_of(&said);
    child.kill().unwrap();
    child.wait().unwrap();
    std::thread::sleep(Duration::from_millis(200));
    assert!(!has_ended(orphan), "it was not an orphan");
    let cluster = Cluster::start(&scratch.0, Profile::Durable).unwrap();
    assert!(has_ended(orphan));
    assert!(run(&cluster, "select 'a'::text").await.is_some());
}

#[test]
fn shell_ties_the_server_where_setpriv_is_missing() {
    let scratch = Scratch::new("shell");
    let path = scratch.0.join("path");
    fs::create_dir(&path).unwrap();
    symlink("/bin/sh", path.join("sh")).unwrap();
    let (mut child, said) = run_service(&scratch.0.join("cluster"), |command| {
        command.env("PATH", &path).env("OTPOST_PG_BIN", programs());
    });
    let server = server_of(&said);
    child.kill().unwrap();
    child.wait().unwrap();
    wait_until("the shell has stopped the server", || has_ended(server));
}

/// After a restart of a container process ids start again, and the old server's id may belong to another process.
#[tokio::test]
async fn process_id_of_a_stranger_is_not_a_server() {
    let scratch = Scratch::new("stranger");
    Cluster::start(&scratch.0, Profile::Durable).unwrap().stop();
    let stranger = Command::new("sleep").arg("60").spawn().unwrap();
    let file = scratch.0.join("data/postmaster.pid");
    fs::write(&file, format!("{}\n{}\n1\n5432\n\n\n\n", stranger.id(), scratch.0.join("data").display())).unwrap();
    let cluster = Cluster::start(&scratch.0, Profile::Durable);
    assert!(!has_ended(stranger.id()), "a stranger was killed");
    kill(stranger.id());
    { stranger }.wait().unwrap();
    assert!(run(&cluster.unwrap(), "select 'a'::text").await.is_some());
}

#[tokio::test]
async fn deep_directory_gets_a_short_socket() {
    let scratch = Scratch::new("deep");
    let deep = scratch.0.join("a folder's \"name\", long".repeat(2)).join("x".repeat(60));
    let cluster = Cluster::start(&deep, Profile::Throwaway).unwrap();
    assert!(run(&cluster, "select 'a'::text").await.is_some());
    // The same kind of name, short enough.
    let odd = scratch.0.join("a, \"b\" & c");
    assert!(run(&Cluster::start(&odd, Profile::Throwaway).unwrap(), "select 'a'::text").await.is_some());
}

#[test]
fn missing_programs_are_named() {
    let scratch = Scratch::new("missing");
    let (mut child, said) = run_service(&scratch.0.join("cluster"), |command| {
        command.env("PATH", "").env("OTPOST_PG_BIN", &scratch.0);
    });
    child.wait().unwrap();
    assert!(said.contains("OTPOST_PG_BIN is") && said.contains("package `postgresql`"), "{said}");
}

#[test]
fn other_major_version_is_named() {
    let scratch = Scratch::new("major");
    let data = scratch.0.join("data");
    fs::create_dir(&data).unwrap();
    fs::write(data.join("PG_VERSION"), "11\n").unwrap();
    let Err(refused) = Cluster::start(&scratch.0, Profile::Durable) else { panic!("opened") };
    assert!(refused.to_string().contains("made by PostgreSQL 11"), "{refused}");
    Cluster::start(&scratch.0, Profile::Throwaway).unwrap();
}

#[test]
fn directory_closed_to_the_server_is_named() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let scratch = Scratch::new("closed");
    fs::set_permissions(&scratch.0, fs::Permissions::from_mode(0o700)).unwrap();
    let Err(refused) = Cluster::start(&scratch.0.join("below"), Profile::Durable) else { panic!("opened") };
    let said = refused.to_string();
    assert!(said.contains("cannot enter") && said.contains(&*scratch.0.to_string_lossy()), "{said}");
}

#[test]
fn ordinary_user_runs_it_too() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let scratch = Scratch::new("ordinary");
    let dir = scratch.0.join("theirs");
    fs::create_dir(&dir).unwrap();
    chown(&dir, Some(NOBODY), Some(NOBODY)).unwrap();
    // In a checkout below /root that user cannot even run this binary, but can run a copy.
    let copy = scratch.0.join("it");
    fs::copy(std::env::current_exe().unwrap(), &copy).unwrap();
    let (mut child, said) = run_service_of(&copy, &dir, |command| {
        command.uid(NOBODY).gid(NOBODY).current_dir("/");
    });
    let server = server_of(&said);
    child.kill().unwrap();
    child.wait().unwrap();
    wait_until("the kernel has stopped the server", || has_ended(server));
}

#[tokio::test]
async fn database_is_made_once_by_many() {
    let scratch = Scratch::new("ensure");
    let cluster = Cluster::start(&scratch.0, Profile::Throwaway).unwrap();
    let admin = cluster.url("postgres");
    let all = (0..8).map(|_| ensure_database(&admin, "otpost \"quoted\""));
    for made in futures_util::future::join_all(all).await {
        made.unwrap();
    }
    let mut connection = PgConnection::connect(&cluster.url("otpost \"quoted\"")).await.unwrap();
    connection.ping().await.unwrap();
}

/// A child's initial environment can be read as long as it lives, and the service's contains its keys.
#[test]
fn the_server_knows_nothing_of_the_services_environment() {
    let scratch = Scratch::new("environment");
    let (mut child, said) = run_service(&scratch.0, |command| {
        command.env("OTPOST_CODE_KEY", "a key of codes").env("META_TOKEN", "a token").env("PGPASSWORD", "a password");
    });
    let server = server_of(&said);
    let mut looked_at = 0;
    for process in fs::read_dir("/proc").unwrap().flatten() {
        let Ok(stat) = fs::read_to_string(process.path().join("stat")) else { continue };
        let parent: Option<u32> = stat.rsplit_once(") ").and_then(|(_, rest)| rest.split(' ').nth(1)?.parse().ok());
        if process.file_name().to_str() != Some(&server.to_string()) && parent != Some(server) {
            continue;
        }
        let environment = fs::read(process.path().join("environ")).unwrap();
        let environment = String::from_utf8_lossy(&environment).replace('\0', "\n");
        for secret in ["a key of codes", "a token", "a password", DIRECTORY] {
            assert!(!environment.contains(secret), "{secret} in {environment}");
        }
        looked_at += 1;
    }
    assert!(looked_at > 2, "the server and its children: {looked_at}");
    child.kill().unwrap();
    child.wait().unwrap();
}

async fn refused(connection: &mut PgConnection, statement: &'static str) -> bool {
    let result = sqlx::raw_sql(statement).execute(connection).await;
    result.is_err_and(|error| error.as_database_error().and_then(|e| e.code()).as_deref() == Some("42501"))
}

#[tokio::test]
async fn the_services_role_owns_its_database_and_may_do_nothing_else() {
    let scratch = Scratch::new("role");
    let cluster = Cluster::start(&scratch.0, Profile::Durable).unwrap();
    let url = cluster.serve("otpost").await.unwrap();
    let mut service = PgConnection::connect(&url).await.unwrap();
    let attributes: (String, bool, bool, bool, bool, bool) = sqlx::query_as(
        "select rolname::text, rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls
           from pg_roles where rolname = current_user",
    )
    .fetch_one(&mut service)
    .await
    .unwrap();
    assert_eq!(attributes, ("otpost_service".to_owned(), false, false, false, false, false));
    for statement in [
        "create database another",
        "create role another",
        "alter role otpost_service superuser",
        "select * from pg_authid",
        "select pg_read_file('/etc/passwd')",
        "copy (select 1) to program 'true'",
        "alter system set fsync = off",
        "set role otpost",
    ] {
        assert!(refused(&mut service, statement).await, "{statement}");
    }
    for database in ["postgres", "template1"] {
        let elsewhere = url.replace("/otpost?", &format!("/{database}?"));
        assert!(PgConnection::connect(&elsewhere).await.is_err(), "{database}");
    }
    // What the service needs.
    let database = otpost::store::database::connect(&url, "test", 1, Plans::ByKey).await.unwrap();
    otpost::store::database::migrate(&database).await.unwrap();
    sqlx::raw_sql("begin; lock table account_events in share row exclusive mode; rollback")
        .execute(&mut service)
        .await
        .unwrap();
}

/// Older versions let the service be the superuser, who then owned everything, and trusted the socket.
#[tokio::test]
async fn a_cluster_of_a_former_version_is_handed_over() {
    let scratch = Scratch::new("former");
    let cluster = Cluster::start(&scratch.0, Profile::Durable).unwrap();
    ensure_database(&cluster.url("postgres"), "otpost").await.unwrap();
    let former = otpost::store::database::connect(&cluster.url("otpost"), "test", 1, Plans::ByKey).await.unwrap();
    otpost::store::database::migrate(&former).await.unwrap();
    sqlx::raw_sql("insert into apps (app, created_at) values ('shop', now())").execute(&former).await.unwrap();
    former.close().await;
    for _ in 0..2 {
        let url = cluster.serve("otpost").await.unwrap();
        let mut service = PgConnection::connect(&url).await.unwrap();
        let others: Vec<String> = sqlx::query_scalar(
            "select relname::text from pg_class
              where relnamespace = 'public'::regnamespace and relowner <> current_user::regrole
             union all select typname::text from pg_type
              where typnamespace = 'public'::regnamespace and typowner <> current_user::regrole",
        )
        .fetch_all(&mut service)
        .await
        .unwrap();
        assert!(others.is_empty(), "not handed over: {others:?}");
        sqlx::raw_sql("alter table messages add column if not exists later text").execute(&mut service).await.unwrap();
        let kept: i64 = sqlx::query_scalar("select count(*) from apps").fetch_one(&mut service).await.unwrap();
        assert_eq!(kept, 1);
    }
}

/// As root the server runs as an account that other programs may use; they must not get in.
#[tokio::test]
async fn only_the_service_itself_is_let_in() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let scratch = Scratch::new("peer");
    let cluster = Cluster::start(&scratch.0, Profile::Throwaway).unwrap();
    let url = cluster.serve("otpost").await.unwrap();
    let owner = fs::metadata(scratch.0.join("socket")).unwrap();
    let as_account = |url: &str| {
        let mut psql = Command::new(programs().join("psql"));
        psql.args([url, "--no-psqlrc", "--command", "select 1"]).env_clear().current_dir("/");
        psql.uid(owner.uid()).gid(owner.gid());
        psql.output()
    };
    for url in [url, cluster.url("otpost")] {
        // Not every installation has it.
        let Ok(output) = as_account(&url) else { return };
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains("eer authentication failed"), "{said}");
    }
}

#[test]
fn files_of_others_in_the_way_are_refused_by_name() {
    let scratch = Scratch::new("squatted");
    let start = |dir: &Path| Cluster::start(dir, Profile::Throwaway).map(|_| ()).unwrap_err().to_string();

    let open = scratch.0.join("open");
    fs::create_dir(&open).unwrap();
    fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
    assert!(start(&open).contains("everybody can write in"), "{}", start(&open));

    // A link instead of the lock, the log or the rules: its target stays unchanged.
    for name in ["lock", "server.log", "pg_hba.conf"] {
        let dir = scratch.0.join(format!("link-{name}"));
        fs::create_dir(&dir).unwrap();
        let precious = scratch.0.join(format!("precious-{name}"));
        fs::write(&precious, "precious").unwrap();
        symlink(&precious, dir.join(name)).unwrap();
        if name == "server.log" {
            // It is renamed at the start, like every earlier log.
            Cluster::start(&dir, Profile::Throwaway).unwrap();
        } else {
            let said = start(&dir);
            assert!(said.contains("is in the way") && said.contains(name), "{said}");
        }
        assert_eq!(fs::read_to_string(&precious).unwrap(), "precious", "{name}");
    }

    if rustix::process::geteuid().is_root() {
        let above = scratch.0.join("above");
        fs::create_dir(&above).unwrap();
        fs::set_permissions(&above, fs::Permissions::from_mode(0o1777)).unwrap();
        let theirs = above.join("theirs");
        fs::create_dir(&theirs).unwrap();
        chown(&theirs, Some(NOBODY), Some(NOBODY)).unwrap();
        let said = start(&theirs);
        assert!(said.contains("belongs to another user"), "{said}");
    }
}

#[test]
fn nobody_else_can_hold_the_lock() {
    let scratch = Scratch::new("lock");
    Cluster::start(&scratch.0, Profile::Throwaway).unwrap().stop();
    let mode = |name: &str| fs::metadata(scratch.0.join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("lock"), mode("server.log"), mode("socket"), mode("data")), (0o600, 0o600, 0o700, 0o700));
    // As an older version left it.
    fs::set_permissions(scratch.0.join("lock"), fs::Permissions::from_mode(0o644)).unwrap();
    Cluster::start(&scratch.0, Profile::Throwaway).unwrap().stop();
    assert_eq!(mode("lock"), 0o600);
}

/// The folders of short sockets have predictable names, so another user may have created them first.
#[tokio::test]
async fn a_squatted_socket_folder_is_passed_over() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let scratch = Scratch::new("socket");
    let taken = scratch.0.join("socket");
    fs::create_dir(&taken).unwrap();
    chown(&taken, Some(12_345), Some(12_345)).unwrap();
    let cluster = Cluster::start(&scratch.0, Profile::Throwaway).unwrap();
    let url = cluster.url("postgres");
    assert!(!url.contains(&*taken.to_string_lossy()), "{url}");
    assert!(run(&cluster, "select 'a'::text").await.is_some());
    cluster.stop();
    let elsewhere = Path::new(url.split_once("?host=").unwrap().1);
    assert!(!elsewhere.exists(), "{} is left behind", elsewhere.display());
}

/// Some folder of server programs, for a service without `PATH`.
fn programs() -> PathBuf {
    if let Some(named) = std::env::var_os("OTPOST_PG_BIN").filter(|named| !named.is_empty()) {
        return named.into();
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/postgres.sh");
    let found = Command::new(script).env_remove("DATABASE_URL").output().unwrap();
    String::from_utf8(found.stdout).unwrap().trim_end().into()
}
