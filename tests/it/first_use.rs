//! The program's first minutes: no tables, no database, the wrong one, and the messages about that.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use otpost::app::{App, BuildError, Means};
use otpost::store::database::SchemaError;
use rustix::process::{Pid, Signal, kill_process};
use sqlx::{Connection, PgConnection};

use crate::helpers::app::{code_keys, with_app};
use crate::helpers::database::{TestDatabase, cluster_base, fresh_database};
use crate::helpers::program::CODE_KEY;

struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        let dir = cluster_base().join(format!("first-use-{}", uuid::Uuid::now_v7().simple()));
        fs::create_dir_all(&dir).unwrap();
        Self(dir)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

/// Without a settings file: everything is set by the environment.
fn otpost(dir: &Scratch, url: Option<&str>, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_otpost"));
    command.args(args).current_dir(&dir.0).env("OTPOST_DATA_DIR", dir.0.join("data"));
    command.env_remove("DATABASE_URL").env("OTPOST_CODE_KEY", CODE_KEY).env("OTPOST_SERVER__LISTEN", "127.0.0.1:0");
    if let Some(url) = url {
        command.env("DATABASE_URL", url);
    }
    command.output().expect("the program runs")
}

fn told(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

async fn run(database: &TestDatabase, sql: &'static str) {
    let mut connection = PgConnection::connect(database.url()).await.unwrap();
    sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
}

/// Every command that reads tables, and the service when it may not create them.
const COMMANDS: [&[&str]; 6] = [
    &["serve", "--no-migrate"],
    &["keys", "list"],
    &["keys", "create", "shop"],
    &["keys", "revoke", "01234567"],
    &["forget", "+628123450003"],
    &["replay", "--list"],
];

#[tokio::test]
async fn a_database_without_tables_or_with_older_ones_is_told_by_every_command() {
    let database = fresh_database().await;
    let dir = Scratch::new();
    run(&database, "delete from _sqlx_migrations where version = (select max(version) from _sqlx_migrations)").await;
    for command in COMMANDS {
        let output = otpost(&dir, Some(database.url()), command);
        assert_eq!(output.status.code(), Some(3), "{command:?}: {}", told(&output));
        let told = told(&output);
        assert!(told.contains("older than this program: 1 of its migrations are missing ("), "{told}");
        assert!(told.contains("`otpost migrate`"), "{told}");
    }
    run(&database, "drop schema public cascade; create schema public").await;
    for command in COMMANDS {
        let output = otpost(&dir, Some(database.url()), command);
        assert_eq!(output.status.code(), Some(3), "{command:?}: {}", told(&output));
        let told = told(&output);
        let last = told.lines().last().unwrap();
        assert_eq!(last, "otpost: this database has no otpost tables: run `otpost migrate`");
        // Which database and which settings, and no password.
        assert!(
            told.contains("no settings file; database \"otpost_test_") || told.contains("database \\\"otpost_test_"),
            "{told}"
        );
    }
    let migrated = otpost(&dir, Some(database.url()), &["migrate"]);
    assert_eq!(migrated.status.code(), Some(0), "{}", told(&migrated));
    let created = otpost(&dir, Some(database.url()), &["keys", "create", "shop"]);
    assert_eq!(created.status.code(), Some(0), "{}", told(&created));
    assert!(String::from_utf8_lossy(&created.stdout).starts_with("otp_live_"), "the key alone is on stdout");
    let forgotten = otpost(&dir, Some(database.url()), &["forget", "+628123450003"]);
    assert_eq!(forgotten.status.code(), Some(6), "{}", told(&forgotten));
    assert!(
        told(&forgotten).contains("Looked in table number_memory of database \"otpost_test_"),
        "{}",
        told(&forgotten)
    );
    assert!(!told(&forgotten).contains("8123450003"), "{}", told(&forgotten));
}

/// While instances are replaced one by one, an older program starts beside newer tables.
#[tokio::test]
async fn newer_migrations_are_no_error_and_one_that_broke_off_is() {
    with_app(async |app| {
        let build = async || {
            let database_url = app.database.url().to_owned();
            let means = Means { database_url, code_keys: code_keys(), clock: Some(app.clock.clone()), migrate: false };
            App::build(&app.settings, means).await.map(drop)
        };
        let insert = |version: &str, success: bool| {
            format!("insert into _sqlx_migrations values ({version}, 'newer', now(), {success}, '\\x00', 0)")
        };
        sqlx::raw_sql(sqlx::AssertSqlSafe(insert("29991231235959", true))).execute(&app.pool).await.unwrap();
        build().await.expect("newer tables will do");
        sqlx::raw_sql(sqlx::AssertSqlSafe(insert("29991231235960", false))).execute(&app.pool).await.unwrap();
        let broken = build().await;
        assert!(matches!(broken, Err(BuildError::Tables(SchemaError::Broken(29_991_231_235_960)))), "{broken:?}");
    })
    .await;
}

#[test]
fn no_command_makes_a_database() {
    let dir = Scratch::new();
    for command in [&["migrate"][..], &["keys", "list"], &["forget", "+628123450003"], &["replay", "--list"]] {
        let output = otpost(&dir, None, command);
        assert_eq!(output.status.code(), Some(4), "{command:?}: {}", told(&output));
        let told = told(&output);
        assert!(told.contains("there is no database yet") && told.contains("`otpost serve` makes one there"), "{told}");
        assert!(told.contains("no settings file; database a private one in"), "{told}");
    }
    assert!(!dir.0.join("data").exists(), "something was made");
    let checked = otpost(&dir, None, &["config", "check", "--connect"]);
    assert_eq!(checked.status.code(), Some(0), "{}", told(&checked));
    assert!(!dir.0.join("data").exists(), "something was made");
}

/// The cause comes first, once, with the database's name and without its password.
#[tokio::test]
async fn errors_of_the_database_say_first_what_is_wrong() {
    let database = fresh_database().await;
    let dir = Scratch::new();
    let (base, socket) = database.url().split_once("?host=").expect("a socket");
    let name = base.rsplit('/').next().unwrap();
    // Answers each connection with these bytes.
    let answering = |bytes: &'static [u8]| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let mut asked = [0; 8];
                stream.read_exact(&mut asked).ok();
                stream.write_all(bytes).ok();
            }
        });
        port
    };
    let (web, closing, no_tls) = (answering(b"HTTP/1.1 400 Bad Request\r\n\r\n"), answering(b""), answering(b"N"));
    // What a server sends when it refuses a client.
    let refusing = |code: &str, words: &str| {
        let fields = format!("SFATAL\0VFATAL\0C{code}\0M{words}\0\0");
        let mut bytes = b"NE".to_vec();
        bytes.extend_from_slice(&u32::try_from(fields.len() + 4).unwrap().to_be_bytes());
        bytes.extend_from_slice(fields.as_bytes());
        answering(bytes.leak())
    };
    let at = |port: u16| format!("postgres://otp:hidden-word@127.0.0.1:{port}/shop");
    let password = refusing("28P01", "password authentication failed for user \"otp\"");
    let pg_hba =
        refusing("28000", "no pg_hba.conf entry for host \"10.0.0.7\", user \"otp\", database \"shop\", no encryption");
    let many = refusing("53300", "sorry, too many clients already");
    let starting = refusing("57P03", "the database system is starting up");
    let bouncer = refusing("08P01", "no such database: shop");
    let right = refusing("42501", "permission denied for database \"shop\"");
    let cases = [
        (at(password), format!("wrong password: 127.0.0.1:{password} refuses it for user \"otp\" (database \"shop\")")),
        (at(pg_hba), format!("127.0.0.1:{pg_hba} does not let user \"otp\" in: no pg_hba.conf entry")),
        (at(many), format!("too many connections: 127.0.0.1:{many} has none free")),
        (at(starting), format!("127.0.0.1:{starting} is not ready: the database system is starting up")),
        (at(bouncer), format!("there is no database \"shop\" at 127.0.0.1:{bouncer}: create it")),
        (at(right), "user \"otp\" has no permission: permission denied for database \"shop\"".to_owned()),
        (at(web), format!("what answers at 127.0.0.1:{web} is not PostgreSQL: check host and port")),
        (at(closing), format!("127.0.0.1:{closing} closes the connection at once: is it PostgreSQL")),
        (
            format!("{}?sslmode=require", at(no_tls)),
            format!("127.0.0.1:{no_tls} does not speak TLS, which sslmode in the address asks for"),
        ),
        (at(1), "nothing listens at 127.0.0.1:1: connection refused".to_owned()),
        (
            "postgres://otp:hidden-word@no-such-host.invalid/shop".to_owned(),
            "no such host: the name in no-such-host.invalid:5432 cannot be resolved".to_owned(),
        ),
        (
            "postgres://otp:hidden-word@localhost/shop?host=/nonexistent".to_owned(),
            "nothing listens at the socket in /nonexistent: there is no such socket".to_owned(),
        ),
        (
            format!("{}_none?host={socket}", base),
            format!("there is no database \"{name}_none\" at the socket in {socket}"),
        ),
    ];
    for (url, expected) in &cases {
        let output = otpost(&dir, Some(url), &["keys", "list"]);
        let told = told(&output);
        assert_eq!(output.status.code(), Some(4), "{told}");
        let last = told.lines().last().unwrap().strip_prefix("otpost: ").unwrap();
        assert!(last.starts_with(expected.as_str()), "{last}\ninstead of\n{expected}");
        assert!(!told.contains("hidden-word"), "{told}");
        let clauses: Vec<&str> = last.split(": ").collect();
        assert_eq!(clauses.iter().collect::<BTreeSet<_>>().len(), clauses.len(), "it repeats itself: {last}");
    }
    println!("{} kinds of failure", cases.len());
}

