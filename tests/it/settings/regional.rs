//! `senders` and `dlt`: what is taken, what is refused and what is warned of.

use super::{env, ok};
use otpost::config::Settings;
use otpost::providers::regional::DltSettings;

/// An SMS account; its own lines follow.
fn account(name: &str, provider: &str) -> String {
    let own = match provider {
        "ycloud" => "api_key = 's3cret'\nwebhook_secret = 'whsec_s3cret'",
        "cliqtel" => "api_key = 's3cret'\nfrom = 'Example'\ncallback_secret = '9f86d081884c7d65'",
        "infobip" => {
            "api_key = 's3cret'\nbase_url = 'https://x.api.infobip.com'\nsender = 'Example'\ncallback_token = '9f86d081884c7d65'"
        }
        "twilio" => {
            "account_sid = 'AC00000000000000000000000000000001'\nauth_token = 's3cret-of-theirs'\nfrom = '+12025550100'"
        }
        "vonage" => {
            "api_key = 'abcd0001'\napi_secret = 's3cret'\nfrom = 'Example'\nsignature_secret = 's3cret-of-theirs'"
        }
        "engagelab" => {
            "dev_key = 'dev'\ndev_secret = 'x'\ntemplate = 'login'\ncallback_username = 'o'\ncallback_secret = '9f86d081884c7d65'"
        }
        _ => {
            "url = 'https://a.example/send'\ncontent_type = 'form'\n\
             body = 'to={to}&text={text}&from={sender}&pe={dlt_entity_id}&te={dlt_template_id}'\nsender = 'Example'\n\
             answer.id = '/id'\ncallback = { attempt_id = 'ref', status = 'stat', token = 'a-token-of-16-chars', \
             statuses = { delivered = ['D'] } }"
        }
    };
    format!("[accounts.{name}]\nprovider = '{provider}'\nchannel = 'sms'\nprice = '0.04 USD'\n{own}\n")
}

const SMS: [&str; 7] = ["ycloud", "cliqtel", "infobip", "twilio", "vonage", "engagelab", "http"];

fn settings(before: &str, accounts: &[String]) -> String {
    let server = "[server]\npublic_url = 'https://otp.example.com'\n";
    format!("{before}\n{server}{}", accounts.concat())
}

/// What is said of one account's further lines, without places and the account's path.
fn complaints(provider: &str, more: &str, variables: &[(&str, &str)]) -> Vec<String> {
    let text = settings("[route]\nsteps = ['a']", &[account("a", provider), more.to_owned()]);
    match Settings::read(Some(("otpost.toml", &text)), &env(variables)) {
        Ok(_) => Vec::new(),
        Err(errors) => errors
            .problems()
            .iter()
            .map(|problem| {
                let line = problem.to_string();
                line.split_once("accounts.a.").unwrap_or_else(|| panic!("{line}")).1.to_owned()
            })
            .collect(),
    }
}

const SENDER: &str = "must be a name of at most 11 letters and digits with a letter in it, a number with its +, or a short \
    code of 3 to 8 digits";
const COUNTRY: &str = "must be a country by two capital letters (ISO 3166-1), such as IN";
const ID: &str = "must be the digits that the DLT platform shows, 4 to 32, in quotes";

