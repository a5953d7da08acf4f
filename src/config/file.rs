//! The settings file as values that remember their line.

use std::collections::BTreeMap;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

pub(super) type Table = BTreeMap<String, Item>;

#[derive(Debug)]
pub(super) struct Item {
    /// Counts from 1; of the key, or of the value inside a list.
    pub line: usize,
    pub value: Value,
}

#[derive(Debug)]
pub(super) enum Value {
    Text(String),
    Integer(i64),
    Float(f64),
    Flag(bool),
    List(Vec<Item>),
    Table(Table),
    /// What no setting is; its name, to say so.
    Other(&'static str),
}

impl Value {
    /// In plain English, for an error.
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

/// The root table, or every syntax error with its line. The parser's words never repeat the text, which may be secret.
pub(super) fn parse(text: &str) -> Result<Table, Vec<(usize, String)>> {
    let (table, errors) = DeTable::parse_recoverable(text);
    if errors.is_empty() {
        return Ok(convert(table.get_ref(), text));
    }
    let at = |e: &toml::de::Error| e.span().map_or(1, |span| line_of(text, span.start));
    Err(errors.iter().map(|e| (at(e), e.message().replace('\n', " "))).collect())
}

/// The line of a setting by its path, or of the innermost table around it that is there.
pub(super) fn line_at(table: &Table, path: &str) -> Option<usize> {
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