#[tokio::test]
async fn a_role_without_rights_is_named() {
    let database = fresh_database().await;
    let dir = Scratch::new();
    let role = format!("reader_{}", uuid::Uuid::now_v7().simple());
    let mut connection = PgConnection::connect(database.url()).await.unwrap();
    let sql = format!("create role {role} login; grant select on all tables in schema public to {role}");
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
    let url = format!("{}&options=-c%20role%3D{role}", database.url());
    for (command, expected) in [
        (&["keys", "list"][..], format!("user \"{role}\" may not read and write the otpost tables of this database")),
        (&["serve", "--no-migrate"], format!("user \"{role}\" may not read and write the otpost tables")),
    ] {
        let output = otpost(&dir, Some(&url), command);
        assert_eq!(output.status.code(), Some(4), "{}", told(&output));
        assert!(told(&output).contains(&expected), "{}", told(&output));
    }
    let sql = format!("drop owned by {role}; drop role {role}");
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
}

#[tokio::test]
async fn what_the_settings_name_is_tried_and_nothing_is_sent() {
    with_app(async |app| {
        let dir = Scratch::new();
        let gone = { TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port() };
        let account = |name: &str, url: &str| {
            format!(
                "[accounts.{name}]\nprovider = \"ycloud\"\nchannel = \"sms\"\nbase_url = \"{url}\"\n\
                 api_key = \"qT5xW0vYk2mJ8rB3nC7dF1gH6sL9pZ4a\"\nwebhook_secret = \"uR2mZ8cJ5vX1bN7kD4gT9yH3wE6qA0sLpF\"\n"
            )
        };
        let text = |more: &str| {
            let sim = account("sim-sms", &format!("{}/ycloud", app.sim.url()));
            format!("[server]\npublic_url = \"{}\"\n[route]\nsteps = [\"sim-sms\"]\n{sim}{more}", app.url)
        };
        fs::write(dir.0.join("otpost.toml"), text("")).unwrap();
        let before = app.sim.messages(None, 100).len();
        // In a separate process, beside this runtime, which serves what the program calls.
        let check = async |url: &str| {
            let (place, url) = (Scratch(dir.0.join("beside")), url.to_owned());
            fs::create_dir_all(&place.0).unwrap();
            fs::copy(dir.0.join("otpost.toml"), place.0.join("otpost.toml")).unwrap();
            let run = move || otpost(&place, Some(&url), &["config", "check", "--connect"]);
            tokio::task::spawn_blocking(run).await.unwrap()
        };
        let other_secret = check(app.database.url()).await;
        let said = told(&other_secret);
        assert_eq!(other_secret.status.code(), Some(1), "{said}");
        assert!(said.contains("FAIL  database") && said.contains("the secret with the id 1"), "{said}");
        sqlx::raw_sql("delete from code_keys").execute(&app.pool).await.unwrap();
        let well = check(app.database.url()).await;
        let said = told(&well);
        assert_eq!(well.status.code(), Some(0), "{said}");
        let line = |what: &str| said.lines().find(|line| line.contains(what)).unwrap_or_default().trim().to_owned();
        assert!(line("up to date").starts_with("ok    database    \"otpost_test_"), "{said}");
        assert!(line("sim-sms     ").contains("DNS, TCP; answers") || line("ok    sim-sms").contains("DNS, TCP; answers"), "{said}");
        assert!(line("ok    public_url").contains("DNS, TCP; answers"), "{said}");

        let more = [
            account("closed-sms", &format!("http://127.0.0.1:{gone}")),
            account("nameless-sms", "https://no-such-host.invalid"),
            account("plain-sms", &app.sim.url().replace("http://", "https://")),
        ];
        fs::write(dir.0.join("otpost.toml"), text(&more.concat())).unwrap();
        let failed = check("postgres://otp:hidden-word@127.0.0.1:1/shop").await;
        let said = told(&failed);
        assert_eq!(failed.status.code(), Some(1), "{said}");
        let line = |what: &str| said.lines().find(|line| line.trim().starts_with(what)).unwrap_or_default().to_owned();
        assert!(line("FAIL  database").contains("nothing listens at 127.0.0.1:1"), "{said}");
        assert!(line("FAIL  closed-sms").contains("TCP: 127.0.0.1"), "{said}");
        assert!(line("FAIL  nameless-sms").contains("DNS: no-such-host.invalid cannot be resolved"), "{said}");
        assert!(line("FAIL  plain-sms").contains("TLS: "), "{said}");
        assert!(!said.contains("hidden-word"), "{said}");
        assert_eq!(app.sim.messages(None, 100).len(), before);
    })
    .await;
}

