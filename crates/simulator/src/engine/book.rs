//! Records, by number, what was received and what happened to it. It keeps codes in memory on purpose: the tool exists
//! to count what each phone got. No code is ever logged.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use otpost_domain::channel::Channel;

use crate::engine::callback::{Callback, Key};
use crate::engine::plan::Status;
use crate::engine::seen::{Count, SeenCode, SeenMessage, SeenPhone};

const SHARDS: usize = 64;

/// How many messages back a repeat of the same reference or code is searched, so that a number used for load stays
/// cheap.
const LOOK_BACK: usize = 64;

/// A late message waiting for its SMS.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub callbacks: Vec<(std::time::Duration, std::time::Duration, Callback)>,
    pub truth: Vec<(std::time::Duration, Status)>,
    pub key: Key,
    pub channel: Channel,
    pub code: String,
}

#[derive(Default)]
struct Page {
    forgotten: u64,
    messages: VecDeque<SeenMessage>,
    /// Requests by face. A number occurs at few faces.
    nth: Vec<(&'static str, u32)>,
    waiting: Vec<Waiting>,
    requests: Count,
    accepted: Count,
    received: Count,
}

#[derive(Default)]
struct Shard {
    pages: HashMap<Arc<str>, Page>,
    /// The numbers of all messages in the order of arrival, to drop the oldest.
    order: VecDeque<Arc<str>>,
}

pub(crate) struct Book {
    shards: Vec<Mutex<Shard>>,
    ids: Vec<Mutex<HashMap<String, Key>>>,
    keep_per_shard: usize,
}

/// The earlier records of a number, while a request is added.
pub(crate) struct Before<'a> {
    page: &'a Page,
    pub nth: u32,
}

impl Before<'_> {
    /// Earlier requests at the same face with the same reference, or with the same code if there is no reference.
    pub(crate) fn tries(&self, face: &str, reference: Option<&str>, code: Option<&str>) -> u32 {
        let recent = self.page.messages.iter().rev().take(LOOK_BACK).filter(|message| message.face == face);
        let same = recent.filter(|message| match reference {
            Some(reference) => message.reference.as_deref() == Some(reference),
            None => message.code.as_deref() == code,
        });
        u32::try_from(same.count()).unwrap_or(u32::MAX)
    }

    /// Whether an SMS with this code was accepted before.
    pub(crate) fn sms_seen(&self, code: &str) -> bool {
        let mut recent = self.page.messages.iter().rev().take(LOOK_BACK);
        recent.any(|message| {
            message.channel == Channel::Sms
                && message.outcome.is_accepted()
                && message.text.as_deref().is_some_and(|text| text.contains(code))
        })
    }
}

