//! Whether WhatsApp templates cover the languages of the SMS texts, and whether they expire before the SMS is sent.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::accounts::AccountSettings;
use crate::config::policy::{Findings, Route, Verdict, some_of};
use crate::config::settings::Settings;
use crate::domain::channel::Channel;

/// Minimum lifetime of a template, in seconds. Source: WhatsApp Business Platform,
/// "Authentication templates", `message_send_ttl_seconds`.
const FLOOR_S: i16 = 30;
/// Lifetime of a template without a setting, in seconds. Source: the same.
const DEFAULT_LIFETIME_S: i16 = 600;

pub(super) fn check(settings: &Settings, routes: &[Route<'_>], findings: &mut Findings) {
    let whatsapp = settings.accounts.iter().filter(|(_, account)| account.channel == Channel::Whatsapp);
    for (name, account) in whatsapp {
        let uses = |route: &&Route<'_>| route.pools.iter().flat_map(|p| &p.accounts).any(|one| one.account == *name);
        let routes: Vec<&Route<'_>> = routes.iter().filter(uses).collect();
        languages(settings, name, account, &routes, findings);
        lifetimes(settings, name, account, &routes, findings);
    }
}

/// A person whose SMS comes in their language should get their WhatsApp message in it too.
fn languages(
    settings: &Settings,
    name: &str,
    account: &AccountSettings,
    routes: &[&Route<'_>],
    findings: &mut Findings,
) {
    let countries: BTreeSet<&String> =
        routes.iter().flat_map(|route| &route.countries).filter(|country| settings.sends_to(name, country)).collect();
    let mut missing = BTreeMap::new();
    for country in countries {
        let language = &settings.text.choose("", country).language;
        let has = account.templates.iter().any(|one| language.distance(&one.language).is_some());
        if !has {
            missing.insert(language.to_string(), ());
        }
    }
    let missing: Vec<&String> = missing.keys().collect();
    let Some(default) = account.templates.iter().next().filter(|_| !missing.is_empty()) else { return };
    let wrong = format!("has no template in {}", some_of(&missing));
    let remedy = format!("people there get WhatsApp in {}, and SMS in their language", default.language);
    findings.add(Verdict::Degraded, format!("accounts.{name}.templates"), wrong, remedy);
}

/// A message that WhatsApp delivers after the SMS was sent contains the same code and is billed in addition.
fn lifetimes(
    settings: &Settings,
    name: &str,
    account: &AccountSettings,
    routes: &[&Route<'_>],
    findings: &mut Findings,
) {
    let Some(wait) = routes.iter().map(|route| shortest_wait(settings, route)).min() else { return };
    let setting = format!("accounts.{name}.templates");
    if account.templates.iter().any(|one| one.lifetime_s.is_none()) {
        let wrong = "has a template without a lifetime_s".to_owned();
        let overlap = DEFAULT_LIFETIME_S - wait;
        let remedy = format!(
            "where {DEFAULT_LIFETIME_S} s count, which is the platform's default, WhatsApp may come up to {overlap} s after \
             the SMS"
        );
        findings.add(Verdict::Degraded, setting.clone(), wrong, remedy);
    }
    let longest = account.templates.iter().filter_map(|one| i16::try_from(one.lifetime_s?).ok()).max();
    if let Some(longest) = longest.filter(|longest| *longest > wait) {
        let wrong = format!("has a lifetime_s of {longest}, longer than the wait of {wait} s");
        let overlap = longest - wait;
        let least = if longest == FLOOR_S { " (30 s is the platform's least)" } else { "" };
        let remedy = format!("WhatsApp may come up to {overlap} s after the SMS{least}");
        findings.add(Verdict::Degraded, setting, wrong, remedy);
    }
}

/// In seconds, over all purposes that can use the route.
fn shortest_wait(settings: &Settings, route: &Route<'_>) -> i16 {
    let uses = |name: &String| route.fits.purposes.is_empty() || route.fits.purposes.contains(name);
    let of_purposes =
        settings.purposes.iter().filter(|(name, _)| uses(name)).map(|(_, purpose)| purpose.replace_after_s);
    route.replace_after_s.or(of_purposes.min()).unwrap_or(settings.route.replace_after_s)
}
