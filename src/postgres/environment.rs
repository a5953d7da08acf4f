//! The part of the service's environment that the server's programs receive.

use std::env;
use std::process::Command;

/// Where programs and libraries are. Nothing else is passed on: the service's environment contains keys and tokens, and
/// a child's initial environment can be read as long as it runs.
const KEPT: [&str; 2] = ["PATH", "LD_LIBRARY_PATH"];

/// Every command of this module is prepared here.
pub(super) fn clean(command: &mut Command) {
    command.env_clear();
    command.envs(KEPT.iter().filter_map(|name| Some((name, env::var_os(name)?))));
    // `server::last_words` reads English messages.
    command.env("LC_ALL", "C");
}
