//! Settings: `otpost.toml`, then the environment over it. One struct per area.
//!
//! The program does not start with settings that are wrong: it says everything that is, with its place.

mod problem;
mod server;
mod database;
mod codes;
mod purposes;
mod route;
mod accounts;
mod sending;
mod log;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub use self::accounts::{AccountSettings, ProviderSettings, UnknownPolicy};
pub use self::codes::CodeSettings;
pub use self::database::DatabaseSettings;
pub use self::log::{LogFormat, LogSettings};
pub use self::problem::{ConfigErrors, Problem};
pub use self::purposes::Purpose;
pub use self::route::RouteSettings;
pub use self::sending::SendingSettings;
pub use self::server::ServerSettings;
use crate::domain::text::SmsText;

#[derive(Clone, Debug)]
pub struct Settings {
    /// For what the program keeps itself: the private cluster, its code key, the demo's papers.
    pub data_dir: PathBuf,
    pub server: ServerSettings,
    pub database: DatabaseSettings,
    pub codes: CodeSettings,
    pub text: SmsText,
    /// By name; `login`, `signup`, `payment`, `reset` and `other` are always there.
    pub purposes: BTreeMap<String, Purpose>,
    pub route: RouteSettings,
    /// By name, which is in callback addresses and in the tables.
    pub accounts: BTreeMap<String, AccountSettings>,
    pub sending: SendingSettings,
    pub log: LogSettings,
    /// What is allowed but worth a second look, a sentence each.
    pub warnings: Vec<String>,
}

impl Settings {
    /// `path`: the settings file; without it `otpost.toml` in the working directory, when there is one. `env`: every
    /// variable of the environment, see [`environment`].
    ///
    /// # Errors
    /// Everything that is wrong.
    pub fn load(_path: Option<&Path>, _env: &BTreeMap<String, String>) -> Result<Self, ConfigErrors> {
        Err(ConfigErrors::new(Vec::new()))
    }
}

/// The variables of this process that are text.
pub fn environment() -> BTreeMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}
