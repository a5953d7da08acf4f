//! How `otpost reload` finds the services of a data directory, and hears from them: `serving/PID`, a file that each holds
//! locked while it runs, and `serving/PID.answer`, what it says to the last signal.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::process::Pid;
use serde::{Deserialize, Serialize};

/// In the data directory.
const FOLDER: &str = "serving";

/// What a service made of the signal to read its settings anew.
#[derive(Serialize, Deserialize)]
pub struct Answer {
    /// The new settings are in use, or say the same as before.
    pub taken_over: bool,
    /// For a person, in lines.
    pub text: String,
}

/// This process's own file; removed when dropped.
pub struct Announcement {
    path: PathBuf,
    /// Its lock says that this process lives: the kernel gives it back however the process ends.
    _file: File,
}

impl Announcement {
    /// # Errors
    /// When the data directory takes no file.
    pub fn make(data_dir: &Path) -> io::Result<Self> {
        let folder = data_dir.join(FOLDER);
        DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
        let path = folder.join(std::process::id().to_string());
        let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path)?;
        file.try_lock()?;
        Ok(Self { path, _file: file })
    }

    /// # Errors
    /// When the data directory takes no file.
    pub fn answer(&self, answer: &Answer) -> io::Result<()> {
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

/// A service that runs.
pub struct Service {
    pub pid: Pid,
    answer: PathBuf,
}

/// The services of this data directory that run; what killed ones left is passed over.
pub fn services(data_dir: &Path) -> Vec<Service> {
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
    /// Forgets what it said before.
    pub fn forget_answer(&self) {
        fs::remove_file(&self.answer).ok();
    }

    /// `None` as long as it has not answered.
    pub fn answer(&self) -> Option<Answer> {
        serde_json::from_slice(&fs::read(&self.answer).ok()?).ok()
    }
}