#[test]
fn a_sender_is_a_name_a_number_or_a_short_code_and_at_twilio_a_messaging_service() {
    let right = [
        "EXMPLE",
        "A",
        "Example Ltd",
        "12345678901A",
        "1Exmple",
        "a-b_c.d&e",
        "+12025550100",
        "+918888888888",
        "60006",
        "123",
        "12345678",
    ];
    for provider in SMS.into_iter().filter(|provider| *provider != "engagelab") {
        for sender in right.into_iter().filter(|sender| sender.len() != 12 || sender.starts_with('+')) {
            let more = format!("senders = {{ IN = '{sender}' }}");
            assert_eq!(complaints(provider, &more, &[]), [""; 0], "{provider} {sender}");
        }
        let more = "senders = { IN = 'MG00000000000000000000000000000002' }";
        assert_eq!(complaints(provider, more, &[]).is_empty(), provider == "twilio", "{provider}");
        for (sender, why) in [
            ("EXAMPLE LTD.", "which is too long"),
            ("12345678901A", "which is too long"),
            ("12025550100", "which is a number without its +"),
            ("123456789", "which is a number without its +"),
            ("+44", "which is no number"),
            ("+0447400123456", "which is no number"),
            ("+1234567890123456", "which is no number"),
            ("12", "which is too short"),
            ("", "which is nothing"),
            (" E", "which no phone can show"),
            ("Éxmple", "which no phone can show"),
            ("Ex\u{200b}mple", "which no phone can show"),
            ("1-2", "which has no letter"),
            ("+1-2", "which no phone can show"),
        ] {
            let more = format!("senders = {{ IN = \"{sender}\" }}");
            let service = if provider == "twilio" { ", or a messaging service: MG and 32 of 0-9 and a-f" } else { "" };
            let wanted = format!("senders.IN: is {sender:?}, {why}; {SENDER}{service}");
            assert_eq!(complaints(provider, &more, &[]), [wanted], "{provider}");
        }
    }
}

#[test]
fn a_country_is_two_capitals_and_who_meant_another_is_told_so() {
    for (country, remedy) in [
        ("UK", "did you mean \"GB\"?"),
        ("uk", "did you mean \"GB\"?"),
        ("in", "did you mean \"IN\"?"),
        ("In", "did you mean \"IN\"?"),
        ("EL", "did you mean \"GR\"?"),
        ("XX", COUNTRY),
        ("India", COUNTRY),
    ] {
        let wanted = format!("senders.{country}: is no country with a calling code; {remedy}");
        assert_eq!(complaints("infobip", &format!("senders = {{ {country} = 'E' }}"), &[]), [wanted]);
    }
    // The names of variables are capitals anyway.
    let variables = [
        ("OTPOST_ACCOUNTS__A__SENDERS__IN", "EXMPLE"),
        ("OTPOST_ACCOUNTS__A__DLT__ENTITY_ID", "1101000000000000001"),
        ("OTPOST_ACCOUNTS__A__DLT__TEMPLATES__EN", "1107000000000000001"),
        ("OTPOST_ACCOUNTS__A__DLT__TEMPLATES__PT_BR", "1107000000000000002"),
    ];
    let settings = ok(&settings("[route]\nsteps = ['a']", &[account("a", "infobip")]), &variables);
    let regional = &settings.accounts["a"].regional;
    assert_eq!(regional.senders.iter().map(|(k, v)| (&**k, &**v)).collect::<Vec<_>>(), [("IN", "EXMPLE")]);
    let DltSettings::Registered(dlt) = &regional.dlt else { panic!("{regional:?}") };
    assert_eq!(dlt.entity_id, "1101000000000000001");
    let templates: Vec<_> = dlt.templates.iter().map(|(language, id)| (language.to_string(), &**id)).collect();
    let wanted = [("en", "1107000000000000001"), ("pt-BR", "1107000000000000002")];
    assert_eq!(templates, wanted.map(|(tag, id)| (tag.to_owned(), id)));
}

