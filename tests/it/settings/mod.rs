//! Whole settings: what is read, from where, and what is said when something is wrong.

mod broken;
mod broken_accounts;
mod described;
mod policy;
mod regional;
mod texts;

use std::collections::BTreeMap;
use std::path::Path;

use otpost::config::{ConfigErrors, LogFormat, Purpose, Settings, UnknownPolicy};
use otpost::domain::channel::Channel;
use otpost::domain::code::Code;
use otpost::providers::registry::meta::MetaConfig;

const EXAMPLE: &str = include_str!("../../../otpost.example.toml");

/// What the example file refers to.
const REFERENCES: [(&str, &str); 6] = [
    ("OTPOST_CODE_KEY", "qT5xW0vYk2mJ8rB3nC7dF1gH6sL9pZ4a-key"),
    ("META_ACCESS_TOKEN", "EAAmeta-token"),
    ("META_APP_SECRET", "meta-app-secret"),
    ("META_VERIFY_TOKEN", "meta-verify-token"),
    ("YCLOUD_API_KEY", "ycloud-api-key"),
    ("YCLOUD_WEBHOOK_SECRET", "whsec_ycloud"),
];

fn env(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    let home = [("HOME", "/home/ann")];
    home.iter().chain(pairs).map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

fn example_with(pairs: &[(&str, &str)]) -> Result<Settings, ConfigErrors> {
    Settings::read(Some(("otpost.toml", EXAMPLE)), &env(&[&REFERENCES, pairs].concat()))
}

fn ok(text: &str, pairs: &[(&str, &str)]) -> Settings {
    Settings::read(Some(("otpost.toml", text)), &env(pairs)).unwrap_or_else(|e| panic!("{e}"))
}

#[test]
fn without_a_file_and_variables_there_are_defaults() {
    let settings = Settings::read(None, &env(&[])).unwrap();
    assert_eq!(settings.server.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(settings.server.public_url, "http://127.0.0.1:8080");
    assert!(settings.database.url.is_none() && settings.codes.keys.is_none() && settings.accounts.is_empty());
    assert_eq!(settings.codes.max_tries, 5);
    assert_eq!(settings.route.replace_after_s, 30);
    let purposes: Vec<_> =
        settings.purposes.iter().map(|(name, p)| (name.as_str(), p.valid_for_s, p.code_length)).collect();
    let expected = [("login", 300, 6), ("other", 300, 6), ("payment", 600, 8), ("reset", 600, 6), ("signup", 600, 6)];
    assert_eq!(purposes, expected);
    assert!(settings.health.watch);
    assert_eq!(settings.memory.remember_for.map(|d| d.num_hours()), Some(24));
    assert_eq!(settings.log.format, LogFormat::Auto);
    assert!(settings.sending.lease > settings.sending.client.total_timeout);
}

#[test]
fn the_example_loads_as_it_stands() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("otpost.example.toml");
    let settings = Settings::load(Some(&path), &env(&REFERENCES)).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(settings.route.options.steps, ["meta-main", "ycloud-sms"]);
    let account = |name: &str| &settings.accounts[name];
    let limits = |name: &str| (account(name).per_second, account(name).concurrency, account(name).on_unknown);
    assert_eq!(limits("meta-main"), (80.0, 64, UnknownPolicy::GiveUp));
    assert_eq!(limits("ycloud-sms"), (200.0, 64, UnknownPolicy::Resend));
    let of_meta: Vec<_> =
        account("meta-main").templates.iter().map(|one| (&*one.template.name, one.lifetime_s)).collect();
    assert_eq!(of_meta, [("login_code", Some(30))]);
    assert_eq!(account("ycloud-sms").templates.iter().count(), 0);
    let expected = ["server.public_url is http://127.0.0.1:8080: providers cannot reach it with their callbacks."];
    assert_eq!(settings.warnings, expected);
    let expected = "accounts.meta-main.templates has no template in ar, de, es, fr and 4 more; people there get WhatsApp in en-US, and SMS in their language.";
    assert_eq!(settings.degraded, [expected]);
}

/// The commented lines are settings too: with all of them switched on, it still loads and still means the same, but
/// for what it calls an example.
#[test]
fn what_the_example_comments_out_are_the_defaults() {
    let is_setting = |line: &str| {
        let line = line.trim_start_matches("# ");
        let key = line.split(" = ").next().unwrap_or_default();
        let is_key = !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
        (line.starts_with('[') && line.ends_with(']')) || (line.contains(" = ") && is_key)
    };
    let on = |line: &str| if is_setting(line) { line.trim_start_matches("# ").to_owned() } else { String::new() };
    let full: String = EXAMPLE.lines().map(|line| on(line) + "\n").collect();
    let more = [
        ("OTPOST_POSTGRES", "postgres://otpost@db/otpost"),
        ("META_APP_SECRET_PREVIOUS", "9f86d081884c7d65"),
        ("YCLOUD_WEBHOOK_SECRET_PREVIOUS", "9f86d081884c7d65"),
        ("CLIQTEL_API_KEY", "17|x"),
        ("CLIQTEL_CALLBACK_TOKEN", "cliqtel-callback-token"),
        ("CLIQTEL_CALLBACK_SECRET", "cliqtel-callback-secret"),
        ("CLIQTEL_SIGNATURE_SECRET", "9f86d081884c7d65"),
        ("CLIQTEL_SIGNATURE_SECRET_PREVIOUS", "9f86d081884c7d65"),
        ("INFOBIP_API_KEY", "9f86d081884c7d65"),
        ("INFOBIP_CALLBACK_TOKEN", "infobip-callback-token"),
        ("INFOBIP_HOOK_PASSWORD", "infobip-hook-password"),
        ("INFOBIP_HOOK_SECRET", "infobip-hook-secret"),
        ("INFOBIP_HOOK_SECRET_PREVIOUS", "9f86d081884c7d65"),
        ("INFOBIP_HMAC_SECRET", "9f86d081884c7d65"),
        ("INFOBIP_HMAC_SECRET_PREVIOUS", "9f86d081884c7d65"),
        ("SLEEKFLOW_API_KEY", "9f86d081884c7d65"),
        ("SLEEKFLOW_HOOK_SECRET", "sleekflow-hook-secret"),
        ("SLEEKFLOW_HOOK_SECRET_PREVIOUS", "9f86d081884c7d65"),
        ("TWILIO_AUTH_TOKEN", "9f86d081884c7d65"),
        ("TWILIO_AUTH_TOKEN_PREVIOUS", "9f86d081884c7d65"),
        ("TWILIO_API_KEY_SECRET", "9f86d081884c7d65"),
        ("VONAGE_PRIVATE_KEY", include_str!("../../../crates/simulator/src/faces/vonage/private-key.pem")),
        ("VONAGE_SIGNATURE_SECRET", "9f86d081884c7d65"),
        ("VONAGE_SIGNATURE_SECRET_PREVIOUS", "9f86d081884c7d65"),
        ("VONAGE_API_SECRET", "9f86d081884c7d65"),
        ("ENGAGELAB_DEV_KEY", "dev"),
        ("ENGAGELAB_DEV_SECRET", "9f86d081884c7d65"),
        ("ENGAGELAB_CALLBACK_SECRET", "9f86d081884c7d65"),
        ("ENGAGELAB_CALLBACK_SECRET_PREVIOUS", "9f86d081884c7d65"),
        ("ENGAGELAB_CALLBACK_AUTHORIZATION", "Bearer x"),
        ("ENGAGELAB_CALLBACK_TOKEN", "engagelab-callback-token"),
        ("ENGAGELAB_WHATSAPP_DEV_KEY", "dev-wa"),
        ("ENGAGELAB_WHATSAPP_DEV_SECRET", "9f86d081884c7d65"),
        ("ENGAGELAB_SMS_DEV_KEY", "dev-sms"),
        ("ENGAGELAB_SMS_DEV_SECRET", "9f86d081884c7d65"),
        ("LOCAL_TOKEN", "9f86d081884c7d65"),
        ("LOCAL_PASSWORD", "9f86d081884c7d65"),
        ("LOCAL_CALLBACK_SECRET", "9f86d081884c7d65"),
        ("LOCAL_CALLBACK_SECRET_PREVIOUS", "9f86d081884c7d65"),
        ("LOCAL_CALLBACK_TOKEN", "local-callback-token"),
    ];
    let full = ok(&full, &[&REFERENCES[..], &more].concat());
    let plain = example_with(&[]).unwrap();
    assert_eq!((full.routes.len(), full.pools.len(), full.prices[0].list.countries.len()), (1, 1, 2));
    assert_eq!(full.accounts.len(), 18);
    assert_eq!(full.purposes, plain.purposes);
    // Brand and autofill are examples, and Japanese comes on top.
    let english = |s: &Settings| s.text.render(s.text.choose("en", ""), None, &Code::made_up(6), 300).to_string();
    assert_eq!(english(&full), "493817 is your Example code. It expires in 5 min.");
    assert_eq!(english(&plain), "493817 is your verification code. It expires in 5 min.");
    let languages = |s: &Settings| Vec::from_iter(s.text.iter().map(|text| text.language.to_string())).join(" ");
    assert_eq!(languages(&plain), "en id pt-BR es hi ar zh fr de nl");
    assert_eq!(languages(&full), languages(&plain) + " ja");
    assert_eq!(full.server.listen, plain.server.listen);
    assert_eq!(format!("{:?}", full.log), format!("{:?}", plain.log));
    assert_eq!(format!("{:?}", full.route), format!("{:?}", plain.route));
    assert_eq!(full.codes.max_tries, plain.codes.max_tries);
    let pools = |s: &Settings| (s.database.connections, s.database.ledger_connections);
    assert_eq!(pools(&full), pools(&plain));
    let mut sending = full.sending.clone();
    sending.client.proxy = None;
    assert_eq!(format!("{sending:?}"), format!("{:?}", plain.sending));
    assert_eq!(format!("{:?}", full.health), format!("{:?}", plain.health));
    assert_eq!(full.memory, plain.memory);
    for (name, account) in &full.accounts {
        account.provider.build();
        let is_text = account.channel == Channel::Sms && account.provider.kind.name != "engagelab";
        assert!(is_text || account.templates.iter().next().is_some(), "{name}");
    }
    let meta = |s: &Settings| s.accounts["meta-main"].provider.config::<MetaConfig>().expect("Meta's").clone();
    let meta = |s: &Settings| (meta(s).version, meta(s).base_url);
    assert_eq!(meta(&full), meta(&plain));
}

#[test]
fn variables_win_over_the_file() {
    let settings = example_with(&[
        ("OTPOST_DATA_DIR", "/srv/otpost"),
        ("OTPOST_SERVER__LISTEN", "0.0.0.0:9000"),
        ("OTPOST_SERVER__PUBLIC_URL", "https://otp.example.com/"),
        ("OTPOST_DATABASE__CONNECTIONS", "40"),
        ("OTPOST_ROUTE__STEPS", "ycloud-sms, meta-main"),
        ("OTPOST_ROUTE__REPLACE_AFTER_S", "45"),
        ("OTPOST_ACCOUNTS__META_MAIN__PER_SECOND", "0.5"),
        ("OTPOST_ACCOUNTS__META_MAIN__BASE_URL", "http://127.0.0.1:9001"),
        ("OTPOST_PURPOSES__NEW_DEVICE__CODE_LENGTH", "7"),
        ("OTPOST_HEALTH__WATCH", "off"),
        ("OTPOST_HEALTH__RECEIPT_WITHIN_S", "7"),
        ("OTPOST_MEMORY__USE", "off"),
        ("OTPOST_LOG__FORMAT", "json"),
        ("OTPOST_LOG__FILTER", ""),
        ("DATABASE_URL", "postgres://everybody@db/otpost"),
        ("OTPOST_API_KEY", "of the command line"),
    ]);
    let settings = settings.unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(settings.data_dir, Path::new("/srv/otpost"));
    assert_eq!(settings.server.listen.to_string(), "0.0.0.0:9000");
    assert_eq!(settings.server.public_url, "https://otp.example.com");
    assert_eq!(settings.database.connections, 40);
    assert_eq!(settings.database.url.unwrap().expose(), "postgres://everybody@db/otpost");
    assert_eq!(settings.route.options.steps, ["ycloud-sms", "meta-main"]);
    assert_eq!(settings.accounts["meta-main"].per_second, 0.5);
    assert_eq!(settings.accounts["meta-main"].provider.base_url, "http://127.0.0.1:9001");
    let device = Purpose { valid_for_s: 300, code_length: 7, replace_after_s: 45 };
    assert_eq!(settings.purposes["new-device"], device);
    assert!(!settings.health.watch);
    assert_eq!(settings.health.rules.receipt_within.num_seconds(), 7);
    assert_eq!(settings.memory.remember_for, None);
    assert_eq!(settings.log.format, LogFormat::Json);
    assert_eq!(settings.log.filter, "info,sqlx=warn,actix_server=warn");
}

#[test]
fn our_own_name_of_the_database_wins_over_everybodys() {
    let urls = [("DATABASE_URL", "postgres://everybody@db/a"), ("OTPOST_DATABASE__URL", "postgres://ours@db/b")];
    assert_eq!(example_with(&urls).unwrap().database.url.unwrap().expose(), "postgres://ours@db/b");
}

#[test]
fn the_code_key_can_come_from_its_variable_alone() {
    let (url, key) = (("DATABASE_URL", "postgres://otpost@db/a"), REFERENCES[0]);
    let ids = |settings: Settings| settings.codes.keys.map(|keys| keys.ids());
    assert_eq!(ids(Settings::read(None, &env(&[url, key])).unwrap()), Some(vec![1]));
    assert_eq!(ids(Settings::read(None, &env(&[key])).unwrap()), Some(vec![1]), "beside a private database too");
    assert_eq!(ids(ok("[codes]\nkeys = ['7:env:OTPOST_CODE_KEY']", &[url, key])), Some(vec![7]), "a list counts more");
    let short = Settings::read(None, &env(&[url, ("OTPOST_CODE_KEY", "s3cret")])).unwrap_err().to_string();
    assert_eq!(short, "settings: codes.keys: in OTPOST_CODE_KEY has 6 bytes; must be at least 32 random bytes");
    let none = Settings::read(None, &env(&[url, ("OTPOST_CODE_KEY", "")])).unwrap_err().to_string();
    assert!(none.starts_with("settings: codes.keys: is missing") && none.contains("set OTPOST_CODE_KEY"), "{none}");
}

#[test]
fn an_account_can_come_from_variables_alone() {
    let settings = Settings::read(
        None,
        &env(&[
            ("OTPOST_ROUTE__STEPS", "cliqtel-sms"),
            ("OTPOST_ACCOUNTS__CLIQTEL_SMS__PROVIDER", "cliqtel"),
            ("OTPOST_ACCOUNTS__CLIQTEL_SMS__CHANNEL", "sms"),
            ("OTPOST_ACCOUNTS__CLIQTEL_SMS__NUMBER_ID", "12"),
            ("OTPOST_ACCOUNTS__CLIQTEL_SMS__API_KEY", "17|key"),
            ("OTPOST_ACCOUNTS__CLIQTEL_SMS__CALLBACK_SECRET", "cliqtel-callback-secret"),
        ]),
    );
    let settings = settings.unwrap_or_else(|e| panic!("{e}"));
    let account = &settings.accounts["cliqtel-sms"];
    assert_eq!((account.per_second, account.concurrency), (1.0, 4));
    assert_eq!((account.provider.kind.name, account.channel), ("cliqtel", Channel::Sms));
    assert!(settings.warnings.iter().any(|w| w.contains("beta")), "{:?}", settings.warnings);
}

#[test]
fn a_secret_can_be_in_a_file_whose_last_line_break_is_dropped() {
    let path = std::env::temp_dir().join(format!("otpost-config-secret-{}", std::process::id()));
    std::fs::write(&path, "postgres://otpost:pa55@db/otpost\r\n").unwrap();
    let reference = format!("file:{}", path.display());
    let settings = example_with(&[("OTPOST_DATABASE__URL", reference.as_str())]);
    std::fs::write(&path, "two\nlines\n").unwrap();
    let error = example_with(&[("OTPOST_DATABASE__URL", reference.as_str())]).unwrap_err();
    std::fs::remove_file(&path).unwrap();
    assert_eq!(settings.unwrap().database.url.unwrap().expose(), "postgres://otpost:pa55@db/otpost");
    let expected = "OTPOST_DATABASE__URL: database.url: has a line break or another control character inside; must be \
                    one line of text";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn settings_print_no_secret() {
    let proxy = ("OTPOST_SENDING__PROXY", "http://ann:proxy-password@proxy.example.com:3128");
    let database = ("DATABASE_URL", "postgres://otpost:database-password@db/otpost");
    let printed = format!("{:#?}", example_with(&[proxy, database]).unwrap());
    for (name, secret) in REFERENCES {
        assert!(!printed.contains(secret), "{name}");
    }
    assert!(!printed.contains("password"), "{printed}");
    assert!(printed.contains("[redacted]"));
}

#[test]
fn what_deserves_a_second_look_is_said() {
    let settings = ok(
        r#"
        data_dir = "/srv/otpost"
        [server]
        public_url = "http://otp.example.com"
        [purposes.login]
        code_length = 4
        [route]
        steps = ["wa"]
        [accounts.wa]
        provider = "cliqtel"
        channel = "whatsapp"
        api_key = "k"
        account_id = 1
        callback_token = "cliqtel-callback-token"
        template = "login_code"
        language = "id"
        [accounts.spare]
        provider = "ycloud"
        channel = "sms"
        api_key = "k"
        webhook_secret = "whsec_9f86d081"
        "#,
        &[],
    );
    let expected = [
        "server.public_url is http://otp.example.com: over http API keys, codes and callbacks can be read on the way.",
        "codes.keys is not set: the program keeps the only key in /srv/otpost; without it no live code can be checked, \
         and one key cannot be rotated.",
        "purposes.login.code_length is 4: six digits are the least that is advised.",
        "accounts.spare is in no route: it sends nothing.",
        "accounts.wa uses Cliqtel, which is beta: the shape of its callbacks is not documented but assumed.",
    ];
    assert_eq!(settings.warnings, expected);
}

#[test]
fn a_sender_s_number_is_cleaned_of_what_is_no_digit() {
    let account = |channel: &str, from: &str| {
        let template = if channel == "sms" { "" } else { "template = 'HX00000000000000000000000000000003'\n" };
        let text = format!(
            "[route]\nsteps = ['a']\n[accounts.a]\nprovider = 'twilio'\nchannel = '{channel}'\n\
             account_sid = 'AC00000000000000000000000000000001'\nauth_token = 's3cret'\nfrom = '{from}'\n{template}"
        );
        format!("{:?}", ok(&text, &[]).accounts["a"].provider)
    };
    for from in ["+1 202-555-0100", "+1 (202) 555 0100", "\u{202a}+12025550100\u{202c}", "+12025550100"] {
        for channel in ["sms", "whatsapp"] {
            assert!(account(channel, from).contains(r#"From("+12025550100")"#), "{channel} {from}");
        }
    }
    assert!(account("sms", "Example").contains(r#"From("Example")"#));
    assert!(account("sms", "12345").contains(r#"From("12345")"#));
}
