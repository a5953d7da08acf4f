//! One table of settings: each value is looked up in the environment first, then in the file.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::ops::RangeInclusive;

use crate::file::{Table, Value};
use crate::source::{JOINT, PREFIX, Place, Source};
use crate::spelling;
use otpost_domain::secret::Secret;

/// Common names of these settings; ours take precedence.
const ALSO: [(&str, &str); 1] = [("OTPOST_DATABASE__URL", "DATABASE_URL")];

/// Getters return `None` for a missing value and for a wrong one, which they have reported then.
pub struct Section<'a> {
    source: &'a Source<'a>,
    /// Empty for the root.
    path: String,
    /// Where the table begins: the place of errors about missing settings.
    place: Place,
    table: Option<&'a Table>,
    /// Keys that are settings.
    known: RefCell<BTreeSet<String>>,
}

enum Raw<'a> {
    File(&'a Value),
    Variable(&'a str),
}

impl<'a> Section<'a> {
    pub fn root(source: &'a Source<'a>, table: Option<&'a Table>) -> Self {
        Self { source, path: String::new(), place: Place::Nowhere, table, known: RefCell::default() }
    }

    /// A table inside this one; empty if it does not exist.
    pub fn section(&self, key: &str) -> Self {
        self.known.borrow_mut().insert(key.to_owned());
        let (source, path) = (self.source, self.path_of(key));
        let mut section = Self { source, path, place: self.place.clone(), table: None, known: RefCell::default() };
        if let Some(item) = self.table.and_then(|table| table.get(key)) {
            section.place = Place::Line(item.line);
            match &item.value {
                Value::Table(table) => section.table = Some(table),
                other => source.complain(
                    Place::Line(item.line),
                    &section.path,
                    format!("is {}", other.kind()),
                    format!("must be a table: [{}]", section.path),
                ),
            }
        }
        section
    }

    /// The tables inside this one, whose names the operator chose.
    pub fn children(&self) -> Vec<(String, Self)> {
        let mut names: BTreeMap<String, String> = BTreeMap::new();
        for name in self.table.into_iter().flat_map(Table::keys) {
            names.insert(in_variable(name), name.clone());
        }
        let mut places = BTreeMap::new();
        let prefix = format!("{}{JOINT}", self.variable_of(""));
        for variable in self.source.env.keys() {
            let Some((name, _)) = variable.strip_prefix(&prefix).and_then(|rest| rest.split_once(JOINT)) else {
                continue;
            };
            names.entry(name.to_owned()).or_insert_with(|| {
                let name = name.to_ascii_lowercase().replace('_', "-");
                places.insert(name.clone(), Place::Variable(variable.clone()));
                name
            });
        }
        let child = |name: String| {
            let mut section = self.section(&name);
            if let Some(place) = places.get(&name) {
                section.place = place.clone();
            }
            (name, section)
        };
        let is_table = |name: &String| {
            self.table.and_then(|table| table.get(name)).is_none_or(|item| matches!(item.value, Value::Table(_)))
        };
        names
            .into_values()
            .filter_map(|name| {
                if is_table(&name) {
                    Some(child(name))
                } else {
                    self.section(&name);
                    None
                }
            })
            .collect()
    }

    /// The keys of this table, if the operator chose them. Those that are only in variables are returned in lower case
    /// with hyphens.
    pub fn keys(&self) -> Vec<String> {
        let of_file = self.table.into_iter().flat_map(Table::keys);
        let mut names: BTreeMap<String, String> = of_file.map(|name| (in_variable(name), name.clone())).collect();
        let prefix = format!("{}{JOINT}", self.variable_of(""));
        for name in self.source.env.keys().filter_map(|variable| variable.strip_prefix(&prefix)) {
            if !name.contains(JOINT) {
                names.entry(name.to_owned()).or_insert_with(|| name.to_ascii_lowercase().replace('_', "-"));
            }
        }
        names.into_values().collect()
    }

    /// Whether this setting is given by a variable, whose name does not show capitals.
    pub fn is_variable(&self, key: &str) -> bool {
        self.variable(key).is_some()
    }

    /// Whether anything is set in this table.
    pub fn is_given(&self) -> bool {
        let prefix = format!("{}{JOINT}", self.variable_of(""));
        self.table.is_some() || self.source.env.keys().any(|name| name.starts_with(&prefix))
    }

    /// Whether this setting is given, valid or not.
    pub fn has(&self, key: &str) -> bool {
        self.raw(key).is_some()
    }

    pub fn text(&self, key: &str) -> Option<String> {
        match self.raw(key)? {
            Raw::Variable(text) => Some(text.to_owned()),
            Raw::File(Value::Text(text)) => Some(text.clone()),
            Raw::File(other) => self.wrong(key, format!("is {}", other.kind()), "must be text in quotes"),
        }
    }

    /// A text that `parse` accepts.
    pub fn parsed<T>(&self, key: &str, allowed: &str, parse: impl FnOnce(&str) -> Option<T>) -> Option<T> {
        let text = self.text(key)?;
        parse(&text).or_else(|| self.wrong(key, format!("is {}", shown(&text)), allowed))
    }

    /// One of a fixed set of words.
    pub fn word<T: Copy + Display>(&self, key: &str, words: &[T]) -> Option<T> {
        self.parsed(key, &one_of(words), |text| words.iter().find(|word| word.to_string() == text).copied())
    }

    /// `unit` follows the bounds: "seconds".
    pub fn integer<T>(&self, key: &str, range: RangeInclusive<T>, unit: &str) -> Option<T>
    where
        T: TryFrom<i64> + PartialOrd + Display,
    {
        let allowed = format!("must be {} to {} {unit}", range.start(), range.end());
        let number = match self.raw(key)? {
            Raw::File(Value::Integer(number)) => Ok(*number),
            Raw::File(other) => Err(other.kind().to_owned()),
            Raw::Variable(text) => text.trim().parse::<i64>().map_err(|_| shown(text)),
        };
        match number {
            Ok(number) => T::try_from(number)
                .ok()
                .filter(|n| range.contains(n))
                .or_else(|| self.wrong(key, format!("is {number}"), &allowed)),
            Err(kind) => self.wrong(key, format!("is {kind}"), &allowed),
        }
    }

    pub fn number(&self, key: &str, range: RangeInclusive<f64>, unit: &str) -> Option<f64> {
        let allowed = format!("must be {} to {} {unit}", range.start(), range.end());
        let number = match self.raw(key)? {
            Raw::File(Value::Integer(number)) => Ok(*number as f64),
            Raw::File(Value::Float(number)) => Ok(*number),
            Raw::File(other) => Err(other.kind().to_owned()),
            Raw::Variable(text) => text.trim().parse().map_err(|_| shown(text)),
        };
        match number {
            Ok(number) if range.contains(&number) => Some(number),
            Ok(number) => self.wrong(key, format!("is {number}"), &allowed),
            Err(kind) => self.wrong(key, format!("is {kind}"), &allowed),
        }
    }

    pub fn flag(&self, key: &str) -> Option<bool> {
        let allowed = "must be true or false";
        match self.raw(key)? {
            Raw::File(Value::Flag(flag)) => Some(*flag),
            Raw::File(other) => self.wrong(key, format!("is {}", other.kind()), allowed),
            Raw::Variable(text) => {
                text.trim().parse().ok().or_else(|| self.wrong(key, format!("is {}", shown(text)), allowed))
            }
        }
    }

    /// Texts; in a variable, separated by commas. `allowed` describes them.
    pub fn list(&self, key: &str, allowed: &str) -> Option<Vec<String>> {
        let items = match self.raw(key)? {
            Raw::Variable(text) => return Some(text.split(',').map(|item| item.trim().to_owned()).collect()),
            Raw::File(Value::List(items)) => items,
            Raw::File(other) => return self.wrong(key, format!("is {}", other.kind()), allowed),
        };
        let mut texts = Vec::new();
        for item in items {
            match &item.value {
                Value::Text(text) => texts.push(text.clone()),
                other => {
                    let wrong = format!("has an entry that is {}", other.kind());
                    self.source.complain(Place::Line(item.line), &self.path_of(key), wrong, allowed);
                    return None;
                }
            }
        }
        Some(texts)
    }

    /// Numbers; in a variable, separated by commas.
    pub fn numbers(&self, key: &str, range: RangeInclusive<f64>) -> Option<Vec<f64>> {
        let allowed = format!("must be a list of numbers from {} to {}", range.start(), range.end());
        let numbers: Vec<Option<f64>> = match self.raw(key)? {
            Raw::Variable(text) => text.split(',').map(|item| item.trim().parse().ok()).collect(),
            Raw::File(Value::List(items)) => {
                let number = |value: &Value| match value {
                    Value::Integer(number) => Some(*number as f64),
                    Value::Float(number) => Some(*number),
                    _ => None,
                };
                items.iter().map(|item| number(&item.value)).collect()
            }
            Raw::File(other) => return self.wrong(key, format!("is {}", other.kind()), &allowed),
        };
        let fits: Option<Vec<f64>> = numbers.into_iter().collect();
        fits.filter(|numbers| numbers.iter().all(|number| range.contains(number)))
            .or_else(|| self.wrong(key, "has an entry that does not fit", &allowed))
    }

    /// A variable with a foreign name that is used for a setting of this section.
    pub fn also(&self, variable: &str) -> Option<&'a str> {
        self.source.variable(variable)
    }

    /// Given directly, or as `env:NAME` or `file:/path`.
    pub fn secret(&self, key: &str) -> Option<Secret> {
        let given = self.text(key)?;
        self.resolve(key, "", &given)
    }

    /// The same for a secret of several lines, such as a key in PEM.
    pub fn multiline_secret(&self, key: &str) -> Option<Secret> {
        let given = self.text(key)?;
        match self.source.resolve_lines(&given) {
            Ok(secret) => Some(secret),
            Err((wrong, allowed)) => self.wrong(key, wrong, allowed),
        }
    }

    /// `which` precedes the error, where a setting contains several secrets.
    pub fn resolve(&self, key: &str, which: &str, given: &str) -> Option<Secret> {
        match self.source.resolve(given) {
            Ok(secret) => Some(secret),
            Err((wrong, allowed)) => self.wrong(key, format!("{which}{wrong}"), allowed),
        }
    }

    /// Reports a missing setting if `value` is `None` and the setting is not given at all.
    pub fn required<T>(&self, key: &str, value: Option<T>, allowed: &str) -> Option<T> {
        if value.is_none() && !self.has(key) {
            self.complain(key, "is missing", allowed);
        }
        value
    }

    pub fn complain(&self, key: &str, wrong: impl Into<String>, allowed: impl Into<String>) {
        self.source.complain(self.place_of(key), &self.path_of(key), wrong, allowed);
    }

    /// Reports a problem of the table itself.
    pub fn complain_here(&self, wrong: impl Into<String>, allowed: impl Into<String>) {
        self.source.complain(self.place.clone(), &self.path, wrong, allowed);
    }

    /// Reports keys of the file that are not settings.
    pub fn finish(self) {
        let known = self.known.borrow();
        for (key, item) in self.table.into_iter().flatten().filter(|(key, _)| !known.contains(*key)) {
            let allowed = match spelling::closest(key, known.iter().map(String::as_str)) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!("allowed here: {}", Vec::from_iter(known.iter().map(String::as_str)).join(", ")),
            };
            self.source.complain(Place::Line(item.line), &self.path_of(key), "is not a setting", allowed);
        }
    }

    /// Instead of [`Section::finish`] if an error makes it unknown which keys belong here.
    pub fn give_up(self) {
        self.source.excuse(&format!("{}{JOINT}", self.variable_of("")));
    }

    fn raw(&self, key: &str) -> Option<Raw<'a>> {
        self.known.borrow_mut().insert(key.to_owned());
        if let Some((_, text)) = self.variable(key) {
            return Some(Raw::Variable(text));
        }
        self.table?.get(key).map(|item| Raw::File(&item.value))
    }

    fn wrong<T>(&self, key: &str, wrong: impl Into<String>, allowed: impl Into<String>) -> Option<T> {
        self.complain(key, wrong, allowed);
        None
    }

    fn place_of(&self, key: &str) -> Place {
        if let Some((name, _)) = self.variable(key) {
            return Place::Variable(name);
        }
        match self.table.and_then(|table| table.get(key)) {
            Some(item) => Place::Line(item.line),
            None => self.place.clone(),
        }
    }

    /// The variable that overrides this setting and its value, if it is set.
    fn variable(&self, key: &str) -> Option<(String, &'a str)> {
        let ours = self.variable_of(key);
        let also = ALSO.iter().filter(|(setting, _)| *setting == ours).map(|(_, also)| (*also).to_owned());
        let names: Vec<String> = std::iter::once(ours.clone()).chain(also).collect();
        names.into_iter().find_map(|name| self.source.variable(&name).map(|text| (name, text)))
    }

    fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// `OTPOST_ACCOUNTS__WA_MAIN__PER_SECOND`; of the table itself for an empty key.
    fn variable_of(&self, key: &str) -> String {
        let parts = self.path.split('.').chain([key]).filter(|part| !part.is_empty());
        format!("{PREFIX}{}", Vec::from_iter(parts.map(in_variable)).join(JOINT))
    }
}

/// `must be "a" or "b"`
pub fn one_of<T: Display>(words: &[T]) -> String {
    let list: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
    format!("must be {}", list.join(" or "))
}

fn in_variable(name: &str) -> String {
    name.to_ascii_uppercase().replace('-', "_")
}

/// The given value, for an error; omitted if it is long or may be a password, because a secret may have been put in the
/// wrong line.
pub fn shown(text: &str) -> String {
    const MOST: usize = 40;
    if text.len() > MOST || text.contains('@') {
        format!("a text of {} bytes", text.len())
    } else {
        format!("{text:?}")
    }
}
