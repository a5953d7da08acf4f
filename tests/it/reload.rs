//! Settings that change while the service runs.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use otpost::app::{App, Loops, Means};
use otpost::config::Settings;
use otpost::domain::app_id::AppId;
use otpost::domain::secret::Secret;
use otpost::providers::registry::meta::MetaConfig;
use otpost::reload::{Changed, about_environment};
use otpost::services::accounts::account::FORMER_VERIFIES_FOR;
use otpost::services::delivery::orphans::{Orphans, UNSERVED_AFTER};
use otpost::services::keys::app_keys::AppKeys;
use otpost::simulated;
use otpost::simulator::{Mode, SimConfig, SimTime, Simulator};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::helpers::app::{TestApp, code_keys, meta_body, meta_status, unlimited, with_app, with_settings};
use crate::helpers::database::{cluster_base, fresh_database};
use crate::helpers::invariants;

/// The app's settings, changed.
fn changed(app: &TestApp, change: impl FnOnce(&mut Settings)) -> Settings {
    let mut settings = app.settings.clone();
    change(&mut settings);
    settings
}

fn meta(settings: &mut Settings) -> &mut MetaConfig {
    let account = settings.accounts.get_mut("meta-main").expect("it is there");
    account.provider.config_mut().expect("Meta's")
}

fn through_ycloud(settings: &mut Settings) {
    settings.route.options.steps = vec!["ycloud-wa".to_owned(), "ycloud-sms".to_owned()];
}

