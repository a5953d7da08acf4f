//! Reads the callbacks of a described provider: all receipts of a body, also if the description points at one of them.

use serde_json::value::RawValue;

use super::config::{CallbackShape, Content};
use super::shape::{self, Codes, Field, index, instant};
use crate::{Receipts, Unreadable, json, query};
use otpost_domain::channel::Channel;
use otpost_domain::ids::AttemptId;
use otpost_domain::receipt::{DeliveryReceipt, Status};

pub(super) struct Reader<'a> {
    pub shape: &'a CallbackShape,
    pub codes: &'a Codes,
    pub channel: Channel,
}

/// The place of a receipt's field.
#[derive(Clone)]
enum Place<'a> {
    Json(&'a [String]),
    Form(&'a str),
    /// Outside of the entry that is read, so the same for all of them.
    Known(Option<String>),
}

/// The places of one receipt.
#[derive(Clone)]
struct Places<'a> {
    status: Place<'a>,
    id: Option<Place<'a>>,
    attempt_id: Option<Place<'a>>,
    time: Option<Place<'a>>,
    error_code: Option<Place<'a>>,
    kind: Option<Place<'a>>,
}

impl<'a> Places<'a> {
    fn of(shape: &'a CallbackShape) -> Self {
        let place = |field: &'a Field| match field {
            Field::Json(pointer) => Place::Json(pointer.tokens()),
            Field::Form(name) => Place::Form(name),
        };
        let some = |field: &'a Option<Field>| field.as_ref().map(place);
        Self {
            status: place(&shape.status),
            id: some(&shape.id),
            attempt_id: some(&shape.attempt_id),
            time: some(&shape.time),
            error_code: some(&shape.error_code),
            kind: shape.kind.as_ref().map(|(field, _)| place(field)),
        }
    }

    fn map(&self, each: impl Fn(&Place<'a>) -> Place<'a>) -> Self {
        let some = |place: &Option<Place<'a>>| place.as_ref().map(&each);
        Self {
            status: each(&self.status),
            id: some(&self.id),
            attempt_id: some(&self.attempt_id),
            time: some(&self.time),
            error_code: some(&self.error_code),
            kind: some(&self.kind),
        }
    }
}

/// An unread receipt.
#[derive(Clone, Copy)]
enum Item<'a> {
    Json(&'a RawValue),
    Form(&'a str),
}

impl Item<'_> {
    /// A value that is not text, occurs twice or is empty counts as absent.
    fn text(self, place: &Place<'_>) -> Option<String> {
        let text = match (self, place) {
            (Item::Json(raw), Place::Json(tokens)) => shape::text(tokens, raw),
            (Item::Form(text), Place::Form(name)) => query::single(text, name).filter(|text| !text.is_empty()),
            (_, Place::Known(text)) => text.clone(),
            _ => None,
        };
        text.filter(|text| !text.contains(char::REPLACEMENT_CHARACTER))
    }

    /// Whether there is any value, readable or not, once or more often.
    fn has(self, place: &Place<'_>) -> bool {
        match (self, place) {
            (Item::Json(raw), Place::Json(tokens)) => {
                shape::find(tokens, raw).is_some_and(|found| found.get() != "null")
            }
            (Item::Form(text), Place::Form(name)) => text
                .split('&')
                .any(|pair| query::decode(pair.split('=').next().unwrap_or(pair)).as_deref() == Some(name)),
            _ => false,
        }
    }

    /// An object or a form that is not empty.
    fn is_event(self) -> bool {
        match self {
            Item::Json(raw) => raw.get().starts_with('{') && raw.get()[1..].trim_start() != "}",
            Item::Form(text) => text.contains('='),
        }
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Item::Json(raw) => raw.get().as_bytes(),
            Item::Form(text) => text.as_bytes(),
        }
    }
}

