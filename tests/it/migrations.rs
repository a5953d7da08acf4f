//! Migrations while instances serve: slow ones, locked tables, another migrator, an older and a newer version.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use otpost::store::database::migrations::{MigrationError, Patience, migrate_with};
use otpost::store::database::{self, Database, Plans};
use sqlx::migrate::{Migrate, Migration, MigrationType, Migrator};
use sqlx::{AssertSqlSafe, Connection, PgConnection, SqlSafeStr};

use crate::helpers::app::with_app;
use crate::helpers::database::fresh_database;

static MIGRATIONS: Migrator = sqlx::migrate!();
const LATER: i64 = 29_991_231_235_959;

/// The migrations of this program, and one more.
fn with_one_more(version: i64, sql: &str) -> Migrator {
    let mut all: Vec<Migration> = MIGRATIONS.iter().cloned().collect();
    let sql = AssertSqlSafe(sql.to_owned()).into_sql_str();
    all.push(Migration::new(version, Cow::Borrowed("one more"), MigrationType::Simple, sql, false));
    Migrator::with_migrations(all)
}

async fn connect(url: &str) -> Database {
    database::connect(url, "otpost test", 2, Plans::ByKey).await.unwrap()
}

async fn holds(connection: &mut PgConnection, sql: &'static str) -> bool {
    sqlx::query_scalar(sql).fetch_one(connection).await.unwrap()
}

#[tokio::test]
async fn a_slow_migration_and_one_that_waits_for_a_table_end_well() {
    let test = fresh_database().await;
    let mut other = PgConnection::connect(test.url()).await.unwrap();
    let mut transaction = other.begin().await.unwrap();
    sqlx::raw_sql("lock table messages in access exclusive mode").execute(&mut *transaction).await.unwrap();
    let migrator = with_one_more(LATER, "select pg_sleep(2.5); alter table messages add column extra text");
    let connection = connect(test.url()).await;
    let patience = Patience { others: Duration::from_secs(1), locks: Duration::from_secs(60) };
    let began = Instant::now();
    let release = async {
        tokio::time::sleep(Duration::from_secs(4)).await;
        transaction.rollback().await.unwrap();
    };
    let (migrated, ()) = tokio::join!(migrate_with(&migrator, &connection, patience), release);
    migrated.unwrap();
    println!("2.5 s of work behind a lock of 4 s: {:?}", began.elapsed());
    // The service's own limit is 2 s for a statement.
    assert!(began.elapsed() > Duration::from_secs(5));
    let has = "select exists (select from information_schema.columns where column_name = 'extra')";
    assert!(holds(&mut other, has).await);
}

#[tokio::test]
async fn a_table_that_stays_locked_and_another_migrator_are_waited_for_within_bounds() {
    let test = fresh_database().await;
    let connection = connect(test.url()).await;
    let patience = Patience { others: Duration::from_secs(1), locks: Duration::from_secs(1) };
    let mut other = PgConnection::connect(test.url()).await.unwrap();
    Migrate::lock(&mut other).await.unwrap();
    let refused = migrate_with(&MIGRATIONS, &connection, patience).await.unwrap_err();
    assert!(matches!(refused, MigrationError::Busy(_)), "{refused}");
    assert!(refused.to_string().contains("another process has been migrating"), "{refused}");

    let waits = Patience { others: Duration::from_secs(30), ..patience };
    let release = async {
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        Migrate::unlock(&mut other).await.unwrap();
    };
    let (migrated, ()) = tokio::join!(migrate_with(&MIGRATIONS, &connection, waits), release);
    migrated.unwrap();

    let mut transaction = other.begin().await.unwrap();
    sqlx::raw_sql("lock table messages in access share mode").execute(&mut *transaction).await.unwrap();
    let migrator = with_one_more(LATER, "alter table messages add column extra text");
    let refused = migrate_with(&migrator, &connection, patience).await.unwrap_err();
    assert!(matches!(refused, MigrationError::Locked { .. }), "{refused}");
}

#[tokio::test]
async fn two_programs_migrate_at_once_and_each_migration_runs_once() {
    let test = fresh_database().await;
    let sql = "create table made_once (id int primary key); select pg_sleep(0.5); insert into made_once values (1)";
    let migrator = with_one_more(LATER, sql);
    let one = connect(test.url()).await;
    let all = (0..4).map(|_| migrate_with(&migrator, &one, Patience::default()));
    for migrated in futures_util::future::join_all(all).await {
        migrated.unwrap();
    }
    let mut other = PgConnection::connect(test.url()).await.unwrap();
    assert!(holds(&mut other, "select count(*) = 1 from made_once").await);
}

/// What a next version may do to the tables: a new column, a new word, a new index.
const NEWER: &str = "
    alter table messages add column newer text;
    alter table attempts add column newer text, add column newer_count integer not null default 0;
    alter table attempts drop constraint attempts_reason_check;
    alter table attempts add constraint attempts_reason_check
        check (reason in ('first', 'failed', 'silent', 'requested', 'newer'));
    create index attempts_newer on attempts (newer) where newer is not null;
    create table newer_table (bucket smallint primary key)";

#[tokio::test]
async fn this_program_serves_while_a_newer_one_migrates_and_starts_again_afterwards() {
    with_app(async |app| {
        let before = app.send("+6281234510001").await;
        app.run_workers().await;
        let newer = connect(app.database.url()).await;
        let migrator = with_one_more(LATER, NEWER);
        let load = async {
            for n in 0..40 {
                app.send(&format!("+62812345{n:02}001")).await;
            }
        };
        let (migrated, ()) = tokio::join!(migrate_with(&migrator, &newer, Patience::default()), load);
        migrated.unwrap();
        // Statements that were prepared before the migration, on existing connections.
        for n in 0..20 {
            app.send(&format!("+62812346{n:02}001")).await;
        }
        app.pass(Duration::from_secs(20)).await;
        assert_eq!(app.message(&before).await["state"], "delivered");
        let (status, list) = app.get("/v1/messages?limit=100").await;
        assert_eq!((status, list["messages"].as_array().map(Vec::len)), (200, Some(61)), "{list}");
        // Started again in the middle of the upgrade.
        database::migrate(&newer).await.unwrap();
        let again = app.one_more(&app.settings).await;
        drop(again);
    })
    .await;
}

#[tokio::test]
async fn a_database_of_another_program_is_refused() {
    let test = fresh_database().await;
    let stranger = with_one_more(20_200_101_000_000, "create table stranger (id int)");
    let connection = connect(test.url()).await;
    migrate_with(&stranger, &connection, Patience::default()).await.unwrap();
    let refused = database::migrate(&connection).await.unwrap_err();
    assert!(refused.to_string().contains("20200101000000"), "{refused}");
}
