//! Status queries, where callbacks were lost and where a provider sends none.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use otpost::app::Loops;
use otpost::config::Settings;
use otpost::domain::channel::Channel;
use otpost::outbound::Client;
use otpost::providers::regional::Regional;
use otpost::providers::registry::cliqtel::CliqtelWhatsappConfig;
use otpost::providers::{
    Abilities, Call, Callback, Handshake, Outbound, Provider, Receipts, Reply, SendOutcome, StatusQuery, Unreadable,
    Unverified, Verified,
};
use otpost::services::accounts::account::{AccountPlan, Accounts};
use otpost::services::callbacks::status_queries::StatusQueries;
use otpost::services::delivery::dispatch::Dispatch;
use otpost::simulator::Mode;
use otpost::store::questions;
use serde_json::Value;

use crate::helpers::app::{TestApp, start, with_settings};

const WHATSAPP: [&str; 2] = ["ycloud-wa", "cliqtel-wa"];

/// A route through this account, and then SMS after 15 s.
fn through(account: &'static str) -> impl FnOnce(&mut Settings) {
    move |settings| settings.route.options.steps = vec![account.to_owned(), "ycloud-sms".to_owned()]
}

/// An answer as the table has it.
#[derive(Debug, PartialEq, sqlx::FromRow)]
struct Answer {
    question_no: i16,
    asked_at: DateTime<Utc>,
    http_status: Option<i16>,
    told: Option<String>,
    trouble: Option<String>,
}

async fn answers(app: &TestApp, id: &str) -> Vec<Answer> {
    sqlx::query_as(
        "select question_no, asked_at, http_status, told, trouble from answers where message_id = $1::text::uuid
          order by asked_at",
    )
    .bind(id)
    .fetch_all(&app.pool)
    .await
    .expect("answers")
}

async fn count(app: &TestApp, table: &'static str) -> i64 {
    let sql = sqlx::AssertSqlSafe(format!("select count(*) from {table}"));
    sqlx::query_scalar(sql).fetch_one(&app.pool).await.expect("a count")
}

fn after_ms(at: &Value) -> i64 {
    let at: DateTime<Utc> = at.as_str().expect("a time").parse().expect("a time");
    (at - start()).num_milliseconds()
}

#[tokio::test]
async fn a_delivery_whose_callback_was_lost_is_found_by_asking_once_and_no_sms_is_paid() {
    for account in WHATSAPP {
        with_settings(through(account), async |app| {
            app.sim.set_mode(account, Mode::Silence).unwrap();
            let id = app.send("+628123450001").await;
            app.pass(Duration::from_secs(12)).await;
            assert_eq!(count(app, "answers").await, 0, "{account} is asked too early");
            app.pass(Duration::from_secs(10)).await;

            let message = app.message(&id).await;
            assert_eq!(message["state"], "delivered", "{message:#}");
            assert_eq!(message["attempts"].as_array().unwrap().len(), 1, "{message:#}");
            assert_eq!(message["attempts"][0]["timer"], "disarmed", "{message:#}");
            let phone = app.sim.phone("+628123450001");
            assert_eq!((phone.received.whatsapp, phone.requests.sms), (1, 0));
            let answers = answers(app, &id).await;
            assert_eq!(answers.len(), 1, "{answers:?}");
            assert_eq!(answers[0].asked_at, start() + TimeDelta::milliseconds(12_500));
            assert_eq!((answers[0].http_status, answers[0].trouble.as_deref()), (Some(200), None));
            assert_eq!(count(app, "questions").await, 0);

            let (_, timeline) = app.get(&format!("/v1/messages/{id}/timeline")).await;
            let events: Vec<&Value> = timeline["timeline"].as_array().expect("a story").iter().collect();
            let place = |event: &str| events.iter().position(|e| e["event"] == event);
            assert!(place("question") < place("receipt") && place("receipt") < place("timer_disarmed"), "{timeline:#}");
            assert_eq!(after_ms(&events[place("question").unwrap()]["at"]), 12_500);
        })
        .await;
    }
}

