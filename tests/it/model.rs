//! Compares the rule in memory with the rule through the database: any events in any order give equal rows. Also tests
//! the schema's own guards.

use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use otpost::domain::app_id::AppId;
use otpost::domain::attempt::{Attempt, Lease, SendState, State};
use otpost::domain::channel::Channel;
use otpost::domain::code::Code;
use otpost::domain::event::{Effect, Event, OnUnknown, SendResult};
use otpost::domain::ids::MessageId;
use otpost::domain::message::{Message, Outcome};
use otpost::domain::price::Price;
use otpost::domain::receipt::{DeliveryReceipt, ErrorClass, Failure, Scope, Status};
use otpost::domain::status_query::StatusQueryPlan;
use otpost::domain::step::step;
use otpost::services::ledger::command::{AppRequest, Command, RecordedEvent, SentRequest};
use otpost::services::ledger::transitions::Transitions;
use otpost::services::messages::accept_message::NewMessage;
use otpost::services::messages::watch::Watch;
use otpost::store::messages;
use otpost::store::receipts::ReceivedReceipt;
use sqlx::{AssertSqlSafe, PgPool};
use uuid::Uuid;

use crate::helpers::app::{TestApp, code_keys, plain, with_settings};
use crate::helpers::database::fresh_database;
use crate::helpers::invariants;

/// splitmix64: the same seed, the same run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }
}

const CODE: &str = "739150";

struct Run<'a> {
    app: &'a TestApp,
    random: Random,
    now: DateTime<Utc>,
    /// The rule in memory.
    pure: Message,
    /// Tokens of granted leases, with their attempts and times.
    tokens: Vec<(Uuid, i16, DateTime<Utc>)>,
    /// A provider that never reports deliveries accepted it while it was pending.
    taken_in_silence: bool,
    failures: u64,
}

