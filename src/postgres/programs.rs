//! Finds PostgreSQL's server programs.

use std::cmp::Reverse;
use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::environment;
use super::error::PostgresError;

/// The schema needs nothing newer; older servers no longer receive fixes.
const OLDEST_MAJOR: u32 = 15;

/// A folder with `initdb` and `postgres` of one installation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Programs {
    bin: PathBuf,
    pub(super) major: u32,
}

/// The places to search, read from the environment once so that tests can name others.
pub(super) struct Places {
    /// `OTPOST_PG_BIN`. An empty value counts as not set: the Makefile passes it empty when `DATABASE_URL` is set.
    named: Option<PathBuf>,
    path: OsString,
    /// Contains one folder per major version, as on Debian.
    installed: PathBuf,
}

impl Places {
    pub(super) fn of_environment() -> Self {
        Self {
            named: env::var_os("OTPOST_PG_BIN").filter(|value| !value.is_empty()).map(PathBuf::from),
            path: env::var_os("PATH").unwrap_or_default(),
            installed: PathBuf::from("/usr/lib/postgresql"),
        }
    }

    /// The first of: `OTPOST_PG_BIN`, `PATH`, `/usr/lib/postgresql/*/bin` from the newest down. `pinned` is the major
    /// version of an existing data directory, which no other version can open.
    pub(super) fn find(&self, pinned: Option<(&Path, u32)>) -> Result<Programs, PostgresError> {
        let named = self.named.iter().map(|bin| (bin, Programs::in_folder(bin)));
        if let Some((bin, None)) = named.clone().next() {
            return Err(PostgresError::NotInPgBin(bin.clone()));
        }
        let found = named
            .filter_map(|(_, programs)| programs)
            .chain(env::split_paths(&self.path).filter_map(|folder| Programs::behind(&folder)))
            .chain(self.installed_newest_first())
            .find(|programs| pinned.is_none_or(|(_, major)| programs.major == major));
        found.ok_or_else(|| match pinned {
            Some((data, major)) => PostgresError::OtherMajor { data: data.to_owned(), major },
            None => PostgresError::NoPrograms,
        })
    }

    fn installed_newest_first(&self) -> impl Iterator<Item = Programs> {
        let entries = fs::read_dir(&self.installed).into_iter().flatten().flatten();
        let mut versions: Vec<(u32, PathBuf)> =
            entries.filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path()))).collect();
        versions.sort_by_key(|(major, _)| Reverse(*major));
        versions.into_iter().filter_map(|(_, folder)| Programs::in_folder(&folder.join("bin")))
    }
}

impl Programs {
    pub(super) fn bin(&self) -> &Path {
        &self.bin
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.bin.join(name)
    }

    /// An entry of `PATH` may contain a link to a single program. The rest of the installation, including `share/`, is
    /// found relative to the link's target.
    fn behind(folder: &Path) -> Option<Self> {
        let postgres = fs::canonicalize(folder.join("postgres")).ok()?;
        Self::in_folder(postgres.parent()?)
    }

    fn in_folder(bin: &Path) -> Option<Self> {
        let bin = fs::canonicalize(bin).ok()?;
        if !bin.join("initdb").is_file() {
            return None;
        }
        let mut version = Command::new(bin.join("postgres"));
        environment::clean(&mut version);
        let output = version.arg("--version").stdin(Stdio::null()).output().ok()?;
        let major = major_of(&String::from_utf8_lossy(&output.stdout))?;
        (major >= OLDEST_MAJOR).then_some(Self { bin, major })
    }
}

/// `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)` is 15; so is `... 15devel`.
fn major_of(version: &str) -> Option<u32> {
    let number = version.split_once(") ")?.1;
    number[..number.find(|c: char| !c.is_ascii_digit()).unwrap_or(number.len())].parse().ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    /// An installation that only answers `--version`.
    fn install(bin: &Path, version: &str) {
        fs::create_dir_all(bin).unwrap();
        fs::write(bin.join("initdb"), "").unwrap();
        fs::write(bin.join("postgres"), format!("#!/bin/sh\necho 'postgres (PostgreSQL) {version}'\n")).unwrap();
        fs::set_permissions(bin.join("postgres"), fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn scratch(name: &str) -> PathBuf {
        let dir = env::temp_dir().join(format!("otpost-programs-{name}-{}", std::process::id()));
        fs::remove_dir_all(&dir).ok();
        fs::create_dir_all(&dir).unwrap();
        dir
    }

    #[test]
    fn version_lines_are_read() {
        assert_eq!(major_of("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n"), Some(15));
        assert_eq!(major_of("postgres (PostgreSQL) 19devel\n"), Some(19));
        assert_eq!(major_of("something else"), None);
    }

    #[test]
    fn named_folder_then_path_then_the_newest_installed() {
        let dir = scratch("order");
        for (bin, version) in [("named", "16.1"), ("real", "18.6"), ("lib/9/bin", "9.6.24"), ("lib/15/bin", "15.1")] {
            install(&dir.join(bin), version);
        }
        install(&dir.join("lib/17/bin"), "17.2");
        fs::create_dir(dir.join("links")).unwrap();
        symlink(dir.join("real/postgres"), dir.join("links/postgres")).unwrap();

        let mut places =
            Places { named: Some(dir.join("named")), path: dir.join("links").into(), installed: dir.join("lib") };
        assert_eq!(places.find(None).unwrap().major, 16);
        places.named = None;
        assert_eq!(places.find(None).unwrap().bin, fs::canonicalize(dir.join("real")).unwrap());
        places.path = OsString::new();
        assert_eq!(places.find(None).unwrap().major, 17);
        assert_eq!(places.find(Some((&dir, 15))).unwrap().major, 15);
        let refused = places.find(Some((&dir, 16))).unwrap_err().to_string();
        assert!(refused.contains("was made by PostgreSQL 16"), "{refused}");
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn nothing_found_says_what_to_install() {
        let dir = scratch("nothing");
        let mut places = Places { named: None, path: OsString::new(), installed: dir.join("lib") };
        let refused = places.find(None).unwrap_err().to_string();
        assert!(refused.contains("package `postgresql`") && refused.contains("DATABASE_URL"), "{refused}");
        places.named = Some(dir.clone());
        let refused = places.find(None).unwrap_err().to_string();
        assert!(refused.starts_with("OTPOST_PG_BIN is "), "{refused}");
        fs::remove_dir_all(dir).unwrap();
    }
}
