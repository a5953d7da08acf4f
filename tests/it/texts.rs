//! What a person is sent, by language and platform: read from the simulator's phones.

use std::time::Duration;

use otpost::config::Settings;
use otpost::domain::texts::Autofill;
use otpost::providers::Template;
use otpost::providers::templates::Templates;
use otpost::simulated;
use otpost::simulator::SeenMessage;
use serde_json::{Value, json};

use crate::helpers::app::{TestApp, with_settings};

const ID: &str = "+628123450001";
const SAUDI: &str = "+966501230001";

fn by_sms(settings: &mut Settings) {
    settings.route.options.steps = vec!["ycloud-sms".to_owned()];
    settings.text.autofill =
        Autofill { web_host: Some("example.com".to_owned()), android_hash: Some("FA+9qCX9VSu".to_owned()) };
}

/// Sends the code 493817, unless the request says otherwise; returns the message, and the last one received for its
/// number.
async fn sent(app: &TestApp, request: Value) -> (Value, SeenMessage) {
    let mut whole = json!({ "code": "493817" });
    request.as_object().expect("fields").iter().for_each(|(field, value)| whole[field] = value.clone());
    let (status, message) = app.post("/v1/messages", whole).await;
    assert_eq!(status, 202, "{message}");
    app.run_workers().await;
    let to = request["to"].as_str().expect("a number");
    let seen = app.sim.messages(Some(to), 100).pop().expect("something was sent");
    (message, seen)
}

#[tokio::test]
async fn an_sms_is_in_the_language_of_the_locale_else_of_the_country_else_the_default() {
    with_settings(by_sms, async |app| {
        for (to, locale, language, text) in [
            (ID, None, "id", "493817 adalah kode Example Anda. Berlaku 5 menit."),
            (ID, Some("in-ID"), "id", "493817 adalah kode Example Anda. Berlaku 5 menit."),
            (ID, Some("en_AU"), "en", "493817 is your Example code. It expires in 5 min."),
            (ID, Some("ar-EG"), "ar", "493817 هو رمز Example الخاص بك. صالح لمدة 5 د."),
            (SAUDI, None, "ar", "493817 هو رمز Example الخاص بك. صالح لمدة 5 د."),
            (ID, Some("hi"), "hi", "493817 आपका Example कोड है। 5 मिनट तक मान्य।"),
            ("+919876540001", None, "en", "493817 is your Example code. It expires in 5 min."),
            ("+5511961230001", Some("pt-PT"), "pt-BR", "493817 é seu código Example. Vale por 5 min."),
            (ID, Some("zh-TW"), "zh", "493817 是您的Example验证码，5 分钟内有效。"),
            // Well-formed, but not available.
            (ID, Some("ja-JP"), "id", "493817 adalah kode Example Anda. Berlaku 5 menit."),
            (ID, Some("x-klingon-1"), "id", "493817 adalah kode Example Anda. Berlaku 5 menit."),
            ("+818012340001", Some("ja"), "en", "493817 is your Example code. It expires in 5 min."),
        ] {
            let (message, seen) = sent(app, json!({ "to": to, "locale": locale })).await;
            let what = format!("{to} {locale:?}");
            assert_eq!(seen.text.as_deref(), Some(text), "{what}");
            let id = message["id"].as_str().expect("an id");
            assert_eq!(
                (&message["language"], &app.message(id).await["language"]),
                (&json!(language), &json!(language))
            );
        }
    })
    .await;
}

