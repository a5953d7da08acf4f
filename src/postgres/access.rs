//! Restricts connections to the service's own account.
//!
//! The socket's folder (0700) already excludes other users. When the service is root, the server runs as an account
//! that other programs may use too, so the server checks the operating system's name of the connecting user (`peer`).

use std::path::Path;

use super::account;
use super::error::PostgresError;
use super::files;
use super::{SERVICE, SUPERUSER};

/// Writes the two access files into `dir`, which belongs to the service and not to the server, and returns the settings
/// that name them. Runs at every start, because an older version trusted every connection through the socket.
pub(super) fn write(dir: &Path) -> Result<[String; 2], PostgresError> {
    let (rules, names) = texts(account::own_name().as_deref());
    let write = |setting: &str, name: &str, text: &str| {
        let file = dir.join(name);
        files::write_public(&file, text)?;
        Ok(format!("{setting}={}", file.display()))
    };
    Ok([write("hba_file", "pg_hba.conf", &rules)?, write("ident_file", "pg_ident.conf", &names)?])
}

/// An account without a name cannot be checked by the server either; the socket's folder is then the only protection.
fn texts(name: Option<&str>) -> (String, String) {
    let head = "# Written by otpost at every start.\n";
    match name.filter(|name| !name.contains(['"', '\n'])) {
        Some(name) => (
            format!("{head}local all {SUPERUSER},{SERVICE} peer map=otpost\n"),
            format!("{head}otpost \"{name}\" {SUPERUSER}\notpost \"{name}\" {SERVICE}\n"),
        ),
        None => (format!("{head}local all {SUPERUSER},{SERVICE} trust\n"), head.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_own_account_is_let_in() {
        let (rules, names) = texts(Some("deploy"));
        assert!(rules.ends_with("\nlocal all otpost,otpost_service peer map=otpost\n"), "{rules}");
        assert!(names.ends_with("\notpost \"deploy\" otpost\notpost \"deploy\" otpost_service\n"), "{names}");
        assert!(texts(None).0.contains("trust"));
    }
}
