//! Settings that are right one by one and wrong together, and what is said of them.

use super::{env, ok};
use otpost::config::Settings;

/// Two WhatsApp accounts and two SMS accounts, with prices; the route is on lines 1 and 2.
const ACCOUNTS: &str = r#"
[codes]
keys = ["1:qT5xW0vYk2mJ8rB3nC7dF1gH6sL9pZ4a-key"]
[server]
public_url = "https://otp.example.com"
[accounts.wa]
provider = "ycloud"
channel = "whatsapp"
api_key = "s3cret"
from = "+12025550143"
webhook_secret = "whsec_s3cret"
price = "0.02 USD"
{TEMPLATES}[accounts.sms]
provider = "ycloud"
channel = "sms"
api_key = "s3cret"
webhook_secret = "whsec_s3cret"
price = "0.04 USD"
[accounts.asia]
provider = "ycloud"
channel = "sms"
api_key = "s3cret"
webhook_secret = "whsec_s3cret"
countries = ["ID", "SG"]
"#;

/// One in each language of the texts, none of which outlives the wait.
fn all_templates() -> String {
    let languages = ["en", "id", "pt-BR", "es", "hi", "ar", "zh", "fr", "de", "nl"];
    languages.map(|tag| format!("[accounts.wa.templates.{tag}]\nname = 'login_code'\nlifetime_s = 30\n")).concat()
}

fn with_accounts(text: &str) -> String {
    format!("{text}{}", ACCOUNTS.replace("{TEMPLATES}", &all_templates()))
}

