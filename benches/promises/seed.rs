//! Messages whose WhatsApp attempt was accepted and waits for its delivery, many at once.

use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit, Mac};
use otpost::domain::app_id::AppId;
use otpost::domain::channel::Channel;
use otpost::domain::code::Code;
use otpost::domain::ids::{Bucket, MessageId};
use otpost::domain::phone::Phone;
use otpost::domain::route::{Route, Step};
use otpost::services::randomness;
use otpost::simulator as sim;
use sha2::Sha256;
use sqlx::PgPool;

use crate::bench::code_keys;

const CHUNK: usize = 5_000;
const APP: &str = "bench";

/// The database's time.
pub(crate) async fn now(pool: &PgPool) -> anyhow::Result<DateTime<Utc>> {
    Ok(sqlx::query_scalar("select clock_timestamp()").fetch_one(pool).await?)
}

/// Stores `count` messages. `first`: numbers the recipients; `replace_at`: each one's deadline.
pub(crate) async fn armed(
    pool: &PgPool,
    first: usize,
    count: usize,
    replace_at: impl Fn(usize) -> DateTime<Utc>,
) -> anyhow::Result<Vec<MessageId>> {
    let keys = code_keys();
    let at = now(pool).await?;
    let code = Code::parse("012345").expect("six digits");
    let step = |channel, account: &str| Step::new(channel, account);
    let steps = vec![step(Channel::Whatsapp, "meta-main"), step(Channel::Sms, "ycloud-sms")];
    let route = serde_json::to_value(Route::new(steps, 30, 300, "the configured route")?)?;
    let mut all = Vec::with_capacity(count);
    for chunk in (0..count).collect::<Vec<_>>().chunks(CHUNK) {
        let (mut ids, mut buckets, mut attempts, mut phones) = (vec![], vec![], vec![], vec![]);
        let (mut hashes, mut sealed, mut deadlines) = (vec![], vec![], vec![]);
        for &n in chunk {
            let number = format!("+628{:09}", 100_000_000 + first + n);
            let phone = Phone::from_stored(&number, "ID", 2).expect("a number");
            let id = MessageId::new(at, Bucket::of(&phone), randomness::bytes());
            let kept = keys.protect(&AppId::stored(APP), id, &code, randomness::bytes());
            buckets.push(id.bucket().as_i16());
            ids.push(id.uuid());
            attempts.push(id.attempt(1).uuid());
            phones.push(number);
            hashes.push(kept.hash);
            sealed.push(kept.sealed.expect("it was sealed"));
            deadlines.push(replace_at(n));
            all.push(id);
        }
        sqlx::query(
            "with s as (
                select * from unnest($1::smallint[], $2::uuid[], $3::uuid[], $4::text[], $5::bytea[], $6::bytea[], $7::timestamptz[])
                  as s (bucket, message_id, attempt_id, recipient, hash, sealed, replace_at)
             ), m as (
                insert into messages (bucket, message_id, app, recipient, country, calling_code_len, purpose, route,
                                      code_key_id, code_hash, code_sealed, code_length, max_tries, created_at, expires_at)
                select bucket, message_id, $8, recipient, 'ID', 2, 'login', $9, 1, hash, sealed, 6, 5, $10,
                       $10 + interval '3 hours' from s
             )
             insert into attempts (bucket, message_id, attempt_no, attempt_id, app, step, channel, account, reason,
                                   send_state, planned_at, tries, in_flight_at, accepted_at, provider_message_id, timer, replace_at)
             select bucket, message_id, 1, attempt_id, $8, 0, 'whatsapp', 'meta-main', 'first', 'accepted', $10, 1, $10, $10,
                    'wamid.' || attempt_id, 'armed', replace_at from s",
        )
        .bind(buckets)
        .bind(ids)
        .bind(attempts)
        .bind(phones)
        .bind(hashes)
        .bind(sealed)
        .bind(deadlines)
        .bind(APP)
        .bind(&route)
        .bind(at)
        .execute(pool)
        .await?;
    }
    Ok(all)
}

/// One callback of Meta's with these receipts, signed, as a whole HTTP request.
pub(crate) fn callback(receipts: &[(MessageId, &str)], at: DateTime<Utc>) -> Vec<u8> {
    let unix = at.timestamp();
    let statuses: Vec<String> = receipts
        .iter()
        .map(|(message, status)| {
            let attempt = message.attempt(1);
            let errors = if *status == "failed" {
                r#","errors":[{"code":131026,"title":"Message undeliverable","message":"Message undeliverable","error_data":{"details":"Message Undeliverable."}}]"#
            } else {
                r#","conversation":{"id":"c0ffee","origin":{"type":"authentication"}},"pricing":{"billable":true,"pricing_model":"PMP","category":"authentication"}"#
            };
            format!(r#"{{"id":"wamid.{attempt}","status":"{status}","timestamp":"{unix}","recipient_id":"628123456789","biz_opaque_callback_data":"{attempt}"{errors}}}"#)
        })
        .collect();
    let body = format!(
        r#"{{"object":"whatsapp_business_account","entry":[{{"id":"100200300400500","changes":[{{"value":{{"messaging_product":"whatsapp","metadata":{{"display_phone_number":"12025550199","phone_number_id":"{}"}},"statuses":[{}]}},"field":"messages"}}]}}]}}"#,
        sim::faces::meta::PHONE_NUMBER_ID,
        statuses.join(",")
    );
    let mut mac = Hmac::<Sha256>::new_from_slice(sim::faces::meta::APP_SECRET.as_bytes()).expect("any length");
    mac.update(body.as_bytes());
    let signature = hex::encode(mac.finalize().into_bytes());
    let headers = format!(
        "content-type: application/json\r\nx-hub-signature-256: sha256={signature}\r\nuser-agent: facebookexternalua\r\n"
    );
    crate::load::request("POST", "/webhooks/meta-main", &headers, &body)
}