#[test]
fn wrong_ids_are_named_and_a_provider_without_a_place_for_them_says_what_to_do() {
    let other_text = "give the text that is registered as text.languages.ta.sms, or take the id out";
    let missing = "must have the id of each registered text by its language, such as { en = \"1107160000000000000\" }";
    let console = |provider: &str| {
        format!(
            "dlt: is given, but {provider} takes no DLT ids with a message; register sender and texts at {provider}, and say \
             `dlt = {{ needed = false }}` instead"
        )
    };
    let rows: [(&str, &str, Vec<String>); 14] = [
        ("infobip", "dlt = { entity_id = '1101', templates = { en = '1107', hi = '1108' } }", vec![]),
        ("vonage", "dlt = { needed = true, entity_id = '1101', templates = { en = '1107' } }", vec![]),
        ("http", "dlt = { entity_id = '1101', templates = { en = '1107' } }", vec![]),
        ("infobip", "dlt = { needed = false }", vec![]),
        (
            "infobip",
            "dlt = { entity_id = '11', templates = { en = 'login', english = '1107' } }",
            vec![
                format!("dlt.entity_id: is \"11\"; {ID}"),
                format!("dlt.templates.en: is \"login\"; {ID}"),
                "dlt.templates.english: is no language; must be a language tag such as en, pt-BR or zh-Hant".to_owned(),
            ],
        ),
        ("infobip", "dlt = { templates = { en = '1107' } }", vec![format!("dlt.entity_id: is missing; {ID}")]),
        ("infobip", "dlt = { entity_id = '1101' }", vec![format!("dlt.templates: is missing; {missing}")]),
        (
            "infobip",
            "dlt = { needed = true }",
            vec![format!("dlt.entity_id: is missing; {ID}"), format!("dlt.templates: is missing; {missing}")],
        ),
        (
            "infobip",
            "dlt = { entity_id = '1101', templates = { ta = '1107' } }",
            vec![format!("dlt.templates: is for ta, in which there is no text; {other_text}")],
        ),
        (
            "infobip",
            "dlt = { entity_id = '1101', templates = { en = '1107' }, needed = false }",
            vec!["dlt: says that no ids are needed, and has some; must be one of the two".to_owned()],
        ),
        ("ycloud", "dlt = { entity_id = '1101', templates = { en = '1107' } }", vec![console("YCloud")]),
        ("twilio", "dlt = { entity_id = '1101', templates = { en = '1107' } }", vec![console("Twilio")]),
        ("cliqtel", "dlt = { entity_id = '1101' }", vec![console("Cliqtel")]),
        (
            "engagelab",
            "senders = { IN = 'EXMPLE' }\ndlt = { templates = { en = '1107' } }",
            vec![
                "senders: is given, but EngageLab takes no sender with a message; must be left out: at EngageLab the sender \
                 belongs to the template"
                    .to_owned(),
                console("EngageLab"),
            ],
        ),
    ];
    for (provider, more, wanted) in rows {
        assert_eq!(complaints(provider, more, &[]), wanted, "{provider} {more}");
    }
}

#[test]
fn a_described_provider_has_senders_and_ids_where_its_request_has_places_for_them() {
    let bare = |more: &str, body: &str| {
        let account = account("a", "http");
        let (start, rest) = account.split_once("body = '").unwrap();
        let (_, rest) = rest.split_once("'\nsender = 'Example'\n").unwrap();
        let text = settings("[route]\nsteps = ['a']", &[format!("{start}body = '{body}'\n{more}\n{rest}")]);
        match Settings::read(Some(("otpost.toml", &text)), &env(&[])) {
            Ok(_) => Vec::new(),
            Err(errors) => errors
                .problems()
                .iter()
                .map(|p| p.to_string().split_once("accounts.a.").unwrap().1.to_owned())
                .collect(),
        }
    };
    let none = Vec::<String>::new();
    assert_eq!(bare("", "to={to}&text={text}"), none);
    assert_eq!(bare("sender = 'Ex'\nsenders.IN = 'E'", "to={to}&text={text}&f={sender}"), none);
    let wanted = "sender: is missing; must be what {sender} stands for, 1 to 20 characters";
    assert_eq!(bare("", "to={to}&text={text}&f={sender}"), [wanted]);
    let wanted = "sender: is given, but the request has no {sender}; put it into `body`, or leave this out";
    assert_eq!(bare("sender = 'Ex'", "to={to}&text={text}"), [wanted]);
    let leave = "put it into `body` or `url`, or leave this out";
    let wanted = format!("senders: is given, but the request has no {{sender}}; {leave}");
    assert_eq!(bare("senders.IN = 'E'", "to={to}&text={text}"), [wanted]);
    let wanted = format!("dlt: is given, but the request has no {{dlt_entity_id}} or {{dlt_template_id}}; {leave}");
    assert_eq!(bare("dlt = { entity_id = '1101', templates = { en = '1107' } }", "to={to}&text={text}"), [wanted]);
}

/// What is said of `dlt`, of every account.
fn of_india(before: &str, accounts: &[String]) -> Vec<String> {
    let said = ok(&settings(before, accounts), &[]).degraded;
    said.into_iter().filter(|sentence| sentence.contains("India")).collect()
}