/// What stands before the accounts, and the lines that refuse it.
const REFUSED: &[(&str, &[&str])] = &[
    (
        "[route]\nsteps = ['wa', 'sms']\n[routes.a]\ncountries = ['ID', 'BR']\n[routes.b]\ncountries = ['BR']",
        &[
            "otpost.toml:5: routes.b: is for some of the same messages as routes.a; one of the two must ask for more, or for others",
        ],
    ),
    (
        "[route]\nsteps = ['wa', 'sms']\n[routes.a]\ncountries = ['BR', 'US', 'ID']\nsteps = ['asia']",
        &[
            "otpost.toml:5: routes.a.steps: reaches nobody in BR, US; add an account that sends there, or take the country \
             out of its account's `countries` limit",
        ],
    ),
    (
        "[route]\nsteps = ['wa', 'sms', 'asia']\norder = 'cheapest'",
        &[
            "otpost.toml:3: route.order: is \"cheapest\", but asia has no price for ID, SG; set accounts.asia.price, or \
             `other` in a list of [prices]",
        ],
    ),
    (
        "[route]\nsteps = ['wa', 'cheap']\n[pools.cheap]\naccounts = ['sms', 'asia']\nchoose = 'cheapest'\n\
         [prices.a]\naccount = 'asia'\nfrom = '2020-01-01'\n[prices.a.countries]\nID = '4000 IDR'",
        &[
            "otpost.toml:5: pools.cheap.choose: is \"cheapest\", but asia has no price for SG; set accounts.asia.price, or \
             `other` in a list of [prices]",
            "otpost.toml:5: pools.cheap.choose: is \"cheapest\", but prices are in IDR and USD; must all be in one \
             currency, to be compared",
        ],
    ),
    (
        "[route]\nsteps = ['wa', 'sms']\n[purposes.quick]\nvalid_for_s = 120\n[routes.a]\npurposes = ['quick', 'slow']\n\
         replace_after_s = 45",
        &[
            "otpost.toml:6: routes.a.purposes: names slow, which is no purpose; there are: login, other, payment, quick, \
             reset, signup",
            "otpost.toml:7: routes.a.replace_after_s: is 45, too long for quick, whose codes live 120 s; must be at most 30",
        ],
    ),
    (
        "[route]\nsteps = ['sms', 'mix']\n[pools.mix]\naccounts = ['wa', 'sms', 'wa', 'no']\nweights = [1, 2]",
        &[
            "otpost.toml:4: pools.mix.accounts: mixes channels: sms sends sms; must be a list of 1 to 8 names of accounts of \
             one channel, each at most once",
            "otpost.toml:4: pools.mix.accounts: names \"wa\" twice; must be a list of 1 to 8 names of accounts of one \
             channel, each at most once",
            "otpost.toml:4: pools.mix.accounts: names \"no\", which is no account; there are: asia, sms, wa",
            "otpost.toml:5: pools.mix.weights: has 2 numbers; must have one for each of the 4 accounts",
        ],
    ),
    (
        "[route]\nsteps = ['sms']\n[pools.wa]\naccounts = ['sms']\nweights = [0]",
        &[
            "otpost.toml:3: pools.wa: has the name of an account; must have a name of its own, since routes name both",
            "otpost.toml:5: pools.wa.weights: has an entry that does not fit; must be a list of numbers from 0.01 to 1000",
        ],
    ),
    (
        "[route]\nsteps = ['sms']\n[routes.a]\nsteps = ['sms']\n[routes.b]\ncountries = ['XX', 'id']\nprefixes = ['62', '+0']\n\
         apps = ['A']\ngood_share = 2",
        &[
            "otpost.toml:3: routes.a: does not say for whom it is; must have at least one of countries, prefixes, purposes, \
             apps; [route] is for everybody else",
            "otpost.toml:6: routes.b.countries: has \"XX\", which is no country with a calling code; must be a list of \
             countries by two capital letters (ISO 3166-1), such as [\"ID\", \"BR\"]",
            "otpost.toml:6: routes.b.countries: has \"id\", which is no country with a calling code; did you mean \
             \"ID\"?",
            "otpost.toml:7: routes.b.prefixes: has \"62\"; must be a list of beginnings of numbers, such as \"+62811\"",
            "otpost.toml:7: routes.b.prefixes: has \"+0\"; must be a list of beginnings of numbers, such as \"+62811\"",
            "otpost.toml:8: routes.b.apps: has \"A\"; must be a list of names of a-z, 0-9 and -",
            "otpost.toml:9: routes.b.good_share: is 2; must be 0 to 1 as a share of all",
        ],
    ),
    (
        "[route]\nsteps = ['sms']\n[prices.a]\naccount = 'sm'\nfrom = '2026-13-01'\n[prices.b]\naccount = 'sms'\n\
         from = '2026-02-01'\nuntil = '2026-02-01'\nother = '4'\n[prices.b.countries]\nXX = '1 USD'\nID = 'free'",
        &[
            "otpost.toml:3: prices.a: has no price; must have `other` or a table `countries`",
            "otpost.toml:4: prices.a.account: names \"sm\", which is no account; did you mean \"sms\"?",
            "otpost.toml:5: prices.a.from: is \"2026-13-01\"; must be a day, such as \"2026-12-31\"",
            "otpost.toml:9: prices.b.until: is 2026-02-01, not after 2026-02-01; must be the first day on which it is over",
            "otpost.toml:10: prices.b.other: is \"4\"; must be an amount with at most 6 decimals and a currency, such as \
             \"0.04 USD\"",
            "otpost.toml:12: prices.b.countries.XX: is no country with a calling code; must be two capital letters (ISO \
             3166-1), such as ID",
            "otpost.toml:13: prices.b.countries.ID: is \"free\"; must be an amount with at most 6 decimals and a currency, \
             such as \"0.04 USD\"",
        ],
    ),
];

/// What stands before the accounts, and the sentences that mark it degraded.
const DEGRADED: &[(&str, &[&str])] = &[
    (
        "[route]\nsteps = ['wa', 'both']\n[pools.both]\naccounts = ['sms', 'asia']\n[prices.a]\naccount = 'asia'\n\
      from = '2020-01-01'\nother = '0.3 USD'",
        &[],
    ),
    (
        "[route]\nsteps = ['asia']",
        &[
            "route.steps reaches nobody in AC, AD, AE, AF and 239 more; messages to them are refused.",
            "accounts.asia has no price; what its messages cost is not known.",
            "accounts.sms is in no route: it sends nothing.",
            "accounts.wa is in no route: it sends nothing.",
        ],
    ),
    (
        "[route]\nsteps = ['wa', 'asia']\n[routes.a]\ncountries = ['ID']\nsteps = ['wa']\n[routes.b]\ncountries = ['US']\n\
         steps = ['sms', 'wa']\n[pools.spare]\n\
         accounts = ['sms']",
        &[
            "routes.a.steps has no SMS step behind its WhatsApp step; what WhatsApp fails to deliver stays undelivered.",
            "route.steps has no SMS step behind its WhatsApp step in AC, AD, AE, AF and 238 more; what WhatsApp fails to \
             deliver stays undelivered.",
            "accounts.asia has no price; what its messages cost is not known.",
            "pools.spare is in no route.",
            "routes.b.countries leaves out CA, DO, JM and 21 others (+1 as US); they go by [route].",
        ],
    ),
    (
        "[route]\nsteps = ['wa', 'sms']\n[routes.a]\ncountries = ['ID']\nsteps = ['wa', 'asia']\n[prices.a]\n\
         account = 'asia'\nfrom = '2020-01-01'\nuntil = '2021-01-01'\nother = '0.3 USD'",
        &["accounts.asia has price lists, but none that is valid today; what its messages cost is not known."],
    ),
];

