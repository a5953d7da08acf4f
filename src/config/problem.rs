//! What is wrong with the settings, one line each.

use std::fmt;

/// Everything that is wrong, not only the first thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigErrors(Vec<Problem>);

/// `otpost.toml:12: route.replace_after_s: is 70; must be 15 to 60 seconds`. Never holds the value of a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// File and line, or the variable.
    pub place: String,
    /// The setting's path; empty when it is the file itself.
    pub setting: String,
    pub wrong: String,
    /// What would be right; empty where nothing but leaving it out is.
    pub allowed: String,
}

impl ConfigErrors {
    pub(super) fn new(problems: Vec<Problem>) -> Self {
        Self(problems)
    }

    /// In the order of the file, then the variables by name.
    pub fn problems(&self) -> &[Problem] {
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

impl fmt::Display for Problem {
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