#[test]
fn who_may_send_sms_to_india_without_ids_is_told_plainly() {
    let out = "if nothing goes to India, leave IN out of the account's `countries`.";
    let ids = "Indian networks drop an SMS without the ids of its sender and its text: set dlt.entity_id and dlt.templates, or \
               dlt.needed = false where the provider adds them";
    let console = "Indian networks drop an SMS whose sender and text are not registered, and with this provider they are \
                   registered in its console: do so and set dlt.needed = false";
    let said = |route: &str, why: &str| {
        vec![format!(
            "accounts.a.dlt is missing, and {route} sends SMS to India (+91) through this account; {why}; {out}"
        )]
    };
    let everybody = "[route]\nsteps = ['a']";
    let named = "[route]\nsteps = ['b']\n[routes.india]\nsteps = ['a']\n";
    let by_country = format!("{named}countries = ['ID', 'IN']");
    let by_prefix = format!("{named}prefixes = ['+9198']");
    for provider in SMS {
        let takes_ids = ["infobip", "vonage", "http"].contains(&provider);
        let why = if takes_ids { ids } else { console };
        let accounts = |more: &str| [account("b", "ycloud"), account("a", provider), more.to_owned()];
        let told = if takes_ids { said("route", why) } else { Vec::new() };
        assert_eq!(of_india(everybody, &accounts("")), told, "{provider}");
        assert_eq!(of_india(&by_country, &accounts("")), said("routes.india", why), "{provider}");
        assert_eq!(of_india(&by_prefix, &accounts("")), said("routes.india", why), "{provider}");
        assert_eq!(of_india(everybody, &accounts("countries = ['ID', 'IN']")), said("route", why), "{provider}");
        if provider != "engagelab" {
            assert_eq!(of_india(everybody, &accounts("senders.IN = 'EXMPLE'")), said("route", why), "{provider}");
        }
        // Nothing is said where nothing goes there, or where all is well.
        let none = Vec::<String>::new();
        for more in ["countries = ['ID', 'BR']", "dlt.needed = false"] {
            for before in [everybody, &by_prefix] {
                if before == everybody || more.starts_with("dlt") {
                    assert_eq!(of_india(before, &accounts(more)), none, "{provider} {more}");
                }
            }
        }
        if takes_ids {
            let more = "dlt = { entity_id = '1101', templates = { en = '1107' } }";
            assert_eq!(of_india(&by_country, &accounts(more)), none, "{provider}");
        }
        for elsewhere in [
            format!("{named}prefixes = ['+62811', '+90']"),
            format!("{named}countries = ['ID']"),
            "[route]\nsteps = ['a']\n[routes.india]\nsteps = ['b']\ncountries = ['IN']".to_owned(),
        ] {
            let of_b = |sentence: &String| !sentence.starts_with("accounts.b.");
            let told: Vec<String> = of_india(&elsewhere, &accounts("")).into_iter().filter(of_b).collect();
            assert_eq!(told, none, "{provider} {elsewhere}");
        }
    }
    // A described one without places for them.
    let bare = account("a", "http").replace("&pe={dlt_entity_id}&te={dlt_template_id}", "");
    assert_eq!(of_india(everybody, std::slice::from_ref(&bare)), [""; 0]);
    let told = of_india(&by_country, &[account("b", "ycloud"), bare]);
    assert!(
        told.len() == 1 && told[0].contains("put {dlt_entity_id} and {dlt_template_id} into the request"),
        "{told:?}"
    );
}

#[test]
fn the_examples_of_the_documentation_load() {
    let documentation = include_str!("../../../docs/providers.md");
    let section = documentation.split("\n## ").find(|text| text.starts_with("Senders by country")).unwrap();
    let blocks: Vec<&str> = section.split("```toml\n").skip(1).map(|text| text.split("```").next().unwrap()).collect();
    let text = settings("[route]\nsteps = ['infobip-sms']", &[account("infobip-sms", "infobip"), blocks.concat()]);
    let regional = &ok(&text, &[]).accounts["infobip-sms"].regional;
    let DltSettings::Registered(dlt) = &regional.dlt else { panic!("{regional:?}") };
    assert_eq!((blocks.len(), regional.senders.len(), dlt.templates.len()), (2, 2, 2));
}
