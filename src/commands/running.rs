//! How `otpost reload` finds the services of a data directory and gets their answers: each service holds a lock on
//! `serving/PID` while it runs, and writes its answer to the last signal into `serving/PID.answer`.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::process::Pid;
use serde::{Deserialize, Serialize};

/// In the data directory.
const FOLDER: &str = "serving";

/// Result of a reload signal, from the service.
#[derive(Serialize, Deserialize)]
pub(super) struct Answer {
    /// The new settings are in use, or equal the old ones.
    pub taken_over: bool,
    /// For display, in lines.
    pub text: String,
}

/// This process's own file; removed when dropped.
pub(super) struct Announcement {
    path: PathBuf,
    /// Its lock shows that this process lives: the kernel releases it however the process ends.
    _file: File,
}

impl Announcement {
    /// # Errors
    /// When the data directory is not writable.
    pub(super) fn make(data_dir: &Path) -> io::Result<Self> {
        let folder = data_dir.join(FOLDER);
        DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
        let path = folder.join(std::process::id().to_string());
        let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path)?;
        file.try_lock()?;
        Ok(Self { path, _file: file })
    }

    /// # Errors
    /// When the data directory is not writable.
    pub(super) fn answer(&self, answer: &Answer) -> io::Result<()> {
        let new = self.path.with_extension("new");
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        file.write_all(&serde_json::to_vec(answer)?)?;
        fs::rename(&new, self.path.with_extension("answer"))
    }
}

impl Drop for Announcement {
    fn drop(&mut self) {
        for path in [&self.path.with_extension("answer"), &self.path] {
            fs::remove_file(path).ok();
        }
    }
}

/// A running service.
pub(super) struct Service {
    pub pid: Pid,
    answer: PathBuf,
}

/// The running services of this data directory; files that killed ones left are skipped.
pub(super) fn services(data_dir: &Path) -> Vec<Service> {
    let entries = fs::read_dir(data_dir.join(FOLDER)).into_iter().flatten().flatten();
    let running = entries.filter_map(|entry| {
        let pid = Pid::from_raw(entry.file_name().to_str()?.parse().ok()?)?;
        let file = File::open(entry.path()).ok()?;
        matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock))
            .then(|| Service { pid, answer: entry.path().with_extension("answer") })
    });
    running.collect()
}

impl Service {
    /// Removes the previous answer.
    pub(super) fn forget_answer(&self) {
        fs::remove_file(&self.answer).ok();
    }

    /// `None` until it has answered.
    pub(super) fn answer(&self) -> Option<Answer> {
        serde_json::from_slice(&fs::read(&self.answer).ok()?).ok()
    }
}
