//! What differs by country for SMS: India's ids and senders by country.

use std::collections::BTreeMap;
use std::time::Duration;

use otpost::config::Settings;
use otpost::domain::language::Language;
use otpost::domain::texts::Autofill;
use otpost::providers::regional::{Dlt, DltSettings, Regional};
use otpost::reload::Changed;
use otpost::simulator::{Dlt as SeenDlt, SeenMessage};
use serde_json::{Value, json};

use crate::helpers::app::{TestApp, with_settings};

const INDIA: &str = "+919876547777";
const BRITAIN: &str = "+447400127777";
const INDONESIA: &str = "+628123457777";

/// SMS accounts whose calls name their sender, with their default sender.
const ACCOUNTS: [(&str, Option<&str>); 6] = [
    ("ycloud-sms", None),
    ("cliqtel-sms", None),
    ("infobip-sms", Some("Example")),
    ("twilio-sms", Some("+12025550199")),
    ("vonage-sms", Some("12025550199")),
    ("http-sms", Some("Example")),
];

/// Those whose calls have a field for India's ids.
const WITH_IDS: [&str; 3] = ["infobip-sms", "vonage-sms", "http-sms"];

fn regional() -> Regional {
    let language = |tag| Language::parse(tag).expect("a language");
    let templates = [(language("en"), "1107000000000000001"), (language("hi"), "1107000000000000002")];
    let dlt = Dlt {
        entity_id: "1101000000000000001".to_owned(),
        templates: templates.into_iter().map(|(language, id)| (language, id.to_owned())).collect(),
    };
    let senders = [("IN", "EXMPLE"), ("GB", "+447400123456")];
    let senders = senders.map(|(country, sender)| (country.to_owned(), sender.to_owned()));
    Regional { senders: BTreeMap::from(senders), dlt: DltSettings::Registered(dlt) }
}

fn through(account: &'static str, regional: Regional) -> impl FnOnce(&mut Settings) {
    move |settings| {
        settings.route.options.steps = vec![account.to_owned()];
        settings.accounts.get_mut(account).expect("it is there").regional = regional;
        settings.text.autofill =
            Autofill { web_host: Some("example.com".to_owned()), android_hash: Some("FA+9qCX9VSu".to_owned()) };
    }
}

async fn sent(app: &TestApp, to: &str, locale: &str) -> (String, SeenMessage) {
    let request = json!({ "to": to, "code": "493817", "locale": locale, "client": { "platform": "android" } });
    let (status, message) = app.post("/v1/messages", request).await;
    assert_eq!(status, 202, "{message}");
    app.run_workers().await;
    let seen = app.sim.messages(Some(to), 100).pop().expect("something was sent");
    (message["id"].as_str().expect("an id").to_owned(), seen)
}

fn ids(template_id: &str) -> Option<SeenDlt> {
    Some(SeenDlt { entity_id: "1101000000000000001".to_owned(), template_id: template_id.to_owned() })
}

#[tokio::test]
async fn each_sms_provider_is_handed_the_sender_of_the_country_and_india_s_ids_for_india_alone() {
    for (account, own) in ACCOUNTS {
        with_settings(through(account, regional()), async |app| {
            let takes_ids = WITH_IDS.contains(&account);
            for (locale, template_id, text) in [
                ("en-IN", "1107000000000000001", "493817 is your Example code. It expires in 5 min."),
                ("hi", "1107000000000000002", "493817 आपका Example कोड है। 5 मिनट तक मान्य।"),
                // German is not registered there.
                ("de", "1107000000000000001", "493817 is your Example code. It expires in 5 min."),
            ] {
                let (_, seen) = sent(app, INDIA, locale).await;
                assert_eq!(seen.sender.as_deref(), Some("EXMPLE"), "{account}");
                assert_eq!(seen.dlt, ids(template_id).filter(|_| takes_ids), "{account} {locale}");
                assert_eq!(seen.text.as_deref(), Some(text), "{account} {locale}");
            }
            // Vonage and Infobip write a number without its `+`.
            let (_, seen) = sent(app, BRITAIN, "de").await;
            let sender = seen.sender.as_deref().map(|sender| sender.trim_start_matches('+'));
            assert_eq!((sender, seen.dlt), (Some("447400123456"), None), "{account}");
            assert!(seen.text.is_some_and(|text| text.ends_with("\nFA+9qCX9VSu")), "{account}");
            let (_, seen) = sent(app, INDONESIA, "id").await;
            assert_eq!((seen.sender.as_deref(), seen.dlt), (own, None), "{account}");
            assert_eq!(app.sim.refusals().len(), 0, "{account}");
        })
        .await;
    }
}

#[tokio::test]
async fn what_lacks_india_s_ids_is_dropped_there_and_reload_takes_them_over() {
    for account in WITH_IDS {
        with_settings(through(account, Regional::default()), async |app| {
            let (id, seen) = sent(app, INDIA, "en").await;
            assert_eq!(seen.dlt, None);
            app.pass(Duration::from_secs(60)).await;
            assert_eq!(state(app, &id).await, "failed", "{account}");

            let mut settings = app.settings.clone();
            settings.accounts.get_mut(account).expect("it is there").regional = regional();
            let changed = app.reload.run(settings).expect("no restart is needed");
            assert_eq!(changed, Changed { accounts_changed: vec![account.to_owned()], ..Changed::default() });

            let (id, seen) = sent(app, INDIA, "en").await;
            assert_eq!(seen.dlt, ids("1107000000000000001"), "{account}");
            app.pass(Duration::from_secs(60)).await;
            assert_eq!(state(app, &id).await, "delivered", "{account}");
        })
        .await;
    }
}

async fn state(app: &TestApp, id: &str) -> Value {
    app.message(id).await["state"].clone()
}
