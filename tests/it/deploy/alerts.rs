//! The alerts use metrics that the program exports, and they fire.

use std::fs;
use std::process::Command;

use super::{deploy, folder, yaml};
use crate::helpers::app::with_app;
use crate::helpers::tools;

const NAMES: &str = include_str!("../../../src/telemetry/names.rs");

/// Metrics that a text names.
fn metrics(text: &str) -> Vec<&str> {
    let is_of_a_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.split(|c| !is_of_a_name(c)).filter(|word| word.starts_with("otpost_")).collect()
}

#[test]
fn each_alert_asks_for_metrics_that_there_are() {
    let file = &yaml("prometheus/alerts.yml")[0];
    let rules = file["groups"][0]["rules"].as_vec().unwrap();
    assert!(rules.len() >= 8);
    for rule in rules {
        let asked = rule["expr"].as_str().unwrap();
        let metrics = metrics(asked);
        assert!(metrics.iter().all(|name| NAMES.contains(&format!("\"{name}\""))), "{asked}");
        assert!(!metrics.is_empty() || asked.contains("up{job=\"otpost\"}"), "{asked}");
        assert!(rule["annotations"]["summary"].as_str().is_some() && rule["labels"]["severity"].as_str().is_some());
    }
}

#[test]
fn the_runbook_explains_each_metric_and_marks_those_with_an_alert() {
    let (page, alerts) = (include_str!("../../../docs/operations.md"), deploy("prometheus/alerts.yml"));
    let all = metrics(NAMES);
    assert!(all.len() >= 12);
    for name in all {
        let starred = format!("| `{name}` * |");
        let has_alert = metrics(&alerts).contains(&name);
        assert_eq!(page.contains(&starred), has_alert, "{name}");
        assert!(has_alert || page.contains(&format!("| `{name}` |")), "{name}");
    }
}

/// Prometheus sees no increase in a counter that begins at 1.
#[tokio::test]
async fn what_rarely_happens_stands_at_0_from_the_start() {
    with_app(async |app| {
        let (_, told) = app.get("/metrics").await;
        let told = told.as_str().unwrap();
        let alerts = deploy("prometheus/alerts.yml");
        let once = alerts.lines().filter(|line| line.contains("increase(") && line.ends_with(") > 0"));
        let mut seen = 0;
        for name in once.flat_map(metrics) {
            assert!(told.lines().any(|line| line.starts_with(name) && !line.starts_with('#')), "{name}: {told}");
            seen += 1;
        }
        assert_eq!(seen, 3);
    })
    .await;
}

#[test]
fn each_alert_fires_when_it_should_and_on_no_quiet_day() {
    let Some(promtool) = tools::optional("promtool") else { return };
    let dir = folder("alerts");
    fs::write(dir.join("alerts.yml"), deploy("prometheus/alerts.yml")).unwrap();
    fs::write(dir.join("test.yml"), include_str!("alerts.test.yml")).unwrap();
    for arguments in [["check", "rules", "alerts.yml"], ["test", "rules", "test.yml"]] {
        let output = Command::new(&promtool).args(arguments).current_dir(&dir).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }
    fs::remove_dir_all(&dir).ok();
}
