//! Every column that the program writes contains the value that its name says. Each row is written by the store with
//! different values in all columns, and read back by name, so that swapped columns are noticed.

use chrono::{DateTime, TimeDelta, Utc};
use otpost::domain::app_id::AppId;
use otpost::domain::attempt::{Attempt, FirstSeen, Lease, Reason, SendState, State, Timer, Why};
use otpost::domain::channel::Channel;
use otpost::domain::code_keys::{Fingerprint, KeyFingerprint, NumberHash};
use otpost::domain::event::Verdict;
use otpost::domain::health::counts::{Counts, Slot};
use otpost::domain::ids::{AttemptId, Bucket, MessageId};
use otpost::domain::limits::sends::NumberSends;
use otpost::domain::memory::{Lesson, Memory};
use otpost::domain::message::Outcome;
use otpost::domain::receipt::{DeliveryReceipt, Disposition, ErrorClass, Failure, Status};
use otpost::store::account_pulse::{self, PulseRow};
use otpost::store::answers::{self, PastAnswer};
use otpost::store::checks::{self, PastCheck};
use otpost::store::dead_letters::{self, DeadLetter};
use otpost::store::idempotency_keys::{self, Claim, NewClaim};
use otpost::store::messages::{self, NewMessage};
use otpost::store::number_memory::{self, Learned};
use otpost::store::number_sends::{self, CountedNumber};
use otpost::store::provider_ids::{self, ProviderId};
use otpost::store::questions::{self, NewQuestion};
use otpost::store::receipts::{self, MatchedReceipt, ReceivedReceipt};
use otpost::store::sends::{self, PastSend};
use otpost::store::stored::{Labels, StoredMessage};
use otpost::store::transitions::{self, Change};
use otpost::store::{code_keys, slot};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, PgPool};
use uuid::Uuid;

use crate::helpers::app::{TestApp, start};

/// The `n`th of a series of different times.
fn at(n: i64) -> DateTime<Utc> {
    start() + TimeDelta::seconds(n)
}

/// As Postgres writes it in JSON.
fn text(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%dT%H:%M:%S+00:00").to_string()
}

/// The rows of a table, as objects.
async fn rows(pool: &PgPool, table: &str) -> Vec<Value> {
    let sql = format!("select to_jsonb(t) from {table} t order by 1");
    sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(pool).await.expect("the table can be read")
}

/// Compares the one row of a table with `expected`, column by column. Columns without an expected value must be listed
/// in `others`.
async fn holds(pool: &PgPool, table: &str, expected: &Value, others: &[&str]) {
    let found = rows(pool, table).await;
    assert_eq!(found.len(), 1, "{table}: {found:#?}");
    same(table, &found[0], expected, others);
}

fn same(table: &str, found: &Value, expected: &Value, others: &[&str]) {
    let (found, expected) = (found.as_object().unwrap(), expected.as_object().unwrap());
    for (column, value) in found.iter().filter(|(column, _)| !others.contains(&column.as_str())) {
        let wanted = expected.get(column).unwrap_or_else(|| panic!("{table}.{column} is not expected: {value}"));
        assert_eq!(value, wanted, "{table}.{column}");
    }
    for column in expected.keys() {
        assert!(found.contains_key(column), "{table} has no column {column}");
    }
}

/// A message that the service has accepted.
async fn accepted(app: &TestApp) -> StoredMessage {
    let id = MessageId::parse(&app.send("+628123450001").await).expect("an id");
    messages::find(&app.store(), &AppId::stored("shop"), id).await.expect("the database answers").expect("it is there")
}