impl Run<'_> {
    fn failure(&mut self) -> Failure {
        self.failures += 1;
        let class = self.random.pick(&[
            ErrorClass::RecipientUnreachable,
            ErrorClass::Retryable,
            ErrorClass::RateLimited,
            ErrorClass::ConfigError,
            ErrorClass::Expired,
        ]);
        let scope = self.random.pick(&[Scope::Account, Scope::Template, Scope::Country, Scope::Recipient]);
        Failure::new(format!("code-{}", self.failures), class).about(scope)
    }

    fn on_unknown(&mut self) -> OnUnknown {
        if self.random.chance(50) { OnUnknown::GiveUp } else { OnUnknown::ResendAfter(TimeDelta::seconds(5)) }
    }

    /// Any event; mostly one that can happen now.
    fn event(&mut self) -> (Event, RecordedEvent) {
        let attempt_no =
            self.random.below(self.pure.attempts.len() as u64 + 1) as i16 + i16::from(self.random.chance(80));
        let attempt_no = attempt_no.min(4);
        let by_app = |random: &mut Random, request| RecordedEvent::ByApp {
            app: AppId::stored(if random.chance(95) { "shop" } else { "other" }),
            request,
        };
        match self.random.below(100) {
            0..25 => {
                let lease = Lease { token: Uuid::now_v7(), until: self.now + TimeDelta::seconds(20) };
                let price: Option<Price> = Some("0.04 USD".parse().unwrap());
                let recorded = RecordedEvent::Lease { attempt_no, lease, price: price.clone() };
                (Event::Lease { attempt_no, lease, price }, recorded)
            }
            25..50 => {
                let current = self.pure.attempts.iter().find_map(|a| Some((a.attempt_no, a.lease?.token)));
                let old =
                    self.tokens.len().checked_sub(1).map(|n| self.tokens[self.random.below(n as u64 + 1) as usize].0);
                let (attempt_no, token) = match (current, old) {
                    (Some(current), _) if self.random.chance(85) => current,
                    (_, Some(old)) => (attempt_no, old),
                    _ => (attempt_no, Uuid::now_v7()),
                };
                let result = match self.random.below(10) {
                    0..4 => SendResult::Accepted {
                        provider_message_id: format!("id-{}", self.random.below(5)),
                        held: self.random.chance(10),
                        nobody_tells: self.random.chance(5),
                    },
                    4..6 => {
                        let pause = self.random.chance(60).then(|| TimeDelta::seconds(self.random.below(20) as i64));
                        SendResult::Rejected { failure: self.failure(), pause }
                    }
                    6 => SendResult::BreakerOpen {
                        scope: Scope::Account,
                        closed_in: TimeDelta::seconds(self.random.below(40) as i64 + 1),
                    },
                    _ => SendResult::Unknown { failure: self.failure(), on_unknown: self.on_unknown() },
                };
                // A request is sent as soon as it is leased, whenever its answer arrives.
                let leased = self.tokens.iter().find(|(one, no, _)| (*one, *no) == (token, attempt_no));
                let leased_at = leased.map(|(.., at)| *at);
                let started_at = leased_at.unwrap_or(self.pure.created_at);
                let ask = self.random.chance(70).then(|| self.random.chance(50));
                let ask = ask.map(|calls_back| StatusQueryPlan { ask_by: None, calls_back });
                let request = SentRequest { started_at, http_status: Some(200), ask };
                let recorded = RecordedEvent::Send { attempt_no, token, result: result.clone(), request };
                (Event::Send { attempt_no, token, result }, recorded)
            }
            50..55 => {
                let on_unknown = self.on_unknown();
                let recorded = RecordedEvent::LeaseRanOut { attempt_no, on_unknown };
                (Event::LeaseRanOut { attempt_no, on_unknown }, recorded)
            }
            55..80 => {
                let status = self.random.pick(&[Status::Sent, Status::Delivered, Status::Read, Status::Failed]);
                let receipt = DeliveryReceipt {
                    status,
                    attempt_id: None,
                    provider_message_id: if self.random.chance(90) {
                        format!("id-{}", self.random.below(5))
                    } else {
                        String::new()
                    },
                    provider_at: self
                        .random
                        .chance(80)
                        .then(|| self.now - TimeDelta::seconds(self.random.below(9) as i64)),
                    failure: (status == Status::Failed).then(|| self.failure()),
                };
                let account = self.pure.attempt(attempt_no).map_or("meta-main".to_owned(), |a| a.account.clone());
                let received = ReceivedReceipt {
                    proved_too: Vec::new(),
                    receipt_id: Uuid::now_v7(),
                    callback_id: Uuid::now_v7(),
                    account: if self.random.chance(95) { account } else { "cliqtel-wa".to_owned() },
                    received_at: self.now,
                    receipt: receipt.clone(),
                };
                let recorded = RecordedEvent::Receipt { attempt_no, received: Box::new(received) };
                (Event::Receipt { attempt_no, receipt }, recorded)
            }
            80..88 => (Event::DeadlinePassed { attempt_no }, RecordedEvent::DeadlinePassed { attempt_no }),
            88..92 => {
                let code = if self.random.chance(25) { CODE } else { "000000" };
                let code = Code::parse(code).unwrap();
                let request = AppRequest::Check { check_id: Uuid::now_v7(), code: code.clone(), caller: None };
                (Event::Check { code, caller: None }, by_app(&mut self.random, request))
            }
            92..95 => {
                let channel = self.random.pick(&[None, Some(Channel::Sms), Some(Channel::Whatsapp)]);
                (Event::Resend { channel }, by_app(&mut self.random, AppRequest::Resend { channel }))
            }
            95 => (Event::Supersede, by_app(&mut self.random, AppRequest::Supersede)),
            96 => (Event::Cancel, by_app(&mut self.random, AppRequest::Cancel)),
            97 => (Event::AccountGone { attempt_no }, RecordedEvent::AccountGone { attempt_no }),
            98 => (Event::KeyGone { attempt_no }, RecordedEvent::KeyGone { attempt_no }),
            _ => (Event::LifeEnded, RecordedEvent::LifeEnded),
        }
    }

    /// Events that [`Transitions`] drops before it calls the rule.
    fn is_for_us(&self, recorded: &RecordedEvent) -> bool {
        match recorded {
            RecordedEvent::ByApp { app, .. } => *app == self.pure.app,
            RecordedEvent::Receipt { attempt_no, received } => {
                self.pure.attempt(*attempt_no).is_some_and(|a| a.account == received.account)
            }
            _ => true,
        }
    }

    /// Right after the event.
    fn is_taken_in_silence(&self, event: &Event) -> bool {
        let Event::Send { attempt_no, result: SendResult::Accepted { nobody_tells: true, .. }, .. } = event else {
            return false;
        };
        let is_under_way = |a: &Attempt| a.send_state == SendState::Accepted && a.state < State::Failed;
        self.pure.outcome == Outcome::Pending && self.pure.attempt(*attempt_no).is_some_and(is_under_way)
    }

    async fn go(&mut self) {
        for _ in 0..self.random.below(40) + 5 {
            // Several in one transaction, sometimes.
            let mut commands = Vec::new();
            let mut told = Vec::new();
            for _ in 0..self.random.pick(&[1, 1, 1, 2, 4]) {
                let jump = self.random.pick(&[0, 0, 1, 40, 999, 5_000, 15_000, 31_000]);
                self.now += TimeDelta::milliseconds(jump);
                let (event, recorded) = self.event();
                if self.is_for_us(&recorded) {
                    let effect = step(&mut self.pure, &event, &code_keys(), self.now);
                    if let (Effect::Leased, Event::Lease { attempt_no, lease, .. }) = (effect, &event) {
                        self.tokens.push((lease.token, *attempt_no, self.now));
                    }
                    self.taken_in_silence |= self.is_taken_in_silence(&event);
                    let broken = self.pure.broken_rules();
                    assert!(broken.is_empty(), "{broken:?} after {event:?}: {:#?}", self.pure);
                }
                told.push(format!("{event:?}"));
                commands.push(Command { message: self.pure.id, event: recorded, at: self.now });
            }
            let run = self.app.transitions.run(&commands).await;
            run.unwrap_or_else(|error| panic!("{error:?} after {told:#?} on the way to {:#?}", self.pure));
            let stored =
                messages::find(&self.app.store(), &AppId::stored("shop"), self.pure.id).await.unwrap().unwrap();
            assert_eq!(stored.message, self.pure, "after {told:#?}");
        }
    }
}

