//! What the server's programs see of the service's environment.

use std::env;
use std::process::Command;

/// Where programs and libraries are. Everything else stays with the service: its environment holds keys and tokens, and
/// what a child was started with can be read as long as it lives.
const KEPT: [&str; 2] = ["PATH", "LD_LIBRARY_PATH"];

/// Every command of this module goes through here.
pub(super) fn clean(command: &mut Command) {
    command.env_clear();
    command.envs(KEPT.iter().filter_map(|name| Some((name, env::var_os(name)?))));
    // Messages are read by `server::last_words`.
    command.env("LC_ALL", "C");
}