/// Serves on a private database until it says so, or ends; returns what it said, and its exit status when it ended.
fn serve_for_a_moment(dir: &Scratch) -> (String, Option<i32>) {
    let log = dir.0.join("log");
    let mut command = Command::new(env!("CARGO_BIN_EXE_otpost"));
    command.arg("serve").current_dir(&dir.0).env("OTPOST_DATA_DIR", dir.0.join("data"));
    command.env_remove("DATABASE_URL").env_remove("OTPOST_CODE_KEY").env("OTPOST_SERVER__LISTEN", "127.0.0.1:0");
    let mut child = command.stderr(fs::File::create(&log).unwrap()).spawn().unwrap();
    let began = Instant::now();
    loop {
        let said = fs::read_to_string(&log).unwrap();
        if let Some(status) = child.try_wait().unwrap() {
            return (said, status.code());
        }
        if said.contains("otpost serves") {
            kill_process(Pid::from_child(&child), Signal::INT).unwrap();
            child.wait().unwrap();
            return (said, None);
        }
        assert!(began.elapsed() < Duration::from_secs(60), "{said}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_private_code_key_that_is_lost_is_noticed_and_can_be_replaced() {
    let dir = Scratch::new();
    fs::set_permissions(&dir.0, fs::Permissions::from_mode(0o755)).unwrap();
    let (said, ended) = serve_for_a_moment(&dir);
    assert_eq!(ended, None, "{said}");
    let file = dir.0.join("data/code.key");
    fs::remove_file(&file).unwrap();
    let (said, ended) = serve_for_a_moment(&dir);
    assert_eq!(ended, Some(5), "{said}");
    let last = said.lines().last().unwrap();
    assert!(last.contains("code.key is not the key that was here before") && last.contains("write `2:`"), "{last}");
    let new = fs::read_to_string(&file).unwrap();
    fs::write(&file, format!("2:{new}")).unwrap();
    let (said, ended) = serve_for_a_moment(&dir);
    assert_eq!(ended, None, "{said}");
    // The commands use its own database and no other; a variable does not override its key.
    let listed = otpost(&dir, None, &["forget", "+628123450003"]);
    assert_eq!(listed.status.code(), Some(6), "{}", told(&listed));
    assert!(told(&listed).contains("under code key 2"), "{}", told(&listed));
}

/// As load balancers and monitors ask.
#[tokio::test]
async fn head_is_answered_like_get_without_the_body() {
    with_app(async |app| {
        let id = app.send("+628123450001").await;
        let message = format!("/v1/messages/{id}");
        let timeline = format!("{message}/timeline");
        for path in ["/healthz", "/readyz", "/metrics", "/v1/messages", &message, &timeline] {
            let ask = |method| app.http.request(method, format!("{}{path}", app.url)).bearer_auth(&app.key).send();
            let (get, head) = (ask(reqwest::Method::GET).await.unwrap(), ask(reqwest::Method::HEAD).await.unwrap());
            assert_eq!((head.status(), head.status().as_u16()), (get.status(), 200), "{path}");
            assert_eq!(head.headers().get("content-type"), get.headers().get("content-type"), "{path}");
            assert!(head.headers().contains_key("content-length"), "{path}");
            assert!(head.bytes().await.unwrap().is_empty(), "{path}");
            assert!(!get.bytes().await.unwrap().is_empty(), "{path}");
        }
        // HEAD is refused like GET.
        let stranger = app.http.head(format!("{}/v1/messages", app.url)).send().await.unwrap();
        assert_eq!(stranger.status(), 401);
        for path in ["/healthz", "/readyz", "/metrics"] {
            let answer = app.http.post(format!("{}{path}", app.url)).send().await.unwrap();
            assert_eq!(answer.status(), 405, "{path}");
        }
    })
    .await;
}