async fn message(app: &TestApp, n: u64, random: &mut Random) -> MessageId {
    let new = NewMessage {
        code: Some(Code::parse(CODE).unwrap()),
        channel: random.pick(&[None, None, Some(Channel::Sms)]),
        replace_after_s: Some(random.pick(&[15, 30, 60])),
        valid_for_s: Some(random.pick(&[150, 300, 600])),
        ..plain(&format!("+62812{:04}5555", n % 10_000))
    };
    app.accept.run(&AppId::stored("shop"), new, None).await.unwrap().id
}

/// State and first times of one attempt according to the stored receipts.
struct Told {
    state: State,
    times: [Option<DateTime<Utc>>; 3],
    provider_times: [Option<DateTime<Utc>>; 3],
}

async fn told(pool: &PgPool, id: MessageId, attempt: &Attempt) -> Told {
    let rows: Vec<(String, DateTime<Utc>, Option<DateTime<Utc>>)> = sqlx::query_as(
        "select status, received_at, provider_at from receipts where message_id = $1 and attempt_no = $2",
    )
    .bind(id.uuid())
    .bind(attempt.attempt_no)
    .fetch_all(pool)
    .await
    .unwrap();
    let mut state = if attempt.send_state == SendState::Rejected { State::Failed } else { State::Accepted };
    for (status, ..) in &rows {
        state = state.max(status.parse::<Status>().unwrap().state());
    }
    let first = |wanted: &str| rows.iter().filter(|r| r.0 == wanted).map(|r| r.1).min();
    let provider = |wanted: &str| rows.iter().filter(|r| r.0 == wanted).filter_map(|r| r.2).min();
    let names = ["sent", "delivered", "read"];
    Told { state, times: names.map(first), provider_times: names.map(provider) }
}