#[tokio::test]
async fn what_a_provider_told_is_kept_until_it_can_be_written_down() {
    with_settings(through("ycloud-wa"), async |app| {
        app.sim.set_mode("ycloud-wa", Mode::Silence).unwrap();
        let id = app.send("+628123450001").await;
        app.pass(Duration::from_secs(12)).await;
        // Nobody can write a receipt, for longer than a statement waits for a lock.
        let mut holder = app.pool.begin().await.unwrap();
        sqlx::raw_sql("lock table receipts in exclusive mode").execute(&mut *holder).await.unwrap();
        let release = async {
            tokio::time::sleep(Duration::from_millis(2_500)).await;
            holder.rollback().await.unwrap();
        };
        tokio::join!(app.pass(Duration::from_secs(1)), release);
        let message = app.message(&id).await;
        assert_eq!(message["state"], "delivered", "{message:#}");
        let told: Vec<Option<String>> = answers(app, &id).await.into_iter().map(|answer| answer.told).collect();
        // It was read meanwhile.
        assert_eq!(told, [Some("read".to_owned())]);
        assert_eq!(app.sim.phone("+628123450001").requests.sms, 0);
    })
    .await;
}

#[tokio::test]
async fn a_failure_learned_by_asking_replaces_at_once() {
    for account in WHATSAPP {
        with_settings(through(account), async |app| {
            app.sim.set_mode(account, Mode::Silence).unwrap();
            let id = app.send("+628123450002").await;
            app.pass(Duration::from_millis(12_500)).await;
            let message = app.message(&id).await;
            assert_eq!(message["attempts"][0]["state"], "failed", "{message:#}");
            assert_eq!(message["attempts"][1]["reason"], "failed", "{message:#}");
            assert_eq!(after_ms(&message["attempts"][1]["planned_at"]), 12_500, "{message:#}");
            app.pass(Duration::from_secs(10)).await;
            assert_eq!(app.sim.phone("+628123450002").received.sms, 1);
            assert_eq!(answers(app, &id).await.len(), 1);
        })
        .await;
    }
}

#[tokio::test]
async fn what_is_told_by_callbacks_is_not_asked_for() {
    with_settings(through("ycloud-wa"), async |app| {
        for end in ["0001", "0002", "0009"] {
            app.send(&format!("+62812345{end}")).await;
        }
        app.run_workers().await;
        // The hanging one is unknown, and has no id to query by.
        assert_eq!(count(app, "questions").await, 2);
        app.pass(Duration::from_secs(20)).await;
        assert_eq!((count(app, "questions").await, count(app, "answers").await), (0, 0));
    })
    .await;
}

#[tokio::test]
async fn a_settled_message_is_not_asked_about() {
    with_settings(through("cliqtel-wa"), async |app| {
        app.sim.set_mode("cliqtel-wa", Mode::Silence).unwrap();
        let id = app.send("+628123450001").await;
        app.pass(Duration::from_secs(5)).await;
        assert_eq!(app.post(&format!("/v1/messages/{id}/cancel"), Value::Null).await.0, 200);
        app.pass(Duration::from_secs(10)).await;
        assert_eq!((count(app, "questions").await, count(app, "answers").await), (0, 0));
    })
    .await;
}

#[tokio::test]
async fn a_provider_that_refuses_to_answer_leaves_the_deadline_where_it_is() {
    for account in WHATSAPP {
        with_settings(through(account), async |app| {
            app.sim.set_mode(account, Mode::Silence).unwrap();
            let id = app.send("+628123450001").await;
            app.pass(Duration::from_secs(5)).await;
            app.sim.set_mode(account, Mode::Outage).unwrap();
            app.pass(Duration::from_secs(15)).await;
            let message = app.message(&id).await;
            assert_eq!(message["attempts"][1]["reason"], "silent", "{message:#}");
            assert_eq!(message["attempts"][1]["planned_at"], message["attempts"][0]["replace_at"], "{message:#}");
            assert_eq!(app.sim.phone("+628123450001").received.sms, 1);
            let answers = answers(app, &id).await;
            assert_eq!(answers.len(), 1, "{answers:?}");
            assert_eq!((answers[0].http_status, answers[0].trouble.as_deref()), (Some(503), Some("refused")));
        })
        .await;
    }
}

/// Cliqtel's WhatsApp with different behaviour.
struct Odd {
    inner: Box<dyn Provider>,
    calls_back: bool,
    /// The address that queries go to instead.
    ask_at: Option<String>,
}

impl Provider for Odd {
    fn call(&self, message: &Outbound<'_>) -> Call {
        self.inner.call(message)
    }

    fn outcome(&self, reply: &Reply<'_>) -> SendOutcome {
        self.inner.outcome(reply)
    }

    fn status_query(&self, about: &StatusQuery<'_>) -> Option<Call> {
        let mut call = self.inner.status_query(about)?;
        if let Some(url) = &self.ask_at {
            call.url.clone_from(url);
        }
        Some(call)
    }

