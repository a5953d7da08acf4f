//! The files under `deploy/` and the commands of docs/operations.md, run as far as this machine has the programs: nginx and
//! Caddy in front of two instances, the unit's settings, the checks and arguments of compose and Kubernetes, a dump that is
//! restored, the queries.
//!
//! Programs of the system that are missing are named, and their tests do nothing; the gate installs them and insists.

mod front;
mod proxies;
mod proxies_in_trouble;
mod unit;
mod manifests;
mod alerts;
mod restore;
mod runbook;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use yaml_rust2::{Yaml, YamlLoader};

use crate::helpers::database::cluster_base;

fn deploy(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(file);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Replaces what a user has to replace in the file; each text must occur in it.
fn filled_in(file: &str, changes: &[(&str, String)]) -> String {
    let mut text = deploy(file);
    for (from, to) in changes {
        assert!(text.contains(from), "{file} has no {from}");
        text = text.replace(from, to);
    }
    text
}

fn otpost(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_otpost"));
    command.env_remove("DATABASE_URL").args(arguments).stdin(Stdio::null()).output().expect("the program runs")
}

fn folder(name: &str) -> PathBuf {
    let dir = cluster_base().join(format!("deploy-{name}-{}", std::process::id()));
    fs::create_dir_all(&dir).expect("a folder");
    dir
}

fn yaml(file: &str) -> Vec<Yaml> {
    YamlLoader::load_from_str(&deploy(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

fn url_of(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}
