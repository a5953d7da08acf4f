//! The settings file as values with their lines.

use std::collections::BTreeMap;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

pub type Table = BTreeMap<String, Item>;

#[derive(Debug)]
pub struct Item {
    /// Line of the key, or of the value inside a list; counted from 1.
    pub line: usize,
    pub value: Value,
}

#[derive(Debug)]
pub enum Value {
    Text(String),
    Integer(i64),
    Float(f64),
    Flag(bool),
    List(Vec<Item>),
    Table(Table),
    /// A type that no setting has; its name, for the error.
    Other(&'static str),
}

impl Value {
    /// Name of the type, for an error.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "text",
            Self::Integer(_) => "a whole number",
            Self::Float(_) => "a number with a fraction",
            Self::Flag(_) => "true or false",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
            Self::Other(kind) => kind,
        }
    }
}

/// A syntax error.
#[derive(Debug)]
pub struct Broken {
    pub line: usize,
    /// The table or key that is defined twice; empty for everything else.
    pub name: String,
    pub wrong: String,
    pub allowed: &'static str,
    /// Whether `name` is a table.
    is_head: bool,
}

/// The root table, or every syntax error with its line. The parser's messages never repeat the text, which may be
/// secret.
pub fn parse(text: &str) -> Result<Table, Vec<Broken>> {
    let (table, errors) = DeTable::parse_recoverable(text);
    if errors.is_empty() {
        return Ok(convert(table.get_ref(), text));
    }
    let mut all: Vec<Broken> = errors.iter().map(|error| broken(error, text)).collect();
    // Keys of a table that is defined twice would be reported as duplicates too.
    let heads: Vec<usize> = all.iter().filter(|one| one.is_head).map(|one| one.line).collect();
    all.retain(|one| one.name.is_empty() || one.is_head || !heads.contains(&head_above(text, one.line)));
    Err(all)
}

fn broken(error: &toml::de::Error, text: &str) -> Broken {
    let line = error.span().map_or(1, |span| line_of(text, span.start));
    let name = match error.message() {
        "duplicate key" => error.span().and_then(|span| name_at(text, line, span)),
        _ => None,
    };
    match name {
        Some(name) => Broken {
            line,
            is_head: head_above(text, line) == line,
            allowed: if name.starts_with("accounts.") {
                "must be there once; another account needs another name"
            } else {
                "must be there once"
            },
            name,
            wrong: "stands here a second time".to_owned(),
        },
        None => Broken {
            line,
            is_head: false,
            name: String::new(),
            wrong: error.message().replace('\n', " "),
            allowed: "must be TOML",
        },
    }
}

/// The line of the head of the table that contains `line`; 0 above all tables.
fn head_above(text: &str, line: usize) -> usize {
    let above = text.lines().take(line).enumerate();
    above.filter(|(_, line)| line.trim_start().starts_with('[')).last().map_or(0, |(at, _)| at + 1)
}

/// The table whose head is in this line, or else the key at `span`. `None` unless it looks like a name.
fn name_at(text: &str, line: usize, span: std::ops::Range<usize>) -> Option<String> {
    let head = text.lines().nth(line - 1)?.trim();
    let name = match head.strip_prefix('[') {
        Some(rest) => rest.split(']').next()?.trim_start_matches('[').trim(),
        None => text.get(span)?,
    };
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b'"');
    ((1..=80).contains(&name.len()) && name.bytes().all(fits)).then(|| name.replace('"', ""))
}

/// The line of a setting by its path, or of the innermost existing table around it.
pub fn line_at(table: &Table, path: &str) -> Option<usize> {
    let (key, rest) = path.split_once('.').unwrap_or((path, ""));
    let item = table.get(key)?;
    match &item.value {
        Value::Table(inner) if !rest.is_empty() => line_at(inner, rest).or(Some(item.line)),
        _ => Some(item.line),
    }
}

fn line_of(text: &str, offset: usize) -> usize {
    1 + text.as_bytes().iter().take(offset).filter(|b| **b == b'\n').count()
}

fn convert(table: &DeTable<'_>, text: &str) -> Table {
    let item = |(key, value): (&Spanned<std::borrow::Cow<'_, str>>, &Spanned<DeValue<'_>>)| {
        (key.get_ref().to_string(), Item { line: line_of(text, key.span().start), value: value_of(value, text) })
    };
    table.iter().map(item).collect()
}

fn value_of(value: &Spanned<DeValue<'_>>, text: &str) -> Value {
    match value.get_ref() {
        DeValue::String(s) => Value::Text(s.to_string()),
        DeValue::Integer(i) => i64::from_str_radix(i.as_str(), i.radix())
            .map_or(Value::Other("a number beyond all bounds"), Value::Integer),
        DeValue::Float(f) => f.as_str().parse().map_or(Value::Other("a number that cannot be read"), Value::Float),
        DeValue::Boolean(flag) => Value::Flag(*flag),
        DeValue::Datetime(_) => Value::Other("a date or time"),
        DeValue::Array(items) => {
            let item =
                |v: &Spanned<DeValue<'_>>| Item { line: line_of(text, v.span().start), value: value_of(v, text) };
            Value::List(items.iter().map(item).collect())
        }
        DeValue::Table(table) => Value::Table(convert(table, text)),
    }
}
