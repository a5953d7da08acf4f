//! Settings: `otpost.toml`, then the environment over it. One struct per area.
//!
//! The program does not start with settings that are wrong: it says everything that is, with its place.

mod problem;
mod spelling;
mod file;
mod source;
mod section;
mod address;
mod data_dir;
mod server;
mod database;
mod codes;
mod text;
mod purposes;
mod countries;
mod accounts;
mod account_providers;
mod pools;
mod prices;
mod route;
mod routing;
mod policy;
mod templates;
mod account_engagelab;
mod account_http;
mod account_callback;
mod sending;
mod health;
mod memory;
mod log;
mod weak;
mod warnings;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

pub use self::accounts::{AccountSettings, ProviderSettings, UnknownPolicy};
pub use self::codes::CodeSettings;
pub use self::data_dir::default_data_dir;
pub use self::database::DatabaseSettings;
pub use self::health::HealthSettings;
pub use self::log::{LogFormat, LogSettings};
pub use self::memory::MemorySettings;
pub use self::pools::PoolSettings;
pub use self::prices::PriceSettings;
pub use self::problem::{ConfigErrors, Problem};
pub use self::purposes::Purpose;
pub use self::route::{NamedRoute, RouteSettings, Way};
pub use self::sending::SendingSettings;
pub use self::server::{ServerSettings, loopback};
use crate::config::policy::{Finding, Verdict};
use crate::config::section::Section;
use crate::config::source::{Place, Source};
use crate::domain::texts::Texts;

/// In the working directory.
const DEFAULT_FILE: &str = "otpost.toml";

#[derive(Clone, Debug)]
pub struct Settings {
    /// For what the program keeps itself: the private cluster, its code key, the demo's papers.
    pub data_dir: PathBuf,
    pub server: ServerSettings,
    pub database: DatabaseSettings,
    pub codes: CodeSettings,
    pub text: Texts,
    /// By name; `login`, `signup`, `payment`, `reset` and `other` are always there.
    pub purposes: BTreeMap<String, Purpose>,
    /// For everybody who has no route of their own.
    pub route: RouteSettings,
    /// By name.
    pub routes: BTreeMap<String, NamedRoute>,
    /// By name; a route's step names one, or an account.
    pub pools: BTreeMap<String, PoolSettings>,
    pub prices: Vec<PriceSettings>,
    /// By name, which is in callback addresses and in the tables.
    pub accounts: BTreeMap<String, AccountSettings>,
    pub sending: SendingSettings,
    pub health: HealthSettings,
    pub memory: MemorySettings,
    pub log: LogSettings,
    /// What works, but less well than it should, a sentence each.
    pub degraded: Vec<String>,
    /// What is allowed but worth a second look, a sentence each.
    pub warnings: Vec<String>,
}

impl Settings {
    /// `path`: the settings file; without it `otpost.toml` in the working directory, when there is one. `env`: every
    /// variable of the environment, see [`environment`].
    ///
    /// # Errors
    /// Everything that is wrong.
    pub fn load(path: Option<&Path>, env: &BTreeMap<String, String>) -> Result<Self, ConfigErrors> {
        let file = open(path, env)?;
        Self::read(file.as_ref().map(|(name, text)| (name.as_str(), text.as_str())), env)
    }

    /// The data directory alone, whatever else is wrong; for what finds a running service by it.
    ///
    /// # Errors
    /// When it is wrong, or the file is no TOML.
    pub fn data_dir(path: Option<&Path>, env: &BTreeMap<String, String>) -> Result<PathBuf, ConfigErrors> {
        let file = open(path, env)?;
        let source = Source::new(file.as_ref().map(|(name, _)| name.as_str()), env);
        let Some(table) = parse(&source, file.as_ref().map_or("", |(_, text)| text)) else {
            return Err(source.into_errors());
        };
        let data_dir = data_dir::read(&Section::root(&source, Some(&table)), env);
        let errors = source.into_errors();
        if errors.problems().is_empty() { Ok(data_dir) } else { Err(errors) }
    }

    /// `file`: its name, for errors, and its text.
    fn read(file: Option<(&str, &str)>, env: &BTreeMap<String, String>) -> Result<Self, ConfigErrors> {
        let source = Source::new(file.map(|(name, _)| name), env);
        let Some(table) = parse(&source, file.map_or("", |(_, text)| text)) else {
            return Err(source.into_errors());
        };
        let root = Section::root(&source, Some(&table));
        let data_dir = data_dir::read(&root, env);
        let server = ServerSettings::read(root.section("server"));
        let database = DatabaseSettings::read(root.section("database"));
        let codes = CodeSettings::read(root.section("codes"), database.url.is_some());
        let text = text::read(root.section("text"));
        let accounts = accounts::read(&root.section("accounts"), text.default_language());
        let pools = pools::read(&root.section("pools"), &accounts);
        let names: BTreeSet<String> = accounts.keys().cloned().collect();
        let prices = prices::read(&root.section("prices"), &names);
        let targets = names.into_iter().chain(pools.keys().cloned()).collect();
        let route = route::read(root.section("route"), &targets);
        let routes = route::read_named(&root.section("routes"), &targets, &route.way);
        let purposes = purposes::read(&root.section("purposes"), route.replace_after_s);
        let sending = SendingSettings::read(root.section("sending"));
        let health = HealthSettings::read(root.section("health"));
        let memory = MemorySettings::read(root.section("memory"));
        let log = LogSettings::read(root.section("log"));
        root.finish();

        let accounts = accounts.into_iter().filter_map(|(name, account)| Some((name, account?))).collect();
        let mut settings = Self {
            data_dir,
            server,
            database,
            codes,
            text,
            purposes,
            route,
            routes,
            pools,
            prices,
            accounts,
            sending,
            health,
            memory,
            log,
            degraded: Vec::new(),
            warnings: Vec::new(),
        };
        // What is wrong already would only be said again in other words.
        let findings = if source.is_fine() { policy::check(&settings) } else { Vec::new() };
        for refused in findings.iter().filter(|finding| finding.verdict == Verdict::Refused) {
            let place = file::line_at(&table, &refused.setting).map_or(Place::Nowhere, Place::Line);
            source.complain(place, &refused.setting, refused.wrong.as_str(), refused.remedy.as_str());
        }
        source.finish()?;
        let degraded = findings.iter().filter(|finding| finding.verdict == Verdict::Degraded);
        settings.degraded = degraded.map(Finding::sentence).collect();
        settings.warnings = warnings::of(&settings);
        Ok(settings)
    }
}

/// The name and the text of the settings file, when there is one.
fn open(path: Option<&Path>, env: &BTreeMap<String, String>) -> Result<Option<(String, String)>, ConfigErrors> {
    let default = Path::new(DEFAULT_FILE);
    let Some(path) = path.or_else(|| default.exists().then_some(default)) else { return Ok(None) };
    let name = path.display().to_string();
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some((name, text))),
        Err(e) => {
            let source = Source::new(Some(&name), env);
            source.complain(Place::Nowhere, "", format!("cannot be read: {e}"), "must be a file in TOML");
            Err(source.into_errors())
        }
    }
}

/// `None` when it is no TOML, which has been said then: what else is wrong cannot be told.
fn parse(source: &Source<'_>, text: &str) -> Option<file::Table> {
    let complain = |errors: Vec<(usize, String)>| {
        for (line, message) in errors {
            source.complain(Place::Line(line), "", message, "must be TOML");
        }
    };
    file::parse(text).map_err(complain).ok()
}

/// The variables of this process that are text.
pub fn environment() -> BTreeMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}
