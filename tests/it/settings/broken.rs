//! Broken settings and the lines that say so.

use super::{broken_accounts, env, ok};
use otpost::config::Settings;
use otpost::providers::registry::KINDS;

/// Settings, variables (`NAME=value`), the lines.
pub(super) type Row = (&'static str, &'static [&'static str], &'static [&'static str]);

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
app_secret = "s3cret-of-meta"
verify_token = "s3cret-s4cret-s5cret"
template = "login_code"
language = "en_US"
"#;

/// An account that settings describe, on lines 1 to 12.
const HTTP: &str = r#"[route]
steps = ["a"]
[accounts.a]
provider = "http"
channel = "sms"
url = "https://a.example/send"
body = '{"to": "{to}", "text": "{text}"}'
answer.id = "/id"
callback.id = "/id"
callback.status = "/status"
callback.statuses.delivered = ["DELIVRD"]
callback.header = { name = "X-Key", value = "s3crets4crets5cret" }
"#;

const ROWS: &[Row] = &[
    // The file itself.
    ("[server", &[], &["otpost.toml:1: unclosed table, expected `]`; must be TOML"]),
    (
        "[server]\nlisten = '127.0.0.1:1'\n[server]\na = s3cret",
        &[],
        &[
            "otpost.toml:3: server: stands here a second time; must be there once",
            "otpost.toml:4: string values must be quoted, expected literal string; must be TOML",
        ],
    ),
    (
        "[accounts.sms-eu]\nprovider = 'twilio'\n[accounts.sms-eu]\nprovider = 's3cret'",
        &[],
        &[
            "otpost.toml:3: accounts.sms-eu: stands here a second time; must be there once; another account needs another name",
        ],
    ),
    (
        "[server]\nworkers = 2\nworkers = 3",
        &[],
        &["otpost.toml:3: workers: stands here a second time; must be there once"],
    ),
    // Names.
    (
        "[server]\nlisen = '127.0.0.1:1'",
        &[],
        &["otpost.toml:2: server.lisen: is not a setting; did you mean `listen`?"],
    ),
    (
        "[server]\nport = 80",
        &[],
        &[
            "otpost.toml:2: server.port: is not a setting; allowed here: linger_s, listen, max_connections, max_connections_per_address, public_url, trusted_proxies, workers",
        ],
    ),
    ("[rout]\nsteps = []", &[], &["otpost.toml:1: rout: is not a setting; did you mean `route`?"]),
    (
        "",
        &["OTPOST_SERVER__LISEN=127.0.0.1:1"],
        &["OTPOST_SERVER__LISEN: is not a setting; did you mean OTPOST_SERVER__LISTEN?"],
    ),
    ("", &["OTPOST_ACCOUNT__SMS__API_KEY=s3cret"], &["OTPOST_ACCOUNT__SMS__API_KEY: is not a setting"]),
    ("", &["OTPOST_DATADIR=/srv"], &["OTPOST_DATADIR: is not a setting; did you mean OTPOST_DATA_DIR?"]),
    ("server = 3", &[], &["otpost.toml:1: server: is a whole number; must be a table: [server]"]),
    // server
    (
        "[server]\nlisten = 'localhost:80'",
        &[],
        &[
            r#"otpost.toml:2: server.listen: is "localhost:80"; must be an IP address and a port, such as 127.0.0.1:8080"#,
        ],
    ),
    (
        "",
        &["OTPOST_SERVER__LISTEN=80"],
        &[r#"OTPOST_SERVER__LISTEN: server.listen: is "80"; must be an IP address and a port, such as 127.0.0.1:8080"#],
    ),
    (
        "[server]\npublic_url = 'otp.example.com'\nworkers = 0",
        &[],
        &[
            r#"otpost.toml:2: server.public_url: is "otp.example.com"; must be such as https://otp.example.com, without a query or a password"#,
            "otpost.toml:3: server.workers: is 0; must be 1 to 64 threads",
        ],
    ),
    (
        "[server]\nworkers = 2.5",
        &[],
        &["otpost.toml:2: server.workers: is a number with a fraction; must be 1 to 64 threads"],
    ),
    ("[server]\nlisten = true", &[], &["otpost.toml:2: server.listen: is true or false; must be text in quotes"]),
    (
        "[server]\npublic_url = 'https://ann:s3cret@otp.example.com'",
        &[],
        &[
            "otpost.toml:2: server.public_url: is a text of 34 bytes; must be such as https://otp.example.com, without a query or a password",
        ],
    ),
    // database
    (
        "[database]\nurl = 'mysql://ann:s3cret@db'",
        &[],
        &["otpost.toml:2: database.url: is no address of a Postgres; must begin with postgres:// or postgresql://"],
    ),
    (
        "",
        &["DATABASE_URL=postgres://ann:s3cret@db/otpost"],
        &[
            "otpost.toml: codes.keys: is missing; with a database of one's own it is needed: set OTPOST_CODE_KEY, for example to what `openssl rand -base64 48` prints; every instance must have the same",
        ],
    ),
    (
        "[database]\nurl = 'env:NOWHERE'\nconnections = 501",
        &[],
        &[
            "otpost.toml:2: database.url: refers to env:NOWHERE, which is not set; set that variable",
            "otpost.toml:3: database.connections: is 501; must be 1 to 500 connections",
        ],
    ),
    (
        "[database]\nurl = 'file:/nowhere/at/all'",
        &[],
        &[
            "otpost.toml:2: database.url: refers to file:/nowhere/at/all, which does not exist; must be a file that can be read",
        ],
    ),
    (
        "[database]\nurl = 'file:secret.txt'",
        &[],
        &[
            "otpost.toml:2: database.url: refers to file:secret.txt, which is not an absolute path; must be a file that can be read",
        ],
    ),
    // numbers
    (
        "[numbers]\nunknown = 'maybe'\nkinds = ['landline', 'voip']",
        &[],
        &[
            r#"otpost.toml:2: numbers.unknown: is "maybe"; must be "accept" or "refuse""#,
            r#"otpost.toml:3: numbers.kinds: has "landline"; must be a list with "mobile" in it, of mobile, fixed_line, voip, toll_free, premium_rate, shared_cost, personal, pager, voicemail, company"#,
            r#"otpost.toml:3: numbers.kinds: does not have "mobile"; must be a list with "mobile" in it, of mobile, fixed_line, voip, toll_free, premium_rate, shared_cost, personal, pager, voicemail, company"#,
        ],
    ),
    // Countries, in the names that people have for them.
    (
        "[routes.a]\ncountries = ['UK', 'gb', 'en', 'pt_BR', 'sv', '+44', '7', 'el', 'XX', 'Germany']",
        &[],
        &[
            r#"otpost.toml:2: routes.a.countries: has "UK", which is no country with a calling code; did you mean "GB"?"#,
            r#"otpost.toml:2: routes.a.countries: has "gb", which is no country with a calling code; did you mean "GB"?"#,
            r#"otpost.toml:2: routes.a.countries: has "en", which is no country with a calling code; that is a language and a country is wanted; did you mean "US", "ZA", "GB", "AU" or one of 79 others?"#,
            r#"otpost.toml:2: routes.a.countries: has "pt_BR", which is no country with a calling code; that is a language with its country; did you mean "BR"?"#,
            r#"otpost.toml:2: routes.a.countries: has "sv", which is no country with a calling code; that is a language and a country is wanted; did you mean "SE" or "AX"?"#,
            r#"otpost.toml:2: routes.a.countries: has "+44", which is no country with a calling code; +44 is a calling code; did you mean "GB", "GG", "IM" or "JE"?"#,
            r#"otpost.toml:2: routes.a.countries: has "7", which is no country with a calling code; +7 is a calling code; did you mean "RU" or "KZ"?"#,
            r#"otpost.toml:2: routes.a.countries: has "el", which is no country with a calling code; did you mean "GR"?"#,
            r#"otpost.toml:2: routes.a.countries: has "XX", which is no country with a calling code; must be a list of countries by two capital letters (ISO 3166-1), such as ["ID", "BR"]"#,
            r#"otpost.toml:2: routes.a.countries: has "Germany", which is no country with a calling code; must be a list of countries by two capital letters (ISO 3166-1), such as ["ID", "BR"]"#,
        ],
    ),
    // codes
    (
        "[codes]\nkeys = ['1:0123456789abcdef0123456789abcdef', '2:env:KEY']",
        &["KEY=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"],
        &[
            "otpost.toml:2: codes.keys: entry 1 repeats its first 16 characters; must be at least 32 random bytes, such as of `openssl rand -base64 48`",
            "otpost.toml:2: codes.keys: entry 2 is the same character over and over; must be at least 32 random bytes, such as of `openssl rand -base64 48`",
        ],
    ),
    (
        "[codes]\nkeys = ['1:s3cret']\nmax_tries = 11",
        &[],
        &[
            "otpost.toml:2: codes.keys: entry 1 has 6 bytes; must be at least 32 random bytes",
            "otpost.toml:3: codes.max_tries: is 11; must be 1 to 10 tries",
        ],
    ),
    (
        "[codes]\nkeys = ['s3cretqT5xW0vYk2mJ8rB3nC7dF1gH6sL9pZ4aUw2']",
        &[],
        &["otpost.toml:2: codes.keys: entry 1 does not begin with an id; must be 1 to 32767, a colon and the key"],
    ),
    (
        "[codes]\nkeys = [\n'1:s3cretqT5xW0vYk2mJ8rB3nC7dF1gH6sL9pZ4aUw2',\n'1:s3cretqT5xW0vYk2mJ8rB3nC7dF1gH6sL9pZ4aUw2']",
        &[],
        &[
            r#"otpost.toml:2: codes.keys: two keys have the id 1; must be a list of 1 to 4 keys such as "1:env:OTPOST_CODE_KEY", the one in use first"#,
        ],
    ),
    (
        "[codes]\nkeys = []",
        &[],
        &[
            r#"otpost.toml:2: codes.keys: at least one key is required; must be a list of 1 to 4 keys such as "1:env:OTPOST_CODE_KEY", the one in use first"#,
        ],
    ),
    (
        "[codes]\nkeys = ['0:env:X', '2:env:NOWHERE']",
        &[],
        &[
            "otpost.toml:2: codes.keys: entry 1 does not begin with an id; must be 1 to 32767, a colon and the key",
            "otpost.toml:2: codes.keys: entry 2 refers to env:NOWHERE, which is not set; set that variable",
        ],
    ),
    (
        "[codes]\nkeys = '1:env:X'",
        &[],
        &[
            r#"otpost.toml:2: codes.keys: is text; must be a list of 1 to 4 keys such as "1:env:OTPOST_CODE_KEY", the one in use first"#,
        ],
    ),
    (
        "[codes]\nkeys = [\n'1:env:X',\n3]",
        &[],
        &[
            r#"otpost.toml:4: codes.keys: has an entry that is a whole number; must be a list of 1 to 4 keys such as "1:env:OTPOST_CODE_KEY", the one in use first"#,
        ],
    ),
    // text
    (
        "[text]\nsms = 'hello'",
        &[],
        &[r#"otpost.toml:2: text.sms: must contain {code} exactly once; such as "{code} is your {brand} code.""#],
    ),
    (
        "[text]\nsms = '{code} {name}'\nbrand = ''",
        &[],
        &[
            r#"otpost.toml:2: text.sms: has a place {name} that is not known; there are {code}, {brand} and {minutes}; such as "{code} is your {brand} code.""#,
            r#"otpost.toml:3: text.brand: is ""; must be 1 to 30 characters on one line"#,
        ],
    ),
    (
        "[text]\ndefault_language = 'ja'\nbrand = \"a\\nb\"\nweb_host = 'https://example.com'\nandroid_hash = 'abc'",
        &[],
        &[
            r#"otpost.toml:2: text.default_language: is "ja", in which there is no text; must be one of en, id, pt-BR, es, hi, ar, zh, fr, de, nl, or give its text as `sms`"#,
            r#"otpost.toml:3: text.brand: is "a\nb"; must be 1 to 30 characters on one line"#,
            r#"otpost.toml:4: text.web_host: is "https://example.com"; must be the name of a host alone, such as example.com"#,
            r#"otpost.toml:5: text.android_hash: is "abc"; must be the app's 11 characters, such as FA+9qCX9VSu"#,
        ],
    ),
    (
        "[text]\nsms = '{code}'\ndefault_language = 'english'\n[text.languages.en]\nsms = 'no'\n[text.languages.EN]\nsms = 'no'\n\
         [text.languages.in]\nsms = '{code}'\n[text.languages.id]\ntext = 'x'\n[text.languages.english]\nsms = '{code}'\n\
         [text.languages.ja]\nsms = '{code} {brand}'",
        &[],
        &[
            "otpost.toml:2: text.sms: is given beside text.languages.en.sms; must be one of the two: it is the text in en",
            r#"otpost.toml:3: text.default_language: is "english"; must be a language tag such as en, pt-BR or zh-Hant"#,
            r#"otpost.toml:5: text.languages.en.sms: must contain {code} exactly once; such as "{code} is your {brand} code.""#,
            "otpost.toml:6: text.languages.EN: is not a setting; allowed here: en, english, id, in, ja",
            "otpost.toml:8: text.languages.in: is id, which is there already; must be there once",
            "otpost.toml:10: text.languages.id.sms: is missing; must be the text of an SMS",
            "otpost.toml:11: text.languages.id.text: is not a setting; allowed here: sms",
            "otpost.toml:12: text.languages.english: is no language; must be a language tag such as en, pt-BR or zh-Hant",
            "otpost.toml:15: text.languages.ja.sms: has the place {brand}, for which no word is known in this language; set text.brand, or write the text without it",
        ],
    ),
    (
        "[text]\nsms = '{code}'\n[text.languages.en]\nsms = '{code}'",
        &["OTPOST_TEXT__LANGUAGES__ID__SMS=no"],
        &[
            "otpost.toml:2: text.sms: is given beside text.languages.en.sms; must be one of the two: it is the text in en",
            r#"OTPOST_TEXT__LANGUAGES__ID__SMS: text.languages.id.sms: must contain {code} exactly once; such as "{code} is your {brand} code.""#,
        ],
    ),
    (
        "[text]\ndefault_language = 'ja'\n[text.languages.ja]\nsms = '{brand} {code}'",
        &[],
        &[
            "otpost.toml:4: text.languages.ja.sms: has the place {brand}, for which no word is known in this language; set text.brand, or write the text without it",
        ],
    ),
    (
        "[text]\nsms = '{brand} {code}'\ndefault_language = 'ja'",
        &[],
        &[
            "otpost.toml:2: text.sms: has the place {brand}, for which no word is known in this language; set text.brand, or write the text without it",
        ],
    ),
    // purposes
    (
        "[purposes.login]\nvalid_for_s = 119",
        &[],
        &["otpost.toml:2: purposes.login.valid_for_s: is 119; must be 120 to 600 seconds"],
    ),
    (
        "[purposes.login]\nvalid_for_s = 120\nreplace_after_s = 31\ncode_length = 11",
        &[],
        &[
            "otpost.toml:2: purposes.login.valid_for_s: is 120, too short to use a replacement; must be at least replace_after_s (31) and 90 more",
            "otpost.toml:4: purposes.login.code_length: is 11; must be 4 to 10 digits",
        ],
    ),
    (
        "[route]\nreplace_after_s = 60\n[purposes.quick]\nvalid_for_s = 149",
        &[],
        &[
            "otpost.toml:4: purposes.quick.valid_for_s: is 149, too short to use a replacement; must be at least replace_after_s (60) and 90 more",
        ],
    ),
    (
        "[purposes.Login]\nvalid_for = 300",
        &[],
        &[
            "otpost.toml:1: purposes.Login: is no name of a purpose; must be 1 to 63 of a-z, 0-9 and -, not beginning with -",
            "otpost.toml:2: purposes.Login.valid_for: is not a setting; did you mean `valid_for_s`?",
        ],
    ),
    (
        "[purposes]\nlogin = 300",
        &[],
        &["otpost.toml:2: purposes.login: is a whole number; must be a table: [purposes.login]"],
    ),
    // route
    ("[route]\nreplace_after_s = 14", &[], &["otpost.toml:2: route.replace_after_s: is 14; must be 15 to 60 seconds"]),
    (
        "{SMS}",
        &["OTPOST_ROUTE__STEPS=sm,sms,sms,other"],
        &[
            r#"OTPOST_ROUTE__STEPS: route.steps: names "sm", which is no account and no pool; did you mean "sms"?"#,
            r#"OTPOST_ROUTE__STEPS: route.steps: names "sms" twice; must be a list of 1 to 8 names of accounts or pools, each at most once, in the order to try them"#,
            r#"OTPOST_ROUTE__STEPS: route.steps: names "other", which is no account and no pool; there are: sms"#,
        ],
    ),
    (
        "[route]\nsteps = []",
        &[],
        &[
            "otpost.toml:2: route.steps: has 0 entries; must be a list of 1 to 8 names of accounts or pools, each at most once, in the order to try them",
        ],
    ),
    (
        "[accounts.sms]\nprovider = 'ycloud'\nchannel = 'sms'\napi_key = 's3cret'\nwebhook_secret = 's3cret-of-ycloud'",
        &[],
        &[
            "otpost.toml: route.steps: is missing; must be a list of 1 to 8 names of accounts or pools, each at most once, in the order to try them",
        ],
    ),
    // sending
    (
        "[sending]\ntotal_timeout_ms = 15000",
        &[],
        &["otpost.toml:2: sending.total_timeout_ms: is 15000; must be 200 to 14999 milliseconds"],
    ),
    (
        "[sending]\nconnect_timeout_ms = 5000\ntotal_timeout_ms = 5000\nlease_ms = 5000",
        &[],
        &[
            "otpost.toml:2: sending.connect_timeout_ms: is 5000; must be less than total_timeout_ms (5000)",
            "otpost.toml:4: sending.lease_ms: is 5000; must be more than total_timeout_ms (5000), so that no two workers send the same attempt",
        ],
    ),
    (
        "[sending]\nproxy = 'ann:s3cret@proxy'",
        &[],
        &[
            "otpost.toml:2: sending.proxy: is no address of a proxy; must be such as http://user:password@proxy.example.com:3128",
        ],
    ),
    // health and memory
    (
        "[health]\nwatch = true\ngood_within_s = 0\nreceipt_within_s = 61\nsilence_sends = 2\nprobe_every_s = 301",
        &[],
        &[
            "otpost.toml:2: health.watch: is true or false; must be text in quotes",
            "otpost.toml:3: health.good_within_s: is 0; must be 1 to 60 seconds",
            "otpost.toml:4: health.receipt_within_s: is 61; must be 1 to 60 seconds",
            "otpost.toml:5: health.silence_sends: is 2; must be 3 to 1000 attempts",
            "otpost.toml:6: health.probe_every_s: is 301; must be 1 to 300 seconds",
        ],
    ),
    (
        "[memory]\nuse = 'yes'\nremember_for_h = 721",
        &["OTPOST_MEMORY__REMEMBER_FOR=24"],
        &[
            r#"otpost.toml:2: memory.use: is "yes"; must be "on" or "off""#,
            "otpost.toml:3: memory.remember_for_h: is 721; must be 1 to 720 hours",
            "OTPOST_MEMORY__REMEMBER_FOR: is not a setting; did you mean OTPOST_MEMORY__REMEMBER_FOR_H?",
        ],
    ),
    // log
    (
        "[log]\nformat = 'xml'\nfilter = 'otpost=loud'",
        &[],
        &[
            r#"otpost.toml:2: log.format: is "xml"; must be "auto" or "text" or "json""#,
            r#"otpost.toml:3: log.filter: is "otpost=loud"; must be a level, or levels of modules, such as info or info,otpost=debug"#,
        ],
    ),
    // Everything at once, in the order of the file, then of the variables.
    (
        "[log]\nformat = 1\n[server]\nworkers = 65",
        &["OTPOST_SENDING__LEASE_MS=1", "OTPOST_CODES__MAX_TRIES=0"],
        &[
            "otpost.toml:2: log.format: is a whole number; must be text in quotes",
            "otpost.toml:4: server.workers: is 65; must be 1 to 64 threads",
            "OTPOST_CODES__MAX_TRIES: codes.max_tries: is 0; must be 1 to 10 tries",
            "OTPOST_SENDING__LEASE_MS: sending.lease_ms: is 1; must be 1000 to 300000 milliseconds",
        ],
    ),
];

fn lines(text: &str, variables: &[&str]) -> Vec<String> {
    let pairs: Vec<_> = variables.iter().map(|v| v.split_once('=').unwrap()).collect();
    let error = Settings::read(Some(("otpost.toml", text)), &env(&pairs)).expect_err(text);
    error.to_string().lines().map(str::to_owned).collect()
}

#[test]
fn every_broken_setting_is_named_with_its_place_and_what_is_allowed() {
    let providers = Vec::from_iter(KINDS.iter().map(|kind| format!("\"{}\"", kind.name))).join(" or ");
    for (text, variables, expected) in ROWS.iter().chain(broken_accounts::ROWS) {
        let text = text.replace("{SMS}", SMS).replace("{META}", META).replace("{HTTP}", HTTP);
        let lines = lines(&text, variables);
        let expected: Vec<_> = expected.iter().map(|line| line.replace("{PROVIDERS}", &providers)).collect();
        assert_eq!(lines, expected, "{text}");
        assert!(!lines.iter().any(|line| line.contains("s3cret")), "{lines:?}");
    }
}

#[test]
fn the_rows_start_from_settings_that_are_right() {
    ok(SMS, &[]);
    ok(META, &[]);
    ok(HTTP, &[]);
}
