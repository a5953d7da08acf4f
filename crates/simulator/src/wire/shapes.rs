//! The shape of a provider's authentication template, as its documentation shows it, and wrong shapes. The tests of the
//! faces use it.

mod changes;

use serde_json::{Value, json};

use crate::SimConfig;
use crate::bench::{Bench, template};
use changes::of_policy;
pub(crate) use changes::{Change, Wrong, of_components, of_name};

/// A provider's face and its valid body.
pub(crate) struct Right {
    pub account: &'static str,
    pub path: &'static str,
    /// The header with the request's credential.
    pub header: (&'static str, fn(&Bench) -> String),
    pub body: Value,
    /// Pointer to the template.
    pub at: &'static str,
    /// Its error, as text.
    pub error: fn(&Value) -> String,
    /// The provider's answer to each error.
    pub words: fn(Wrong) -> (u16, &'static str),
}

pub(crate) fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// `index`: of the button; `policy`: whether the language has one.
pub(crate) fn right_template(index: Value, policy: bool) -> Value {
    let mut template = template("493817", index);
    if policy {
        template["language"]["policy"] = json!("deterministic");
    }
    template
}

/// Sets or removes the value at a pointer; missing parents are created.
fn change(body: &mut Value, at: &str, change: &Change) {
    let pointer = format!("{at}{}", change.0);
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    let parent = body.pointer_mut(parent).unwrap_or_else(|| panic!("{parent}"));
    match (parent, &change.1) {
        (Value::Object(map), Some(value)) => drop(map.insert(key.to_owned(), value.clone())),
        (Value::Object(map), None) => assert!(map.remove(key).is_some(), "{pointer}"),
        (Value::Array(list), Some(value)) => list[key.parse::<usize>().unwrap()] = value.clone(),
        (Value::Array(list), None) => drop(list.remove(key.parse().unwrap())),
        (other, _) => panic!("{other}"),
    }
}

/// Applies every change alone; returns how many were refused.
pub(crate) async fn every_wrong_shape_is_refused(right: Right, changes: Vec<(Change, Wrong)>) -> usize {
    let mut config = SimConfig::manual(1);
    for account in config.accounts.iter_mut().filter(|account| account.name == right.account) {
        account.templates = vec!["login_code/en_US".to_owned()];
    }
    let bench = Bench::start(config);
    let shown = (right.header.1)(&bench);
    let header = (right.header.0, shown.as_str());
    let (status, answer) = bench.post(right.path, header, &right.body).await.unwrap();
    assert!((200..300).contains(&status), "{} {answer}", right.account);
    let tried = changes.len();
    for (one, wrong) in changes {
        let mut body = right.body.clone();
        change(&mut body, right.at, &one);
        let (status, answer) = bench.post(right.path, header, &body).await.unwrap();
        let said = (status, (right.error)(&answer));
        let (http, word) = (right.words)(wrong);
        assert_eq!(said, (http, word.to_owned()), "{}: {one:?} {wrong:?} {answer}", right.account);
    }
    // No refused request reached a phone.
    assert_eq!(bench.sim.stats().requests as usize, tried + 1);
    assert_eq!(bench.sim.stats().malformed as usize, tried);
    tried
}

/// Of those whose `language` is an object.
pub(crate) fn of_template() -> Vec<(Change, Wrong)> {
    [of_components(), of_name("/name", "/language/code"), of_policy()].concat()
}
