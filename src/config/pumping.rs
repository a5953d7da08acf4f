//! Protection against SMS pumping.

use std::collections::BTreeSet;

use otpost_settings::section::Section;

use crate::domain::limits::Mode;
use crate::domain::phone::is_country;
use crate::domain::price::Price;
use crate::domain::pumping::{Budget, SmsRule, SmsRules};

/// The protection, with the currency of its caps.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PumpingSettings {
    pub rules: SmsRules,
    /// Of the caps; `None` without a cap.
    pub currency: Option<String>,
}

const COUNTRIES: &str = "must be a list of countries in two letters, such as [\"ID\", \"BR\"]";

impl PumpingSettings {
    pub(super) fn read(section: Section<'_>) -> Self {
        let mut rules = SmsRules::default();
        if let Some(mode) = section.word("mode", Mode::ALL) {
            rules.set_usual(mode);
        }
        rules.countries = section.list("sms_countries", COUNTRIES).map(|given| {
            let mut countries = BTreeSet::new();
            for country in given {
                let country = country.to_ascii_uppercase();
                if is_country(&country) {
                    countries.insert(country);
                } else {
                    section.complain("sms_countries", format!("has {country:?}, which is no country"), COUNTRIES);
                }
            }
            countries
        });
        let floor = |key, default: i64| section.integer(key, 1..=1_000_000_000, "SMS").unwrap_or(default);
        rules.prefix = Budget {
            floor_per_hour: floor("prefix_floor_per_hour", rules.prefix.floor_per_hour),
            floor_per_day: floor("prefix_floor_per_day", rules.prefix.floor_per_day),
        };
        rules.country = Budget {
            floor_per_hour: floor("country_floor_per_hour", rules.country.floor_per_hour),
            floor_per_day: floor("country_floor_per_day", rules.country.floor_per_day),
        };
        rules.share = section.number("share", 0.0..=10.0, "of what was verified").unwrap_or(rules.share);
        let caps = ["app_cap_per_day", "country_cap_per_day"].map(|key| {
            section.parsed(key, "must be an amount such as \"100.00 USD\"", |text| text.parse::<Price>().ok())
        });
        let [app, country] = &caps;
        let currency = caps.iter().flatten().map(|cap| cap.currency.clone()).next();
        if let (Some(app), Some(country)) = (app, country)
            && app.currency != country.currency
        {
            section.complain("country_cap_per_day", "has another currency", "must have that of app_cap_per_day");
        }
        rules.app_cap_micros = app.as_ref().map_or(0, |cap| cap.micros);
        rules.country_cap_micros = country.as_ref().map_or(0, |cap| cap.micros);
        let modes = section.section("modes");
        for rule in SmsRule::ALL {
            if let Some(mode) = modes.word(rule.as_str(), Mode::ALL) {
                rules.set(*rule, mode);
            }
        }
        modes.finish();
        section.finish();
        Self { rules, currency }
    }
}