#[test]
fn what_would_lose_codes_or_be_left_to_chance_is_refused() {
    for (text, expected) in REFUSED {
        let text = with_accounts(text);
        let error = Settings::read(Some(("otpost.toml", &text)), &env(&[])).expect_err(&text);
        assert_eq!(error.to_string().lines().collect::<Vec<_>>(), *expected, "{text}");
    }
}

#[test]
fn what_works_less_well_than_it_should_is_said() {
    for (text, expected) in DEGRADED {
        let settings = ok(&with_accounts(text), &[]);
        let said: Vec<String> = settings.degraded.into_iter().chain(settings.warnings).collect();
        assert_eq!(said, *expected, "{text}");
    }
}

#[test]
fn routes_pools_and_prices_can_come_from_variables() {
    let variables = [
        ("OTPOST_ROUTE__STEPS", "wa,both"),
        ("OTPOST_POOLS__BOTH__ACCOUNTS", "sms, asia"),
        ("OTPOST_POOLS__BOTH__WEIGHTS", "3, 1.5"),
        ("OTPOST_ROUTES__NORTH__COUNTRIES", "US, CA"),
        ("OTPOST_ROUTES__NORTH__STEPS", "sms"),
        ("OTPOST_PRICES__ASIA__ACCOUNT", "asia"),
        ("OTPOST_PRICES__ASIA__FROM", "2020-01-01"),
        ("OTPOST_PRICES__ASIA__COUNTRIES__ID", "0.3 USD"),
    ];
    let settings = ok(&with_accounts(""), &variables);
    assert_eq!(settings.pools["both"].weights, [3.0, 1.5]);
    assert_eq!(settings.routes["north"].options.steps, ["sms"]);
    let on = "2026-01-01".parse().unwrap();
    assert_eq!(settings.routing().prices.of("asia", "ID", on).unwrap().to_string(), "0.30 USD");
}

#[test]
fn templates_that_are_missing_or_outlive_the_wait_are_told_with_the_overlap() {
    let said = |route: &str, templates: &str| {
        let text = format!("{route}{}", ACCOUNTS.replace("{TEMPLATES}", templates));
        let mut said = ok(&text, &[]).degraded;
        said.retain(|sentence| sentence.contains("template"));
        said
    };
    let route = "[route]\nsteps = ['wa', 'sms', 'asia']";
    let plain = "template = 'login_code'\nlanguage = 'en_US'\n";
    let expected = [
        "accounts.wa.templates has no template in ar, de, es, fr and 4 more; people there get WhatsApp in en-US, and SMS in \
         their language.",
        "accounts.wa.templates has a template without a lifetime_s; where 600 s count, which is the platform's \
         default, WhatsApp may come up to 570 s after the SMS.",
    ];
    assert_eq!(said(route, plain), expected);

    let one_country = "[route]\nsteps = ['sms', 'asia']\nreplace_after_s = 20\n[routes.id]\ncountries = ['ID']\n\
                       steps = ['wa', 'sms']\nreplace_after_s = 25";
    let of = |lifetime_s: u16| format!("template = 'kode'\nlanguage = 'id'\nlifetime_s = {lifetime_s}\n");
    let floor = "accounts.wa.templates has a lifetime_s of 30, longer than the wait of 25 s; WhatsApp may come up to 5 s after \
                 the SMS (30 s is the platform's least).";
    assert_eq!(said(one_country, &of(30)), [floor], "Indonesians are asked for nothing but Indonesian");
    let longer = "accounts.wa.templates has a lifetime_s of 90, longer than the wait of 25 s; WhatsApp may come up to 65 s \
                  after the SMS.";
    assert_eq!(said(one_country, &of(90)), [longer]);
    assert_eq!(
        said(&one_country.replace("replace_after_s = 25", "replace_after_s = 30"), &of(30)),
        Vec::<String>::new()
    );
}

