//! Invariants of every table, whatever happened.

use chrono::{DateTime, Utc};
use sqlx::{AssertSqlSafe, PgPool};

/// Each query finds rows that violate a rule. `$1` is the time.
const RULES: &[(&str, &str)] = &[
    (
        "at most one attempt follows each attempt, and none is skipped",
        "select m.message_id from messages m join attempts a using (bucket, message_id)
          group by m.bucket, m.message_id having count(*) <> max(a.attempt_no) or count(*) <> m.attempt_count",
    ),
    (
        "only the last attempt of a pending message waits for a delivery",
        "select a.message_id from attempts a join messages m using (bucket, message_id)
          where a.timer = 'armed' and (m.outcome <> 'pending' or a.attempt_no <> m.attempt_count)",
    ),
    (
        "no replacement is planned before its deadline",
        "select b.message_id from attempts a join attempts b
             on (b.bucket, b.message_id, b.attempt_no) = (a.bucket, a.message_id, a.attempt_no + 1)
          where b.reason = 'silent' and (a.replace_at is null or b.planned_at < a.replace_at)",
    ),
    (
        "a failed replacement follows a failure",
        "select b.message_id from attempts a join attempts b
             on (b.bucket, b.message_id, b.attempt_no) = (a.bucket, a.message_id, a.attempt_no + 1)
          where b.reason = 'failed' and a.failed_at is null",
    ),
    (
        "nothing is sent once a message is settled",
        "select s.message_id from sends s join messages m using (bucket, message_id)
           join attempts a using (bucket, message_id, attempt_no)
          where m.settled_at < a.in_flight_at",
    ),
    (
        // `delivered_at` is the arrival of the receipt. It is committed at most 7 s later on a slow database, and a
        // request that was leased before that may be sent meanwhile; a repeat would come later than this.
        "nothing leaves once a message is delivered, unless the person asked",
        "select s.message_id from sends s join attempts a using (bucket, message_id, attempt_no)
          where s.result <> 'breaker_open' and a.reason <> 'requested'
            and s.started_at > (select min(least(d.delivered_at, d.read_at)) + interval '8 seconds' from attempts d
                                 where d.bucket = s.bucket and d.message_id = s.message_id)",
    ),
    (
        "an attempt that a receipt proved to have been sent is not sent again",
        "select s.message_id from sends s join attempts a using (bucket, message_id, attempt_no)
          where s.result <> 'breaker_open'
            and s.started_at > least(a.sent_at, a.delivered_at, a.read_at) + interval '8 seconds'",
    ),
    (
        "an attempt that waits to be sent has a deadline when another channel follows",
        "select a.message_id from attempts a join messages m using (bucket, message_id)
          where a.send_state = 'planned' and a.timer = 'none' and m.outcome = 'pending'
            and a.step < jsonb_array_length(m.route -> 'steps') - 1",
    ),
    (
        "a message's state is that of its attempts, or it is verified, or its provider reports no deliveries; only a resend follows failures",
        "select m.message_id from messages m join attempts a using (bucket, message_id)
          group by m.bucket, m.message_id
         having bool_or(a.state = 'delivered') and m.state <> 'delivered'
             or m.state = 'delivered' and not bool_or(a.state = 'delivered') and m.outcome <> 'verified' and not m.delivery_inferred
             or m.state = 'failed' and not bool_and(a.state = 'failed' or a.reason = 'requested')",
    ),
    (
        "the attempts' first times are those of their receipts",
        "select a.message_id from attempts a
           left join (select bucket, message_id, attempt_no, min(received_at) filter (where status = 'sent') as sent,
                             min(received_at) filter (where status = 'delivered') as delivered,
                             min(received_at) filter (where status = 'read') as read
                        from receipts group by 1, 2, 3) r using (bucket, message_id, attempt_no)
          where a.sent_at is distinct from r.sent or a.delivered_at is distinct from r.delivered
             or a.read_at is distinct from r.read",
    ),
    (
        "a message ends with its life",
        "select message_id from messages where outcome = 'pending' and expires_at < $1 - interval '60 seconds'",
    ),
    (
        "a code is right once at most",
        "select message_id from checks where verdict = 'right' group by message_id having count(*) > 1",
    ),
    (
        "no more wrong codes are accepted than allowed",
        "select m.message_id from messages m join checks c using (bucket, message_id) where c.verdict = 'wrong'
          group by m.bucket, m.message_id having count(*) > m.max_tries or count(*) <> m.wrong_tries",
    ),
    (
        "only accepted attempts are queried, and not before their acceptance",
        "select n.message_id from answers n join attempts a using (bucket, message_id, attempt_no)
          where a.accepted_at is null or n.asked_at < a.accepted_at or a.provider_message_id is null
          union all
         select q.message_id from questions q join attempts a using (bucket, message_id, attempt_no)
          where a.send_state <> 'accepted' or a.provider_message_id is null or q.ask_at <= a.accepted_at",
    ),
    (
        "the status in an answer is stored as a receipt",
        "select n.message_id from answers n
          where n.told is not null and not exists (select from receipts r where r.bucket = n.bucket
                  and r.message_id = n.message_id and r.attempt_no = n.attempt_no and r.callback_id = n.callback_id
                  and r.status = n.told)",
    ),
    (
        "a receipt whose id is known does not wait",
        "select u.receipt_id from unmatched_receipts u join provider_ids p using (slot, account, provider_message_id)",
    ),
    (
        "a delivered WhatsApp message clears older memory",
        "select encode(number_hash, 'hex') from number_memory
          where whatsapp_delivered_at > least(not_on_whatsapp_at, answers_by_sms_at)",
    ),
    (
        "a number is remembered in the bucket of a message that failed or went by SMS, and not as itself",
        "select encode(r.number_hash, 'hex') from number_memory r
          where not exists (select from attempts a where a.bucket = r.bucket
                               and (a.channel = 'whatsapp' and a.failed_at is not null or a.channel = 'sms'))
             or exists (select from messages m where m.bucket = r.bucket
                           and r.number_hash in (sha256(m.recipient::bytea), sha256(ltrim(m.recipient, '+')::bytea)))",
    ),
    (
        "only accounts that send are judged",
        "select account from account_events where account not in (select account from attempts)",
    ),
];

/// # Panics
/// When a rule is violated; names the rule and the message.
pub(crate) async fn check(pool: &PgPool, now: DateTime<Utc>) {
    for (rule, sql) in RULES {
        let sql =
            format!("select message_id::text from ({sql}) as broken (message_id) where $1::timestamptz is not null");
        let broken: Vec<(String,)> = sqlx::query_as(AssertSqlSafe(sql))
            .bind(now)
            .fetch_all(pool)
            .await
            .unwrap_or_else(|e| panic!("{rule}: {e}"));
        assert!(broken.is_empty(), "broken: {rule}: {broken:?}");
    }
}
