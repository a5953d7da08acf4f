//! Rules about the source itself, read from the files.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Which module may name which others with `use crate::`. ARCHITECTURE.md draws it.
const ARROWS: [(&str, &[&str]); 11] = [
    ("domain", &[]),
    ("postgres", &[]),
    ("clock", &["domain", "store", "telemetry"]),
    ("telemetry", &[]),
    ("config", &["domain", "providers"]),
    ("store", &["domain"]),
    ("providers", &["domain"]),
    ("services", &["domain", "store", "providers", "clock", "telemetry"]),
    ("web", &["domain", "store", "providers", "clock", "telemetry", "services"]),
    ("workers", &["domain", "store", "providers", "clock", "telemetry", "services"]),
    ("simulator", &["domain"]),
];

/// TLS and crypto that need OpenSSL or minutes of C: rustls with ring does the same.
const BANNED: [&str; 5] = ["openssl-sys", "openssl", "native-tls", "aws-lc-sys", "aws-lc-rs"];

#[test]
fn modules_name_only_those_below_them() {
    let src = root().join("src");
    let mut wrong = Vec::new();
    for (module, below) in ARROWS {
        let mut files = vec![src.join(format!("{module}.rs"))];
        collect(&src.join(module), "rs", &mut files);
        for file in files {
            // Not every module of the picture is a folder.
            let Ok(text) = fs::read_to_string(&file) else { continue };
            let named = named_modules(&text);
            let others = named.iter().filter(|named| named.as_str() != module && !below.contains(&named.as_str()));
            wrong.extend(others.map(|other| format!("{} uses {other}", shown(&file))));
        }
    }
    assert!(wrong.is_empty(), "against the arrows of tests/it/tidy.rs:\n{}", wrong.join("\n"));
}

/// `crate::{...}` would hide modules from the reader above, and from a reader's eye.
#[test]
fn each_use_names_one_module() {
    let mut files = Vec::new();
    collect(&root().join("src"), "rs", &mut files);
    let hidden: Vec<_> = files
        .iter()
        .filter(|file| fs::read_to_string(file).unwrap().lines().any(|line| line.contains("use crate::{")))
        .map(|file| shown(file))
        .collect();
    assert!(hidden.is_empty(), "write one `use crate::module::...` per module: {hidden:?}");
}

#[test]
fn dependencies_need_no_openssl_and_no_slow_builds() {
    let lock = fs::read_to_string(root().join("Cargo.lock")).unwrap();
    let names = lock.lines().filter_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"'));
    let banned: Vec<_> = names.filter(|name| BANNED.contains(name)).collect();
    assert!(banned.is_empty(), "in Cargo.lock: {banned:?}; see `cargo tree --invert NAME` for who wants it");
}

#[test]
fn dependencies_come_from_the_registry() {
    let lock = fs::read_to_string(root().join("Cargo.lock")).unwrap();
    let sources: BTreeSet<_> = lock.lines().filter_map(|line| line.strip_prefix("source = ")).collect();
    assert!(sources.iter().all(|source| source.starts_with("\"registry+")), "{sources:?}");
}

/// The modules behind `crate::` in code, whether in a `use` or in a path.
fn named_modules(text: &str) -> BTreeSet<String> {
    let code = text.lines().map(str::trim_start).filter(|line| !line.starts_with("//"));
    let after = code.flat_map(|line| line.split("crate::").skip(1));
    after
        .map(|rest| rest.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap_or_default().to_owned())
        .filter(|name| name.starts_with(|c: char| c.is_ascii_lowercase()))
        .collect()
}

fn collect(dir: &Path, extension: &str, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, extension, files);
        } else if path.extension().is_some_and(|found| found == extension) {
            files.push(path);
        }
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn shown(file: &Path) -> String {
    file.strip_prefix(root()).unwrap_or(file).display().to_string()
}

#[test]
fn modules_are_found_in_uses_and_paths() {
    let text = "use crate::domain::Phone;\n// crate::web\n  let x: crate::store::Row = crate::CONSTANT;";
    assert_eq!(named_modules(text).into_iter().collect::<Vec<_>>(), ["domain", "store"]);
}
