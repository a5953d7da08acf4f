//! Rules about the source itself, read from the files.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Which module may name which others with `use crate::`. ARCHITECTURE.md draws it.
const ARROWS: [(&str, &[&str]); 10] = [
    ("api", &["domain"]),
    ("postgres", &[]),
    ("clock", &["domain", "store", "telemetry"]),
    ("telemetry", &[]),
    ("config", &["domain", "providers", "outbound"]),
    ("store", &["domain"]),
    ("outbound", &["domain", "providers"]),
    ("services", &["api", "domain", "store", "providers", "outbound", "clock", "telemetry"]),
    ("web", &["api", "domain", "providers", "clock", "telemetry", "services"]),
    ("workers", &["domain", "clock", "telemetry", "services"]),
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

/// A newcomer reads these from above: no module needs one that comes later.
#[test]
fn modules_are_in_reading_order() {
    for source in ["src", "crates/domain/src"] {
        let (mut above, mut early) = (BTreeSet::new(), Vec::new());
        for module in read(&format!("{source}/lib.rs")).lines().filter_map(module_of) {
            above.insert(module.to_owned());
            let mut files = vec![root().join(source).join(format!("{module}.rs"))];
            collect(&root().join(source).join(module), "rs", &mut files);
            for file in files.iter().filter(|file| file.exists()) {
                let named = named_modules(&fs::read_to_string(file).unwrap());
                early.extend(named.difference(&above).map(|later| format!("{} uses {later}", shown(file))));
            }
        }
        assert!(above.len() > 3 && early.is_empty(), "later in {source}/lib.rs:\n{}", early.join("\n"));
    }
}

/// The module that a line of a lib.rs declares, or takes from another crate.
fn module_of(line: &str) -> Option<&str> {
    let own = line.strip_prefix("pub mod ");
    own.or_else(|| line.strip_prefix("pub use ")?.split_once(" as ").map(|(_, name)| name))?.strip_suffix(';')
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
    let lock = read("Cargo.lock");
    let names = lock.lines().filter_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"'));
    let banned: Vec<_> = names.filter(|name| BANNED.contains(name)).collect();
    assert!(banned.is_empty(), "in Cargo.lock: {banned:?}; see `cargo tree --invert NAME` for who wants it");
}

#[test]
fn dependencies_come_from_the_registry() {
    let lock = read("Cargo.lock");
    let sources: BTreeSet<_> = lock.lines().filter_map(|line| line.strip_prefix("source = ")).collect();
    assert!(sources.iter().all(|source| source.starts_with("\"registry+")), "{sources:?}");
}

/// A provider more is two folders and two rows: no other source file knows its name, in code or in prose.
#[test]
fn a_provider_is_named_in_its_own_folders_and_in_the_registries_alone() {
    let mut wrong = Vec::new();
    let names = provider_names();
    assert!(names.len() > 5, "{names:?}");
    for file in sources().iter().filter(|file| !file.ends_with("registry.rs")) {
        let text = fs::read_to_string(file).unwrap();
        let place = shown(file);
        let others = names_within(&text, &names);
        let others = others.iter().filter(|(name, _)| !place.split('/').any(|part| part == name.as_str()));
        wrong.extend(others.map(|(name, line)| format!("{place}:{line} names {name}")));
    }
    assert!(wrong.is_empty(), "say what is true of every provider, or move it:\n{}", wrong.join("\n"));
}

/// The folders of the adapters. `described` holds providers that the settings describe, and is no provider's name.
fn provider_names() -> BTreeSet<String> {
    let folders = |place: &str| -> BTreeSet<String> {
        let entries = fs::read_dir(root().join(place)).unwrap().map(|entry| entry.unwrap().path());
        let folders = entries.filter(|path| path.join("tests.rs").is_file() && path.join("mod.rs").is_file());
        folders.map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect()
    };
    let names = folders("crates/providers/src");
    assert_eq!(names, folders("crates/simulator/src/faces"), "each provider has an adapter and a face");
    names.into_iter().filter(|name| name != "described").collect()
}

/// Every Rust file of the program and its crates, without the tests beside them.
fn sources() -> Vec<PathBuf> {
    let mut files = Vec::new();
    collect(&root().join("src"), "rs", &mut files);
    for entry in fs::read_dir(root().join("crates")).unwrap() {
        collect(&entry.unwrap().path().join("src"), "rs", &mut files);
    }
    assert!(files.len() > 200, "{}", files.len());
    files
}

/// The names that stand in the text, also as a part of a longer word, with the line of each. `metadata` and the
/// `meta` element of a page are words of their own.
fn names_within(text: &str, names: &BTreeSet<String>) -> Vec<(String, usize)> {
    let mut found = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let line =
            line.to_ascii_lowercase().replace("metadata", "").replace("meta charset=", "").replace("meta name=", "");
        found.extend(names.iter().filter(|name| line.contains(name.as_str())).map(|name| (name.clone(), at + 1)));
    }
    found
}

#[test]
fn names_are_found_within_others() {
    let names = ["meta", "twilio"].map(str::to_owned).into();
    let text = "struct MetaConfig;\nlet metadata = 1;\n// Twilio's\nmeta charset=\"utf-8\"; TWILIO_KEY";
    let found: Vec<_> = names_within(text, &names).into_iter().map(|(name, line)| format!("{name} {line}")).collect();
    assert_eq!(found, ["meta 1", "twilio 3", "twilio 4"]);
}

/// Each file that names a version of Rust, and the text before it.
const RUST_VERSIONS: [(&str, &str); 5] = [
    ("Cargo.toml", "rust-version = \""),
    ("rust-toolchain.toml", "channel = \""),
    ("Dockerfile", "FROM rust:"),
    ("README.md", "Rust "),
    ("CONTRIBUTING.md", "Rust "),
];

#[test]
fn every_file_names_the_same_version_of_rust() {
    let found = RUST_VERSIONS.map(|(file, before)| (file, rust_version(&read(file), before)));
    let (_, first) = &found[0];
    assert!(first.is_some() && found.iter().all(|(_, version)| version == first), "{found:?}");
}

#[test]
fn cargo_deny_bans_what_is_banned_here() {
    let deny: toml::Table = toml::from_str(&read("deny.toml")).unwrap();
    let listed = deny["bans"]["deny"].as_array().unwrap().iter();
    let names: BTreeSet<_> = listed.map(|entry| entry["crate"].as_str().unwrap()).collect();
    assert_eq!(names, BTreeSet::from(BANNED));
}

/// The first version after `before` in the text, without its third number: `1.95`.
fn rust_version(text: &str, before: &str) -> Option<String> {
    let mut starts = text.match_indices(before).map(|(at, _)| &text[at + before.len()..]);
    starts.find_map(|rest| {
        let version: String = rest.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
        let mut numbers = version.split('.').filter(|number| !number.is_empty());
        Some(format!("{}.{}", numbers.next()?, numbers.next()?))
    })
}

fn read(file: &str) -> String {
    fs::read_to_string(root().join(file)).unwrap()
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

pub(crate) fn collect(dir: &Path, extension: &str, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, extension, files);
        } else if path.extension().is_some_and(|found| found == extension) {
            files.push(path);
        }
    }
}

pub(crate) fn root() -> &'static Path {
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

#[test]
fn versions_of_rust_are_found_in_text() {
    assert_eq!(rust_version("Rust needs a compiler. Rust 1.95, or Rust 2.", "Rust ").as_deref(), Some("1.95"));
    assert_eq!(rust_version("channel = \"1.95.0\"", "channel = \"").as_deref(), Some("1.95"));
    assert_eq!(rust_version("Rust", "Rust "), None);
}
