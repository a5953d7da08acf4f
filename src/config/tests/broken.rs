//! Broken settings and the lines that say so.

use super::{env, ok};
use crate::config::Settings;

/// Settings, variables (`NAME=value`), the lines.
type Row = (&'static str, &'static [&'static str], &'static [&'static str]);

/// An SMS account that is right, on lines 1 to 7.
const SMS: &str = r#"[route]
steps = ["sms"]
[accounts.sms]
provider = "ycloud"
channel = "sms"
api_key = "s3cret"
webhook_secret = "whsec_s3cret"
"#;

/// A WhatsApp account that is right, on lines 1 to 11.
const META: &str = r#"[route]
steps = ["wa"]
[accounts.wa]
provider = "meta"
channel = "whatsapp"
phone_number_id = "106540352242922"
access_token = "s3cret"
app_secret = "s3cret"
verify_token = "s3cret-s3cret-s3cret"
template = "login_code"
language = "en_US"
"#;

const ROWS: &[Row] = &[
    ("[server", &[], &["otpost.toml:1: unclosed table, expected `]`; must be TOML"]),
    ("[server]\nlisten = 1\n[server]\n", &[], &["otpost.toml:3: duplicate key; must be TOML"]),
];

fn lines(text: &str, variables: &[&str]) -> Vec<String> {
    let pairs: Vec<_> = variables.iter().map(|v| v.split_once('=').unwrap()).collect();
    let error = Settings::read(Some(("otpost.toml", text)), &env(&pairs)).expect_err(text);
    error.to_string().lines().map(str::to_owned).collect()
}

#[test]
fn every_broken_setting_is_named_with_its_place_and_what_is_allowed() {
    for (text, variables, expected) in ROWS {
        let text = text.replace("{SMS}", SMS).replace("{META}", META);
        let lines = lines(&text, variables);
        assert_eq!(lines, *expected, "{text}");
        assert!(!lines.iter().any(|line| line.contains("s3cret")), "{lines:?}");
    }
}

#[test]
fn the_rows_start_from_settings_that_are_right() {
    ok(SMS, &[]);
    ok(META, &[]);
}
