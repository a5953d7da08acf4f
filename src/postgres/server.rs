//! One running server process: started so that it ends with the service, stopped within a bound.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::account::Account;
use super::error::PostgresError;
use super::postmaster;
use super::programs::Programs;

/// PostgreSQL takes connections only after it has repeated its log since the last checkpoint; that can take minutes
/// after a crash under load.
const READY_WITHIN: Duration = Duration::from_secs(300);
const READY_POLL: Duration = Duration::from_millis(5);
/// A fast shutdown writes a checkpoint.
const FAST_STOP_WITHIN: Duration = Duration::from_secs(30);
/// An immediate one writes nothing; the next start repairs.
const IMMEDIATE_STOP_WITHIN: Duration = Duration::from_secs(5);
const STOP_POLL: Duration = Duration::from_millis(5);

/// Dropping it stops the server.
pub(super) struct Server {
    process: Child,
    /// Closed after the process has ended; see [`spawn_kept`].
    _keeper: mpsc::Sender<()>,
}

/// Why a start failed.
pub(super) enum Refusal {
    /// What is left of a killed server still holds the directory: it goes away within seconds, so try again.
    StillHeld(PostgresError),
    Final(PostgresError),
}

impl Server {
    /// Starts `postgres` with `arguments` on `data` and returns when it takes connections. Overwrites `log`.
    pub(super) fn start(
        programs: &Programs,
        account: &Account,
        data: &Path,
        arguments: &[String],
        log: &Path,
    ) -> Result<Self, Refusal> {
        let output = File::create(log).map_err(PostgresError::io("write", log)).map_err(Refusal::Final)?;
        let errors = output.try_clone().map_err(PostgresError::io("write", log)).map_err(Refusal::Final)?;
        let postgres = programs.path("postgres");
        let mut command = tied_to_us(&postgres);
        command.arg("-D").arg(data).args(arguments);
        command.stdin(Stdio::null()).stdout(output).stderr(errors).current_dir(data);
        account.run(&mut command);
        let (process, keeper) =
            spawn_kept(command).map_err(PostgresError::io("run", &postgres)).map_err(Refusal::Final)?;

        let mut server = Self { process, _keeper: keeper };
        let started = Instant::now();
        while !postmaster::is_ready(data, server.process.id()) {
            if let Ok(Some(status)) = server.process.try_wait() {
                return Err(refusal(log, status));
            }
            if started.elapsed() > READY_WITHIN {
                let seconds = READY_WITHIN.as_secs();
                return Err(Refusal::Final(PostgresError::NotReady { seconds, log: log.to_owned() }));
            }
            thread::sleep(READY_POLL);
        }
        Ok(server)
    }

    /// The process id of the server.
    pub(super) fn id(&self) -> u32 {
        self.process.id()
    }

    fn signal(&self, signal: Signal) {
        // It can only fail when the process has ended, and then there is nothing to do.
        kill_process(Pid::from_child(&self.process), signal).ok();
    }

    fn ended_within(&mut self, bound: Duration) -> bool {
        let started = Instant::now();
        loop {
            if !matches!(self.process.try_wait(), Ok(None)) {
                return true;
            }
            if started.elapsed() > bound {
                return false;
            }
            thread::sleep(STOP_POLL);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A process id that has been waited for may belong to somebody else by now.
        if !matches!(self.process.try_wait(), Ok(None)) {
            return;
        }
        self.signal(Signal::INT);
        if self.ended_within(FAST_STOP_WITHIN) {
            return;
        }
        tracing::warn!(
            "PostgreSQL did not shut down within {} s; it will repair itself at the next start",
            FAST_STOP_WITHIN.as_secs()
        );
        self.signal(Signal::QUIT);
        if !self.ended_within(IMMEDIATE_STOP_WITHIN) {
            self.signal(Signal::KILL);
            self.process.wait().ok();
        }
    }
}

/// A command that runs `program` such that the kernel asks it to shut down when the service ends, however it ends.
/// Without util-linux's setpriv the server outlives a killed service, and the next start ends it.
///
/// It gets a process group of its own, so that Ctrl-C reaches the service only, which still needs its database.
fn tied_to_us(program: &Path) -> Command {
    use std::os::unix::process::CommandExt;

    let tie = ["--pdeathsig", "INT"];
    let mut probe = Command::new("setpriv");
    probe.args(tie).arg("true").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut command = if probe.status().is_ok_and(|status| status.success()) {
        let mut command = Command::new("setpriv");
        command.args(tie).arg(program);
        command
    } else {
        Command::new(program)
    };
    command.process_group(0);
    command
}

/// Spawns from a thread that lives until the returned sender is dropped.
///
/// The kernel ties the death signal to the *thread* that started the child. Started from a test or from a pool of
/// threads, the server would be shut down as soon as that thread ends, so it gets a thread of its own.
fn spawn_kept(mut command: Command) -> io::Result<(Child, mpsc::Sender<()>)> {
    let (spawned, result) = mpsc::channel();
    let (keeper, ended) = mpsc::channel::<()>();
    thread::Builder::new().name("postgres-keeper".into()).spawn(move || {
        spawned.send(command.spawn()).ok();
        ended.recv().ok();
    })?;
    let child = result.recv().expect("the thread sends before it ends")?;
    Ok((child, keeper))
}

fn refusal(log: &Path, status: ExitStatus) -> Refusal {
    let text = String::from_utf8_lossy(&fs::read(log).unwrap_or_default()).into_owned();
    let said = last_words(&text).unwrap_or_else(|| format!("it ended with {status}"));
    let error = PostgresError::Exited { said, log: PathBuf::from(log) };
    if text.contains("lock file") || text.contains("still in use") {
        Refusal::StillHeld(error)
    } else {
        Refusal::Final(error)
    }
}

/// The line of a log or of initdb's output that says what went wrong: the last fatal one, else the last.
pub(super) fn last_words(text: &str) -> Option<String> {
    let lines = || text.lines().map(str::trim).filter(|line| !line.is_empty());
    let line = lines()
        .rfind(|line| ["FATAL:", "PANIC:", "error:"].iter().any(|word| line.contains(word)))
        .or_else(|| lines().next_back())?;
    Some(line.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_words_are_the_fatal_line() {
        let log = "LOG:  starting\nFATAL:  data directory has wrong ownership\nLOG:  database system is shut down\n\n";
        assert_eq!(last_words(log).as_deref(), Some("FATAL:  data directory has wrong ownership"));
        assert_eq!(last_words("\n"), None);
    }
}
