//! The connection file `demo.json`: the addresses and the API key of a running demo. The demo writes it, the client
//! commands read it.

use std::fs;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::config::{default_data_dir, environment};

/// In the data directory of the demo.
const NAME: &str = "demo.json";

#[derive(Clone, Serialize, Deserialize)]
pub(super) struct ConnectionFile {
    pub api_url: String,
    pub api_key: String,
    pub simulator_url: String,
    pub database_url: String,
}

impl ConnectionFile {
    pub(super) fn path(data_dir: &Path) -> PathBuf {
        data_dir.join(NAME)
    }

    /// Readable by the owner only, because it contains the key. Replaced in one step, so a reader never sees part of
    /// it.
    ///
    /// # Errors
    /// When the folder is not writable.
    pub(super) fn write(&self, data_dir: &Path) -> Result<()> {
        let path = Self::path(data_dir);
        let new = path.with_extension("json.new");
        let write = || -> std::io::Result<()> {
            // A file left by a killed demo might have another mode.
            remove(&new)?;
            let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
            file.write_all(serde_json::to_string_pretty(self)?.as_bytes())?;
            file.write_all(b"\n")?;
            file.sync_all()?;
            fs::rename(&new, &path)
        };
        write().with_context(|| format!("cannot write {}", path.display()))
    }

    /// `None` when no demo runs on this folder, or it has not written the file yet.
    ///
    /// # Errors
    /// When it exists and cannot be read.
    pub(super) fn read(data_dir: &Path) -> Result<Option<Self>> {
        let path = Self::path(data_dir);
        let text = match fs::read_to_string(&path) {
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(None),
            other => other.with_context(|| format!("cannot read {}", path.display()))?,
        };
        serde_json::from_str(&text).map(Some).with_context(|| format!("cannot understand {}", path.display()))
    }

    /// # Errors
    /// When it cannot be removed; a missing file is no error.
    pub(super) fn remove(data_dir: &Path) -> std::io::Result<()> {
        remove(&Self::path(data_dir))
    }
}

/// The default folder of a demo without `--data-dir` or OTPOST_DATA_DIR: `demo` in the default data directory.
///
/// # Errors
/// When the user has no home directory.
pub(super) fn demo_dir() -> Result<PathBuf> {
    let base = default_data_dir(&environment());
    Ok(base.context("there is no HOME to keep a demo in; name a folder with --data-dir")?.join("demo"))
}

fn remove(path: &Path) -> std::io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
