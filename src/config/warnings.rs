//! Settings that are allowed but should be checked.

mod neighbours;

use std::collections::BTreeSet;

use crate::config::accounts::AccountSettings;
use crate::config::settings::Settings;
use crate::domain::code::Code;
use crate::domain::route::Platform;
use crate::domain::sms::{self, RETRIEVER_BYTES};
use otpost_settings::address::{is_https, is_loopback};

/// Maximum life of a code, in seconds.
const LONGEST_LIFE_S: i64 = 600;

/// A sentence each.
pub(super) fn of(settings: &Settings) -> Vec<String> {
    let mut warnings = Vec::new();
    public_url(settings, &mut warnings);
    if settings.codes.keys.is_none() {
        warnings.push(format!(
            "codes.keys is not set: the program keeps the only key in {}; without it no live code can be checked, and \
             one key cannot be rotated.",
            settings.data_dir.display()
        ));
    }
    for (name, purpose) in &settings.purposes {
        if purpose.code_length < Code::DEFAULT_LENGTH {
            warnings.push(format!(
                "purposes.{name}.code_length is {}: six digits are the least that is advised.",
                purpose.code_length
            ));
        }
    }
    countries(settings, &mut warnings);
    test_numbers(settings, &mut warnings);
    unused(settings, &mut warnings);
    warnings.extend(neighbours::of(settings));
    costly(settings, &mut warnings);
    texts(settings, &mut warnings);
    for (name, account) in &settings.accounts {
        warnings.extend(account.provider.cautions.iter().map(|caution| format!("accounts.{name}{caution}")));
    }
    warnings
}

/// Whoever adds a country later must know why its people get no SMS.
fn countries(settings: &Settings, warnings: &mut Vec<String>) {
    if let Some(listed) = &settings.pumping.rules.countries {
        warnings.push(format!(
            "pumping.sms_countries has {}: SMS to every other country are refused.",
            listed.iter().cloned().collect::<Vec<_>>().join(", ")
        ));
    }
}

/// Who knows the code of a test number is that number's owner for every app.
fn test_numbers(settings: &Settings, warnings: &mut Vec<String>) {
    if !settings.test_numbers.is_empty() {
        let n = settings.test_numbers.len();
        let latest = settings.test_numbers.values().map(|one| one.until).max().unwrap_or_default();
        warnings.push(format!("test_numbers has {n}: whoever knows their code can log in as them, until {latest}."));
    }
}

fn costly(settings: &Settings, warnings: &mut Vec<String>) {
    let costly: Vec<&str> =
        settings.numbers.kinds.iter().filter(|line| line.is_costly()).map(|line| line.as_str()).collect();
    if !costly.is_empty() {
        warnings.push(format!(
            "numbers.kinds has {}: a message to such a number can cost many times another's, and fraudsters earn from it.",
            costly.join(", ")
        ));
    }
}

fn public_url(settings: &Settings, warnings: &mut Vec<String>) {
    let url = &settings.server.public_url;
    if !is_https(url) && !is_loopback(url) {
        warnings.push(format!(
            "server.public_url is {url}: over http API keys, codes and callbacks can be read on the way."
        ));
    }
    let is_real = |account: &AccountSettings| !is_loopback(&account.provider.base_url);
    if is_loopback(url) && settings.accounts.values().any(is_real) {
        warnings.push(format!("server.public_url is {url}: providers cannot reach it with their callbacks."));
    }
}

fn unused(settings: &Settings, warnings: &mut Vec<String>) {
    if settings.accounts.is_empty() {
        warnings.push("There are no [accounts]: nothing can be sent.".to_owned());
        return;
    }
    let routes = settings.routes.values().map(|route| &route.options).chain([&settings.route.options]);
    let named: BTreeSet<&String> = routes.flat_map(|options| &options.steps).collect();
    let in_pools = settings.pools.iter().filter(|(name, _)| named.contains(name)).flat_map(|(_, pool)| &pool.accounts);
    let used: BTreeSet<&String> = named.iter().copied().chain(in_pools).collect();
    for name in settings.pools.keys().filter(|name| !named.contains(name)) {
        warnings.push(format!("pools.{name} is in no route."));
    }
    for name in settings.accounts.keys().filter(|name| !used.contains(name)) {
        warnings.push(format!("accounts.{name} is in no route: it sends nothing."));
    }
}

/// The longest code that an app may request or provide, in a text with the longest life.
fn texts(settings: &Settings, warnings: &mut Vec<String>) {
    if settings.text.autofill.android_hash.is_none() {
        return;
    }
    let code = Code::made_up(Code::MAX_LENGTH);
    for text in settings.text.iter() {
        let bytes = sms::retriever_bytes(&settings.text.render(text, Some(Platform::Android), &code, LONGEST_LIFE_S));
        if bytes > RETRIEVER_BYTES {
            warnings.push(format!(
                "The SMS text in {} is {bytes} bytes with text.android_hash and a code of {} digits: Android apps are handed \
                 at most {RETRIEVER_BYTES}.",
                text.language,
                Code::MAX_LENGTH
            ));
        }
    }
}
