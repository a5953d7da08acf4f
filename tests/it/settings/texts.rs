//! Texts and templates by language.

use super::ok;
use otpost::domain::code::Code;
use otpost::domain::route::Platform;
use otpost::providers::Template;
use otpost::providers::templates::Button;

#[test]
fn texts_are_overridden_and_added_by_language() {
    let settings = ok(
        r##"
        [text]
        brand = "Kopi"
        default_language = "id"
        sms = "{code}: kode {brand}"
        web_host = "Kopi.Example.com"
        android_hash = "FA+9qCX9VSu"
        [text.languages.zh_Hant]
        sms = "{code} 是您的{brand}驗證碼。"
        [text.languages.en]
        sms = "{brand} code {code}"
        "##,
        &[("OTPOST_TEXT__LANGUAGES__PT_BR__SMS", "{code} é o código. {minutes} min.")],
    );
    let code = Code::made_up(6);
    let sms = |language: &str, country: &str, platform| {
        settings.text.render(settings.text.choose(language, country), platform, &code, 300).to_string()
    };
    assert_eq!(sms("", "JP", None), "493817: kode Kopi");
    assert_eq!(sms("zh-TW", "US", None), "493817 是您的Kopi驗證碼。");
    assert_eq!(sms("", "HK", None), "493817 是您的Kopi驗證碼。");
    assert_eq!(sms("", "CN", None), "493817 是您的Kopi验证码，5 分钟内有效。");
    assert_eq!(sms("en", "ID", Some(Platform::Ios)), "Kopi code 493817\n@kopi.example.com #493817");
    assert_eq!(sms("en", "ID", Some(Platform::Android)), "Kopi code 493817\nFA+9qCX9VSu");
    assert_eq!(sms("pt", "ID", None), "493817 é o código. 5 min.");
    assert_eq!(settings.text.default_language().to_string(), "id");
}

const ACCOUNT: &str = r#"
    [route]
    steps = ["wa"]
    [accounts.wa]
    provider = "cliqtel"
    channel = "whatsapp"
    api_key = "k"
    account_id = 1
    callback_token = "cliqtel-callback-token"
    "#;

#[test]
fn templates_by_language_stand_beside_the_short_form() {
    let tables = r#"
    template = "login_code"
    language = "en_US"
    [accounts.wa.templates.id]
    name = "kode_login"
    android = "kode_otomatis"
    lifetime_s = 60
    [accounts.wa.templates.zh-Hant]
    name = "login_code"
    language = "zh_TW"
    button = "one_tap"
    "#;
    let settings = ok(&format!("{ACCOUNT}{tables}"), &[("OTPOST_ACCOUNTS__WA__TEMPLATES__PT_BR__NAME", "codigo")]);
    let found = &settings.accounts["wa"].templates;
    let shown: Vec<_> = found
        .iter()
        .map(|one| {
            let android = one.android.as_ref().map(|t| (t.name.as_str(), t.language.as_str()));
            let Template { name, language } = &one.template;
            (one.language.to_string(), name.as_str(), language.as_str(), android, one.button, one.lifetime_s)
        })
        .collect();
    let copy = Button::CopyCode;
    let expected = [
        ("en-US".to_owned(), "login_code", "en_US", None, copy, None),
        ("id".to_owned(), "kode_login", "id", Some(("kode_otomatis", "id")), copy, Some(60)),
        ("pt-BR".to_owned(), "codigo", "pt_BR", None, copy, None),
        ("zh-Hant".to_owned(), "login_code", "zh_TW", None, Button::OneTap, None),
    ];
    assert_eq!(shown, expected);
}

#[test]
fn without_the_short_form_the_texts_default_language_comes_first() {
    let tables = "[accounts.wa.templates.ar]\nname = 'a'\n[accounts.wa.templates.en-US]\nname = 'e'\n\
                  [accounts.wa.templates.id]\nname = 'i'\n[text]\n";
    for (default, first) in [("en", "e"), ("id", "i"), ("hi", "a")] {
        let settings = ok(&format!("{ACCOUNT}{tables}default_language = '{default}'"), &[]);
        assert_eq!(settings.accounts["wa"].templates.choose("ja", "JP", None).name, first);
    }
}

#[test]
fn a_text_too_long_for_the_sms_retriever_is_told() {
    let sms = "{code} is your {brand} code. It expires in {minutes} min. ".to_owned() + &"Never share it. ".repeat(5);
    let text = format!("[text]\nandroid_hash = 'FA+9qCX9VSu'\nsms = '{sms}'");
    let warnings = ok(&text, &[]).warnings;
    let told = "The SMS text in en is 152 bytes with text.android_hash and a code of 10 digits: Android apps are handed at \
                most 140.";
    assert!(warnings.iter().any(|warning| warning == told), "{warnings:#?}");
    let short = ok("[text]\nandroid_hash = 'FA+9qCX9VSu'", &[]).warnings;
    assert!(!short.iter().any(|warning| warning.contains("android_hash")), "{short:#?}");
}