/// Random histories until the time is over, or as many as `OTPOST_TEST_CASES` says.
#[tokio::test]
async fn any_events_in_any_order_leave_the_rows_that_the_rule_says() {
    let cases: Option<u64> = std::env::var("OTPOST_TEST_CASES").ok().map(|n| n.parse().expect("a number"));
    let seed: u64 = std::env::var("OTPOST_TEST_SEED").map_or(1, |n| n.parse().expect("a number"));
    let steps = |settings: &mut otpost::config::Settings| {
        settings.route.options.steps = ["meta-main", "ycloud-sms", "cliqtel-sms"].map(str::to_owned).to_vec();
    };
    with_settings(steps, async |app| {
        let until = Instant::now() + Duration::from_secs(12);
        let mut done = 0;
        while cases.map_or(Instant::now() < until && done < 400, |cases| done < cases) {
            let case = seed.wrapping_mul(1_000_003).wrapping_add(done);
            let mut random = Random(case);
            let id = message(app, done, &mut random).await;
            let pure = messages::find(&app.store(), &AppId::stored("shop"), id).await.unwrap().unwrap().message;
            let now = app.clock.now();
            let mut run = Run { app, random, now, pure, tokens: Vec::new(), taken_in_silence: false, failures: 0 };
            eprintln!("case {case}");
            run.go().await;

            // The receipts alone give the same.
            for attempt in &run.pure.attempts {
                let told = told(&app.pool, id, attempt).await;
                let times = [attempt.sent.at, attempt.delivered.at, attempt.read.at];
                let provider = [attempt.sent.provider_at, attempt.delivered.provider_at, attempt.read.provider_at];
                assert_eq!(
                    (attempt.state, times, provider),
                    (told.state, told.times, told.provider_times),
                    "{attempt:#?}"
                );
            }
            let by_attempts = run.pure.attempts.iter().any(|a| a.state == State::Delivered);
            let delivered = by_attempts || run.pure.outcome == Outcome::Verified || run.taken_in_silence;
            assert_eq!(run.pure.state == State::Delivered, delivered, "{:#?}", run.pure);
            assert!(!delivered || by_attempts || run.pure.delivery_inferred, "no receipt said so: {:#?}", run.pure);
            done += 1;
        }
        assert!(done >= 20, "only {done} cases in the time");
        app.clock.advance(TimeDelta::hours(2));
        app.run_workers().await;
        let pending: i64 =
            sqlx::query_scalar("select count(*) from messages where outcome = 'pending' or code_sealed is not null")
                .fetch_one(&app.pool)
                .await
                .unwrap();
        assert_eq!(pending, 0);
    })
    .await;
}

/// The order of the receipts does not matter to their result; only effects depend on it.
#[tokio::test]
async fn the_states_order_is_the_enums_order() {
    let database = fresh_database().await;
    let pool = database.pool().await;
    let labels: Vec<String> =
        sqlx::query_scalar("select unnest(enum_range(null::delivery_state))::text").fetch_all(&pool).await.unwrap();
    let ours: Vec<String> = State::ALL.iter().map(ToString::to_string).collect();
    assert_eq!(labels, ours);
    assert!(State::ALL.is_sorted());
    pool.close().await;
}