/// Warnings about countries that share a calling code, of settings with these lists.
fn left_out(lists: &[(&str, &str)], routes: &str) -> Vec<String> {
    let account = |(channel, countries): &(&str, &str)| {
        let name = format!("{channel}-{}", countries.len());
        let countries = if countries.is_empty() { String::new() } else { format!("countries = [{countries}]\n") };
        let more = if *channel == "sms" { "" } else { "from = '+12025550143'\ntemplate = 'x'\nlanguage = 'en'\n" };
        let table = format!(
            "[accounts.{name}]\nprovider = 'ycloud'\nchannel = '{channel}'\napi_key = 's3cret'\n\
             webhook_secret = 'whsec_s3cret'\n{countries}{more}"
        );
        (name, table)
    };
    let (names, tables): (Vec<String>, Vec<String>) = lists.iter().map(account).unzip();
    let text = format!("[route]\nsteps = {names:?}\n{routes}{}", tables.concat());
    let settings = Settings::read(Some(("otpost.toml", &text)), &env(&[])).unwrap_or_else(|e| panic!("{e}\n{text}"));
    settings.warnings.into_iter().filter(|warning| warning.contains("leaves out")).collect()
}

#[test]
fn a_list_of_countries_that_leaves_out_others_of_a_calling_code_says_so() {
    for (list, missed) in [
        ("'GB'", "GG, IM and JE (+44 as GB)"),
        ("'GB', 'JE'", "GG and IM (+44 as GB, JE)"),
        ("'RU'", "KZ (+7 as RU)"),
        ("'IT'", "VA (+39 as IT)"),
        ("'NO'", "SJ (+47 as NO)"),
        ("'FI'", "AX (+358 as FI)"),
        ("'AU'", "CC and CX (+61 as AU)"),
        ("'MA'", "EH (+212 as MA)"),
        ("'RE'", "YT (+262 as RE)"),
        ("'GP'", "BL and MF (+590 as GP)"),
        ("'CW'", "BQ (+599 as CW)"),
        ("'GB', 'IT'", "VA (+39 as IT), GG, IM and JE (+44 as GB)"),
    ] {
        let expected = format!("accounts.sms-{}.countries leaves out {missed}; no account sends them SMS.", list.len());
        assert_eq!(left_out(&[("sms", list)], ""), [expected], "{list}");
    }
    // Of +1 the largest are named, and the others counted.
    let us = left_out(&[("sms", "'US'")], "");
    assert!(us[0].contains("leaves out CA, ") && us[0].contains(" and 21 others (+1 as US)"), "{us:?}");
    assert!(us[0].len() < 120, "{us:?}");
}

#[test]
fn nothing_is_said_where_everybody_is_reached() {
    for lists in [
        &[("sms", "'GB', 'GG', 'IM', 'JE'")][..],
        &[("sms", "'ID', 'BR', 'IN'")],
        &[("sms", "")],
        &[("sms", "'GB'"), ("sms", "")],
        &[("sms", "'GB'"), ("sms", "'GG', 'IM', 'JE'")],
    ] {
        assert_eq!(left_out(lists, ""), [] as [&str; 0], "{lists:?}");
    }
    // WhatsApp for all is no SMS for them.
    let gb = left_out(&[("whatsapp", ""), ("sms", "'GB'")], "");
    assert_eq!(gb, ["accounts.sms-4.countries leaves out GG, IM and JE (+44 as GB); no account sends them SMS."]);
    let route = left_out(&[("sms", "")], "[routes.uk]\ncountries = ['GB']\nsteps = ['sms-0']\n");
    assert_eq!(route, ["routes.uk.countries leaves out GG, IM and JE (+44 as GB); they go by [route]."]);
}
