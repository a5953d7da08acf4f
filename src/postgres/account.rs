//! The account that runs the server. PostgreSQL refuses root, so a service that runs as root starts it under another
//! account and keeps its own.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, lchown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use super::environment;
use super::error::PostgresError;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Account {
    uid: u32,
    /// `None`: the service is not root, and the server uses the same account.
    other: Option<Other>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Other {
    gid: u32,
    /// For messages: a name or a number.
    name: String,
}

impl Account {
    /// When the service is root: the owner of `data` if it exists, else `postgres`, else `nobody`. Otherwise the
    /// service's own account.
    pub(super) fn choose(data: &Path) -> Result<Self, PostgresError> {
        let uid = rustix::process::geteuid().as_raw();
        if uid != 0 {
            return Ok(Self { uid, other: None });
        }
        if let Ok(owner) = fs::metadata(data)
            && owner.uid() != 0
        {
            let name = format!("number {}", owner.uid());
            return Ok(Self { uid: owner.uid(), other: Some(Other { gid: owner.gid(), name }) });
        }
        let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
        ["postgres", "nobody"].iter().find_map(|name| in_passwd(&passwd, name)).ok_or(PostgresError::NoAccount)
    }

    pub(super) fn uid(&self) -> u32 {
        self.uid
    }

    /// Makes `command` run as this account, without the service's groups and environment.
    pub(super) fn run(&self, command: &mut Command) {
        environment::clean(command);
        if let Some(other) = &self.other {
            command.uid(self.uid).gid(other.gid);
        }
    }

    /// Creates a folder with mode 0700 that belongs to this account.
    pub(super) fn make_private_dir(&self, dir: &Path) -> io::Result<()> {
        fs::DirBuilder::new().mode(0o700).create(dir)?;
        match &self.other {
            Some(other) => lchown(dir, Some(self.uid), Some(other.gid)),
            None => Ok(()),
        }
    }

    /// Fails if the other account cannot enter `dir` or a folder above it; /root (0700) is the usual cause. `dir` must
    /// be canonical. Access control lists are not checked.
    pub(super) fn check_enters(&self, dir: &Path) -> Result<(), PostgresError> {
        let Some(other) = &self.other else { return Ok(()) };
        for folder in dir.ancestors() {
            let metadata = fs::metadata(folder).map_err(PostgresError::io("look at", folder))?;
            let bit = if metadata.uid() == self.uid {
                0o100
            } else if metadata.gid() == other.gid {
                0o010
            } else {
                0o001
            };
            if metadata.mode() & bit == 0 {
                return Err(PostgresError::CannotEnter {
                    account: other.name.clone(),
                    closed: folder.to_owned(),
                    wanted: dir.to_owned(),
                });
            }
        }
        Ok(())
    }
}

/// The service's own account name, as the server sees the connecting user. `None` when /etc/passwd does not list it.
pub(super) fn own_name() -> Option<String> {
    let uid = rustix::process::geteuid().as_raw().to_string();
    let passwd = fs::read_to_string("/etc/passwd").ok()?;
    let line = passwd.lines().find(|line| line.split(':').nth(2) == Some(&uid))?;
    line.split(':').next().map(str::to_owned)
}

/// The standard library cannot look up accounts. `postgres` and `nobody` are in this file on systems that have them.
fn in_passwd(passwd: &str, name: &str) -> Option<Account> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        if fields.next() != Some(name) {
            return None;
        }
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        Some(Account { uid, other: Some(Other { gid, name: format!("`{name}`") }) })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_read_from_passwd() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\npostgres2:x:7:7::/:\npostgres:x:101:104:,,,:/var/lib:/bin/sh\n";
        let account = in_passwd(passwd, "postgres").unwrap();
        assert_eq!((account.uid, account.other.unwrap().gid), (101, 104));
        assert_eq!(in_passwd(passwd, "nobody"), None);
    }
}
