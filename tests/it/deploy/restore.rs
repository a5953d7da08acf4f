//! Backup, restore and a new password of the database, by the commands that docs/operations.md prints.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use otpost::app::{App, Means};
use otpost::clock::Clock;
use otpost::domain::app_id::AppId;
use otpost::domain::code_keys::{CodeKey, CodeKeys};
use otpost::services::delivery::{end_lives, recover, replace};
use otpost::services::keys::app_keys::AppKeys;
use otpost::simulated;
use otpost::simulator::SimConfig;
use serde_json::{Value, json};
use sqlx::PgPool;

use super::runbook::{printed, printed_sql};
use super::{folder, url_of};
use crate::helpers::app::unlimited;
use crate::helpers::database::cluster_base;
use crate::helpers::invariants;
use crate::helpers::node::Node;
use crate::helpers::program::{CODE_KEY, Fixture, How, Program};
use crate::helpers::tools::program;

/// The runbook's `otpost`, here the administrator of the test's server.
const SERVICE: &str = "service";

/// A server on which the service's role may do nothing but own its database.
struct Place {
    node: Node,
    dir: PathBuf,
    /// Of PostgreSQL's programs.
    path: String,
}

impl Place {
    /// `None` where there is no `pg_dump`.
    async fn new(name: &str) -> Option<Self> {
        let bin = std::env::var_os("OTPOST_PG_BIN").map(PathBuf::from).filter(|bin| bin.join("pg_dump").exists());
        let bin = bin.or_else(|| Some(program("pg_dump")?.parent()?.to_owned()))?;
        let node = Node::primary(&cluster_base().join(format!("{name}.{}", std::process::id()))).await;
        node.run("postgres", &format!("create role {SERVICE} login")).await.unwrap();
        node.run("postgres", &format!("create database live owner {SERVICE}")).await.unwrap();
        let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap_or_default());
        Some(Self { node, dir: folder(name), path })
    }

    fn url(&self, role: &str, database: &str) -> String {
        format!("postgres://{role}@localhost/{database}?host={}", self.node.socket().display())
    }

    /// Runs a block of the runbook as the server's administrator does.
    fn run(&self, block: &str) {
        let block = block.replace("=otpost ", &format!("={SERVICE} "));
        let mut command = Command::new("bash");
        command.args(["-euo", "pipefail", "-c", &block]).current_dir(&self.dir).env("PATH", &self.path);
        command.env("PGHOST", self.node.socket()).env("PGUSER", "otpost");
        let output = command.env("DATABASE_URL", self.url(SERVICE, "live")).output().unwrap();
        assert!(output.status.success(), "{block}: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn how(&self, role: &str, database: &str) -> How {
        How { database_url: Some(self.url(role, database)), ..How::default() }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.dir).ok();
    }
}

struct Client {
    http: reqwest::Client,
    url: String,
    key: String,
}

impl Client {
    /// With its own API key in this database.
    async fn new(url: String, database_url: &str) -> Self {
        let pool = PgPool::connect(database_url).await.unwrap();
        let clock = Clock::live(&pool.clone().into()).await.unwrap();
        let key = AppKeys::new(pool.clone().into(), clock)
            .create(&AppId::stored("shop"), "restore")
            .await
            .unwrap()
            .key
            .expose()
            .to_owned();
        pool.close().await;
        Self { http: reqwest::Client::new(), url, key }
    }