impl Book {
    pub(crate) fn new(keep: usize) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            ids: (0..SHARDS).map(|_| Mutex::default()).collect(),
            keep_per_shard: keep.div_ceil(SHARDS).max(1),
        }
    }

    /// Records a request under its number. `write` receives the earlier records.
    pub(crate) fn receive<T>(
        &self,
        phone: &str,
        face: &'static str,
        write: impl FnOnce(Before<'_>, Key) -> (SeenMessage, T),
    ) -> (Key, T) {
        let mut shard = self.shard(phone);
        let phone: Arc<str> = match shard.pages.get_key_value(phone) {
            Some((phone, _)) => Arc::clone(phone),
            None => Arc::from(phone),
        };
        let page = shard.pages.entry(Arc::clone(&phone)).or_default();
        let nth = page.count(face);
        let key = Key { phone: Arc::clone(&phone), place: page.forgotten + page.messages.len() as u64 };
        let (message, result) = write(Before { page, nth }, key.clone());
        page.requests.add(message.channel);
        if message.outcome.is_accepted() {
            page.accepted.add(message.channel);
        }
        let id = message.provider_id.clone();
        page.messages.push_back(message);
        shard.order.push_back(phone);
        let forgotten = if shard.order.len() > self.keep_per_shard { shard.forget_oldest() } else { None };
        drop(shard);
        if let Some(id) = id {
            self.ids(&id).insert(id, key.clone());
        }
        if let Some(id) = forgotten {
            self.ids(&id).remove(&id);
        }
        (key, result)
    }

    pub(crate) fn wait_for_sms(&self, waiting: Waiting) {
        let phone = Arc::clone(&waiting.key.phone);
        if let Some(page) = self.shard(&phone).pages.get_mut(&phone) {
            if page.waiting.len() == LOOK_BACK {
                page.waiting.remove(0);
            }
            page.waiting.push(waiting);
        }
    }

    /// The late messages that this SMS releases.
    pub(crate) fn freed_by(&self, phone: &str, text: &str) -> Vec<Waiting> {
        let mut shard = self.shard(phone);
        let Some(page) = shard.pages.get_mut(phone) else { return Vec::new() };
        page.waiting.extract_if(.., |waiting| text.contains(&waiting.code)).collect()
    }

    pub(crate) fn change<T>(&self, key: &Key, change: impl FnOnce(&mut SeenMessage) -> T) -> Option<T> {
        self.shard(&key.phone).pages.get_mut(&key.phone)?.message(key).map(change)
    }

    /// Records the arrival on the handset. Returns whether the same code had arrived there on this channel before;
    /// `None` when the records were reset meanwhile.
    pub(crate) fn hand_over(&self, key: &Key, channel: Channel, at: DateTime<Utc>) -> Option<bool> {
        let mut shard = self.shard(&key.phone);
        let page = shard.pages.get_mut(&key.phone)?;
        page.received.add(channel);
        let Some(message) = page.message(key) else { return Some(false) };
        message.handset_at = Some(at);
        let (code, seq) = (message.code.clone(), message.seq);
        Some(page.messages.iter().rev().take(LOOK_BACK).any(|other| {
            let same_code = code.is_some() && other.code == code;
            other.seq != seq && other.channel == channel && other.handset_at.is_some() && same_code
        }))
    }

    pub(crate) fn by_provider_id(&self, id: &str) -> Option<SeenMessage> {
        let key = self.ids(id).get(id).cloned()?;
        self.change(&key, |message| message.clone())
    }

    /// The last `limit` messages to a number, oldest first; `to` may be the end of a number, or missing for all.
    pub(crate) fn messages(&self, to: Option<&str>, limit: usize) -> Vec<SeenMessage> {
        let mut found: Vec<(u64, Key)> = Vec::new();
        self.each_page(to, |phone, page| {
            for (place, message) in (page.forgotten..).zip(&page.messages) {
                found.push((message.seq, Key { phone: Arc::clone(phone), place }));
            }
        });
        found.sort_unstable_by_key(|(seq, _)| *seq);
        let skip = found.len().saturating_sub(limit);
        found[skip..].iter().filter_map(|(_, key)| self.change(key, |message| message.clone())).collect()
    }

    /// At most `limit` phones, in the order of their numbers.
    pub(crate) fn phones(&self, to: Option<&str>, limit: usize) -> Vec<SeenPhone> {
        let mut found = Vec::new();
        self.each_page(to, |phone, _| found.push(Arc::clone(phone)));
        found.sort_unstable();
        found.truncate(limit);
        found.iter().filter_map(|phone| self.phone(phone)).collect()
    }

    pub(crate) fn phone(&self, phone: &str) -> Option<SeenPhone> {
        let shard = self.shard(phone);
        let page = shard.pages.get(phone)?;
        let mut codes: Vec<SeenCode> = Vec::new();
        let mut arrived: Vec<_> = page.messages.iter().filter_map(|one| Some((one.handset_at?, one))).collect();
        arrived.sort_by_key(|(at, one)| (*at, one.seq));
        let mut places = HashMap::new();
        for (at, message) in arrived {
            let code = message.code.clone().unwrap_or_default();
            let place = *places.entry(code.clone()).or_insert(codes.len());
            if place == codes.len() {
                codes.push(SeenCode { code, received: Count::default(), first_at: at, last_at: at });
            }
            codes[place].received.add(message.channel);
            codes[place].last_at = at;
        }
        let (requests, accepted, received) = (page.requests, page.accepted, page.received);
        Some(SeenPhone { phone: phone.to_owned(), requests, accepted, received, codes })
    }

    pub(crate) fn count_phones(&self) -> u64 {
        (0..SHARDS).map(|no| lock(&self.shards[no]).pages.len() as u64).sum()
    }

    pub(crate) fn clear(&self) {
        self.shards.iter().for_each(|shard| *lock(shard) = Shard::default());
        self.ids.iter().for_each(|ids| lock(ids).clear());
    }

    fn each_page(&self, to: Option<&str>, mut visit: impl FnMut(&Arc<str>, &Page)) {
        if let Some(whole) = to.filter(|to| to.starts_with('+')) {
            if let Some((phone, page)) = self.shard(whole).pages.get_key_value(whole) {
                visit(phone, page);
            }
            return;
        }
        for shard in &self.shards {
            for (phone, page) in &lock(shard).pages {
                if to.is_none_or(|end| phone.ends_with(end)) {
                    visit(phone, page);
                }
            }
        }
    }

    fn shard(&self, phone: &str) -> MutexGuard<'_, Shard> {
        lock(&self.shards[place_of(phone)])
    }

    fn ids(&self, id: &str) -> MutexGuard<'_, HashMap<String, Key>> {
        lock(&self.ids[place_of(id)])
    }
}

impl Shard {
    /// Returns the provider's id of the dropped message.
    fn forget_oldest(&mut self) -> Option<String> {
        let phone = self.order.pop_front()?;
        let page = self.pages.get_mut(&phone)?;
        page.forgotten += 1;
        page.messages.pop_front()?.provider_id
    }
}

impl Page {
    /// The index of this request at the face, from 1.
    fn count(&mut self, face: &'static str) -> u32 {
        let place = self.nth.iter().position(|(name, _)| *name == face).unwrap_or_else(|| {
            self.nth.push((face, 0));
            self.nth.len() - 1
        });
        self.nth[place].1 += 1;
        self.nth[place].1
    }

    fn message(&mut self, key: &Key) -> Option<&mut SeenMessage> {
        let at = usize::try_from(key.place.checked_sub(self.forgotten)?).ok()?;
        self.messages.get_mut(at)
    }
}

fn place_of(text: &str) -> usize {
    text.bytes().fold(17_usize, |hash, byte| hash.wrapping_mul(31).wrapping_add(usize::from(byte))) % SHARDS
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
