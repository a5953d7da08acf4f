//! `otpost texts`.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;

use crate::commands::paint::Paint;
use crate::commands::{bootstrap, terminal};
use crate::config::Settings;
use crate::domain::channel::Channel;
use crate::domain::code::Code;
use crate::domain::route::Platform;
use crate::domain::sms::{self, Encoding, RETRIEVER_BYTES, Weight};
use crate::domain::texts::Text;
use crate::providers::Template;
use crate::providers::templates::{AccountTemplate, Templates};

#[derive(clap::Args)]
pub(super) struct Args {
    /// Measures this text instead, unchanged.
    #[arg(long, value_name = "TEXT")]
    lint: Option<String>,
    /// JSON, one line per text and form: language, platforms, encoding, length, parts, text, warnings.
    #[arg(long, conflicts_with = "lint")]
    json: bool,
}

/// If at most this many characters of a text are outside GSM-7, they are listed, because they can probably be replaced.
const FEW: usize = 5;

pub(super) fn run(config: Option<&Path>, args: &Args) -> Result<ExitCode> {
    match &args.lint {
        Some(text) => terminal::print(lint(text).trim_end()),
        None => {
            let settings = bootstrap::settings(config)?;
            terminal::say(&format!("otpost: {}; no database is used", bootstrap::file_place(config)));
            if args.json {
                weighed(&settings).iter().for_each(terminal::print_json);
            } else {
                terminal::print(report(&settings, Paint::of_stdout()).trim_end());
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn lint(text: &str) -> String {
    let Weight { encoding, length, segments } = sms::weigh(text);
    let because: Vec<String> =
        sms::beyond_gsm7(text).iter().map(|c| format!("{c} (U+{:04X})", u32::from(*c))).collect();
    let because = if because.is_empty() { String::new() } else { format!(", because of {}", because.join(", ")) };
    let alone = if encoding == Encoding::Gsm7 { 160 } else { 70 };
    format!(
        "encoding  {encoding}{because}\nlength    {length}; one part holds {alone}\nparts     {segments}\n\
         bytes     {}; the SMS Retriever reads {RETRIEVER_BYTES}\n",
        sms::retriever_bytes(text)
    )
}

/// Each text in each of its forms.
fn weighed(settings: &Settings) -> Vec<serde_json::Value> {
    let (code, valid_for_s) = made_up(settings);
    let one = |text: &Text, platforms: &str, platform| {
        let rendered = settings.text.render(text, platform, &code, valid_for_s.into());
        let Weight { encoding, length, segments } = sms::weigh(&rendered);
        serde_json::json!({
            "language": text.language.to_string(), "platforms": platforms, "encoding": encoding.to_string(),
            "length": length, "parts": segments, "text": *rendered, "warnings": warnings(&rendered, platform),
        })
    };
    let forms = forms(settings);
    settings.text.iter().flat_map(|text| forms.iter().map(move |(name, platform)| one(text, name, *platform))).collect()
}

/// The longest code and life among the purposes.
fn made_up(settings: &Settings) -> (Code, i32) {
    let code_length = settings.purposes.values().map(|p| p.code_length).max().unwrap_or(Code::DEFAULT_LENGTH);
    let valid_for_s = settings.purposes.values().map(|p| p.valid_for_s).max().unwrap_or(600);
    (Code::made_up(code_length), valid_for_s)
}

fn report(settings: &Settings, paint: Paint) -> String {
    let (code, valid_for_s) = made_up(settings);
    let mut report = format!(
        "SMS texts, with a made-up code of {} digits and {} minutes, the most that [purposes] have\n\n\
         language  platform  encoding  length  parts\n",
        code.digits().len(),
        valid_for_s / 60
    );
    for text in settings.text.iter() {
        for (platforms, platform) in forms(settings) {
            let rendered = settings.text.render(text, platform, &code, valid_for_s.into());
            let Weight { encoding, length, segments } = sms::weigh(&rendered);
            let warnings = paint.yellow(&warnings(&rendered, platform).join("; "));
            let row = format!("{:8}  {platforms:8}  {encoding:8}  {length:6}  {segments:5}  {warnings}", text.language);
            report.push_str(&format!("{}\n", row.trim_end()));
            for line in rendered.lines() {
                report.push_str(&format!("          {line}\n"));
            }
        }
    }
    report.push_str(&format!(
        "\n{} is the default: it goes to those who ask for no language that is here, from countries that speak none.\n",
        settings.text.default_language()
    ));
    for (name, account) in settings.accounts.iter().filter(|(_, account)| account.channel == Channel::Whatsapp) {
        report.push_str(&format!("\nWhatsApp templates of {name}\n\n"));
        templates(&mut report, &account.templates, settings.text.iter(), paint);
    }
    report
}

/// The platforms for which texts end differently.
fn forms(settings: &Settings) -> Vec<(&'static str, Option<Platform>)> {
    let autofill = &settings.text.autofill;
    let web = autofill.web_host.is_some().then_some(("web, ios", Some(Platform::Web)));
    let android = autofill.android_hash.is_some().then_some(("android", Some(Platform::Android)));
    let rest = if web.is_some() || android.is_some() { "other" } else { "any" };
    [Some((rest, None)), web, android].into_iter().flatten().collect()
}

fn warnings(text: &str, platform: Option<Platform>) -> Vec<String> {
    let mut warnings = Vec::new();
    let segments = sms::weigh(text).segments;
    if segments > 1 {
        warnings.push(format!("paid as {segments} messages"));
    }
    let beyond = sms::beyond_gsm7(text);
    if (1..=FEW).contains(&beyond.len()) {
        let named = Vec::from_iter(beyond.iter().map(char::to_string)).join(" ");
        warnings.push(format!("{named} makes it UCS-2"));
    }
    let bytes = sms::retriever_bytes(text);
    if platform == Some(Platform::Android) && bytes > RETRIEVER_BYTES {
        warnings.push(format!("{bytes} bytes: the SMS Retriever reads {RETRIEVER_BYTES}"));
    }
    warnings
}

fn templates<'a>(report: &mut String, templates: &Templates, texts: impl Iterator<Item = &'a Text>, paint: Paint) {
    let written = |template: &Template| format!("{}/{}", template.name, template.language);
    report.push_str("language  template                  button     lifetime  for Android apps\n");
    for one in templates.iter() {
        let AccountTemplate { language, template, button, android, lifetime_s } = one;
        let lifetime = lifetime_s.map_or("not told".to_owned(), |seconds| format!("{seconds} s"));
        let android = android.as_ref().map_or("the same".to_owned(), written);
        report.push_str(&format!("{language:8}  {:24}  {button:9}  {lifetime:8}  {android}\n", written(template)));
    }
    let is_missing = |text: &&Text| !templates.iter().any(|one| text.language.distance(&one.language).is_some());
    let missing: Vec<String> = texts.filter(is_missing).map(|text| text.language.to_string()).collect();
    if let Some(default) = templates.iter().next().filter(|_| !missing.is_empty()) {
        let instead = written(&default.template);
        let missing =
            format!("missing in {}: one in the country's language goes out, else {instead}", missing.join(", "));
        report.push_str(&format!("{}\n", paint.yellow(&missing)));
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::domain::texts::Autofill;
    use crate::simulated;

    fn settings() -> Settings {
        simulated::settings(Path::new("/nowhere"), ([127, 0, 0, 1], 1).into(), "http://127.0.0.1:2", 15)
    }

    #[test]
    fn a_text_is_weighed_with_what_makes_it_dear() {
        assert_eq!(
            lint("It’s 493817"),
            "encoding  UCS-2, because of ’ (U+2019)\nlength    11; one part holds 70\nparts     1\n\
             bytes     22; the SMS Retriever reads 140\n"
        );
        assert!(lint(&"x".repeat(161)).contains("GSM-7\nlength    161; one part holds 160\nparts     2\n"));
    }

    #[test]
    fn every_language_and_platform_is_shown_with_what_is_dear_or_missing() {
        let mut settings = settings();
        settings.text.autofill =
            Autofill { web_host: Some("example.com".to_owned()), android_hash: Some("FA+9qCX9VSu".to_owned()) };
        let [whatsapp, _] = simulated::steps();
        settings.accounts.get_mut(&whatsapp).unwrap().templates =
            simulated::templates(&[("login_code", "en_US"), ("kode", "id"), ("codigo", "pt_BR"), ("codigo", "es_MX")]);
        let report = report(&settings, Paint(false));
        for expected in [
            "en        other     GSM-7         52      1\n          49381706 is your Example code. It expires in 10 min.\n",
            "en        web, ios  GSM-7         75      1\n",
            "          @example.com #49381706\n",
            "es        web, ios  UCS-2         70      1  ó makes it UCS-2\n",
            "ar        web, ios  UCS-2         72      2  paid as 2 messages\n",
            "id        android   GSM-7         64      1\n",
            "          FA+9qCX9VSu\n",
            "missing in hi, ar, zh, fr, de, nl: one in the country's language goes out, else login_code/en_US\n",
            "pt-BR     codigo/pt_BR              copy_code  not told  the same\n",
        ] {
            assert!(report.contains(expected), "{expected}\n{report}");
        }
    }

    #[test]
    fn the_page_on_texts_shows_what_is_printed() {
        const PAGE: &str = include_str!("../../docs/texts.md");
        let block = |from: &str, to: &str| {
            let lines = PAGE.split_once(from).unwrap().1.split_once(to).unwrap().0.trim_matches('\n').lines();
            Vec::from_iter(lines.map(|line| line.trim_start_matches("    ").trim_end())).join("\n")
        };
        let path = std::env::temp_dir().join(format!("otpost-texts-{}.toml", std::process::id()));
        std::fs::write(&path, block("With the settings\n", "`otpost texts` prints:\n")).unwrap();
        let env = [("HOME".to_owned(), "/home/ann".to_owned())].into();
        let settings = Settings::load(Some(&path), &env);
        std::fs::remove_file(&path).unwrap();
        let printed = report(&settings.unwrap(), Paint(false));
        let printed = Vec::from_iter(printed.lines().map(|line| line.trim_start_matches("    "))).join("\n");
        assert_eq!(block("`otpost texts` prints:\n", "With the eight digits"), printed);
    }

    #[test]
    fn a_text_that_android_cannot_take_is_told() {
        let long = "x".repeat(141);
        assert_eq!(warnings(&long, Some(Platform::Android)), ["141 bytes: the SMS Retriever reads 140"]);
        assert!(warnings(&long, Some(Platform::Web)).is_empty());
    }
}
