//! Programs of the system that tests run beside otpost.

use std::path::PathBuf;

/// Set by the gate after it has installed them: a missing program is then a failure.
const INSIST: &str = "OTPOST_TEST_TOOLS";

/// A program that the gate installs (scripts/test-tools.sh). `None` where it is missing, with a message.
pub(crate) fn program(name: &str) -> Option<PathBuf> {
    let found = optional(name);
    let insists = std::env::var_os(INSIST).is_some_and(|value| value == "required");
    assert!(found.is_some() || !insists, "there is no {name}, although {INSIST}=required");
    found
}

/// A program that the gate does not require.
pub(crate) fn optional(name: &str) -> Option<PathBuf> {
    let found = std::env::var_os("PATH").and_then(|path| {
        let places = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
        places.map(|place| place.join(name)).find(|place| place.exists())
    });
    if found.is_none() {
        eprintln!("NOT TESTED: there is no {name} on this machine");
    }
    found
}
