//! No circles: no file of a crate needs, over whichever others, one that needs it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use crate::tidy::{collect, root};

/// A module's path below its crate's root.
type Module = Vec<String>;

#[test]
fn no_files_name_each_other_in_a_circle() {
    let mut sources = vec!["src".to_owned()];
    let crates = fs::read_dir(root().join("crates")).unwrap();
    sources.extend(crates.map(|entry| format!("crates/{}/src", entry.unwrap().file_name().to_str().unwrap())));
    sources.sort();
    let mut found = BTreeSet::new();
    for source in &sources {
        for circle in circles(&graph(&root().join(source))) {
            found.insert((source.clone(), circle.iter().map(|module| module.join("::")).collect::<Vec<_>>()));
        }
    }
    assert!(found.is_empty(), "each line is a crate and the modules of a circle:\n{found:#?}");
}

/// Each module of the folder with those it names. A module that only hands on names of its own children does not need them.
fn graph(source: &Path) -> BTreeMap<Module, BTreeSet<Module>> {
    let mut files = Vec::new();
    collect(source, "rs", &mut files);
    let texts: BTreeMap<Module, String> = files
        .iter()
        .map(|file| {
            let path = file.strip_prefix(source).unwrap().with_extension("");
            let mut module: Module = path.iter().map(|part| part.to_str().unwrap().to_owned()).collect();
            if matches!(module.last().map(String::as_str), Some("mod" | "lib" | "main")) {
                module.pop();
            }
            (module, fs::read_to_string(file).unwrap())
        })
        // The crate's root names every module, and tests may name each other.
        .filter(|(module, _)| !module.is_empty() && !module.iter().any(|part| part == "tests"))
        .collect();
    let known: BTreeSet<&Module> = texts.keys().collect();
    texts.iter().map(|(module, text)| (module.clone(), named(module, text, &known))).collect()
}

/// The modules that a file names behind `crate::`, `super::` and `self::`, without its inline tests and comments.
fn named(module: &Module, text: &str, known: &BTreeSet<&Module>) -> BTreeSet<Module> {
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let lines: Vec<&str> = code.lines().map(str::trim_start).filter(|line| !line.starts_with("//")).collect();
    let mut all = BTreeSet::new();
    for statement in lines.join(" ").split(';') {
        let hands_on = statement.trim_start().starts_with("pub use ");
        for base in ["crate::", "super::", "self::"] {
            for (at, _) in statement.match_indices(base) {
                let before = &statement[..at];
                let goes_on = before.ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':');
                // Where something may be seen is no need of it.
                if goes_on || before.ends_with("pub(in ") {
                    continue;
                }
                for path in paths(&statement[at..]) {
                    let target = resolve(module, &path, known);
                    let is_child = target.starts_with(module) && target.len() > module.len();
                    if !target.is_empty() && target != *module && !(is_child && hands_on) {
                        all.insert(target);
                    }
                }
            }
        }
    }
    all
}

/// The paths of `a::b::{c, d}` and of `a::b::c`, of one level of braces.
fn paths(text: &str) -> Vec<Vec<String>> {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_' && c != ':').unwrap_or(text.len());
    let stem: Vec<String> = text[..end].split("::").filter(|part| !part.is_empty()).map(str::to_owned).collect();
    let Some(list) = text[end..].strip_prefix('{').filter(|_| text[..end].ends_with("::")) else { return vec![stem] };
    let list = list.split('}').next().unwrap_or_default();
    let names = list.split(',').filter_map(|name| name.trim().split([':', ' ', '{']).next()).filter(|n| !n.is_empty());
    names.map(|name| stem.iter().cloned().chain([name.to_owned()]).collect()).collect()
}

/// The deepest module on a path.
fn resolve(module: &Module, path: &[String], known: &BTreeSet<&Module>) -> Module {
    let mut at: Module = if path[0] == "crate" { Vec::new() } else { module.clone() };
    for part in path {
        match part.as_str() {
            "crate" | "self" => {}
            "super" => drop(at.pop()),
            name => {
                at.push(name.to_owned());
                if !known.contains(&at) {
                    at.pop();
                    return at;
                }
            }
        }
    }
    at
}

/// The groups of modules each of which reaches each other one of its group.
fn circles(graph: &BTreeMap<Module, BTreeSet<Module>>) -> BTreeSet<Vec<Module>> {
    let reached: BTreeMap<&Module, BTreeSet<&Module>> = graph.keys().map(|from| (from, reach(graph, from))).collect();
    let group = |from: &Module| -> Vec<Module> {
        let back = reached[from].iter().filter(|to| reached[**to].contains(from));
        back.map(|to| (*to).clone()).collect()
    };
    graph.keys().map(group).filter(|group| !group.is_empty()).collect()
}

fn reach<'a>(graph: &'a BTreeMap<Module, BTreeSet<Module>>, from: &Module) -> BTreeSet<&'a Module> {
    let mut seen = BTreeSet::new();
    let mut left: Vec<&Module> = graph[from].iter().collect();
    while let Some(next) = left.pop() {
        if let Some((module, named)) = graph.get_key_value(next)
            && seen.insert(module)
        {
            left.extend(named);
        }
    }
    seen
}

#[test]
fn a_circle_over_three_files_is_found_and_a_row_of_files_is_none() {
    let edge = |from: &str, to: &[&str]| {
        (vec![from.to_owned()], to.iter().map(|to| vec![(*to).to_owned()]).collect::<BTreeSet<Module>>())
    };
    let graph = BTreeMap::from([edge("a", &["b"]), edge("b", &["c", "d"]), edge("c", &["a"]), edge("d", &[])]);
    let names: Vec<String> = circles(&graph).into_iter().next().unwrap().concat();
    assert_eq!((circles(&graph).len(), names), (1, vec!["a".to_owned(), "b".to_owned(), "c".to_owned()]));
}

#[test]
fn names_are_found_in_lists_and_behind_super() {
    let known: Vec<Module> =
        ["x", "x::y", "x::z", "w"].map(|name| name.split("::").map(str::to_owned).collect()).into();
    let text = "use super::{y, Other};\nuse crate::w::Thing;\n// crate::x\npub use self::inner::A;";
    let found = named(&known[2], text, &known.iter().collect());
    assert_eq!(found.into_iter().map(|module| module.join("::")).collect::<Vec<_>>(), ["w", "x", "x::y"]);
}
