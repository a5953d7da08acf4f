//! Reads `postmaster.pid` in a data directory, and ends what an earlier server left behind.
//!
//! Its lines: 1 the process id, 2 the data directory, 3 the start time, 4 the port, 5 the socket's folder, 6 the
//! address, 7 the shared memory, 8 the status (`starting`, `stopping`, `ready`, `standby`, padded with spaces).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::account::Account;
use super::error::PostgresError;
use super::programs::Programs;

/// Whether the server with process id `pid` accepts connections.
pub(super) fn is_ready(data: &Path, pid: u32) -> bool {
    let Ok(text) = fs::read_to_string(pid_file(data)) else { return false };
    let mut lines = text.lines();
    lines.next().and_then(|line| line.parse().ok()) == Some(pid) && lines.nth(6).map(str::trim_end) == Some("ready")
}

/// Ends what an earlier service left in `data`, which must be canonical. The caller holds the directory's lock, so the
/// service of a server that still runs there has ended.
///
/// - The server runs: it is asked for a fast shutdown and waited for (at most 60 s).
/// - The process is an unreaped zombie, or its id now belongs to another program: PostgreSQL would mistake it for a
///   running server and refuse to start, so the file is removed. PostgreSQL still checks for left-over backends by
///   their shared memory.
/// - The process is gone: PostgreSQL detects that itself.
pub(super) fn end_left_over(data: &Path, programs: &Programs, account: &Account) -> Result<(), PostgresError> {
    let file = pid_file(data);
    let Ok(text) = fs::read_to_string(&file) else { return Ok(()) };
    let pid = text.lines().next().and_then(|line| line.parse().ok());
    match pid.map_or(Process::Unrelated, |pid| look_at(pid, data)) {
        Process::Gone => Ok(()),
        Process::Unrelated => fs::remove_file(&file).map_err(PostgresError::io("remove the stale", &file)),
        Process::Server => {
            let mut stop = Command::new(programs.path("pg_ctl"));
            stop.args(["stop", "--silent", "--mode=fast", "--timeout=60", "--pgdata"]).arg(data);
            stop.current_dir(data).stdin(Stdio::null());
            account.run(&mut stop);
            // If it fails, the start below fails too, with a better message.
            stop.output().map_err(PostgresError::io("run", &programs.path("pg_ctl")))?;
            Ok(())
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Process {
    /// A server of this data directory, recognised by its working directory.
    Server,
    /// A zombie, or another program.
    Unrelated,
    Gone,
}

/// Without /proc every process counts as the server; pg_ctl then decides.
fn look_at(pid: u32, data: &Path) -> Process {
    if !Path::new("/proc/self/stat").exists() {
        return Process::Server;
    }
    let process = PathBuf::from(format!("/proc/{pid}"));
    // `pid (name) state ...`; the name may contain any character.
    let Ok(stat) = fs::read_to_string(process.join("stat")) else { return Process::Gone };
    let zombie = stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with(['Z', 'X']));
    match fs::read_link(process.join("cwd")) {
        Ok(cwd) if cwd == data && !zombie => Process::Server,
        // It ended between the two checks, or belongs to another user.
        _ => Process::Unrelated,
    }
}

fn pid_file(data: &Path) -> PathBuf {
    data.join("postmaster.pid")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_needs_our_process_and_the_eighth_line() {
        let data = std::env::temp_dir().join(format!("otpost-postmaster-{}", std::process::id()));
        fs::create_dir_all(&data).unwrap();
        let write = |status: &str| {
            fs::write(pid_file(&data), format!("77\n/data\n1764000000\n5432\n/socket\n\n 1 2\n{status}\n")).unwrap();
        };
        write("starting");
        assert!(!is_ready(&data, 77));
        write("ready   ");
        assert!(is_ready(&data, 77));
        assert!(!is_ready(&data, 7));
        fs::remove_dir_all(data).unwrap();
    }

    #[test]
    fn zombies_and_strangers_are_not_servers() {
        let mut child = Command::new("true").current_dir("/").spawn().unwrap();
        let stat = format!("/proc/{}/stat", child.id());
        while !fs::read_to_string(&stat).unwrap().contains(") Z ") {
            std::thread::yield_now();
        }
        assert_eq!(look_at(child.id(), Path::new("/")), Process::Unrelated);
        child.wait().unwrap();
        assert_eq!(look_at(child.id(), Path::new("/")), Process::Gone);
        assert_eq!(look_at(std::process::id(), Path::new("/nowhere")), Process::Unrelated);
    }
}
