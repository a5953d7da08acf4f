//! Provider accounts: credentials, template, limits.

use std::collections::{BTreeMap, BTreeSet};

use otpost_settings::section::{Section, one_of};

use crate::config::countries;
use crate::config::names::{NAME_ALLOWED, is_name};
use crate::config::prices::PRICE_ALLOWED;
use crate::config::regional;
use crate::domain::channel::Channel;
use crate::domain::language::Language;
use crate::domain::price::Price;
use crate::domain::words;
use crate::providers::configured::{Configured, Read};
use crate::providers::regional::Regional;
use crate::providers::registry;
use crate::providers::templates::Templates;

#[derive(Clone, Debug, PartialEq)]
pub struct AccountSettings {
    pub channel: Channel,
    pub provider: Configured,
    /// None for SMS.
    pub templates: Templates,
    /// Messages per second, 0.01 to 10 000.
    pub per_second: f64,
    /// Concurrent calls, 1 to 1024.
    pub concurrency: u32,
    pub on_unknown: UnknownPolicy,
    /// The price of one message where no price list has one.
    pub price: Option<Price>,
    /// The countries it sends to; `None`: all.
    pub countries: Option<BTreeSet<String>>,
    /// Empty for WhatsApp.
    pub regional: Regional,
}

/// What to do with an attempt of unknown outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnknownPolicy {
    /// Wait for a callback, then send once more. Never for WhatsApp.
    Resend,
    GiveUp,
}

words! {
    UnknownPolicy { Resend = "resend", GiveUp = "give_up" }
}

/// The accounts that could be read; the problems of the others have been reported.
///
/// `default_language`: the texts'.
pub(super) fn read(section: &Section<'_>, default_language: &Language) -> BTreeMap<String, Option<AccountSettings>> {
    let mut accounts = BTreeMap::new();
    for (name, child) in section.children() {
        if !is_name(&name) {
            child.complain_here("is no name of an account", NAME_ALLOWED);
        }
        accounts.insert(name, AccountSettings::read(child, default_language));
    }
    accounts
}

impl AccountSettings {
    fn read(section: Section<'_>, default_language: &Language) -> Option<Self> {
        let names = Vec::from_iter(registry::KINDS.iter().map(|kind| kind.name));
        let name = section.required("provider", section.word("provider", &names), &one_of(&names));
        let channel = section.word("channel", Channel::ALL);
        let channel = section.required("channel", channel, &one_of(Channel::ALL));
        // Both decide which settings belong here.
        let (Some(kind), Some(channel)) = (name.and_then(registry::kind), channel) else {
            section.give_up();
            return None;
        };
        if let (Some(why), Channel::Sms) = (kind.why_no_sms, channel) {
            section.complain("channel", format!("is \"sms\", which {why}"), "must be \"whatsapp\"");
            section.give_up();
            return None;
        }
        let Read { provider, templates } = (kind.read)(&section, channel, default_language);
        let limits = (kind.limits)(channel);
        let per_second =
            section.number("per_second", 0.01..=10_000.0, "messages a second").unwrap_or(limits.per_second);
        let concurrency = section.integer("concurrency", 1..=1024, "calls").unwrap_or(limits.concurrency);
        let on_unknown = on_unknown(&section, channel);
        let price = section.parsed("price", PRICE_ALLOWED, |text| text.parse().ok());
        let countries = countries::read(&section, "countries");
        let regional = match channel {
            Channel::Whatsapp => Some(Regional::default()),
            Channel::Sms => regional::read(&section, kind, provider.as_ref()),
        };
        section.finish();
        let (provider, templates, regional) = (provider?, templates?, regional?);
        Some(Self { channel, provider, templates, per_second, concurrency, on_unknown, price, countries, regional })
    }
}

fn on_unknown(section: &Section<'_>, channel: Channel) -> UnknownPolicy {
    let policy = section.word("on_unknown", UnknownPolicy::ALL);
    match (channel, policy) {
        (Channel::Whatsapp, Some(UnknownPolicy::Resend)) => {
            section.complain(
                "on_unknown",
                "is \"resend\" for WhatsApp, whose replacement is on its way already",
                "must be \"give_up\"",
            );
            UnknownPolicy::GiveUp
        }
        (Channel::Whatsapp, None) => UnknownPolicy::GiveUp,
        (Channel::Sms, None) => UnknownPolicy::Resend,
        (_, Some(policy)) => policy,
    }
}