    fn status_answer(&self, about: &StatusQuery<'_>, reply: &Reply<'_>) -> Result<Receipts, Unreadable> {
        self.inner.status_answer(about, reply)
    }

    fn handshake(&self, query: &str) -> Handshake {
        self.inner.handshake(query)
    }

    fn verify<'a>(&self, callback: &Callback<'a>) -> Result<Verified<'a>, Unverified> {
        self.inner.verify(callback)
    }

    fn receipts(&self, callback: Verified<'_>) -> Result<Receipts, Unreadable> {
        self.inner.receipts(callback)
    }

    fn abilities(&self) -> Abilities {
        Abilities { calls_back: self.calls_back, ..self.inner.abilities() }
    }
}

/// A second sender and a second query loop, for which `cliqtel-wa` behaves differently.
struct Beside {
    dispatch: Arc<Dispatch>,
    ask: Arc<StatusQueries>,
}

impl Beside {
    fn new(app: &TestApp, calls_back: bool, ask_at: Option<String>) -> Self {
        let settings = &app.settings.accounts["cliqtel-wa"];
        assert!(settings.provider.config::<CliqtelWhatsappConfig>().is_some());
        let accounts = Accounts::new([AccountPlan {
            name: "cliqtel-wa".to_owned(),
            channel: Channel::Whatsapp,
            provider_name: "cliqtel",
            provider: Box::new(Odd { inner: settings.provider.build(), calls_back, ask_at }),
            templates: settings.templates.clone(),
            regional: Regional::default(),
            callback_url: String::new(),
            per_second: 100.0,
            concurrency: 10,
            breaker_failures: 10,
            breaker_open: TimeDelta::seconds(30),
            resend_after: None,
            price: None,
        }]);
        let client = Client::new(&app.settings.sending.client).expect("a client");
        let dispatch = Arc::new(Dispatch {
            transitions: app.transitions.clone(),
            ledger: app.dispatch.ledger.clone(),
            clock: app.clock.clone(),
            client: client.clone(),
            accounts: accounts.clone(),
            policy: app.reload.policy.clone(),
            instances: app.dispatch.instances.clone(),
            sms_guard: app.dispatch.sms_guard.clone(),
            lease: app.dispatch.lease,
            stopped: tokio::sync::Mutex::new(false),
        });
        let ask = StatusQueries {
            pool: app.transitions.pool.clone(),
            clock: app.clock.clone(),
            client,
            accounts,
            apply: app.callbacks.apply.clone(),
        };
        Self { dispatch, ask: Arc::new(ask) }
    }

    async fn send(&self) {
        for send in self.dispatch.run_once().await.expect("the sender goes round").sends {
            send.await.expect("a send ends");
        }
    }

    /// Queries every quarter of a second, and runs nothing else.
    async fn pass(&self, app: &TestApp, time: Duration) {
        let step = Duration::from_millis(250);
        for _ in 0..time.as_millis() / step.as_millis() {
            app.clock.advance(TimeDelta::from_std(step).unwrap());
            app.sim.advance(step).await.unwrap();
            ask_all(&self.ask).await;
        }
    }
}

/// Sends the due queries; returns how many there were.
async fn ask_all(ask: &Arc<StatusQueries>) -> usize {
    let mut questions = 0;
    loop {
        let round = ask.run_once().await.expect("a round of status queries");
        if round.due == 0 {
            return questions;
        }
        questions += round.asked.len();
        for question in round.asked {
            question.await.expect("a question ends");
        }
    }
}

#[tokio::test]
async fn a_provider_that_never_calls_back_is_asked_on_schedule_also_on_the_last_step() {
    let alone = |settings: &mut Settings| settings.route.options.steps = vec!["cliqtel-wa".to_owned()];
    with_settings(alone, async |app| {
        app.sim.set_mode("cliqtel-wa", Mode::Silence).unwrap();
        let beside = Beside::new(app, false, None);
        let (silent, delivered) = (app.send("+628123450003").await, app.send("+628123450001").await);
        beside.send().await;
        beside.pass(app, Duration::from_secs(40)).await;

        let asked: Vec<i64> =
            answers(app, &silent).await.iter().map(|a| (a.asked_at - start()).num_milliseconds()).collect();
        assert_eq!(asked, [3_000, 6_000, 12_000, 20_000, 30_000]);
        assert_eq!(app.message(&delivered).await["state"], "delivered");
        let asked = answers(app, &delivered).await;
        assert_eq!(asked.last().and_then(|a| a.told.as_deref()).map(|told| told != "sent"), Some(true), "{asked:?}");
        assert!(asked.len() < 5, "what is delivered is not asked about any more: {asked:?}");
        assert_eq!(count(app, "questions").await, 0);
    })
    .await;
}

