//! Settings: `otpost.toml`, with the environment on top. One struct per area.
//!
//! The program does not start with wrong settings: it reports every problem with its place.

mod data_dir;
mod server;
mod database;
mod codes;
mod text;
mod purposes;
mod countries;
mod accounts;
mod names;
mod settings;
mod pools;
mod prices;
mod route;
mod routing;
mod policy;
mod regional;
mod sending;
mod health;
mod memory;
mod numbers;
mod limits;
mod test_numbers;
mod pumping;
mod log;
mod warnings;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::SystemTime;

use chrono::{DateTime, NaiveDate, Utc};

pub use self::accounts::{AccountSettings, UnknownPolicy};
pub use self::codes::CodeSettings;
pub use self::data_dir::default_data_dir;
pub use self::database::DatabaseSettings;
pub use self::health::HealthSettings;
pub use self::log::{LogFormat, LogSettings};
pub use self::memory::MemorySettings;
pub use self::pools::PoolSettings;
pub use self::prices::PriceSettings;
pub use self::pumping::PumpingSettings;
pub use self::purposes::Purpose;
pub use self::route::{NamedRoute, RouteOptions, RouteSettings};
pub use self::sending::SendingSettings;
pub use self::server::{ServerSettings, loopback};
pub use self::settings::Settings;
use crate::config::policy::{Finding, Verdict};
pub use otpost_settings::address::is_loopback;
use otpost_settings::file;
pub use otpost_settings::problem::{ConfigErrors, SettingsProblem};
use otpost_settings::section::Section;
use otpost_settings::source::{Place, Source};

/// In the working directory.
const DEFAULT_FILE: &str = "otpost.toml";

/// In the data directory: the code key that the program created.
pub const OWN_CODE_KEY: &str = "code.key";

impl Settings {
    /// `path`: the settings file; without it `otpost.toml` in the working directory, if it exists. `env`: every
    /// variable of the environment, see [`environment`].
    ///
    /// # Errors
    /// Every problem.
    pub fn load(path: Option<&Path>, env: &BTreeMap<String, String>) -> Result<Self, ConfigErrors> {
        let file = open(path, env)?;
        Self::read(file.as_ref().map(|(name, text)| (name.as_str(), text.as_str())), env)
    }

    /// Only the data directory, whatever else is wrong; used to find a running service.
    ///
    /// # Errors
    /// When it is wrong, or the file is not TOML.
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

    /// From the text of a settings file, without an environment.
    ///
    /// # Errors
    /// Every problem.
    pub fn from_toml(text: &str) -> Result<Self, ConfigErrors> {
        Self::read(Some(("settings", text)), &BTreeMap::new())
    }

    /// `file`: its name, for errors, and its text.
    ///
    /// # Errors
    /// Every problem of the file and of `env`.
    pub fn read(file: Option<(&str, &str)>, env: &BTreeMap<String, String>) -> Result<Self, ConfigErrors> {
        let source = Source::new(file.map(|(name, _)| name), env);
        let Some(table) = parse(&source, file.map_or("", |(_, text)| text)) else {
            return Err(source.into_errors());
        };
        let root = Section::root(&source, Some(&table));
        let data_dir = data_dir::read(&root, env);
        let server = ServerSettings::read(root.section("server"));
        let database = DatabaseSettings::read(root.section("database"));
        let codes =
            CodeSettings::read(root.section("codes"), database.url.is_some(), data_dir.join(OWN_CODE_KEY).exists());
        let text = text::read(root.section("text"));
        let numbers = numbers::read(root.section("numbers"));
        let accounts = accounts::read(&root.section("accounts"), text.default_language());
        let pools = pools::read(&root.section("pools"), &accounts);
        let names: BTreeSet<String> = accounts.keys().cloned().collect();
        let prices = prices::read(&root.section("prices"), &names);
        let targets = names.into_iter().chain(pools.keys().cloned()).collect();
        let route = route::read(root.section("route"), &targets);
        let routes = route::read_named(&root.section("routes"), &targets, &route.options);
        let purposes = purposes::read(&root.section("purposes"), route.replace_after_s);
        let limits = limits::read(root.section("limits"), &purposes.keys().map(String::as_str).collect::<Vec<_>>());
        let test_numbers = test_numbers::read(&root.section("test_numbers"));
        let pumping = PumpingSettings::read(root.section("pumping"));
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
            numbers,
            purposes,
            test_numbers,
            limits,
            pumping,
            route,
            routes,
            pools,
            prices,
            accounts,
            sending,
            health,
            memory,
            log,
            referred: source.referred(),
            degraded: Vec::new(),
            warnings: Vec::new(),
        };
        // Existing problems would only be repeated in other words.
        let findings = if source.is_fine() { policy::check(&settings, today()) } else { Vec::new() };
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

/// Today's date in UTC, by this machine's clock.
#[expect(clippy::disallowed_methods, reason = "the settings are read before there is a Clock")]
fn today() -> NaiveDate {
    DateTime::<Utc>::from(SystemTime::now()).date_naive()
}

/// The settings file in use: `path`, or the one in the working directory; `None` when there is none.
pub fn settings_file(path: Option<&Path>) -> Option<&Path> {
    let default = Path::new(DEFAULT_FILE);
    path.or_else(|| default.exists().then_some(default))
}

/// The name and the text of the settings file, if there is one.
fn open(path: Option<&Path>, env: &BTreeMap<String, String>) -> Result<Option<(String, String)>, ConfigErrors> {
    let Some(path) = settings_file(path) else { return Ok(None) };
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

/// `None` when it is not TOML; that was reported then, and nothing else can be checked.
fn parse(source: &Source<'_>, text: &str) -> Option<file::Table> {
    let complain = |errors: Vec<file::Broken>| {
        for file::Broken { line, name, wrong, allowed, .. } in errors {
            source.complain(Place::Line(line), &name, wrong, allowed);
        }
    };
    file::parse(text).map_err(complain).ok()
}

/// The variables of this process that are valid text.
pub fn environment() -> BTreeMap<String, String> {
    let given =
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    given.chain(FLAGS.get().cloned()).collect()
}

/// The command line's `--data-dir`, which takes precedence over the variable.
static FLAGS: OnceLock<(String, String)> = OnceLock::new();

/// Stores `--data-dir` of the command line, once, before any settings are read.
pub fn set_data_dir(dir: &Path) {
    // A relative path is relative to the folder where the command was started.
    let dir = std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned());
    let _ = FLAGS.set(("OTPOST_DATA_DIR".to_owned(), dir.display().to_string()));
}
