//! Problems in the settings, one line each.

use std::fmt;

/// Every problem, not only the first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigErrors(Vec<SettingsProblem>);

/// `otpost.toml:12: route.replace_after_s: is 70; must be 15 to 60 seconds`. Never contains the value of a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingsProblem {
    /// File and line, or the variable.
    pub place: String,
    /// The setting's path; empty when it is the file itself.
    pub setting: String,
    pub wrong: String,
    /// The allowed values; empty if the setting must be removed.
    pub allowed: String,
}

impl ConfigErrors {
    pub fn new(problems: Vec<SettingsProblem>) -> Self {
        Self(problems)
    }

    /// In the order of the file, then the variables by name.
    pub fn problems(&self) -> &[SettingsProblem] {
        &self.0
    }
}

impl std::error::Error for ConfigErrors {}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.0.iter().enumerate() {
            let newline = if i == 0 { "" } else { "\n" };
            write!(f, "{newline}{problem}")?;
        }
        Ok(())
    }
}

impl fmt::Display for SettingsProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.place)?;
        if !self.setting.is_empty() {
            write!(f, ": {}", self.setting)?;
        }
        write!(f, ": {}", self.wrong)?;
        if !self.allowed.is_empty() {
            write!(f, "; {}", self.allowed)?;
        }
        Ok(())
    }
}