impl Reader<'_> {
    /// # Errors
    /// When the body is of another type than described, or has no list where one should be.
    pub(super) fn read(&self, body: &[u8], receipts: &mut Receipts) -> Result<(), Unreadable> {
        let unreadable = |reason: &str| Unreadable { reason: reason.to_owned() };
        let places = Places::of(self.shape);
        let text = json::text(body);
        let Content::Json { list } = &self.shape.content else {
            let form = text.trim();
            if form.is_empty() {
                return Err(unreadable("callback: empty"));
            }
            self.read_item(&places, Item::Form(form), receipts);
            return Ok(());
        };
        let root = json::read::<&RawValue>(&text, "callback")?;
        let Some(list) = list else {
            self.spread(places, root, false, receipts);
            return Ok(());
        };
        match list.find(root).map(|found| (found, found.get().as_bytes().first())) {
            Some((found, Some(b'['))) => {
                for item in serde_json::from_str::<Vec<&RawValue>>(found.get()).unwrap_or_default() {
                    self.spread(places.clone(), item, true, receipts);
                }
            }
            // Some providers send a single receipt as an object, and several as a list.
            Some((found, Some(b'{'))) if Item::Json(found).is_event() => self.spread(places, found, true, receipts),
            _ if Item::Json(root).has(&places.status) => self.spread(places, root, false, receipts),
            None if Item::Json(root).is_event() => receipts.other_events += 1,
            _ => return Err(unreadable("callback: no list where one should be")),
        }
        Ok(())
    }

    /// Reads the value or, if the path to the status leads through a list, each of its entries: a description that
    /// points at the first entry must not lose the others. Entries other than the described one count if they have a
    /// status. `is_entry`: the value was itself in a list.
    fn spread<'a>(&self, places: Places<'a>, within: &'a RawValue, is_entry: bool, receipts: &mut Receipts) {
        let Place::Json(path) = places.status else { return self.read_item(&places, Item::Json(within), receipts) };
        let Some((passed, list)) = first_list(path, within) else {
            return self.read_item(&places, Item::Json(within), receipts);
        };
        let pointed_at = path.get(passed).and_then(|token| index(token));
        if is_entry && passed == 0 && pointed_at.is_none() {
            // A list as an entry of a list is not described.
            return self.read_item(&places, Item::Json(within), receipts);
        }
        let prefix = &path[..passed + usize::from(pointed_at.is_some())];
        let inner = places.map(|place| match place {
            Place::Json(tokens) => match tokens.strip_prefix(prefix) {
                Some(rest) => Place::Json(rest),
                None => Place::Known(shape::text(tokens, within)),
            },
            other => other.clone(),
        });
        let mut is_one_read = list.is_empty();
        for (i, item) in list.into_iter().enumerate() {
            if pointed_at.is_none_or(|at| at == i) || Item::Json(item).has(&inner.status) {
                is_one_read = true;
                self.spread(inner.clone(), item, true, receipts);
            }
        }
        if !is_one_read {
            self.read_item(&places, Item::Json(within), receipts);
        }
    }

    fn read_item(&self, places: &Places<'_>, item: Item<'_>, receipts: &mut Receipts) {
        let text = |place: &Option<Place<'_>>| item.text(place.as_ref()?);
        let is_receipt = |kind: &String| self.shape.kind.as_ref().is_none_or(|(_, words)| words.contains(kind));
        if text(&places.kind).is_some_and(|kind| !is_receipt(&kind)) {
            receipts.other_events += 1;
            return;
        }
        let Some(word) = item.text(&places.status) else {
            let named = [Some(&places.status), places.id.as_ref(), places.attempt_id.as_ref()];
            if item.is_event() && !named.into_iter().flatten().any(|place| item.has(place)) {
                receipts.other_events += 1;
                return;
            }
            return receipts.put_aside("callback: no status that can be read where one should be", item.bytes());
        };
        let status = match self.shape.statuses.0.get(&word) {
            Some(Some(status)) => *status,
            Some(None) => return,
            None => return receipts.note_unknown(&word),
        };
        let attempt_id = text(&places.attempt_id).and_then(|id| AttemptId::parse(id.trim()));
        let provider_message_id = match text(&places.id) {
            // Our own id is enough.
            None if attempt_id.is_some() => String::new(),
            id => match id.and_then(|id| json::provider_message_id(&id)) {
                Some(id) => id,
                None => return receipts.put_aside("callback: no id that can be kept", item.bytes()),
            },
        };
        let failure =
            (status == Status::Failed).then(|| self.codes.failure(self.channel, &word, text(&places.error_code)));
        let provider_at = text(&places.time).and_then(|at| instant(&at));
        receipts.receipts.push(DeliveryReceipt { status, attempt_id, provider_message_id, provider_at, failure });
    }
}

/// The first list on the path, with the number of tokens before it.
fn first_list<'a>(path: &[String], within: &'a RawValue) -> Option<(usize, Vec<&'a RawValue>)> {
    (0..=path.len()).find_map(|passed| {
        let found = shape::find(&path[..passed], within).filter(|found| found.get().starts_with('['))?;
        Some((passed, serde_json::from_str(found.get()).ok()?))
    })
}
