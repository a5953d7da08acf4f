//! What the operating system allows this process.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Taken for the limit where the system has none.
const UNLIMITED: u64 = 1 << 20;

/// Raises the number of files that this process may open to what the system lets it have. Call it once, at the start.
/// Does nothing where that is refused: the limit is read again by [`descriptors`].
pub fn raise_descriptors() {
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_some() && limit.current != limit.maximum {
        let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    }
}

/// How many files and sockets this process may have open.
pub fn descriptors() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(UNLIMITED).min(UNLIMITED)
}

/// Memory holds codes and keys for moments: a crash must not write it to a disk.
pub fn forbid_core_dumps() {
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    // A handler that the kernel pipes dumps into is not bound by that limit.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
}