    async fn send(&self, to: &str) -> String {
        let request = self.http.post(format!("{}/v1/messages", self.url)).bearer_auth(&self.key);
        let answer = request.body(json!({ "to": to }).to_string()).send().await.unwrap().text().await.unwrap();
        let answer: Value = serde_json::from_str(&answer).unwrap();
        answer["id"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
    }

    async fn get(&self, id: &str, query: &str) -> Value {
        let request = self.http.get(format!("{}/v1/messages/{id}{query}", self.url)).bearer_auth(&self.key);
        serde_json::from_str(&request.send().await.unwrap().text().await.unwrap()).unwrap()
    }

    /// Until the provider has taken its first attempt.
    async fn is_taken(&self, id: &str) {
        let began = Instant::now();
        while self.get(id, "").await["attempts"][0]["send_state"] != "accepted" {
            assert!(began.elapsed() < Duration::from_secs(20));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// A service on `database`, with a message that was delivered and one that waits for its deadline.
async fn in_the_middle_of_things(place: &Place, fixture: &Fixture, port: u16) -> (Program, Client, String, String) {
    let url = url_of(port);
    fixture.callbacks_to(&url);
    let program = fixture.start(port, &place.how(SERVICE, "live")).await;
    let client = Client::new(url, &place.url(SERVICE, "live")).await;
    let done = client.send("+628123450001").await;
    let waiting = client.send("+628123450003").await;
    assert_eq!(client.get(&done, "?wait_for=delivered&timeout_s=20").await["state"], "delivered");
    client.is_taken(&waiting).await;
    (program, client, done, waiting)
}

fn asked(fixture: &Fixture, to: &str) -> (u64, u64) {
    let phone = fixture.sim.phone(to);
    (phone.requests.whatsapp, phone.requests.sms)
}

/// Settled messages stay settled, live ones continue, nothing is sent twice; and the service's role owns what was
/// restored.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dump_that_is_restored_goes_on_where_it_was() {
    let Some(place) = Place::new("restore").await else { return };
    let fixture = Fixture::new(SimConfig::default()).await;
    let port = Fixture::free_port();
    let (service, client, done, waiting) = in_the_middle_of_things(&place, &fixture, port).await;
    drop(service);
    place.run(&printed("pg_dump "));
    let bytes = fs::read(place.dir.join("otpost.dump")).unwrap();
    assert!(!bytes.windows(CODE_KEY.len()).any(|window| window == CODE_KEY.as_bytes()), "the key is not in the dump");
    place.run(&printed("pg_restore "));

    let service = fixture.start(port, &place.how(SERVICE, "otpost_new")).await;
    assert_eq!(client.get(&done, "").await["state"], "delivered");
    let message = client.get(&waiting, "?wait_for=delivered&timeout_s=40").await;
    assert_eq!((&message["state"], &message["channel"]), (&json!("delivered"), &json!("sms")), "{message:#}");
    assert_eq!((asked(&fixture, "+628123450001"), asked(&fixture, "+628123450003")), ((1, 0), (1, 1)));
    let pool = PgPool::connect(&place.url(SERVICE, "otpost_new")).await.unwrap();
    let now = sqlx::query_scalar("select now()").fetch_one(&pool).await.unwrap();
    invariants::check(&pool, now).await;
    pool.close().await;
    drop(service);
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_due_long_before_a_restore_ends_and_is_not_sent() {
    let Some(place) = Place::new("late-restore").await else { return };
    let fixture = Fixture::new(SimConfig::default()).await;
    let port = Fixture::free_port();
    let (service, _, _, waiting) = in_the_middle_of_things(&place, &fixture, port).await;
    drop(service);
    let pool = PgPool::connect(&place.url(SERVICE, "live")).await.unwrap();
    let before = asked(&fixture, "+628123450003");
    place.run(&printed("pg_dump "));
    place.run(&printed("pg_restore "));
    let now: DateTime<Utc> = sqlx::query_scalar("select now()").fetch_one(&pool).await.unwrap();
    pool.close().await;

    let later = now + TimeDelta::minutes(11);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut settings =
        simulated::settings(Path::new("/nonexistent"), listener.local_addr().unwrap(), &fixture.sim.url(), 15);
    unlimited(&mut settings);
    let means = Means {
        database_url: place.url(SERVICE, "otpost_new"),
        code_keys: CodeKeys::new(vec![CodeKey::new(1, CODE_KEY.as_bytes()).unwrap()]).unwrap(),
        clock: Some(Clock::stopped(later)),
        migrate: false,
    };
    let app = App::build(&settings, means).await.unwrap();
    for _ in 0..3 {
        let round = app.dispatch.run_once().await.unwrap();
        for send in round.sends {
            send.await.unwrap();
        }
        replace::run_once(&app.transitions, &app.clock).await.unwrap();
        recover::abandoned_sends(&app.transitions, &app.clock, &app.dispatch.accounts).await.unwrap();
        end_lives::run_once(&app.transitions, &app.clock).await.unwrap();
    }
    assert_eq!(asked(&fixture, "+628123450003"), before, "nothing left");
    let pool = PgPool::connect(&place.url(SERVICE, "otpost_new")).await.unwrap();
    let outcome: String = sqlx::query_scalar("select outcome from messages where message_id = $1::text::uuid")
        .bind(&waiting)
        .fetch_one(&pool)
        .await
        .unwrap();
    assert_eq!(outcome, "expired");
    invariants::check(&pool, later).await;
    pool.close().await;
    drop(app);
    fixture.stop().await;
}

/// Two roles for one database: each owns everything, so instances with the old and the new one run side by side.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_databases_password_changes_by_a_second_role() {
    let Some(place) = Place::new("password").await else { return };
    let fixture = Fixture::new(SimConfig::default()).await;
    let ports = [Fixture::free_port(), Fixture::free_port()];
    let old = fixture.start(ports[0], &place.how(SERVICE, "live")).await;
    let [create, end] = ["create role", "nologin"]
        .map(|what| printed_sql(what).replace("otpost_2", "second").replace(" otpost", &format!(" {SERVICE}")));
    place.node.run("postgres", &create).await.unwrap();
    // It migrates at its start, too.
    let new = fixture.start(ports[1], &place.how("second", "live")).await;
    let clients = [
        Client::new(url_of(ports[0]), &place.url(SERVICE, "live")).await,
        Client::new(url_of(ports[1]), &place.url("second", "live")).await,
    ];
    let id = clients[1].send("+628123450001").await;
    assert_eq!(clients[0].get(&id, "").await["id"].as_str(), Some(id.as_str()), "both serve");
    drop(old);
    place.node.run("postgres", &end).await.unwrap();
    clients[1].send("+628123450001").await;
    assert!(PgPool::connect(&place.url(SERVICE, "live")).await.is_err(), "the old one is no way in any more");
    let made: i64 = {
        let pool = PgPool::connect(&place.url("second", "live")).await.unwrap();
        sqlx::query("create table made_by_the_second ()").execute(&pool).await.unwrap();
        let count = "select count(*) from pg_tables where schemaname = 'public' and tableowner <> $1";
        sqlx::query_scalar(count).bind(SERVICE).fetch_one(&pool).await.unwrap()
    };
    assert_eq!(made, 0, "what a migration makes belongs to the first role");
    drop(new);
    fixture.stop().await;
}
