//! Limits that the operating system sets for this process.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Assumed limit where the system has none.
const UNLIMITED: u64 = 1 << 20;

/// Raises the limit of open files to the maximum that the system allows. Call it once, at the start. If the system
/// refuses, the limit stays; [`descriptors`] reads it again.
pub fn raise_descriptors() {
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_some() && limit.current != limit.maximum {
        let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    }
}

/// Maximum number of files and sockets that this process may have open.
pub fn descriptors() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(UNLIMITED).min(UNLIMITED)
}

/// Memory contains codes and keys at times; a crash must not write it to disk.
pub fn forbid_core_dumps() {
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    // A handler to which the kernel pipes core dumps ignores that limit.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
}
