//! Whether an SMS to India carries what India's networks require.

use crate::config::accounts::AccountSettings;
use crate::config::policy::{Findings, Route, Verdict};
use crate::config::settings::Settings;
use crate::domain::channel::Channel;
use crate::domain::language::Language;
use crate::providers::regional::DltSettings;

const INDIA: &str = "IN";
const PREFIX: &str = "+91";

pub(super) fn check(settings: &Settings, routes: &[Route<'_>], findings: &mut Findings) {
    for (name, account) in settings.accounts.iter().filter(|(_, account)| account.channel == Channel::Sms) {
        texts(settings, name, account, findings);
        ids(settings, name, account, routes, findings);
    }
}

/// Each registered text must exist.
fn texts(settings: &Settings, name: &str, account: &AccountSettings, findings: &mut Findings) {
    let DltSettings::Registered(dlt) = &account.regional.dlt else { return };
    let has_text = |language: &&Language| settings.text.iter().any(|text| text.language == **language);
    for language in dlt.templates.keys().filter(|language| !has_text(language)) {
        let wrong = format!("is for {language}, in which there is no text");
        let remedy = format!("give the text that is registered as text.languages.{language}.sms, or take the id out");
        findings.add(Verdict::Refused, format!("accounts.{name}.dlt.templates"), wrong, remedy);
    }
}

/// A route that names India is checked for every provider; one that merely does not exclude it, only if the provider
/// has fields for the ids.
fn ids(settings: &Settings, name: &str, account: &AccountSettings, routes: &[Route<'_>], findings: &mut Findings) {
    if account.regional.dlt != DltSettings::NotTold || !settings.sends_to(name, INDIA) {
        return;
    }
    let uses = |route: &&Route<'_>| route.pools.iter().flat_map(|pool| &pool.accounts).any(|one| one.account == name);
    let reaching: Vec<&Route<'_>> = routes.iter().filter(uses).filter(|route| reaches_india(route)).collect();
    let Some(first) = reaching.first() else { return };
    let is_named = account.countries.is_some()
        || account.regional.senders.contains_key(INDIA)
        || reaching.iter().any(|route| names_india(route));
    let takes_them = account.provider.takes_dlt;
    if !takes_them && !is_named {
        return;
    }
    let route = reaching.iter().find(|route| names_india(route)).unwrap_or(first);
    let wrong = format!("is missing, and {} sends SMS to India (+91) through this account", route.path);
    let out = "if nothing goes to India, leave IN out of the account's `countries`";
    let remedy = if takes_them {
        format!(
            "Indian networks drop an SMS without the ids of its sender and its text: set dlt.entity_id and dlt.templates, or \
             dlt.needed = false where the provider adds them; {out}"
        )
    } else if account.provider.kind.is_described {
        format!(
            "Indian networks drop an SMS without the ids of its sender and its text: put {{dlt_entity_id}} and \
             {{dlt_template_id}} into the request and set both in dlt, or dlt.needed = false where the provider adds them; \
             {out}"
        )
    } else {
        format!(
            "Indian networks drop an SMS whose sender and text are not registered, and with this provider they are \
             registered in its console: do so and set dlt.needed = false; {out}"
        )
    };
    findings.add(Verdict::Degraded, format!("accounts.{name}.dlt"), wrong, remedy);
}

fn reaches_india(route: &Route<'_>) -> bool {
    let prefixes = &route.fits.prefixes;
    let may_be = |prefix: &String| prefix.starts_with(PREFIX) || PREFIX.starts_with(prefix.as_str());
    route.countries.contains(INDIA) && (prefixes.is_empty() || prefixes.iter().any(may_be))
}

fn names_india(route: &Route<'_>) -> bool {
    route.fits.countries.contains(INDIA) || route.fits.prefixes.iter().any(|prefix| prefix.starts_with(PREFIX))
}