#[tokio::test]
async fn an_answer_that_does_not_come_is_waited_for_less_long_than_the_deadline_takes() {
    with_settings(through("cliqtel-wa"), async |app| {
        app.sim.set_mode("cliqtel-wa", Mode::Silence).unwrap();
        // Connections wait in the queue of a listener that never accepts them.
        let deaf = TcpListener::bind("127.0.0.1:0").unwrap();
        let beside = Beside::new(app, true, Some(format!("http://{}/", deaf.local_addr().unwrap())));
        let id = app.send("+628123450001").await;
        app.run_workers().await;
        app.clock.advance(TimeDelta::milliseconds(12_500));
        let began = Instant::now();
        assert_eq!(ask_all(&beside.ask).await, 1);
        assert!(began.elapsed() < Duration::from_millis(2_450), "{:?}", began.elapsed());
        app.pass(Duration::from_secs(3)).await;
        let message = app.message(&id).await;
        assert_eq!(message["attempts"][1]["planned_at"], message["attempts"][0]["replace_at"], "{message:#}");
        let answers = answers(app, &id).await;
        assert_eq!(answers.iter().map(|a| a.trouble.as_deref()).collect::<Vec<_>>(), [Some("timeout")]);
    })
    .await;
}

#[tokio::test]
async fn two_instances_do_not_ask_twice() {
    with_settings(through("ycloud-wa"), async |app| {
        app.sim.set_mode("ycloud-wa", Mode::Silence).unwrap();
        let other = app.one_more(&app.settings).await;
        for n in 0..60 {
            app.send(&format!("+62812{n:04}0003")).await;
        }
        app.run_workers().await;
        app.clock.advance(TimeDelta::milliseconds(12_500));
        app.sim.advance(Duration::from_millis(12_500)).await.unwrap();
        let (ours, theirs) = tokio::join!(ask_all(&app.ask), ask_all(&other.ask));
        // What one left for lack of capacity, the other may have claimed meanwhile.
        let rest = ask_all(&app.ask).await;
        assert_eq!(ours + theirs + rest, 60, "{ours} + {theirs} + {rest}");
        assert_eq!((count(app, "answers").await, count(app, "questions").await), (60, 0));
        other.start(TcpListener::bind("127.0.0.1:0").unwrap(), Loops::ByHand).unwrap().stop(false).await;
        app.pass(Duration::from_secs(5)).await;
    })
    .await;
}

#[tokio::test]
async fn questions_of_an_instance_that_is_gone_are_asked_by_another() {
    with_settings(through("ycloud-wa"), async |app| {
        app.sim.set_mode("ycloud-wa", Mode::Silence).unwrap();
        let id = app.send("+628123450001").await;
        let gone = app.one_more(&app.settings).await;
        for send in gone.dispatch.run_once().await.unwrap().sends {
            send.await.unwrap();
        }
        drop(gone);
        app.pass(Duration::from_secs(20)).await;
        assert_eq!(app.message(&id).await["state"], "delivered");
        assert_eq!(app.sim.phone("+628123450001").requests.sms, 0);
    })
    .await;
}

#[tokio::test]
async fn a_question_lost_with_its_instance_costs_nothing_but_the_sms() {
    with_settings(through("ycloud-wa"), async |app| {
        app.sim.set_mode("ycloud-wa", Mode::Silence).unwrap();
        let id = app.send("+628123450001").await;
        app.pass(Duration::from_secs(12)).await;
        app.clock.advance(TimeDelta::milliseconds(500));
        app.sim.advance(Duration::from_millis(500)).await.unwrap();
        // Claimed, and never sent.
        let rooms = [("ycloud-wa".to_owned(), 8)];
        let taken = questions::take_up(&app.transitions.pool, &rooms, app.clock.now()).await.unwrap();
        assert_eq!(taken.len(), 1);
        app.pass(Duration::from_secs(10)).await;
        let message = app.message(&id).await;
        assert_eq!(message["attempts"][1]["planned_at"], message["attempts"][0]["replace_at"], "{message:#}");
        assert_eq!(app.sim.phone("+628123450001").received.sms, 1);
        assert_eq!(answers(app, &id).await, []);
    })
    .await;
}
