//! The schedule of events. Events of the same time keep their order of insertion.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use otpost_domain::channel::Channel;
use tokio::sync::Notify;

use crate::engine::callback::{Callback, Key};

#[derive(Debug)]
pub(crate) enum Event {
    /// The message is on the person's handset.
    Handset(Key, Channel),
    Callback(Callback),
    /// The window of an account's batch is over.
    Flush(usize),
    /// A retry; `tries` have failed.
    Again {
        batch: Vec<Callback>,
        tries: usize,
    },
}

struct Entry {
    at: DateTime<Utc>,
    no: u64,
    event: Event,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}
impl Eq for Entry {}
impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.at, self.no).cmp(&(other.at, other.no))
    }
}

#[derive(Default)]
struct Queue {
    heap: BinaryHeap<Reverse<Entry>>,
    next_no: u64,
    /// Statuses waiting to be posted, including those of [`Event::Again`].
    callbacks: usize,
    /// Statuses taken out and not finished.
    in_flight: usize,
}

#[derive(Default)]
pub(crate) struct Schedule {
    queue: Mutex<Queue>,
    /// Notified when an event was added that is due before all others.
    pub(crate) wake: Notify,
}

impl Schedule {
    pub(crate) fn push(&self, at: DateTime<Utc>, event: Event) {
        let mut queue = self.lock();
        queue.callbacks += callbacks_of(&event);
        let no = queue.next_no;
        queue.next_no += 1;
        let first = queue.heap.peek().is_none_or(|Reverse(head)| at < head.at);
        queue.heap.push(Reverse(Entry { at, no, event }));
        drop(queue);
        if first {
            self.wake.notify_one();
        }
    }

    pub(crate) fn pop_due(&self, now: DateTime<Utc>) -> Option<(DateTime<Utc>, Event)> {
        let mut queue = self.lock();
        if queue.heap.peek().is_none_or(|Reverse(head)| head.at > now) {
            return None;
        }
        let Reverse(entry) = queue.heap.pop()?;
        // In one step, so that nobody sees an idle simulator in between.
        let callbacks = callbacks_of(&entry.event);
        queue.callbacks -= callbacks;
        queue.in_flight += callbacks;
        Some((entry.at, entry.event))
    }

    /// This many more are in flight than [`Schedule::pop_due`] took out.
    pub(crate) fn begin(&self, callbacks: usize) {
        self.lock().in_flight += callbacks;
    }

    pub(crate) fn end(&self, callbacks: usize) {
        let mut queue = self.lock();
        queue.in_flight = queue.in_flight.saturating_sub(callbacks);
    }

    pub(crate) fn next_at(&self) -> Option<DateTime<Utc>> {
        self.lock().heap.peek().map(|Reverse(head)| head.at)
    }

    /// Statuses waiting or in flight.
    pub(crate) fn callbacks(&self) -> usize {
        let queue = self.lock();
        queue.callbacks + queue.in_flight
    }

    pub(crate) fn clear(&self) {
        let mut queue = self.lock();
        queue.heap.clear();
        queue.callbacks = 0;
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn callbacks_of(event: &Event) -> usize {
    match event {
        Event::Callback(_) => 1,
        Event::Again { batch, .. } => batch.len(),
        Event::Handset(..) | Event::Flush(_) => 0,
    }
}
