//! One running server process: it ends with the service, and stops within a bounded time.

use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::account::Account;
use super::environment;
use super::error::PostgresError;
use super::files;
use super::postmaster;
use super::programs::Programs;

/// PostgreSQL accepts connections only after it has replayed its log since the last checkpoint; that can take minutes
/// after a crash under load.
const READY_WITHIN: Duration = Duration::from_secs(300);
const READY_POLL: Duration = Duration::from_millis(5);
/// A fast shutdown writes a checkpoint.
const FAST_STOP_WITHIN: Duration = Duration::from_secs(30);
/// An immediate shutdown writes nothing; the next start recovers.
const IMMEDIATE_STOP_WITHIN: Duration = Duration::from_secs(5);
const STOP_POLL: Duration = Duration::from_millis(5);

/// Dropping it stops the server.
pub(super) struct Server {
    process: Child,
    /// Closed after the process has ended; see [`spawn_kept`].
    _keeper: mpsc::Sender<()>,
    /// Used where setpriv is not available; see [`watch`].
    watcher: Option<Child>,
}

/// Why a start failed.
pub(super) enum Refusal {
    /// Processes of a killed server still hold the directory; they end within seconds, so try again.
    StillHeld(PostgresError),
    Final(PostgresError),
}

impl Server {
    /// Starts `postgres` with `arguments` on `data` and returns when it accepts connections. Overwrites `log`.
    pub(super) fn start(
        programs: &Programs,
        account: &Account,
        data: &Path,
        arguments: &[String],
        log: &Path,
    ) -> Result<Self, Refusal> {
        let output = files::private_file(log, true).map_err(Refusal::Final)?;
        let errors = output.try_clone().map_err(PostgresError::io("write", log)).map_err(Refusal::Final)?;
        let postgres = programs.path("postgres");
        let tie = has_setpriv();
        let mut command = Command::new(if tie { Path::new("setpriv") } else { &postgres });
        if tie {
            command.args(TIE).arg(&postgres);
        }
        command.arg("-D").arg(data).args(arguments);
        command.stdin(Stdio::null()).stdout(output).stderr(errors).current_dir(data);
        // Ctrl-C must reach only the service, which still needs its database.
        command.process_group(0);
        account.run(&mut command);
        let (process, keeper) =
            spawn_kept(command).map_err(PostgresError::io("run", &postgres)).map_err(Refusal::Final)?;

        let watcher = if tie { None } else { watch(process.id(), account) };
        let mut server = Self { process, _keeper: keeper, watcher };
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

    pub(super) fn has_ended(&mut self) -> bool {
        !matches!(self.process.try_wait(), Ok(None))
    }

    fn signal(&self, signal: Signal) {
        // It can fail only if the process has ended, and then nothing is left to do.
        kill_process(Pid::from_child(&self.process), signal).ok();
    }

    fn ended_within(&mut self, bound: Duration) -> bool {
        let started = Instant::now();
        loop {
            if self.has_ended() {
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
        if let Some(mut watcher) = self.watcher.take() {
            watcher.kill().ok();
            watcher.wait().ok();
        }
        // The id of a process that was waited for may belong to another process by now.
        if self.has_ended() {
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

/// Options of util-linux setpriv: the kernel asks the server to shut down when the service ends, however it ends.
const TIE: [&str; 2] = ["--pdeathsig", "INT"];

/// Busybox has a setpriv without this option, so the option is tried.
fn has_setpriv() -> bool {
    let mut probe = Command::new("setpriv");
    environment::clean(&mut probe);
    probe.args(TIE).arg("true").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    probe.status().is_ok_and(|status| status.success())
}

/// Used where setpriv is not available: a shell waits until its standard input closes, which happens however the
/// service ends, and then asks the server to shut down. If the shell is missing too, the server outlives a killed
/// service, and the next start ends it.
fn watch(server: u32, account: &Account) -> Option<Child> {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("read -r end; kill -INT {server}")]);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).current_dir("/").process_group(0);
    account.run(&mut command);
    command.spawn().ok()
}

/// Spawns from a thread that lives until the returned sender is dropped.
///
/// The kernel ties the death signal to the *thread* that started the child. Started from a test or from a thread pool,
/// the server would be shut down as soon as that thread ends, so it gets a thread of its own.
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

/// The line of a log or of initdb's output that tells the cause: the last fatal one, else the last.
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
