//! What a running service applies from reloaded settings, and what needs a restart.
//!
//! All or nothing: a service never runs on half of its settings, so if something needs a restart, nothing is applied.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chrono::TimeDelta;

use crate::clock::Clock;
use crate::config::{AccountSettings, CodeSettings, SendingSettings, ServerSettings, Settings, UnknownPolicy};
use crate::domain::channel::Channel;
use crate::domain::language::Languages;
use crate::services::accounts::account::{AccountPlan, Accounts};
use crate::services::accounts::pulse::Pulse;
use crate::services::policy::{Policy, PurposeDefaults};
use crate::services::swap::Swap;

/// The parts of a service that follow the settings, and the settings that they follow.
pub struct Reload {
    pub accounts: Accounts,
    pub policy: Swap<Policy>,
    pub pulse: Pulse,
    clock: Clock,
    present: Mutex<Present>,
}

struct Present {
    settings: Settings,
    /// For every account that has existed: the settings it was last built from.
    made_of: BTreeMap<String, Material>,
}

/// All settings that determine an account at run time.
#[derive(Clone, PartialEq)]
struct Material {
    account: AccountSettings,
    public_url: String,
    resend_after: Duration,
    breaker_failures: u32,
    breaker_open: Duration,
}

/// What new settings changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changed {
    pub accounts_added: Vec<String>,
    pub accounts_changed: Vec<String>,
    pub accounts_removed: Vec<String>,
    /// Other settings and sections.
    pub settings: Vec<&'static str>,
}

/// Changed settings that need a restart. Nothing was applied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "changed, and taken over by a restart only: {}; until then everything stays as it was",
    settings.join(", ")
)]
pub struct NeedsRestart {
    pub settings: Vec<&'static str>,
}

impl Reload {
    pub fn new(settings: Settings, clock: Clock) -> Self {
        let made_of = materials(&settings);
        let accounts = Accounts::new(made_of.iter().map(|(name, material)| material.plan(name)));
        let policy = Swap::new(policy(&settings));
        let rules = settings.health.watch.then_some(settings.health.rules);
        let pulse = Pulse::new(rules, channels(&settings));
        Self { accounts, policy, pulse, clock, present: Mutex::new(Present { settings, made_of }) }
    }

    /// Applies what is new, from now on, to new messages and new calls. Messages in progress keep their route, and
    /// unchanged accounts keep their breaker and their limits.
    ///
    /// # Errors
    /// [`NeedsRestart`]; everything then stays as it was.
    pub fn run(&self, new: Settings) -> Result<Changed, NeedsRestart> {
        let mut present = self.present.lock().unwrap_or_else(PoisonError::into_inner);
        let (needs_restart, settings) = differences(&present.settings, &new);
        if !needs_restart.is_empty() {
            return Err(NeedsRestart { settings: needs_restart });
        }
        let mut changed = Changed { settings, ..Changed::default() };
        let old = &present.settings.accounts;
        changed.accounts_removed = old.keys().filter(|name| !new.accounts.contains_key(*name)).cloned().collect();
        let materials = materials(&new);
        let mut plans = Vec::new();
        for (name, material) in &materials {
            let is_new = !old.contains_key(name);
            let is_other = present.made_of.get(name) != Some(material);
            if is_new {
                changed.accounts_added.push(name.clone());
            } else if is_other {
                changed.accounts_changed.push(name.clone());
            }
            if is_other {
                plans.push(material.plan(name));
            }
        }
        // The accounts before the route that names them.
        self.pulse.watch(channels(&new));
        self.accounts.put(plans, self.clock.now());
        self.policy.set(policy(&new));
        present.made_of.extend(materials);
        present.settings = new;
        Ok(changed)
    }
}

