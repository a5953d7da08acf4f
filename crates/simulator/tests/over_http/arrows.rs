//! Modules name only those below them, so that no two can name each other in a circle.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Which module of the crate may name which others. The head of lib.rs draws it.
const ARROWS: [(&str, &[&str]); 7] = [
    ("engine", &[]),
    ("wire", &["engine"]),
    ("faces", &["engine", "wire"]),
    ("registry", &["engine", "faces"]),
    ("config", &["engine", "registry"]),
    ("server", &["engine", "registry"]),
    ("simulator", &["engine", "config", "server"]),
];

#[test]
fn modules_name_only_those_below_them() {
    let mut wrong = Vec::new();
    let mut seen = BTreeSet::new();
    for (module, _, named) in files() {
        if module == "lib" {
            continue;
        }
        let (_, below) =
            ARROWS.iter().find(|(name, _)| *name == module).unwrap_or_else(|| panic!("no arrow of {module}"));
        seen.insert(module.clone());
        let others =
            named.iter().map(|path| path[0].as_str()).filter(|other| *other != module && !below.contains(other));
        wrong.extend(others.map(|other| format!("{module} names {other}")));
    }
    assert!(wrong.is_empty(), "against the arrows: {wrong:?}");
    assert_eq!(seen.len(), ARROWS.len());
}

/// Each file of the engine is a module of its own here.
#[test]
fn files_of_the_engine_name_each_other_in_one_direction() {
    let mut below: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (module, part, named) in files() {
        if module == "engine" && part != "mod" {
            let others = named.into_iter().filter_map(|path| path.get(1).cloned()).filter(|other| *other != part);
            below.entry(part.clone()).or_default().extend(others);
        }
    }
    assert!(below.len() > 10, "{below:?}");
    // Takes away what names nobody that is left, until only circles are.
    while let Some(lowest) = below.iter().find(|(_, named)| named.is_empty()).map(|(name, _)| name.clone()) {
        below.remove(&lowest);
        for named in below.values_mut() {
            named.remove(&lowest);
        }
    }
    assert!(below.is_empty(), "in a circle: {below:?}");
}

/// Module, its part, and the paths behind `crate::` of every source file. Tests may name whatever they need.
fn files() -> Vec<(String, String, Vec<Vec<String>>)> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    collect(&src, &mut paths);
    let file = |path: &PathBuf| {
        let place = path.strip_prefix(&src).unwrap().with_extension("");
        let mut parts = place.iter().map(|part| part.to_string_lossy().into_owned());
        let (module, part) = (parts.next().unwrap(), parts.next().unwrap_or_default());
        let text = fs::read_to_string(path).unwrap();
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        let lines = code.lines().map(str::trim_start).filter(|line| !line.starts_with("//"));
        let named = lines.flat_map(|line| line.split("crate::").skip(1)).map(|rest| {
            let path = rest.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != ':').next().unwrap();
            path.split("::").filter(|part| !part.is_empty()).map(str::to_owned).collect()
        });
        (module, part, named.collect())
    };
    paths.iter().filter(|path| !path.ends_with("tests.rs") && !path.ends_with("shapes.rs")).map(file).collect()
}

fn collect(dir: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}