fn without_meta(settings: &mut Settings) {
    through_ycloud(settings);
    settings.accounts.remove("meta-main");
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[tokio::test]
async fn what_is_under_way_keeps_its_route_and_what_is_new_takes_the_new_one() {
    with_app(async |app| {
        let old = app.send("+628123450003").await;
        let result = app.reload.run(changed(app, through_ycloud)).expect("no restart is needed");
        assert_eq!(result, Changed { settings: vec!["route"], ..Changed::default() });
        let new = app.send("+628123450001").await;
        app.pass(Duration::from_secs(20)).await;
        let (old, new) = (app.message(&old).await, app.message(&new).await);
        assert_eq!(old["attempts"][0]["account"], "meta-main", "{old:#}");
        assert_eq!(old["attempts"][1]["account"], "ycloud-sms", "{old:#}");
        assert_eq!(new["attempts"][0]["account"], "ycloud-wa", "{new:#}");
        assert_eq!(app.reload.run(changed(app, through_ycloud)), Ok(Changed::default()));
    })
    .await;
}

#[tokio::test]
async fn an_account_that_is_taken_out_finishes_what_it_has() {
    with_app(async |app| {
        let id = app.send("+628123450001").await;
        let result = app.reload.run(changed(app, without_meta)).expect("no restart is needed");
        assert_eq!(result.accounts_removed, names(&["meta-main"]));
        let (mut orphans, accounts) = (Orphans::default(), &app.dispatch.accounts);
        assert_eq!(orphans.run_once(&app.transitions, &app.clock, accounts).await.unwrap(), 0);
        app.clock.advance(UNSERVED_AFTER);
        assert_eq!(orphans.run_once(&app.transitions, &app.clock, accounts).await.unwrap(), 0);
        app.pass(Duration::from_secs(10)).await;
        let message = app.message(&id).await;
        assert_eq!(message["state"], "delivered", "by its callback: {message:#}");
        assert_eq!(message["attempts"][0]["account"], "meta-main", "{message:#}");
        assert_eq!(app.sim.phone("+628123450001").requests.sms, 0);
        // Restored to the old settings, it is the same account again.
        let account = accounts.get("meta-main").expect("it stays known");
        let result = app.reload.run(app.settings.clone()).expect("no restart is needed");
        assert_eq!((result.accounts_added, result.accounts_changed), (names(&["meta-main"]), Vec::new()));
        assert!(std::sync::Arc::ptr_eq(&account, &accounts.get("meta-main").unwrap()));
    })
    .await;
}

#[tokio::test]
async fn new_credentials_hold_for_calls_at_once_and_the_old_ones_for_callbacks_for_a_day() {
    with_app(async |app| {
        let id = app.send("+628123450009").await;
        app.run_workers().await;
        let attempt = app.message(&id).await["attempts"][0]["attempt_id"].as_str().unwrap().to_owned();
        let rotated = changed(app, |settings| {
            meta(settings).access_token = Secret::new("wrong");
            meta(settings).app_secrets = vec![Secret::new("another")];
        });
        let result = app.reload.run(rotated).expect("no restart is needed");
        assert_eq!(result.accounts_changed, names(&["meta-main"]));

        let refused = app.send("+628123451001").await;
        app.run_workers().await;
        let refused = app.message(&refused).await;
        assert_eq!(refused["attempts"][0]["send_state"], "rejected", "{refused:#}");
        assert_eq!(refused["attempts"][0]["error_class"], "config_error", "{refused:#}");

        // The helper signs under the old secret.
        let body = |status| meta_body(&[meta_status(&attempt, status, app.clock.now())]);
        assert_eq!(app.callback("meta-main", &body("delivered")).await, 200);
        assert_eq!(app.message(&id).await["state"], "delivered");
        app.clock.advance(FORMER_VERIFIES_FOR - TimeDelta::seconds(1));
        assert_eq!(app.callback("meta-main", &body("read")).await, 200);
        app.clock.advance(TimeDelta::seconds(1));
        assert_eq!(app.callback("meta-main", &body("read")).await, 401);
        app.run_workers().await;
    })
    .await;
}

#[tokio::test]
async fn an_account_that_did_not_change_keeps_its_breaker() {
    with_settings(
        |settings| settings.sending.breaker_failures = 2,
        async |app| {
            app.sim.set_mode("meta-main", Mode::Outage).unwrap();
            for n in 0..2 {
                app.send(&format!("+62812345{n}001")).await;
                app.run_workers().await;
            }
            let is_open = || app.dispatch.accounts.get("meta-main").unwrap().breaker.is_open("ID", app.clock.now());
            assert!(is_open());
            let other = changed(app, |settings| settings.accounts.get_mut("ycloud-wa").unwrap().per_second = 7.0);
            assert_eq!(app.reload.run(other).unwrap().accounts_changed, names(&["ycloud-wa"]));
            assert!(is_open());
            let meta = changed(app, |settings| settings.accounts.get_mut("meta-main").unwrap().per_second = 7.0);
            let result = app.reload.run(meta).unwrap();
            assert_eq!(result.accounts_changed, names(&["meta-main", "ycloud-wa"]));
            assert!(!is_open(), "with other settings it deserves another try");
        },
    )
    .await;
}

#[tokio::test]
async fn settings_of_which_one_needs_a_restart_change_nothing() {
    with_app(async |app| {
        let settings = changed(app, |settings| {
            without_meta(settings);
            settings.server.listen.set_port(1);
            settings.sending.lease = Duration::from_secs(21);
        });
        let error = app.reload.run(settings).expect_err("a restart is needed");
        assert_eq!(error.settings, ["server.listen", "sending.lease_ms"]);
        let id = app.send("+628123450001").await;
        app.run_workers().await;
        let message = app.message(&id).await;
        assert_eq!(message["attempts"][0]["account"], "meta-main", "{message:#}");
        assert_eq!(app.reload.run(app.settings.clone()), Ok(Changed::default()));
    })
    .await;
}

#[tokio::test]
async fn no_message_is_lost_while_settings_change_under_load() {
    let database = fresh_database().await;
    let config = SimConfig { time: SimTime::Real { speed: 20.0 }, ..SimConfig::default() };
    let sim = Simulator::start(config, ([127, 0, 0, 1], 0).into()).expect("the simulator starts");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let listen = listener.local_addr().expect("an address");
    let mut settings = simulated::settings(Path::new("/nonexistent"), listen, &sim.url(), 15);
    unlimited(&mut settings);
    settings.server.workers = 1;
    settings.database.connections = 4;
    settings.database.ledger_connections = 6;
    let means = Means { database_url: database.url().to_owned(), code_keys: code_keys(), clock: None, migrate: false };
    let app = App::build(&settings, means).await.expect("the app is built");
    let (reload, clock) = (app.reload.clone(), app.clock.clone());
    let running = app.start(listener, Loops::Run).expect("the app starts");
    for account in &simulated::accounts() {
        sim.set_callback(account, Some(&simulated::callback_url(&settings.server.public_url, account))).unwrap();
    }
    let pool = database.pool().await;
    let key = AppKeys::new(pool.clone().into(), clock.clone())
        .create(&AppId::stored("shop"), "")
        .await
        .unwrap()
        .key
        .expose()
        .to_owned();
    let http = reqwest::Client::new();
    // Those that end without a deadline, whatever the provider.
    let fates = ["0001", "0002", "0005", "0006", "0012"];
    let number = |n: usize| format!("+62812{n:04}{}", fates[n % fates.len()]);
    let posts = (0..300).map(async |n| {
        tokio::time::sleep(Duration::from_millis(5 * n as u64)).await;
        let body = json!({ "to": number(n) }).to_string();
        let request = http.post(format!("http://{listen}/v1/messages")).bearer_auth(&key).body(body);
        request.send().await.expect("the service answers").status().as_u16()
    });
    // Routes that change, accounts that are removed and restored, rates that change.
    let reloads = async {
        for n in 0..30_u32 {
            tokio::time::sleep(Duration::from_millis(50)).await;
            let mut new = settings.clone();
            match n % 3 {
                0 => without_meta(&mut new),
                1 => new.accounts.get_mut("ycloud-sms").unwrap().per_second = 1000.0 + f64::from(n),
                _ => {}
            }
            assert!(!reload.run(new).expect("no restart is needed").is_nothing());
        }
    };
    let (answers, ()) = tokio::join!(futures_util::future::join_all(posts), reloads);
    assert!(answers.iter().all(|status| *status == 202), "{answers:?}");

    let open = "select count(*) from messages where state not in ('delivered', 'failed')";
    let left = async || sqlx::query_scalar::<_, i64>(open).fetch_one(&pool).await.expect("a count");
    for _ in 0..1200 {
        if left().await == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    assert_eq!(left().await, 0, "messages that did not end");
    assert!(sim.settle(Duration::from_secs(10)).await);
    let mut accounts = std::collections::BTreeSet::new();
    for seen in sim.messages(None, 10_000) {
        accounts.insert(seen.account);
    }
    assert!(accounts.contains("meta-main") && accounts.contains("ycloud-wa"), "{accounts:?}");
    for n in 0..300 {
        let seen = sim.phone(&number(n)).requests;
        let sms = u64::from(matches!(fates[n % fates.len()], "0002" | "0005"));
        assert_eq!((seen.whatsapp, seen.sms), (1, sms), "{}", number(n));
    }
    invariants::check(&pool, clock.now()).await;
    running.stop(false).await;
    sim.stop().await;
    pool.close().await;
}

const PROGRAM: &str = env!("CARGO_BIN_EXE_otpost");

/// A folder with settings in it; dropped with all that is in it, and with the service that runs there.
struct Serving {
    dir: PathBuf,
    child: Option<Child>,
}

impl Serving {
    fn settings(&self, database_url: &str, port: u16, more: &str) {
        let dir = self.dir.display();
        let text = format!(
            "data_dir = \"{dir}\"\n[server]\nlisten = \"127.0.0.1:{port}\"\nworkers = 1\n[database]\n\
             url = \"{database_url}\"\nconnections = 2\nledger_connections = 2\n[codes]\n\
             keys = [\"1:qT5xW0vYk2mJ8rB3nC7dF1gH6sL9pZ4a\"]\n{more}"
        );
        fs::write(self.dir.join("otpost.toml"), text).expect("the folder takes a file");
    }

    fn otpost(&self, command: &str) -> Command {
        let mut otpost = Command::new(PROGRAM);
        otpost.arg(command).arg("--config").arg(self.dir.join("otpost.toml")).stdin(Stdio::null());
        otpost.env_remove("DATABASE_URL");
        otpost
    }

    fn reload(&self) -> (Option<i32>, String, String) {
        let Output { status, stdout, stderr } = self.otpost("reload").output().expect("the program runs");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
        (status.code(), text(stdout), text(stderr))
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            child.kill().ok();
            child.wait().ok();
        }
        fs::remove_dir_all(&self.dir).ok();
    }
}

#[tokio::test]
async fn a_reload_says_which_variables_it_cannot_see_anew() {
    with_app(async |app| {
        let mut settings = app.settings.clone();
        assert_eq!(about_environment(&settings), None);
        settings.referred = ["A", "B", "C", "D", "E"].map(str::to_owned).into();
        let told = about_environment(&settings).unwrap();
        assert!(told.contains("(env:A, env:B, env:C, env:D, 1 more) stay those of the start"), "{told}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn otpost_reload_says_what_became_of_it() {
    let database = fresh_database().await;
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let dir = cluster_base().join(format!("reload-{}", std::process::id()));
    fs::create_dir_all(&dir).unwrap();
    let mut serving = Serving { dir, child: None };
    serving.settings(database.url(), port, "max_tries = 5\n");
    let (code, _, err) = serving.reload();
    assert_eq!(code, Some(1), "{err}");
    assert!(err.contains("no `otpost serve` runs with"), "{err}");

    serving.child = Some(serving.otpost("serve").stderr(Stdio::null()).spawn().expect("the program starts"));
    let began = Instant::now();
    while fs::read_dir(serving.dir.join("serving")).map_or(0, Iterator::count) == 0 {
        assert!(began.elapsed() < Duration::from_secs(30), "it does not start");
        thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(serving.reload(), (Some(0), "nothing has changed\n".to_owned(), String::new()));

    serving.settings(database.url(), port, "max_tries = 4\n[text]\nbrand = \"Example\"\n");
    let (code, out, err) = serving.reload();
    assert_eq!((code, err.as_str()), (Some(0), ""), "{out}");
    assert_eq!(out, "the new settings are in use\n  also: codes.max_tries, text\n");

    serving.settings(database.url(), port, "max_tries = 40\nmax_try = 4\n");
    let (code, out, err) = serving.reload();
    assert_eq!((code, out.as_str()), (Some(1), ""), "{err}");
    let place = format!("{}:11: codes.max_tries: is 40", serving.dir.join("otpost.toml").display());
    assert!(err.contains(&place) && err.contains("codes.max_try: is not a setting"), "{err}");
    assert!(err.contains("the old ones stay"), "{err}");

    serving.settings(database.url(), port, "max_tries = 4\n[sending]\nproxy = 'env:OTPOST_TEST_NOWHERE'\n");
    let (code, _, err) = serving.reload();
    assert!(code == Some(1) && err.contains("a running process does not see variables that were set later"), "{err}");

    serving.settings(database.url(), port + 1, "max_tries = 3\n");
    let (code, _, err) = serving.reload();
    assert_eq!(code, Some(1), "{err}");
    assert!(err.contains("by a restart only: server.listen;"), "{err}");

    // What was refused changed nothing.
    serving.settings(database.url(), port, "max_tries = 4\n[text]\nbrand = \"Example\"\n");
    assert_eq!(serving.reload(), (Some(0), "nothing has changed\n".to_owned(), String::new()));
    let health = reqwest::get(format!("http://127.0.0.1:{port}/healthz")).await.expect("it still answers");
    assert_eq!(health.status(), 200);

    let child = serving.child.as_mut().unwrap();
    kill_process(Pid::from_child(child), Signal::INT).unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(fs::read_dir(serving.dir.join("serving")).unwrap().count(), 0, "it cleans up behind itself");
}