/// The settings that changed: those that need a restart, and those besides accounts that can be applied.
fn differences(old: &Settings, new: &Settings) -> (Vec<&'static str>, Vec<&'static str>) {
    // Names each field, so that a new one has to be assigned to one of the two sides.
    let Settings { data_dir, server, database, codes, text, numbers, purposes, limits, pumping, route, routes, .. } =
        old;
    let Settings { pools, prices, accounts: _, sending, health, memory, log, .. } = old;
    let Settings { test_numbers, referred: _, degraded: _, warnings: _, .. } = old;
    let ServerSettings {
        listen,
        public_url,
        workers,
        trusted_proxies,
        max_connections,
        max_connections_per_address,
        linger,
    } = server;
    let CodeSettings { keys, max_tries, on_newer } = codes;
    let SendingSettings { client, lease, resend_after, breaker_failures, breaker_open } = sending;
    let needs_restart = [
        ("data_dir", *data_dir != new.data_dir),
        ("server.listen", *listen != new.server.listen),
        ("server.workers", *workers != new.server.workers),
        ("server.trusted_proxies", *trusted_proxies != new.server.trusted_proxies),
        ("server.linger_s", *linger != new.server.linger),
        ("server.max_connections", *max_connections != new.server.max_connections),
        ("server.max_connections_per_address", *max_connections_per_address != new.server.max_connections_per_address),
        ("database", *database != new.database),
        ("codes.keys", *keys != new.codes.keys),
        ("the timeouts, connections and proxy of sending", *client != new.sending.client),
        ("sending.lease_ms", *lease != new.sending.lease),
        ("health", *health != new.health),
        ("memory", *memory != new.memory),
        ("log", *log != new.log),
    ];
    let taken_over = [
        ("server.public_url", *public_url != new.server.public_url),
        ("codes.max_tries", *max_tries != new.codes.max_tries),
        ("codes.on_newer", *on_newer != new.codes.on_newer),
        ("limits", *limits != new.limits),
        ("pumping", *pumping != new.pumping),
        ("test_numbers", *test_numbers != new.test_numbers),
        ("text", *text != new.text),
        ("numbers", *numbers != new.numbers),
        ("purposes", *purposes != new.purposes),
        ("route", *route != new.route),
        ("routes", *routes != new.routes),
        ("pools", *pools != new.pools),
        ("prices", *prices != new.prices),
        ("sending.resend_after_ms", *resend_after != new.sending.resend_after),
        ("sending.breaker_failures", *breaker_failures != new.sending.breaker_failures),
        ("sending.breaker_open_ms", *breaker_open != new.sending.breaker_open),
    ];
    let names = |changes: &[(&'static str, bool)]| changes.iter().filter(|c| c.1).map(|c| c.0).collect();
    (names(&needs_restart), names(&taken_over))
}

fn materials(settings: &Settings) -> BTreeMap<String, Material> {
    let sending = &settings.sending;
    let material = |account: &AccountSettings| Material {
        account: account.clone(),
        public_url: settings.server.public_url.clone(),
        resend_after: sending.resend_after,
        breaker_failures: sending.breaker_failures,
        breaker_open: sending.breaker_open,
    };
    settings.accounts.iter().map(|(name, account)| (name.clone(), material(account))).collect()
}

impl Material {
    fn plan(&self, name: &str) -> AccountPlan {
        let account = &self.account;
        let delta = |d: Duration| TimeDelta::from_std(d).unwrap_or(TimeDelta::seconds(30));
        AccountPlan {
            name: name.to_owned(),
            channel: account.channel,
            provider_name: account.provider.kind.name,
            provider: account.provider.build(),
            templates: account.templates.clone(),
            regional: account.regional.clone(),
            callback_url: format!("{}/webhooks/{name}", self.public_url),
            per_second: account.per_second,
            concurrency: account.concurrency,
            breaker_failures: self.breaker_failures,
            breaker_open: delta(self.breaker_open),
            price: account.price.clone(),
            resend_after: (account.on_unknown == UnknownPolicy::Resend).then(|| delta(self.resend_after)),
        }
    }
}

fn policy(settings: &Settings) -> Policy {
    let purposes = settings.purposes.iter().map(|(name, p)| {
        let defaults = PurposeDefaults {
            valid_for_s: p.valid_for_s,
            code_length: p.code_length,
            replace_after_s: p.replace_after_s,
        };
        (name.clone(), defaults)
    });
    Policy {
        purposes: purposes.collect(),
        routing: settings.routing(),
        languages: languages(settings),
        texts: settings.text.clone(),
        numbers: settings.numbers.clone(),
        max_tries: settings.codes.max_tries,
        test_numbers: settings.test_numbers.clone(),
        limits: settings.limits.clone(),
        sms_rules: settings.pumping.rules.clone(),
        on_newer: settings.codes.on_newer,
    }
}

/// The languages of all texts and templates, the default first.
fn languages(settings: &Settings) -> Languages {
    let default = settings.text.default_language();
    let texts = settings.text.iter().map(|text| &text.language);
    let templates = settings.accounts.values().flat_map(|account| account.templates.iter().map(|one| &one.language));
    let mut available: Vec<_> = Vec::new();
    for language in texts.chain(templates) {
        if !available.contains(language) {
            available.push(language.clone());
        }
    }
    Languages { available, default: default.clone() }
}

fn channels(settings: &Settings) -> impl Iterator<Item = (&str, Channel)> {
    // Accounts that never report deliveries send no receipts, so they cannot be judged silent or slow.
    let told = settings.accounts.iter().filter(|(_, account)| account.provider.tells_delivery());
    told.map(|(name, account)| (name.as_str(), account.channel))
}

/// Maximum number of variables that are named.
const MOST_NAMED: usize = 4;

/// What to know about the settings' variables, in one line; `None` when there are none.
pub fn about_environment(settings: &Settings) -> Option<String> {
    let mut names: Vec<String> = settings.referred.iter().take(MOST_NAMED).map(|name| format!("env:{name}")).collect();
    let more = settings.referred.len().saturating_sub(MOST_NAMED);
    if more > 0 {
        names.push(format!("{more} more"));
    }
    (!names.is_empty()).then(|| {
        format!(
            "values from the environment ({}) stay those of the start: a running process does not see a variable change; \
             give what shall be rotated as file:/path, or restart",
            names.join(", ")
        )
    })
}

impl Changed {
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// For display, in lines.
impl fmt::Display for Changed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_nothing() {
            return f.write_str("nothing has changed");
        }
        f.write_str("the new settings are in use")?;
        let lists = [
            ("new accounts", &self.accounts_added, ""),
            ("changed accounts", &self.accounts_changed, "; callbacks under the former settings are taken for 24 h"),
            ("accounts taken out", &self.accounts_removed, "; they finish the messages that they have"),
        ];
        for (what, names, remark) in lists.into_iter().filter(|(_, names, _)| !names.is_empty()) {
            write!(f, "\n  {what}: {}{remark}", names.join(", "))?;
        }
        if !self.settings.is_empty() {
            write!(f, "\n  also: {}", self.settings.join(", "))?;
        }
        Ok(())
    }
}