#[tokio::test]
async fn an_sms_ends_with_what_autofill_looks_for_on_its_platform() {
    const WEB: &str = "\n@example.com #493817";
    const ANDROID: &str = "\nFA+9qCX9VSu";
    with_settings(by_sms, async |app| {
        for (to, text) in [
            (ID, "493817 adalah kode Example Anda. Berlaku 5 menit."),
            (SAUDI, "493817 هو رمز Example الخاص بك. صالح لمدة 5 د."),
        ] {
            for (client, end) in [
                (json!(null), ""),
                (json!({ "device": "d-1" }), ""),
                (json!({ "platform": "smart fridge" }), ""),
                (json!({ "platform": "web" }), WEB),
                (json!({ "platform": "iOS" }), WEB),
                (json!({ "platform": "Android" }), ANDROID),
            ] {
                let (_, seen) = sent(app, json!({ "to": to, "client": client })).await;
                assert_eq!(seen.text, Some(format!("{text}{end}")), "{client}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn an_sms_tells_the_minutes_that_are_left() {
    with_settings(by_sms, async |app| {
        let (message, seen) = sent(app, json!({ "to": ID, "purpose": "payment", "code": null })).await;
        assert_eq!(message["code_length"], 8);
        let text = seen.text.expect("a text");
        assert_eq!(
            text.split_once(' ').map(|(code, rest)| (code.len(), rest)),
            Some((8, "adalah kode Example Anda. Berlaku 10 menit."))
        );
        let (_, seen) = sent(app, json!({ "to": ID, "valid_for_s": 130 })).await;
        assert_eq!(seen.text.as_deref(), Some("493817 adalah kode Example Anda. Berlaku 2 menit."));
    })
    .await;
}

#[tokio::test]
async fn a_replacement_keeps_language_and_platform_and_tells_what_is_left_by_then() {
    const SILENT: &str = "+966501230003";
    let both = |settings: &mut Settings| {
        by_sms(settings);
        settings.route.options.steps = simulated::steps().to_vec();
    };
    with_settings(both, async |app| {
        let request = json!({ "to": SILENT, "client": { "platform": "web" }, "replace_after_s": 60 });
        let (_, seen) = sent(app, request).await;
        assert_eq!((seen.template.as_deref(), seen.text), (Some("login_code/en_US"), None));
        app.pass(Duration::from_secs(61)).await;
        let seen = app.sim.messages(Some(SILENT), 100).pop().expect("the SMS");
        let text = "493817 هو رمز Example الخاص بك. صالح لمدة 4 د.\n@example.com #493817";
        assert_eq!(seen.text.as_deref(), Some(text));
    })
    .await;
}

/// English, which is the default, Indonesian with another template for Android, and Chinese in two scripts.
fn translated() -> Templates {
    let templates = simulated::templates(&[
        ("login_code", "en_US"),
        ("kode_login", "id"),
        ("login_code", "zh_CN"),
        ("dl", "zh_TW"),
    ]);
    let android = Template { name: "kode_otomatis".to_owned(), language: "id".to_owned() };
    let with_android = templates.iter().cloned().map(|mut one| {
        if one.template.language == "id" {
            one.android = Some(android.clone());
        }
        one
    });
    Templates::new(with_android.collect())
}

async fn templates_are_chosen_through(account: &'static str) {
    let change = move |settings: &mut Settings| {
        settings.route.options.steps = vec![account.to_owned()];
        settings.accounts.get_mut(account).expect("a rehearsed account").templates = translated();
    };
    with_settings(change, async |app| {
        for (to, locale, platform, language, template) in [
            (ID, None, "web", "id", "kode_login/id"),
            (ID, None, "android", "id", "kode_otomatis/id"),
            (ID, Some("en-GB"), "android", "en", "login_code/en_US"),
            (ID, Some("zh-CN"), "ios", "zh-CN", "login_code/zh_CN"),
            // There is no SMS text in it, but a template.
            (ID, Some("zh-HK"), "ios", "zh-TW", "dl/zh_TW"),
            // The other way round: the country's template, else the default.
            (ID, Some("de"), "web", "de", "kode_login/id"),
            ("+4915123450001", None, "web", "de", "login_code/en_US"),
        ] {
            let request = json!({ "to": to, "locale": locale, "client": { "platform": platform } });
            let (message, seen) = sent(app, request).await;
            let what = format!("{account} {to} {locale:?} {platform}");
            assert_eq!((seen.template.as_deref(), &message["language"]), (Some(template), &json!(language)), "{what}");
            assert_eq!(seen.code.as_deref(), Some("493817"), "{what}");
        }
        assert!(app.sim.refusals().is_empty(), "{:?}", app.sim.refusals());
    })
    .await;
}

#[tokio::test]
async fn meta_is_asked_for_the_template_of_the_language() {
    templates_are_chosen_through("meta-main").await;
}

#[tokio::test]
async fn ycloud_is_asked_for_the_template_of_the_language() {
    templates_are_chosen_through("ycloud-wa").await;
}

#[tokio::test]
async fn cliqtel_is_asked_for_the_template_of_the_language() {
    templates_are_chosen_through("cliqtel-wa").await;
}
