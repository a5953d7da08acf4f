//! The server's role in the database: it works with it, and cannot do more.

use otpost::app::Loops;
use otpost::store::database::roles;
use serde_json::json;
use sqlx::PgPool;

use crate::helpers::app::{TestApp, with_app};
use crate::helpers::instance::Instance;

/// The address of the database for a session in the server's role.
async fn address(app: &TestApp) -> String {
    roles::set_up(&app.store()).await.unwrap();
    roles::set_up(&app.store()).await.unwrap();
    let url = app.database.url();
    let separator = if url.contains('?') { '&' } else { '?' };
    format!("{url}{separator}options=-c%20role%3D{}", roles::SERVER_ROLE)
}

#[tokio::test]
async fn the_servers_role_can_serve_and_change_no_table() {
    with_app(async |app| {
        let url = address(app).await;
        let pool = PgPool::connect(&url).await.unwrap();
        for (sql, is_allowed) in [
            ("select count(*) from messages", true),
            ("insert into audit_log values ('2026-01-01', 1, now(), 'a', 'b', '', '', decode(repeat('00', 32), 'hex'), decode(repeat('00', 32), 'hex'))", true),
            ("update audit_log set actor = 'x'", false),
            ("delete from audit_log", false),
            ("truncate audit_log", false),
            ("update _sqlx_migrations set success = false", false),
            ("create table more (n int)", false),
            ("alter table messages add column more int", false),
            ("drop table messages", false),
            ("create role more", false),
        ] {
            let done = sqlx::raw_sql(sql).execute(&pool).await;
            let is_denied = |error: sqlx::Error| error.as_database_error().is_some_and(|e| e.code().as_deref() == Some("42501"));
            match done {
                Ok(_) => assert!(is_allowed, "{sql}"),
                Err(error) => assert!(!is_allowed && is_denied(error), "{sql}"),
            }
        }
        assert_eq!(roles::surplus(&pool.clone().into()).await.unwrap(), Vec::<&str>::new());
        assert!(!roles::surplus(&app.store()).await.unwrap().is_empty(), "the owner can do more");
        sqlx::query("delete from audit_log").execute(&app.pool).await.unwrap();

        // A whole instance under it.
        let other = Instance::start(&app.settings, &url, Some(app.clock.clone()), Loops::ByHand).await;
        let request = app.http.post(format!("{}/v1/messages", other.url)).bearer_auth(&app.key);
        let response = request.body(json!({ "to": "+628123450001" }).to_string()).send().await.unwrap();
        assert_eq!(response.status(), 202);
        other.work().await;
        assert_eq!(app.sim.messages(Some("+628123450001"), 10).len(), 1);
        other.running.stop(false).await;
        pool.close().await;
    })
    .await;
}
