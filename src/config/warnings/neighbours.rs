//! Countries that share a calling code with a listed country, and are in no list.

use std::collections::BTreeSet;

use crate::config::accounts::AccountSettings;
use crate::config::settings::Settings;
use crate::domain::channel::Channel;
use crate::domain::phone::{self, CallingCode};

/// Maximum number of countries named per calling code.
const MOST: usize = 4;

/// A sentence for each list that leaves out such a country, and none if another account of its channel, or another
/// route, covers it.
pub(super) fn of(settings: &Settings) -> Vec<String> {
    let codes: Vec<CallingCode> = phone::calling_codes().filter(|code| code.countries.len() > 1).collect();
    accounts(settings, &codes).chain(routes(settings, &codes)).collect()
}

fn accounts<'a>(settings: &'a Settings, codes: &'a [CallingCode]) -> impl Iterator<Item = String> + 'a {
    settings.accounts.iter().filter_map(move |(name, account)| {
        let listed = account.countries.as_ref()?;
        let others = settings.accounts.iter().filter(|(other, one)| *other != name && one.channel == account.channel);
        let others: Vec<&AccountSettings> = others.map(|(_, other)| other).collect();
        let is_taken = |country: &String| {
            others.iter().any(|other| other.countries.as_ref().is_none_or(|some| some.contains(country)))
        };
        let missed = missed(listed, codes, is_taken)?;
        let what = match account.channel {
            Channel::Whatsapp => "WhatsApp",
            Channel::Sms => "SMS",
        };
        Some(format!("accounts.{name}.countries leaves out {missed}; no account sends them {what}."))
    })
}

fn routes<'a>(settings: &'a Settings, codes: &'a [CallingCode]) -> impl Iterator<Item = String> + 'a {
    settings.routes.iter().filter_map(move |(name, route)| {
        let is_taken = |country: &String| settings.routes.values().any(|other| other.fits.countries.contains(country));
        let missed = missed(&route.fits.countries, codes, is_taken)?;
        Some(format!("routes.{name}.countries leaves out {missed}; they go by [route]."))
    })
}

/// `GG, IM and JE (+44 as GB)`
fn missed(listed: &BTreeSet<String>, codes: &[CallingCode], is_taken: impl Fn(&String) -> bool) -> Option<String> {
    let mut parts = Vec::new();
    for code in codes {
        let (here, left): (Vec<&String>, Vec<&String>) =
            code.countries.iter().partition(|country| listed.contains(*country));
        let mut left: Vec<&str> = left.into_iter().filter(|country| !is_taken(country)).map(String::as_str).collect();
        if here.is_empty() || left.is_empty() {
            continue;
        }
        if left.len() > MOST {
            code.largest_first(&mut left);
        }
        let here: Vec<&str> = here.into_iter().map(String::as_str).take(MOST).collect();
        parts.push(format!("{} (+{} as {})", names(&left), code.digits, here.join(", ")));
    }
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// `GG, IM and JE`; for many, the first few and the number of the others.
fn names(countries: &[&str]) -> String {
    match countries {
        [one] => (*one).to_owned(),
        [few @ .., last] if countries.len() <= MOST => format!("{} and {last}", few.join(", ")),
        many => format!("{} and {} others", many[..MOST - 1].join(", "), many.len() + 1 - MOST),
    }
}
