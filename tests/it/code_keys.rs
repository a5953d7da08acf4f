//! Code keys: rotated through a rolling restart, removed too early, and confused with others.

use std::net::TcpListener;
use std::process::Command;
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use otpost::app::{App, BuildError, Loops, Means};
use otpost::domain::code_keys::{CodeKey, CodeKeys};
use otpost::services::keys::code_keys::{GIVE_UP_AFTER, KeysError, LET_GO_AFTER, LostKeys, hold};
use otpost::simulator::SimConfig;
use serde_json::{Value, json};

use crate::helpers::app::{TestApp, code_keys, with_app};
use crate::helpers::program::{CODE_KEY, Fixture, How, Program};

/// Looks random; used nowhere else.
const NEXT_KEY: &str = "uR2mZ8cJ5vX1bN7kD4gT9yH3wE6qA0sLpF";
const CODE: &str = "493817";

fn how(keys: &[&str]) -> How {
    How { keys: keys.iter().map(|key| (*key).to_owned()).collect(), ..How::default() }
}

async fn post(fixture: &Fixture, program: &Program, path: &str, body: Value) -> (u16, Value) {
    let http = reqwest::Client::new();
    let request = http.post(format!("{}{path}", program.url())).bearer_auth(&fixture.key);
    let answer = request.header("content-type", "application/json").body(body.to_string()).send().await.unwrap();
    let status = answer.status().as_u16();
    (status, serde_json::from_str(&answer.text().await.unwrap()).unwrap())
}

async fn send(fixture: &Fixture, program: &Program, to: &str) -> String {
    let (status, answer) = post(fixture, program, "/v1/messages", json!({ "to": to, "code": CODE })).await;
    assert_eq!(status, 202, "{answer}");
    answer["id"].as_str().unwrap().to_owned()
}

async fn check(fixture: &Fixture, program: &Program, id: &str) -> (u16, Value) {
    post(fixture, program, &format!("/v1/messages/{id}/check"), json!({ "code": CODE })).await
}

/// Asserts that the code is right at this instance.
async fn is_right(fixture: &Fixture, program: &Program, id: &str) {
    let (status, answer) = check(fixture, program, id).await;
    assert_eq!((status, &answer["valid"]), (200, &json!(true)), "{answer}\n{}", program.told());
}