#[tokio::test]
async fn a_new_message_and_its_first_attempt() {
    let app = TestApp::start(|_| {}).await;
    let mut stored = accepted(&app).await;
    sqlx::query("delete from attempts").execute(&app.pool).await.unwrap();
    sqlx::query("delete from messages").execute(&app.pool).await.unwrap();
    let id = stored.message.id;
    stored.labels = Labels {
        purpose: "signup".into(),
        locale: Some("id-ID".into()),
        reference: Some("order 7".into()),
        metadata: Some(serde_json::value::RawValue::from_string(r#"{"m": 1}"#.into()).unwrap()),
        client: Some(json!({"platform": "ios"})),
    };
    stored.code_length = 8;
    stored.message.max_tries = 3;
    stored.message.code.key_id = 4;
    stored.message.code.hash = vec![5; 32];
    stored.message.code.sealed = Some(vec![6; 30]);
    stored.message.code_given = true;
    stored.message.is_test = true;
    stored.message.created_at = at(1);
    stored.message.expires_at = at(2);
    let attempt = &mut stored.message.attempts[0];
    attempt.step = 1;
    attempt.planned_at = at(3);
    attempt.due_at = Some(at(4));
    attempt.replace_at = Some(at(5));
    let attempt = attempt.clone();
    let hash = NumberHash { key_id: 9, hash: [8; 32] };
    let counted = CountedNumber { bucket: id.bucket(), number: hash, version: 6, sends: NumberSends::default() };
    let new = NewMessage { message: stored.clone().into(), counted: Some(counted.clone().into()) };
    assert_eq!(messages::insert(&app.store(), &[new], at(6)).await.unwrap(), [true]);
    let number = json!({
        "bucket": id.bucket().as_i16(), "number_hash": format!("\\x{}", "08".repeat(32)), "key_id": 9, "version": 7,
        "sends": [], "forget_at": text(at(6)),
    });
    holds(&app.pool, "number_sends", &number, &[]).await;
    assert!(number_sends::write(&app.store(), &CountedNumber { version: 7, ..counted }, at(7)).await.unwrap());
    let number = json!({
        "bucket": id.bucket().as_i16(), "number_hash": format!("\\x{}", "08".repeat(32)), "key_id": 9, "version": 8,
        "sends": [], "forget_at": text(at(7)),
    });
    holds(&app.pool, "number_sends", &number, &[]).await;

    let message = json!({
        "bucket": id.bucket().as_i16(), "message_id": id.uuid(), "app": "shop", "recipient": "+628123450001",
        "country": "ID", "calling_code_len": 2, "purpose": "signup", "locale": "id-ID", "reference": "order 7",
        "metadata_text": r#"{"m": 1}"#, "client": {"platform": "ios"},
        "route": serde_json::to_value(&stored.message.route).unwrap(), "code_key_id": 4,
        "code_hash": format!("\\x{}", "05".repeat(32)), "code_sealed": format!("\\x{}", "06".repeat(30)),
        "code_length": 8, "code_given": true, "is_test": true, "max_tries": 3, "created_at": text(at(1)), "expires_at": text(at(2)),
        "state": "accepted", "outcome": "pending", "attempt_count": 1, "wrong_tries": 0, "delivery_inferred": false,
        "settled_at": null, "metadata": null, "verified_by": null,
    });
    holds(&app.pool, "messages", &message, &[]).await;
    let first = json!({
        "bucket": id.bucket().as_i16(), "message_id": id.uuid(), "attempt_no": 1, "attempt_id": id.attempt(1).uuid(),
        "app": "shop", "step": 1, "channel": "whatsapp", "account": attempt.account, "reason": "first",
        "planned_at": text(at(3)), "due_at": text(at(4)), "timer": attempt.timer.as_str(), "replace_at": text(at(5)),
        "state": "accepted", "send_state": "planned", "tries": 0, "unknowns": 0, "held": false, "wasted": false,
    });
    let found = rows(&app.pool, "attempts").await;
    let given: Value =
        found[0].as_object().unwrap().clone().into_iter().filter(|(_, value)| !value.is_null()).collect();
    same("attempts", &given, &first, &[]);
    app.stop().await;
}

#[tokio::test]
async fn what_changed_of_a_message_and_of_its_attempts() {
    let app = TestApp::start(|_| {}).await;
    let before = accepted(&app).await.message;
    let mut after = before.clone();
    after.state = State::Delivered;
    after.outcome = Outcome::Cancelled;
    after.wrong_tries = 2;
    after.delivery_inferred = true;
    after.settled_at = Some(at(60));
    after.verified_by = Some([9; 32]);
    after.code.sealed = None;
    let seen = |n: i64| FirstSeen { at: Some(at(n)), provider_at: Some(at(n + 1)) };
    let full = |attempt_no: i16, n: i64| Attempt {
        attempt_no,
        step: 2,
        channel: Channel::Sms,
        account: "ycloud-sms".into(),
        reason: Reason::Silent,
        state: State::Delivered,
        send_state: SendState::Unknown,
        planned_at: at(n),
        due_at: Some(at(n + 1)),
        tries: 3,
        unknowns: 4,
        in_flight_at: Some(at(n + 2)),
        lease: None,
        accepted_at: Some(at(n + 3)),
        provider_message_id: Some("theirs".into()),
        held: true,
        timer: Timer::Disarmed,
        replace_at: Some(at(n + 4)),
        timer_ended_at: Some(at(n + 5)),
        timer_end: Some(Why::Requested),
        not_replaced: Some(Why::TooLate),
        sent: seen(n + 6),
        delivered: seen(n + 8),
        read: seen(n + 10),
        failed: seen(n + 12),
        error_code: Some("1026".into()),
        error_class: Some(ErrorClass::RateLimited),
        wasted: true,
        price: Some("0.04 USD".parse().unwrap()),
    };
    let first = Attempt {
        step: 0,
        channel: Channel::Whatsapp,
        account: before.attempts[0].account.clone(),
        reason: Reason::First,
        planned_at: before.attempts[0].planned_at,
        ..full(1, 100)
    };
    let token = Uuid::now_v7();
    let leased = Attempt {
        state: State::Accepted,
        send_state: SendState::InFlight,
        due_at: None,
        lease: Some(Lease { token, until: at(250) }),
        delivered: FirstSeen::default(),
        read: FirstSeen::default(),
        ..full(2, 200)
    };
    after.attempts = vec![first, leased];
    let mut transaction = app.store().begin().await.unwrap();
    transitions::write(&mut transaction, &[Change { before: &before, after: &after }]).await.unwrap();
    transaction.commit().await.unwrap();

    let id = before.id;
    let message = json!({
        "state": "delivered", "outcome": "cancelled", "attempt_count": 2, "wrong_tries": 2, "delivery_inferred": true,
        "settled_at": text(at(60)), "code_sealed": null,
    });
    let found = &rows(&app.pool, "messages").await[0];
    for (column, value) in message.as_object().unwrap() {
        assert_eq!(&found[column], value, "messages.{column}");
    }
    let times = |n: i64| {
        json!({
            "in_flight_at": text(at(n + 2)), "accepted_at": text(at(n + 3)), "replace_at": text(at(n + 4)),
            "timer_ended_at": text(at(n + 5)), "sent_at": text(at(n + 6)), "provider_sent_at": text(at(n + 7)),
            "delivered_at": text(at(n + 8)), "provider_delivered_at": text(at(n + 9)), "read_at": text(at(n + 10)),
            "provider_read_at": text(at(n + 11)), "failed_at": text(at(n + 12)), "provider_failed_at": text(at(n + 13)),
            "bucket": id.bucket().as_i16(), "message_id": id.uuid(), "app": "shop", "tries": 3, "unknowns": 4,
            "provider_message_id": "theirs", "held": true, "timer": "disarmed", "timer_end": "requested",
            "not_replaced": "too_late", "error_code": "1026", "error_class": "rate_limited", "wasted": true,
            "price_micros": 40_000, "currency": "USD",
        })
    };
    let with = |mut row: Value, more: Value| {
        row.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        row
    };
    let first = json!({
        "attempt_no": 1, "attempt_id": id.attempt(1).uuid(), "step": 0, "channel": "whatsapp",
        "account": before.attempts[0].account, "reason": "first", "state": "delivered", "send_state": "unknown",
        "planned_at": text(before.attempts[0].planned_at), "due_at": text(at(101)), "lease_token": null,
        "leased_until": null,
    });
    let second = json!({
        "attempt_no": 2, "attempt_id": id.attempt(2).uuid(), "step": 2, "channel": "sms", "account": "ycloud-sms",
        "reason": "silent", "state": "accepted", "send_state": "in_flight", "planned_at": text(at(200)), "due_at": null,
        "lease_token": token, "leased_until": text(at(250)), "delivered_at": null, "provider_delivered_at": null,
        "read_at": null, "provider_read_at": null,
    });
    let found = rows(&app.pool, "attempts").await;
    assert_eq!(found.len(), 2);
    same("attempts", &found[0], &with(times(100), first), &[]);
    same("attempts", &found[1], &with(times(200), second), &[]);
    app.stop().await;
}

#[tokio::test]
async fn receipts_matched_and_waiting() {
    let app = TestApp::start(|_| {}).await;
    let message = accepted(&app).await.message.id;
    let received = ReceivedReceipt {
        receipt_id: Uuid::now_v7(),
        callback_id: Uuid::now_v7(),
        account: "meta-main".into(),
        proved_too: vec!["meta-two".into()],
        received_at: at(2),
        receipt: DeliveryReceipt {
            status: Status::Failed,
            attempt_id: Some(message.attempt(3)),
            provider_message_id: "theirs".into(),
            provider_at: Some(at(1)),
            failure: Some(Failure::new("131026", ErrorClass::RecipientUnreachable)),
        },
    };
    let matched = MatchedReceipt {
        received: &received,
        message,
        attempt_no: 3,
        app: &AppId::stored("shop"),
        account: "ycloud-wa",
        disposition: Disposition::Contradictory,
    };
    let mut transaction = app.store().begin().await.unwrap();
    assert_eq!(receipts::insert(&mut transaction, &[matched]).await.unwrap(), 0);
    transaction.commit().await.unwrap();
    let both = json!({
        "receipt_id": received.receipt_id, "callback_id": received.callback_id, "status": "failed",
        "provider_message_id": "theirs", "provider_at": text(at(1)), "received_at": text(at(2)), "error_code": "131026",
        "error_class": "recipient_unreachable",
    });
    let mut known = json!({
        "bucket": message.bucket().as_i16(), "message_id": message.uuid(), "attempt_no": 3, "app": "shop",
        "account": "ycloud-wa", "disposition": "contradictory",
    });
    known.as_object_mut().unwrap().extend(both.as_object().unwrap().clone());
    holds(&app.pool, "receipts", &known, &[]).await;

    receipts::insert_unmatched(&app.store(), std::slice::from_ref(&received)).await.unwrap();
    let mut waiting = json!({
        "slot": slot(&["meta-main", "theirs"]), "account": "meta-main", "attempt_id": message.attempt(3).uuid(),
        "accounts": ["meta-main", "meta-two"], "looks": 0, "look_at": null,
    });
    waiting.as_object_mut().unwrap().extend(both.as_object().unwrap().clone());
    holds(&app.pool, "unmatched_receipts", &waiting, &["number_is_bad"]).await;

    assert_eq!(receipts::take_up(&app.store(), at(10), 5).await.unwrap().len(), 1);
    waiting["looks"] = json!(1);
    waiting["look_at"] = json!(text(at(11)));
    holds(&app.pool, "unmatched_receipts", &waiting, &["number_is_bad"]).await;
    app.stop().await;
}

#[tokio::test]
async fn sends_checks_and_status_queries() {
    let app = TestApp::start(|_| {}).await;
    let message = accepted(&app).await.message.id;
    let key = json!({"bucket": message.bucket().as_i16(), "message_id": message.uuid(), "app": "shop"});
    let with = |more: Value| {
        let mut row = key.clone();
        row.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        row
    };
    let send = PastSend {
        message,
        attempt_no: 2,
        try_no: 3,
        app: AppId::stored("shop"),
        account: "meta-main".into(),
        started_at: at(1),
        ended_at: at(2),
        result: "rejected".into(),
        http_status: Some(429),
        error_code: Some("130429".into()),
        error_class: Some(ErrorClass::RateLimited),
    };
    let check = PastCheck {
        message,
        check_id: Uuid::now_v7(),
        app: AppId::stored("shop"),
        checked_at: at(3),
        verdict: Verdict::Wrong,
    };
    let question = NewQuestion {
        message,
        attempt_no: 4,
        account: "infobip-sms".into(),
        ask_by: Some("bulk".into()),
        times: vec![at(6), at(5), at(7)],
    };
    let silent = NewQuestion { attempt_no: 5, times: Vec::new(), ..question.clone() };
    let mut transaction = app.store().begin().await.unwrap();
    sends::insert(&mut transaction, &[send]).await.unwrap();
    assert_eq!(checks::insert(&mut transaction, std::slice::from_ref(&check)).await.unwrap(), 0);
    questions::insert(&mut transaction, &[silent, question]).await.unwrap();
    transaction.commit().await.unwrap();
    let sent = with(json!({
        "attempt_no": 2, "try_no": 3, "account": "meta-main", "started_at": text(at(1)), "ended_at": text(at(2)),
        "result": "rejected", "http_status": 429, "error_code": "130429", "error_class": "rate_limited",
    }));
    holds(&app.pool, "sends", &sent, &[]).await;
    let checked = with(json!({"check_id": check.check_id, "checked_at": text(at(3)), "verdict": "wrong"}));
    holds(&app.pool, "checks", &checked, &[]).await;
    let mut asked = with(json!({
        "attempt_no": 4, "account": "infobip-sms", "ask_by": "bulk", "ask_at": text(at(5)),
        "then_at": [text(at(6)), text(at(7))], "asked": 0,
    }));
    asked.as_object_mut().unwrap().remove("app");
    holds(&app.pool, "questions", &asked, &[]).await;

    let answer = PastAnswer {
        message,
        attempt_no: 4,
        question_no: 2,
        app: AppId::stored("shop"),
        account: "infobip-sms".into(),
        callback_id: Uuid::now_v7(),
        asked_at: at(8),
        ended_at: at(9),
        http_status: Some(200),
        told: Some(Status::Read),
        trouble: None,
    };
    answers::insert(&app.store(), &answer).await.unwrap();
    let mut answered = with(json!({
        "attempt_no": 4, "question_no": 2, "account": "infobip-sms", "callback_id": answer.callback_id,
        "asked_at": text(at(8)), "ended_at": text(at(9)), "http_status": 200, "told": "read", "trouble": null,
    }));
    holds(&app.pool, "answers", &answered, &[]).await;
    sqlx::query("delete from answers").execute(&app.pool).await.unwrap();
    let in_trouble = PastAnswer { told: None, trouble: Some("slow".into()), ..answer };
    answers::insert(&app.store(), &in_trouble).await.unwrap();
    answered["told"] = Value::Null;
    answered["trouble"] = json!("slow");
    holds(&app.pool, "answers", &answered, &[]).await;
    app.stop().await;
}

#[tokio::test]
async fn what_has_a_key_of_its_own() {
    let app = TestApp::start(|_| {}).await;
    let message = accepted(&app).await.message.id;
    let attempt: AttemptId = message.attempt(2);
    let id = ProviderId { account: "meta-main".into(), provider_message_id: "theirs".into(), attempt };
    let mut transaction = app.store().begin().await.unwrap();
    provider_ids::insert(&mut transaction, &[id], at(1)).await.unwrap();
    let number = NumberHash { key_id: 3, hash: [7; 32] };
    let lesson = Lesson::OffWhatsapp(Memory { not_on_whatsapp: true, answers_by_sms: false });
    let learned = Learned { bucket: message.bucket(), number, lesson };
    number_memory::write(&mut transaction, &[learned], at(2), at(30)).await.unwrap();
    transaction.commit().await.unwrap();
    let named = json!({
        "slot": slot(&["meta-main", "theirs"]), "account": "meta-main", "provider_message_id": "theirs",
        "attempt_id": attempt.uuid(), "created_at": text(at(1)),
    });
    holds(&app.pool, "provider_ids", &named, &[]).await;
    let bucket: Bucket = message.bucket();
    let mut remembered = json!({
        "bucket": bucket.as_i16(), "number_hash": format!("\\x{}", "07".repeat(32)), "key_id": 3,
        "not_on_whatsapp_at": text(at(2)), "answers_by_sms_at": null, "whatsapp_delivered_at": null,
        "forget_at": text(at(30)),
    });
    holds(&app.pool, "number_memory", &remembered, &[]).await;
    for (lesson, time, column) in [
        (Lesson::OffWhatsapp(Memory { not_on_whatsapp: false, answers_by_sms: true }), 4, "answers_by_sms_at"),
        (Lesson::OnWhatsapp, 5, "whatsapp_delivered_at"),
    ] {
        let mut transaction = app.store().begin().await.unwrap();
        number_memory::write(&mut transaction, &[Learned { lesson, ..learned }], at(time), at(30)).await.unwrap();
        transaction.commit().await.unwrap();
        remembered[column] = json!(text(at(time)));
        if lesson == Lesson::OnWhatsapp {
            remembered["not_on_whatsapp_at"] = Value::Null;
            remembered["answers_by_sms_at"] = Value::Null;
        }
        holds(&app.pool, "number_memory", &remembered, &[]).await;
    }

    sqlx::query("delete from idempotency_keys").execute(&app.pool).await.unwrap();
    let claim = Claim {
        body: Fingerprint { key_id: 4, hash: vec![8; 32] },
        message,
        answer: r#"{"id": 1}"#.into(),
        created_at: at(6),
        expires_at: Some(at(7)),
    };
    let new = NewClaim { app: AppId::stored("shop"), key: "login 1".into(), claim };
    assert_eq!(idempotency_keys::claim(&app.store(), &[new]).await.unwrap(), [true]);
    let claimed = json!({
        "slot": slot(&["shop", "login 1"]), "app": "shop", "key": "login 1", "key_id": 4,
        "body_hash": format!("\\x{}", "08".repeat(32)), "message_id": message.uuid(), "answer": {"id": 1},
        "created_at": text(at(6)), "message_expires_at": text(at(7)),
    });
    holds(&app.pool, "idempotency_keys", &claimed, &[]).await;

    sqlx::query("delete from code_keys").execute(&app.pool).await.unwrap();
    code_keys::register(&app.store(), &[KeyFingerprint { key_id: 5, hash: [9; 16] }], at(7)).await.unwrap();
    let key = json!({
        "key_id": 5, "fingerprint": format!("\\x{}", "09".repeat(16)), "first_used_at": text(at(7)),
        "held_at": text(at(7)),
    });
    holds(&app.pool, "code_keys", &key, &[]).await;

    let instance = Uuid::now_v7();
    let counts = Counts { sent: 5, heard: 4, prompt: 3, delivered: 2, in_time: 1 };
    let pulse = PulseRow { account: "meta-main".into(), country: "ID".into(), slot: Slot { at: at(8), counts } };
    account_pulse::write(&app.store(), instance, &[pulse]).await.unwrap();
    let counted = json!({
        "account": "meta-main", "country": "ID", "slot_at": text(at(8)), "instance": instance, "sent": 5, "heard": 4,
        "prompt": 3, "delivered": 2, "in_time": 1,
    });
    holds(&app.pool, "account_pulse", &counted, &[]).await;

    let letter = DeadLetter {
        letter_id: Uuid::now_v7(),
        account: "meta-main".into(),
        callback_id: Uuid::now_v7(),
        reason: "unreadable".into(),
        attempt_id: Some(attempt.uuid()),
        body_key_id: 6,
        body_sealed: vec![10; 4],
        body_bytes: 3,
        received_at: at(9),
        replayed_at: None,
    };
    dead_letters::insert(&app.store(), &letter).await.unwrap();
    let kept = json!({
        "slot": slot(&[&letter.letter_id.to_string()]), "letter_id": letter.letter_id, "account": "meta-main",
        "callback_id": letter.callback_id, "reason": "unreadable", "attempt_id": attempt.uuid(), "body_key_id": 6,
        "body_sealed": "\\x0a0a0a0a", "body_bytes": 3, "received_at": text(at(9)), "tried_at": null, "replayed_at": null,
    });
    holds(&app.pool, "dead_letters", &kept, &[]).await;
    app.stop().await;
}
