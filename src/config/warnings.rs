//! What is allowed but worth a second look.

use crate::config::address::{is_https, is_loopback};
use crate::config::{AccountSettings, Settings};
use crate::domain::channel::Channel;
use crate::domain::code::Code;

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
    route(settings, &mut warnings);
    for (name, _) in settings.accounts.iter().filter(|(_, account)| account.provider.name() == "cliqtel") {
        warnings.push(format!(
            "accounts.{name} uses Cliqtel, which is beta: the shape of its callbacks is not documented but assumed."
        ));
    }
    warnings
}

fn public_url(settings: &Settings, warnings: &mut Vec<String>) {
    let url = &settings.server.public_url;
    if !is_https(url) && !is_loopback(url) {
        warnings.push(format!(
            "server.public_url is {url}: over http API keys, codes and callbacks can be read on the way."
        ));
    }
    let is_real = |account: &AccountSettings| !is_loopback(account.provider.base_url());
    if is_loopback(url) && settings.accounts.values().any(is_real) {
        warnings.push(format!("server.public_url is {url}: providers cannot reach it with their callbacks."));
    }
}

fn route(settings: &Settings, warnings: &mut Vec<String>) {
    if settings.accounts.is_empty() {
        warnings.push("There are no [accounts]: nothing can be sent.".to_owned());
        return;
    }
    let has = |channel| {
        settings.route.steps.iter().filter_map(|step| settings.accounts.get(step)).any(|a| a.channel == channel)
    };
    if has(Channel::Whatsapp) && !has(Channel::Sms) {
        let stays = "what WhatsApp fails to deliver stays undelivered";
        warnings.push(format!("route.steps has no SMS step behind its WhatsApp step: {stays}."));
    }
    for name in settings.accounts.keys().filter(|name| !settings.route.steps.contains(name)) {
        warnings.push(format!("accounts.{name} is not in route.steps: it sends nothing."));
    }
}