#[tokio::test]
async fn the_schema_refuses_what_must_not_be() {
    with_settings(|_| {}, async |app| {
        let mut random = Random(1);
        let id = message(app, 1, &mut random).await.uuid();
        app.run_workers().await;
        let copy = |columns: &str, values: &str| {
            format!(
                "insert into attempts (bucket, message_id, attempt_no, attempt_id, app, step, channel, account, reason, \
                                       planned_at, due_at{columns}) \
                 select bucket, message_id, {values} from attempts where message_id = '{id}'"
            )
        };
        let rest = "app, 1::smallint, 'sms', 'x', 'silent', planned_at, planned_at";
        let cases = [
            ("attempts_pkey", copy("", &format!("1::smallint, attempt_id, {rest}"))),
            ("attempts_attempt_no_check", copy("", &format!("0::smallint, attempt_id, {rest}"))),
            ("attempts_in_flight_are_leased", "update attempts set send_state = 'in_flight', due_at = null".into()),
            ("attempts_planned_are_due", "update attempts set send_state = 'planned', due_at = null".into()),
            ("attempts_due_can_be_sent", "update attempts set due_at = planned_at".into()),
            ("attempts_armed_have_a_deadline", "update attempts set replace_at = null".into()),
            ("attempts_armed_can_be_replaced", "update attempts set state = 'failed', failed_at = planned_at".into()),
            ("attempts_ended_timers_have_a_time", "update attempts set timer = 'fired'".into()),
            ("attempts_failed_have_a_time", "update attempts set state = 'failed', timer = 'none'".into()),
            ("attempts_delivered_have_a_time", "update attempts set state = 'delivered', timer = 'none'".into()),
            ("attempts_rejected_have_failed", "update attempts set send_state = 'rejected'".into()),
            ("messages_wrong_tries_bounded", "update messages set wrong_tries = max_tries + 1".into()),
            ("messages_expire_after_creation", "update messages set expires_at = created_at".into()),
            ("messages_settled_have_a_time", "update messages set outcome = 'expired', code_sealed = null".into()),
            ("messages_settled_have_no_code", "update messages set outcome = 'expired', settled_at = created_at".into()),
            ("messages_settled_have_no_code", "update messages set code_sealed = null".into()),
            (
                "messages_verified_are_delivered",
                "update messages set outcome = 'verified', settled_at = created_at, code_sealed = null".into(),
            ),
            ("messages_recipient_check", "update messages set recipient = '6281234'".into()),
            ("messages_outcome_check", "update messages set outcome = 'lost'".into()),
            ("attempts_belong_to_a_message", "update messages set message_id = gen_random_uuid()".into()),
        ];
        for (constraint, sql) in cases {
            let refused = sqlx::query(AssertSqlSafe(sql.clone())).execute(&app.pool).await;
            let error = refused.err().unwrap_or_else(|| panic!("not refused: {sql}"));
            let name = error.as_database_error().and_then(|e| e.constraint()).unwrap_or("none").to_owned();
            assert_eq!(name, constraint, "{sql}: {error}");
        }
        invariants::check(&app.pool, app.clock.now()).await;
    })
    .await;
}

/// Commands of one group for many messages: each gets its own answer, and one that is refused leaves the others alone.
#[tokio::test]
async fn a_group_of_commands_is_one_transaction() {
    with_settings(
        |_| {},
        async |app| {
            let mut random = Random(2);
            let mut ids = Vec::new();
            for n in 0..30 {
                ids.push(message(app, n, &mut random).await);
            }
            let transitions = Transitions { watch: Watch::default(), ..app.transitions.clone() };
            let now = app.clock.now();
            let cancel = |id: &MessageId| Command {
                message: *id,
                event: RecordedEvent::ByApp { app: AppId::stored("shop"), request: AppRequest::Cancel },
                at: now,
            };
            let mut commands: Vec<Command> = ids.iter().map(cancel).collect();
            commands.extend(ids.iter().rev().map(cancel));
            let outcomes = transitions.run(&commands).await.unwrap();
            assert_eq!(outcomes.done.len(), 60);
            assert_eq!(outcomes.messages.len(), 30);
            assert!(outcomes.messages.values().all(|m| m.message.outcome == Outcome::Cancelled));
        },
    )
    .await;
}
