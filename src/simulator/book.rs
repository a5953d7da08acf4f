//! What was received and what became of it, by number. It keeps codes in memory on purpose: counting what each phone
//! got is what this tool is for. None is ever logged.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::domain::channel::Channel;
use crate::simulator::config::Face;
use crate::simulator::fates::Fate;
use crate::simulator::plan::Status;
use crate::simulator::schedule::Callback;

const SHARDS: usize = 64;

/// How far back a repeat of the same reference or code is looked for, so that a number used for load stays cheap.
const LOOK_BACK: usize = 64;

/// What the simulator made of a send request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    Accepted,
    Rejected,
    RateLimited,
    ServerError,
    Hung,
    ResetBefore,
    /// Accepted, but the answer never left.
    ResetAfter,
    /// The account was in [`Mode::Outage`](crate::simulator::Mode::Outage) or `Refuse`.
    Outage,
}

impl Outcome {
    pub fn is_accepted(self) -> bool {
        matches!(self, Self::Accepted | Self::ResetAfter)
    }
}

/// One send request with a right shape, and everything that followed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SeenMessage {
    /// Counts all requests from 0, in the order of their arrival.
    pub seq: u64,
    pub account: String,
    pub face: Face,
    pub channel: Channel,
    pub to: String,
    /// Which request for this number on this face it was, from 1.
    pub nth: u32,
    /// WhatsApp: the template's parameter. SMS: the first 4 to 15 digits in a row of the text.
    pub code: Option<String>,
    pub text: Option<String>,
    /// `name/language`
    pub template: Option<String>,
    /// What the app wants echoed.
    pub reference: Option<String>,
    pub received_at: DateTime<Utc>,
    pub fate: Fate,
    pub outcome: Outcome,
    pub provider_id: Option<String>,
    /// `None`: no answer was given.
    pub http_status: Option<u16>,
    /// The provider's own word on the message, with its times; may lie in the future.
    pub truth: Vec<(DateTime<Utc>, Status)>,
    /// When it came onto the handset; `None` as long as it is not there.
    pub handset_at: Option<DateTime<Utc>>,
    pub price_micros: u64,
    pub callbacks: Vec<SeenCallback>,
}

/// One try to tell one status.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SeenCallback {
    pub status: Status,
    pub posted_at: DateTime<Utc>,
    /// 0: could not be posted, or was not answered in time.
    pub http_status: u16,
    /// From 1.
    pub try_no: usize,
}

/// Per channel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    pub whatsapp: u64,
    pub sms: u64,
}

impl Count {
    pub fn of(&self, channel: Channel) -> u64 {
        match channel {
            Channel::Whatsapp => self.whatsapp,
            Channel::Sms => self.sms,
        }
    }

    pub(crate) fn add(&mut self, channel: Channel) {
        match channel {
            Channel::Whatsapp => self.whatsapp += 1,
            Channel::Sms => self.sms += 1,
        }
    }
}

/// What one phone really got. The counts hold also for messages that are forgotten by now.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct SeenPhone {
    pub phone: String,
    /// Send requests with a right shape, whatever they were answered.
    pub requests: Count,
    pub accepted: Count,
    /// Messages on the handset.
    pub received: Count,
    /// By code, in the order of their first arrival.
    pub codes: Vec<SeenCode>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct SeenCode {
    pub code: String,
    pub received: Count,
    pub first_at: DateTime<Utc>,
    pub last_at: DateTime<Utc>,
}

/// Finds a message again.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    pub phone: Arc<str>,
    place: u64,
}

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
    nth: [u32; Face::COUNT],
    waiting: Vec<Waiting>,
    requests: Count,
    accepted: Count,
    received: Count,
}

#[derive(Default)]
struct Shard {
    pages: HashMap<Arc<str>, Page>,
    /// Whose message came when, to forget the oldest.
    order: VecDeque<Arc<str>>,
}

pub(crate) struct Book {
    shards: Vec<Mutex<Shard>>,
    ids: Vec<Mutex<HashMap<String, Key>>>,
    keep_per_shard: usize,
}

/// What the number's page says, while a request is put on it.
pub(crate) struct Before<'a> {
    page: &'a Page,
    pub nth: u32,
}

impl Before<'_> {
    /// Earlier requests on the same face with the same reference, or the same code where there is no reference.
    pub(crate) fn tries(&self, face: Face, reference: Option<&str>, code: Option<&str>) -> u32 {
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

    /// Puts a request on its number's page. `write` is told what is there already.
    pub(crate) fn receive<T>(
        &self,
        phone: &str,
        face: Face,
        write: impl FnOnce(Before<'_>, Key) -> (SeenMessage, T),
    ) -> (Key, T) {
        let mut shard = self.shard(phone);
        let phone: Arc<str> = match shard.pages.get_key_value(phone) {
            Some((phone, _)) => Arc::clone(phone),
            None => Arc::from(phone),
        };
        let page = shard.pages.entry(Arc::clone(&phone)).or_default();
        page.nth[face as usize] += 1;
        let key = Key { phone: Arc::clone(&phone), place: page.forgotten + page.messages.len() as u64 };
        let (message, result) = write(Before { page, nth: page.nth[face as usize] }, key.clone());
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

    /// The late messages that this SMS sets free.
    pub(crate) fn freed_by(&self, phone: &str, text: &str) -> Vec<Waiting> {
        let mut shard = self.shard(phone);
        let Some(page) = shard.pages.get_mut(phone) else { return Vec::new() };
        page.waiting.extract_if(.., |waiting| text.contains(&waiting.code)).collect()
    }

    pub(crate) fn change<T>(&self, key: &Key, change: impl FnOnce(&mut SeenMessage) -> T) -> Option<T> {
        self.shard(&key.phone).pages.get_mut(&key.phone)?.message(key).map(change)
    }

    /// The message is on the handset. Returns whether the same code had come there on this channel before; `None`
    /// when all is forgotten by now.
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

    /// The last `limit` messages to a number, oldest first; `to` may be its end only, or missing for all.
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
    /// Returns the provider's id of what was forgotten.
    fn forget_oldest(&mut self) -> Option<String> {
        let phone = self.order.pop_front()?;
        let page = self.pages.get_mut(&phone)?;
        page.forgotten += 1;
        page.messages.pop_front()?.provider_id
    }
}

impl Page {
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
