//! Both sources of settings, the settings that were read, and the problems found.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::problem::{ConfigErrors, SettingsProblem};
use crate::spelling;
use otpost_domain::secret::Secret;

/// Prefix of every variable for a setting.
pub const PREFIX: &str = "OTPOST_";
/// Separates the parts of a setting's path in a variable.
pub const JOINT: &str = "__";
/// Maximum length of a secret's file, in bytes.
const MAX_SECRET_BYTES: u64 = 64 * 1024;

/// Where a setting was given. The order is that of the reported problems.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    Nowhere,
    Line(usize),
    Variable(String),
}

pub struct Source<'a> {
    /// For errors; `None` without a file.
    file: Option<&'a str>,
    pub env: &'a BTreeMap<String, String>,
    problems: RefCell<Vec<(Place, SettingsProblem)>>,
    /// Variables that are settings, set or not.
    known: RefCell<BTreeSet<String>>,
    /// Variables that contain a secret.
    referred: RefCell<BTreeSet<String>>,
}

impl<'a> Source<'a> {
    pub fn new(file: Option<&'a str>, env: &'a BTreeMap<String, String>) -> Self {
        Self { file, env, problems: RefCell::default(), known: RefCell::default(), referred: RefCell::default() }
    }

    /// An empty variable counts as unset: compose files pass unset ones as empty.
    pub fn variable(&self, name: &str) -> Option<&'a str> {
        self.known.borrow_mut().insert(name.to_owned());
        self.env.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Marks all variables of a section that could not be read, so that they are not reported as unknown too.
    pub fn excuse(&self, prefix: &str) {
        let names = self.env.keys().filter(|name| name.starts_with(prefix)).cloned();
        self.known.borrow_mut().extend(names);
    }

    pub fn complain(&self, place: Place, setting: &str, wrong: impl Into<String>, allowed: impl Into<String>) {
        let rendered = match &place {
            Place::Nowhere => self.file.unwrap_or("settings").to_owned(),
            Place::Line(line) => format!("{}:{line}", self.file.unwrap_or("settings")),
            Place::Variable(name) => name.clone(),
        };
        let (setting, wrong, allowed) = (setting.to_owned(), wrong.into(), allowed.into());
        self.problems.borrow_mut().push((place, SettingsProblem { place: rendered, setting, wrong, allowed }));
    }

    /// The secret itself, or the one that `env:NAME` or `file:/path` refers to.
    ///
    /// # Errors
    /// The problem and what is allowed, with the reference and never the value.
    pub fn resolve(&self, given: &str) -> Result<Secret, (String, &'static str)> {
        let secret = self.resolve_lines(given)?;
        if secret.expose().chars().any(char::is_control) {
            return Err((
                "has a line break or another control character inside".to_owned(),
                "must be one line of text",
            ));
        }
        Ok(secret)
    }

    /// The same for a secret of several lines.
    ///
    /// # Errors
    /// As above.
    pub fn resolve_lines(&self, given: &str) -> Result<Secret, (String, &'static str)> {
        let value = if let Some(name) = given.strip_prefix("env:") {
            self.referred.borrow_mut().insert(name.to_owned());
            let value = self.env.get(name).filter(|value| !value.is_empty());
            value.cloned().ok_or_else(|| (format!("refers to {given}, which is not set"), "set that variable"))?
        } else if let Some(path) = given.strip_prefix("file:") {
            let read = read_secret(Path::new(path));
            read.map_err(|why| (format!("refers to {given}, which {why}"), "must be a file that can be read"))?
        } else {
            given.to_owned()
        };
        let value = zeroize::Zeroizing::new(value);
        let text = value.trim_end_matches(['\n', '\r']);
        if text.is_empty() {
            return Err(("is empty".to_owned(), "must be the secret, env:NAME or file:/path"));
        }
        Ok(Secret::new(text))
    }

    /// Every problem, or none; reports unknown variables.
    pub fn finish(self) -> Result<(), ConfigErrors> {
        let (known, referred) = (self.known.borrow().clone(), self.referred.borrow().clone());
        let is_read = |name: &str| known.contains(name) || referred.contains(name);
        for name in self.env.keys().filter(|name| name.starts_with(PREFIX) && !is_read(name)) {
            let meant = spelling::closest(name, known.iter().map(String::as_str));
            // Other variables may begin like ours, for example the command line's; two underscores are used only by
            // settings.
            if name.contains(JOINT) || meant.is_some() {
                let allowed = meant.map(|meant| format!("did you mean {meant}?")).unwrap_or_default();
                self.complain(Place::Variable(name.clone()), "", "is not a setting", allowed);
            }
        }
        let errors = self.into_errors();
        if errors.problems().is_empty() { Ok(()) } else { Err(errors) }
    }

    /// The variables that secrets have referred to so far.
    pub fn referred(&self) -> BTreeSet<String> {
        self.referred.borrow().clone()
    }

    /// Whether no problem has been found so far.
    pub fn is_fine(&self) -> bool {
        self.problems.borrow().is_empty()
    }

    /// The problems found so far.
    pub fn into_errors(self) -> ConfigErrors {
        let mut problems = self.problems.into_inner();
        // Stable: problems of one place stay in the order in which they were found.
        problems.sort_by(|(a, _), (b, _)| a.cmp(b));
        ConfigErrors::new(problems.into_iter().map(|(_, problem)| problem).collect())
    }
}

fn read_secret(path: &Path) -> Result<String, &'static str> {
    use std::io::ErrorKind;
    if !path.is_absolute() {
        return Err("is not an absolute path");
    }
    let length = std::fs::metadata(path).map(|m| m.len());
    if length.is_ok_and(|length| length > MAX_SECRET_BYTES) {
        return Err("is longer than 64 KiB");
    }
    std::fs::read_to_string(path).map_err(|e| match e.kind() {
        ErrorKind::NotFound => "does not exist",
        ErrorKind::PermissionDenied => "this user may not read",
        ErrorKind::InvalidData => "is not UTF-8 text",
        _ => "cannot be read",
    })
}
