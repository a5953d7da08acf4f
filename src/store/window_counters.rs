//! Table `window_counters`: messages of this hour and of the one before, by address, device, prefix, country and app.

use std::collections::HashMap;

use chrono::{DateTime, Utc};

use crate::domain::app_id::AppId;
use crate::domain::limits::Counter;
use crate::domain::limits::window::{self, Window};
use crate::store::columns::columns;
use crate::store::database::Database;
use crate::store::{StoreError, slot};

/// What is counted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CounterKey {
    slot: i16,
    app: AppId,
    counter: Counter,
    key: String,
}

impl CounterKey {
    /// `key`: at most 64 characters.
    pub fn new(app: &AppId, counter: Counter, key: String) -> Self {
        Self { slot: slot(&[app.as_str(), counter.as_str(), &key]), app: app.clone(), counter, key }
    }
}

/// How many are to be counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    pub key: CounterKey,
    pub wanted: i64,
    pub limit: i64,
}

/// What was counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// At most as many as were wanted.
    pub granted: i64,
    pub window: Window,
}

/// Counts as many as are wanted and within the limits, at `now`, in one statement; returns them in order. `wanted`: sorted, and
/// each key once, so that two writers cannot deadlock. The rule is [`Window::grant`]; a test compares the two.
///
/// The commit does not wait for the disk: a crash of the database may lose the counts of its last second, a crash of this process
/// loses none.
pub async fn take(pool: &Database, wanted: &[Wanted], now: DateTime<Utc>) -> Result<Vec<Taken>, StoreError> {
    let window_at = window::start_of(now);
    let forget_at = window_at + window::LENGTH * 2;
    let rows = columns!(query, [now, window_at, forget_at], for w in wanted {
            "slot": "smallint" = w.key.slot,
            "app": "text" ~ w.key.app.as_str(),
            "counter": "text" ~ w.key.counter.as_str(),
            "key": "text" ~ w.key.key.as_str(),
            "most": "bigint" = w.limit,
            "granted": "bigint" = w.wanted.min(w.limit),
        },
        r#"-- window_counters.take
        with light as materialized (select set_config('synchronous_commit', 'off', true))
        insert into window_counters as o ("# {names} r#", window_at, current, previous, forget_at)
        select "# {names} r#", $2::timestamptz, n.granted, 0, $3::timestamptz from light, "# {rows "n"} r#"
         order by n.slot, n.app, n.counter, n.key
        on conflict (slot, app, counter, key) do update
           set (window_at, current, previous, most, granted, forget_at) = (
               select w.window_at, w.current + g.granted, w.previous, excluded.most, g.granted,
                      greatest(o.forget_at, excluded.forget_at)
                 from (select greatest(o.window_at, excluded.window_at) as window_at,
                              case when o.window_at >= excluded.window_at then o.current else 0 end as current,
                              case when o.window_at >= excluded.window_at then o.previous
                                   when o.window_at = excluded.window_at - interval '1 hour' then o.current
                                   else 0 end as previous) w,
                      lateral (select least(3600000, greatest(0, floor(extract(epoch from
                                      w.window_at + interval '1 hour' - $1::timestamptz) * 1000)))::bigint as ms) l,
                      lateral (select greatest(0, least(excluded.granted, excluded.most - w.current
                                      - (w.previous * l.ms + 3599999) / 3600000)) as granted) g)
        returning slot, app, counter, key, window_at, current, previous, granted"#
    )
    .fetch_all(pool)
    .await?;
    let mut taken: HashMap<(String, String, String), Taken> = rows
        .into_iter()
        .map(|row| {
            let window = Window { started_at: row.window_at, current: row.current, previous: row.previous };
            ((row.app, row.counter, row.key), Taken { granted: row.granted, window })
        })
        .collect();
    let mut find = |w: &Wanted| {
        let CounterKey { app, counter, key, .. } = &w.key;
        let taken = taken.remove(&(app.to_string(), counter.to_string(), key.clone()));
        taken.ok_or_else(|| StoreError::Corrupt { what: "window_counters: a row just written".to_owned() })
    };
    wanted.iter().map(&mut find).collect()
}

/// Takes back what was counted at `now` and not used. `unused`: sorted, and each key once.
pub async fn give_back(pool: &Database, unused: &[(CounterKey, i64)], now: DateTime<Utc>) -> Result<(), StoreError> {
    let window_at = window::start_of(now);
    columns!(query, [window_at], for (key, n) in unused {
            "slot": "smallint" = key.slot,
            "app": "text" ~ key.app.as_str(),
            "counter": "text" ~ key.counter.as_str(),
            "key": "text" ~ key.key.as_str(),
            - "n": "bigint" = *n,
        },
        "-- window_counters.give_back
        with unused as (
            select o.slot, o.app, o.counter, o.key, n.n
              from " {rows "n"} " join window_counters o using (" {names} ")
             where o.window_at = $1
             order by o.slot, o.app, o.counter, o.key
             for no key update of o
        )
        update window_counters o set current = greatest(0, o.current - u.n)
          from unused u where (o.slot, o.app, o.counter, o.key) = (u.slot, u.app, u.counter, u.key)"
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Deletes at most `limit` expired entries. Returns how many.
pub async fn forget(pool: &Database, now: DateTime<Utc>, limit: i64) -> Result<u64, StoreError> {
    let done = sqlx::query!(
        "-- window_counters.forget
        delete from window_counters
         where (slot, app, counter, key) in
               (select slot, app, counter, key from window_counters where forget_at <= $1 limit $2)",
        now,
        limit
    )
    .execute(pool)
    .await?;
    Ok(done.rows_affected())
}
