//! Runs the commands that docs/operations.md tells the reader to copy.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::json;

use super::{deploy, folder};
use crate::helpers::app::with_settings;
use crate::helpers::database::fresh_database;
use crate::helpers::program::CODE_KEY;

const PAGE: &str = include_str!("../../../docs/operations.md");

fn blocks(language: &str) -> impl Iterator<Item = &'static str> {
    let fence = format!("```{language}\n");
    let starts: Vec<usize> = PAGE.match_indices(&fence).map(|(at, _)| at + fence.len()).collect();
    starts.into_iter().filter_map(|at| PAGE[at..].split("```").next()).map(str::trim)
}

/// The only block of shell that contains this.
pub(super) fn printed(what: &str) -> String {
    let mut found = blocks("sh").filter(|block| block.contains(what));
    let block = found.next().unwrap_or_else(|| panic!("docs/operations.md has no block with {what}"));
    assert!(found.next().is_none(), "{what} stands in several blocks");
    format!("{block}\n")
}

/// The only block of SQL for the server's administrator that contains this.
pub(super) fn printed_sql(what: &str) -> String {
    let found: Vec<_> = blocks("sql").filter(|block| block.contains(what)).collect();
    assert_eq!(found.len(), 1, "{what}");
    found[0].to_owned()
}

#[tokio::test]
async fn the_queries_of_the_runbook_run() {
    // Those for the server's administrator are run in the tests that check their effect.
    let of_service = blocks("sql").filter(|block| !block.contains("alter "));
    let queries = of_service.flat_map(|block| block.split(';')).map(str::trim).filter(|query| !query.is_empty());
    let database = fresh_database().await;
    let pool = database.pool().await;
    let mut run = 0;
    for query in queries {
        sqlx::query(sqlx::AssertSqlSafe(query))
            .fetch_all(&pool)
            .await
            .unwrap_or_else(|error| panic!("{query}: {error}"));
        run += 1;
    }
    assert!(run >= 6, "{run}");
    pool.close().await;
}

/// The steps for systemd, in a folder instead of the system's directories, up to an API key.
#[tokio::test]
async fn the_printed_steps_of_an_installation_lead_to_an_api_key() {
    let database = fresh_database().await;
    let dir = folder("install");
    let at = dir.display().to_string();
    for place in ["bin", "etc/systemd/system", "files"] {
        fs::create_dir_all(dir.join(place)).unwrap();
    }
    // The only step left out is systemd's own: it would place the secrets where the settings look for them.
    fs::write(dir.join("bin/systemctl"), "#!/bin/sh\necho \"$@\" >> \"$(dirname \"$0\")/../asked\"\n").unwrap();
    fs::set_permissions(dir.join("bin/systemctl"), fs::Permissions::from_mode(0o755)).unwrap();
    let settings =
        deploy("systemd/otpost.toml").replace("/run/credentials/otpost.service/", &format!("{at}/etc/otpost/secrets/"));
    fs::write(dir.join("files/otpost.toml"), settings).unwrap();
    let block = printed("systemctl enable")
        .replace("deploy/systemd/otpost.toml", &format!("{at}/files/otpost.toml"))
        .replace("target/release/otpost", env!("CARGO_BIN_EXE_otpost"))
        .replace("/usr/local/bin/", &format!("{at}/bin/"))
        .replace(" /etc/", &format!(" {at}/etc/"));
    let mut command = Command::new("bash");
    command.args(["-euo", "pipefail", "-c", &block]).current_dir(env!("CARGO_MANIFEST_DIR")).env_remove("DATABASE_URL");
    command.env("PATH", format!("{at}/bin:{}", std::env::var("PATH").unwrap()));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // What the person types, in the order of the prompts.
    let order: Vec<&str> = block.split("for name in ").nth(1).unwrap().split(';').next().unwrap().split(' ').collect();
    let mut typed = child.stdin.take().unwrap();
    for name in &order {
        let secret = if *name == "database-url" { database.url() } else { CODE_KEY };
        writeln!(typed, "{secret}").unwrap();
    }
    drop(typed);
    let output = child.wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{told}");
    assert!(String::from_utf8_lossy(&output.stdout).lines().last().unwrap().starts_with("otp_live_"), "{output:?}");
    assert!(!told.contains("has no SMS step"), "{told}");
    let asked = fs::read_to_string(dir.join("asked")).unwrap();
    assert_eq!(asked.lines().collect::<Vec<_>>(), ["daemon-reload", "enable --now otpost"]);
    // Each secret that the unit passes exists, readable by root only.
    let unit = fs::read_to_string(dir.join("etc/systemd/system/otpost.service")).unwrap();
    let loaded: Vec<_> =
        unit.lines().filter_map(|line| line.strip_prefix("LoadCredential=")?.split_once(':')).collect();
    assert_eq!(loaded.len(), order.len() + 2, "what is asked for, and what is made");
    for (name, file) in loaded {
        let mode =
            fs::metadata(format!("{at}{file}")).unwrap_or_else(|error| panic!("{name}: {error}")).permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    assert_eq!(fs::metadata(dir.join("etc/otpost/secrets")).unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(fs::metadata(dir.join("etc/otpost/otpost.toml")).unwrap().permissions().mode() & 0o777, 0o644);
    fs::remove_dir_all(&dir).ok();
}

/// Nothing of a deleted message is left, and no other message is changed.
#[tokio::test]
async fn the_printed_deletion_takes_everything_of_old_messages_and_of_no_others() {
    // The memory of a number survives a deletion only if the deletion comes within hours.
    with_settings(|settings| settings.memory.remember_for = None, async |app| {
        let (old, pending) = (app.send("+628123450002").await, app.send("+628123450001").await);
        app.pass(Duration::from_secs(20)).await;
        app.request(reqwest::Method::POST, &format!("/v1/messages/{old}/check"), Some(json!({ "code": "0000" }))).await;
        app.pass(Duration::from_secs(600)).await;
        let live = app.send("+628123450001").await;
        // By the database's clock, which is ahead of the test's, all but the last are old.
        let condition = "created_at < now() - interval '90 days'";
        let all = printed_sql("with gone as");
        assert_eq!(all.matches(condition).count(), 2);
        let deletion = all.split(';').next().unwrap().replace(condition, &format!("message_id <> '{live}'"));
        sqlx::query(sqlx::AssertSqlSafe(deletion)).execute(&app.pool).await.unwrap();
        let tables = "select table_name::text from information_schema.columns where table_schema = 'public' and column_name = 'message_id'";
        let tables: Vec<String> = sqlx::query_scalar(tables).fetch_all(&app.pool).await.unwrap();
        assert!(tables.len() >= 8, "{tables:?}");
        for table in tables.iter().filter(|table| *table != "idempotency_keys") {
            let left = format!("select count(*) from {table} where message_id in ('{old}', '{pending}')");
            let left: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(left)).fetch_one(&app.pool).await.unwrap();
            assert_eq!(left, 0, "{table}");
        }
        assert_eq!(app.message(&live).await["id"].as_str(), Some(live.as_str()));
    })
    .await;
}