async fn told(program: &Program, words: &str) -> String {
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(20) {
        if let Some(line) = program.told().lines().find(|line| line.contains(words)) {
            return line.to_owned();
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("it never said {words:?}: {}", program.told());
}

async fn restart(fixture: &Fixture, old: Program, port: u16, keys: &[&str]) -> Program {
    old.terminate();
    let mut old = old;
    old.child.wait().expect("it ends");
    fixture.start(port, &how(keys)).await
}

/// As docs/code-keys.md describes: the new key second, then first, then alone; one instance after the other each time.
#[tokio::test]
async fn a_rotation_through_a_rolling_restart_loses_no_code() {
    let fixture = Fixture::new(SimConfig::default()).await;
    let (one, two) = (format!("1:{CODE_KEY}"), format!("2:{NEXT_KEY}"));
    let ports = [Fixture::free_port(), Fixture::free_port()];
    let mut a = fixture.start(ports[0], &how(&[&one])).await;
    let mut b = fixture.start(ports[1], &how(&[&one])).await;
    let mut number = 0;
    let mut next = || {
        number += 1;
        format!("+6281234{number:02}0001")
    };
    let mut checked = 0;
    let mut kept = String::new();
    for keys in [vec![&*one, &*two], vec![&*two, &*one]] {
        // Sent at each instance before, between and after; checked at the other.
        let (from_a, from_b) = (send(&fixture, &a, &next()).await, send(&fixture, &b, &next()).await);
        let (also_a, also_b) = (send(&fixture, &a, &next()).await, send(&fixture, &b, &next()).await);
        a = restart(&fixture, a, ports[0], &keys).await;
        is_right(&fixture, &a, &from_a).await;
        is_right(&fixture, &a, &from_b).await;
        let (between_a, between_b) = (send(&fixture, &a, &next()).await, send(&fixture, &b, &next()).await);
        is_right(&fixture, &b, &between_a).await;
        is_right(&fixture, &a, &between_b).await;
        kept = send(&fixture, &b, &next()).await;
        b = restart(&fixture, b, ports[1], &keys).await;
        is_right(&fixture, &b, &also_a).await;
        is_right(&fixture, &b, &also_b).await;
        let (after_a, after_b) = (send(&fixture, &a, &next()).await, send(&fixture, &b, &next()).await);
        is_right(&fixture, &b, &after_a).await;
        is_right(&fixture, &a, &after_b).await;
        checked += 8;
    }
    println!("{checked} codes right, at the other instance and at restarted ones");

    // Removed while `kept` lives, whose code is under the old key: reported at the start, and not checked here.
    a = restart(&fixture, a, ports[0], &[&two]).await;
    let line = told(&a, "live messages need a code key that codes.keys does not have; another instance has it").await;
    assert!(line.contains("\"key\":1") && line.contains("\"live_messages\":2"), "{line}");
    for _ in 0..7 {
        let (status, problem) = check(&fixture, &a, &kept).await;
        assert_eq!(status, 503, "{problem}");
        assert_eq!(problem["type"], "urn:otpost:problem:code-key-missing", "{problem}");
        assert_eq!(problem["code"], "code_key_missing", "{problem}");
    }
    let (_, wrong) = post(&fixture, &b, &format!("/v1/messages/{kept}/check"), json!({ "code": "000000" })).await;
    assert_eq!((&wrong["valid"], &wrong["tries_left"]), (&json!(false), &json!(4)), "no try was counted: {wrong}");
    is_right(&fixture, &b, &kept).await;
    // Codes under the new key are unaffected.
    let id = send(&fixture, &a, &next()).await;
    is_right(&fixture, &b, &id).await;
    b = restart(&fixture, b, ports[1], &[&two]).await;
    told(&b, "no other instance has it: their codes can neither be checked nor sent").await;
    drop((a, b));
    fixture.stop().await;
}

#[tokio::test]
async fn another_secret_under_a_known_id_is_refused_at_start_and_at_reload() {
    let fixture = Fixture::new(SimConfig::default()).await;
    let port = Fixture::free_port();
    let running = fixture.start(port, &How::default()).await;
    let (other, more) = (format!("1:{NEXT_KEY}"), format!("2:{CODE_KEY}"));
    for keys in [vec![&*other], vec![&*more, &*other]] {
        let mut refused = fixture.spawn(Fixture::free_port(), &how(&keys));
        let status = refused.child.wait().expect("it ends");
        let told = refused.told();
        assert_eq!(status.code(), Some(5), "{told}");
        assert!(told.contains("the secret with the id 1 is not the one that this database knows"), "{told}");
        assert!(told.contains("an id that was never used"), "{told}");
        assert!(!told.contains(NEXT_KEY) && !told.contains(CODE_KEY), "{told}");
    }
    // A refused key was not recorded: the id 2 is still free.
    let ids: Vec<i16> = sqlx::query_scalar("select key_id from code_keys").fetch_all(&fixture.pool).await.unwrap();
    assert_eq!(ids, [1]);

    let settings = fixture.settings(port);
    let text = std::fs::read_to_string(&settings).unwrap();
    std::fs::write(&settings, text.replace(CODE_KEY, NEXT_KEY)).unwrap();
    let mut reload = Command::new(env!("CARGO_BIN_EXE_otpost"));
    let reload = reload.arg("reload").arg("--config").arg(&settings).env_remove("DATABASE_URL").output().unwrap();
    let told = String::from_utf8_lossy(&reload.stderr).into_owned();
    assert_eq!(reload.status.code(), Some(1), "{told}");
    assert!(told.contains("the secret with the id 1") && told.contains("the old ones stay"), "{told}");
    let id = send(&fixture, &running, "+628123450001").await;
    is_right(&fixture, &running, &id).await;

    let mut forget = Command::new(env!("CARGO_BIN_EXE_otpost"));
    let forget = forget.args(["forget", "+628123450001", "--config"]).arg(&settings).env_remove("DATABASE_URL");
    let forget = forget.output().unwrap();
    assert_eq!(forget.status.code(), Some(5), "{}", String::from_utf8_lossy(&forget.stderr));
    drop(running);
    fixture.stop().await;
}

fn other_keys() -> CodeKeys {
    CodeKeys::new(vec![CodeKey::new(2, &[9; 32]).unwrap()]).unwrap()
}

/// An instance on the same database that has the key 2 alone.
async fn keyless(app: &TestApp) -> App {
    let database_url = app.database.url().to_owned();
    let means = Means { database_url, code_keys: other_keys(), clock: Some(app.clock.clone()), migrate: false };
    App::build(&app.settings, means).await.expect("the app is built")
}

async fn sends(app: &App) -> usize {
    let round = app.dispatch.run_once().await.expect("the sender goes round");
    let count = round.sends.len();
    for send in round.sends {
        send.await.expect("a send ends");
    }
    count
}

#[tokio::test]
async fn what_is_under_a_missing_key_is_left_to_the_instance_that_has_it() {
    with_app(async |app| {
        let other = keyless(app).await;
        let first = app.send("+628123450001").await;
        let second = app.send("+628123450005").await;
        assert_eq!(sends(&other).await, 0, "it cannot open the code");
        app.run_workers().await;
        assert_eq!(app.message(&first).await["attempts"][0]["send_state"], "accepted");

        let key = app.key.clone();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let dispatch = other.dispatch.clone();
        let running = other.start(listener, Loops::ByHand).unwrap();
        let call = async |path: &str, body: Value| {
            let request = app.http.post(format!("{url}{path}")).bearer_auth(&key).body(body.to_string());
            let answer = request.header("content-type", "application/json").send().await.unwrap();
            let retry_after = answer.headers().get("retry-after").map(|value| value.to_str().unwrap().to_owned());
            let status = answer.status().as_u16();
            (status, retry_after, serde_json::from_str::<Value>(&answer.text().await.unwrap()).unwrap())
        };
        let (status, retry_after, problem) =
            call(&format!("/v1/messages/{second}/check"), json!({ "code": "000000" })).await;
        assert_eq!((status, retry_after.as_deref()), (503, Some("1")), "{problem}");
        assert_eq!(app.message(&second).await["tries_left"], 5);
        let checks: i64 = sqlx::query_scalar("select count(*) from checks").fetch_one(&app.pool).await.unwrap();
        assert_eq!(checks, 0);
        // A resend is planned at one instance and sent by the other.
        let (status, _, answer) = call(&format!("/v1/messages/{first}/resend"), json!({})).await;
        assert_eq!(status, 202, "{answer}");
        assert_eq!(dispatch.run_once().await.unwrap().sends.len(), 0);
        app.run_workers().await;
        assert_eq!(app.message(&first).await["attempts"][1]["send_state"], "accepted");
        // An expired code needs no key to be expired.
        app.clock.advance(TimeDelta::hours(1));
        let (status, _, answer) = call(&format!("/v1/messages/{second}/check"), json!({ "code": "000000" })).await;
        assert_eq!((status, &answer["outcome"]), (200, &json!("expired")), "{answer}");
        running.stop(false).await;
        app.run_workers().await;
    })
    .await;
}

/// A repeated request whose body was hashed under a removed key is neither the same nor another.
#[tokio::test]
async fn an_idempotency_key_under_a_missing_key_is_not_called_reused() {
    with_app(async |app| {
        let body = json!({ "to": "+628123450001" }).to_string();
        let post = async |url: &str, body: &str| {
            let request =
                app.http.post(format!("{url}/v1/messages")).bearer_auth(&app.key).header("idempotency-key", "k");
            let answer = request.body(body.to_owned()).send().await.unwrap();
            (answer.status().as_u16(), serde_json::from_str::<Value>(&answer.text().await.unwrap()).unwrap())
        };
        let (_, first) = post(&app.url, &body).await;
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let running = keyless(app).await.start(listener, Loops::ByHand).unwrap();
        let (status, problem) = post(&url, &body).await;
        assert_eq!((status, &problem["code"]), (503, &json!("code_key_missing")), "{problem}");
        let (status, again) = post(&app.url, &body).await;
        assert_eq!((status, &again["id"]), (202, &first["id"]));
        running.stop(false).await;
    })
    .await;
}

#[tokio::test]
async fn what_is_under_a_key_that_nobody_has_is_given_up_after_a_wait_and_says_why() {
    with_app(async |app| {
        let other = keyless(app).await;
        let mut lost = LostKeys::default();
        let id = app.send("+628123450001").await;
        let mut give_up = async || lost.run_once(&other.transitions, &app.clock).await.expect("the database answers");
        // As long as an instance reports that it has the key, however slow it is.
        for _ in 0..4 {
            app.clock.advance(LET_GO_AFTER - TimeDelta::seconds(1));
            hold(&app.store(), &code_keys(), app.clock.now()).await.unwrap();
            hold(&app.store(), &other_keys(), app.clock.now()).await.unwrap();
            assert_eq!(give_up().await, 0);
        }
        app.clock.advance(LET_GO_AFTER + TimeDelta::seconds(1));
        assert_eq!(give_up().await, 0, "after an outage of all, another may be about to start");
        app.clock.advance(GIVE_UP_AFTER - TimeDelta::seconds(1));
        assert_eq!(give_up().await, 0);
        app.clock.advance(TimeDelta::seconds(1));
        assert_eq!(give_up().await, 1);
        assert_eq!(give_up().await, 1, "the next step needs the same key");
        assert_eq!(give_up().await, 0);
        let message = app.message(&id).await;
        for attempt in message["attempts"].as_array().unwrap() {
            assert_eq!(attempt["error_code"], "code_key_missing", "{message:#}");
            assert_eq!(attempt["send_state"], "rejected", "{message:#}");
        }
        assert_eq!(message["state"], "failed", "{message:#}");
        let phone = app.sim.phone("+628123450001");
        assert_eq!((phone.requests.whatsapp, phone.requests.sms), (0, 0));
    })
    .await;
}

/// Both read before either has written: the second must still notice.
#[tokio::test]
async fn of_two_instances_that_start_at_once_with_different_secrets_one_starts() {
    with_app(async |app| {
        let build = |secret: u8| {
            let keys = CodeKeys::new(vec![CodeKey::new(7, &[secret; 32]).unwrap()]).unwrap();
            let database_url = app.database.url().to_owned();
            let means = Means { database_url, code_keys: keys, clock: Some(app.clock.clone()), migrate: false };
            App::build(&app.settings, means)
        };
        for _ in 0..5 {
            sqlx::raw_sql("delete from code_keys where key_id = 7").execute(&app.pool).await.unwrap();
            let (one, two) = tokio::join!(build(1), build(2));
            let refused = [one.err(), two.err()].into_iter().flatten().collect::<Vec<_>>();
            assert!(matches!(&refused[..], [BuildError::Keys(KeysError::OtherSecret(7))]), "{refused:?}");
        }
    })
    .await;
}
