//! All settings of a service, with defaults where nothing is given.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use crate::config::accounts::AccountSettings;
use crate::config::codes::CodeSettings;
use crate::config::database::DatabaseSettings;
use crate::config::health::HealthSettings;
use crate::config::log::LogSettings;
use crate::config::memory::MemorySettings;
use crate::config::pools::PoolSettings;
use crate::config::prices::PriceSettings;
use crate::config::pumping::PumpingSettings;
use crate::config::purposes::Purpose;
use crate::config::route::{NamedRoute, RouteSettings};
use crate::config::sending::SendingSettings;
use crate::config::server::ServerSettings;
use crate::domain::limits::{LimitTable, TestNumber};
use crate::domain::phone::NumberRules;
use crate::domain::texts::Texts;

#[derive(Clone, Debug)]
pub struct Settings {
    /// For the program's own files: the private cluster, its code key, the demo's connection file.
    pub data_dir: PathBuf,
    pub server: ServerSettings,
    pub database: DatabaseSettings,
    pub codes: CodeSettings,
    pub text: Texts,
    pub numbers: NumberRules,
    /// By name; `login`, `signup`, `payment`, `reset` and `other` are always there.
    pub purposes: BTreeMap<String, Purpose>,
    /// By E.164.
    pub test_numbers: BTreeMap<String, TestNumber>,
    pub limits: LimitTable,
    pub pumping: PumpingSettings,
    /// For messages without a route of their own.
    pub route: RouteSettings,
    /// By name.
    pub routes: BTreeMap<String, NamedRoute>,
    /// By name; a route's step names a pool or an account.
    pub pools: BTreeMap<String, PoolSettings>,
    pub prices: Vec<PriceSettings>,
    /// By name, which is part of callback addresses and is stored in the tables.
    pub accounts: BTreeMap<String, AccountSettings>,
    pub sending: SendingSettings,
    pub health: HealthSettings,
    pub memory: MemorySettings,
    pub log: LogSettings,
    /// Variables that secrets refer to by `env:`.
    pub referred: BTreeSet<String>,
    /// What works, but less well than it should, a sentence each.
    pub degraded: Vec<String>,
    /// What is allowed but should be checked, a sentence each.
    pub warnings: Vec<String>,
}
