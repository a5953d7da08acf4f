//! `demo.json`: where a running demo is and how to use it. The demo writes it, the client commands read it.

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
pub struct Papers {
    pub api_url: String,
    pub api_key: String,
    pub simulator_url: String,
    pub database_url: String,
}

impl Papers {
    pub fn path(data_dir: &Path) -> PathBuf {
        data_dir.join(NAME)
    }

    /// Readable by the owner only, since the key is in it; there is never half of it.
    ///
    /// # Errors
    /// When the folder takes no file.
    pub fn write(&self, data_dir: &Path) -> Result<()> {
        let path = Self::path(data_dir);
        let new = path.with_extension("json.new");
        let write = || -> std::io::Result<()> {
            // One of a demo that was killed might have another mode.
            remove(&new)?;
            let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
            file.write_all(serde_json::to_string_pretty(self)?.as_bytes())?;
            file.write_all(b"\n")?;
            file.sync_all()?;
            fs::rename(&new, &path)
        };
        write().with_context(|| format!("cannot write {}", path.display()))
    }

    /// `None` when no demo runs on this folder, or none has written it yet.
    ///
    /// # Errors
    /// When it is there and cannot be read.
    pub fn read(data_dir: &Path) -> Result<Option<Self>> {
        let path = Self::path(data_dir);
        let text = match fs::read_to_string(&path) {
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(None),
            other => other.with_context(|| format!("cannot read {}", path.display()))?,
        };
        serde_json::from_str(&text).map(Some).with_context(|| format!("cannot understand {}", path.display()))
    }

    /// # Errors
    /// When it cannot be removed; not when there is none.
    pub fn remove(data_dir: &Path) -> std::io::Result<()> {
        remove(&Self::path(data_dir))
    }
}

/// Where a demo keeps its things unless told: `demo` in the default data directory.
///
/// # Errors
/// When the user has no home.
pub fn demo_dir() -> Result<PathBuf> {
    let base = default_data_dir(&environment());
    Ok(base.context("there is no HOME to keep a demo in; name a folder with --data-dir")?.join("demo"))
}

fn remove(path: &Path) -> std::io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
