//! All connections: which get a place, which lose one, and which are too slow.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::domain::network;
use crate::telemetry;
use crate::web::server::connection::{Connection, Ending, Step};
use crate::web::server::limits::{Limits, RESERVE};

/// Interval of the search for overdue connections.
const SWEEP: Duration = Duration::from_millis(250);
/// A known connection that takes longer than this for a head or a body may be closed for another.
const SLOW: Duration = Duration::from_secs(1);
/// A new connection keeps its place for at least this time, to send its request.
const NEW: Duration = Duration::from_millis(100);
/// Number of connections that are closed together when places run short, so that the search costs little.
const BATCH: usize = 64;

pub struct Connections {
    limits: Limits,
    places: Mutex<Places>,
    left: Notify,
}

#[derive(Default)]
struct Places {
    all: HashMap<u64, Arc<Connection>>,
    per_origin: HashMap<IpAddr, usize>,
    next: u64,
    closing: bool,
    /// All places are taken by requests in progress.
    is_full: bool,
}

/// Result of the search for one more place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    Some,
    /// Connections that were just accepted and may be about to send a request.
    OnlyNew,
    AllAtWork,
}

/// A connection's place; released when dropped.
pub struct Place {
    pub connection: Arc<Connection>,
    connections: Arc<Connections>,
}

impl Connections {
    pub fn new(limits: Limits) -> Self {
        Self { limits, places: Mutex::default(), left: Notify::new() }
    }

    pub fn count(&self) -> usize {
        self.lock().all.len()
    }

    /// Completes when one more connection can be accepted. When no place is left, idle and slow connections lose
    /// theirs. New ones have a short time to send a request, and until then the next connection waits in the system's
    /// queue.
    pub async fn room(&self) {
        loop {
            let left = self.left.notified();
            tokio::pin!(left);
            left.as_mut().enable();
            {
                let mut places = self.lock();
                if places.all.len() < self.limits.all {
                    return;
                }
                let found = places.make_room(Instant::now(), (self.limits.all / BATCH).max(1), None);
                let has_reserve = places.all.len() < self.limits.all + RESERVE;
                places.is_full = found == Found::AllAtWork;
                if has_reserve && found != Found::OnlyNew {
                    return;
                }
            }
            tokio::select! {
                () = left => {}
                () = tokio::time::sleep(NEW / 4) => {}
            }
        }
    }

    /// A place for a connection from `address`, after [`Connections::room`]. `None` when this address has used its
    /// share.
    pub fn admit(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let origin = network::origin(address);
        let is_proxy = self.limits.is_trusted(address);
        let mut places = self.lock();
        let of_origin = places.per_origin.get(&origin).copied().unwrap_or(0);
        if !is_proxy && of_origin >= self.limits.per_address {
            let batch = (self.limits.per_address / BATCH).max(1);
            if places.make_room(Instant::now(), batch, Some(origin)) != Found::Some {
                return None;
            }
        }
        let is_extra = std::mem::take(&mut places.is_full);
        places.next += 1;
        let connection = Arc::new(Connection::new(places.next, origin, is_proxy, is_extra));
        if places.closing {
            connection.close();
        }
        places.all.insert(connection.id, Arc::clone(&connection));
        *places.per_origin.entry(origin).or_default() += 1;
        Some(Place { connection, connections: Arc::clone(self) })
    }

    /// Ends overdue connections; never returns.
    pub async fn sweep(self: Arc<Self>) {
        loop {
            tokio::time::sleep(SWEEP).await;
            telemetry::tell_left_out();
            let now = Instant::now();
            self.lock().all.values().filter(|connection| connection.is_overdue(now)).for_each(|connection| {
                connection.end(Ending::Over);
            });
        }
    }

    /// Closes every connection after its current request.
    pub fn close(&self) {
        let mut places = self.lock();
        places.closing = true;
        places.all.values().for_each(|connection| connection.close());
    }

    /// Waits until no connection is left.
    pub async fn all_left(&self) {
        loop {
            let left = self.left.notified();
            tokio::pin!(left);
            left.as_mut().enable();
            if self.count() == 0 {
                return;
            }
            left.await;
        }
    }

    pub fn end_all(&self) {
        self.lock().all.values().for_each(|connection| {
            connection.end(Ending::Over);
        });
    }

    fn leave(&self, connection: &Connection) {
        let mut places = self.lock();
        places.all.remove(&connection.id);
        if let Some(count) = places.per_origin.get_mut(&connection.origin) {
            *count -= 1;
            if *count == 0 {
                places.per_origin.remove(&connection.origin);
            }
        }
        drop(places);
        self.left.notify_waiters();
    }

    fn lock(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Rank of an idle known connection: it may be used again soon.
const IDLE_KNOWN: u8 = 3;

impl Places {
    /// Ends up to `batch` connections; only those of `origin` if given.
    ///
    /// Unknown connections first: those of the address with the most, and among these the one that has waited longest.
    /// Then slow known connections, then idle known ones. A request in progress is never ended.
    fn make_room(&self, now: Instant, batch: usize, origin: Option<IpAddr>) -> Found {
        let mut has_new = false;
        let mut leaving = 0;
        let mut candidates: Vec<_> = self
            .all
            .values()
            .filter(|one| origin.is_none_or(|origin| one.origin == origin))
            .filter_map(|one| {
                let Some((step, at_step, is_known)) = one.standing(now) else {
                    leaving += 1;
                    return None;
                };
                let class = match step {
                    Step::Working => return None,
                    Step::Draining => 0,
                    Step::New => {
                        has_new = true;
                        return None;
                    }
                    _ if !is_known && at_step < NEW => {
                        has_new = true;
                        return None;
                    }
                    _ if !is_known => 1,
                    Step::Head | Step::Body | Step::Answering if at_step > SLOW => 2,
                    Step::Head | Step::Body | Step::Answering => return None,
                    Step::Idle => IDLE_KNOWN,
                };
                let crowd = if one.is_proxy { 1 } else { self.per_origin.get(&one.origin).copied().unwrap_or(1) };
                Some(((class, std::cmp::Reverse(crowd), std::cmp::Reverse(at_step)), one))
            })
            .collect();
        if leaving >= batch {
            return Found::Some;
        }
        if (has_new || leaving > 0) && candidates.iter().all(|((class, ..), _)| *class == IDLE_KNOWN) {
            return Found::OnlyNew;
        }
        if candidates.len() > batch {
            candidates.select_nth_unstable_by_key(batch - 1, |(rank, _)| *rank);
            candidates.truncate(batch);
        }
        let ended = candidates.iter().filter(|(_, one)| one.end(Ending::GivesWay)).count();
        match (ended, has_new || leaving > 0) {
            (1.., _) => Found::Some,
            (0, true) => Found::OnlyNew,
            (0, false) => Found::AllAtWork,
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.connections.leave(&self.connection);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::network::Network;

    fn connections(all: usize, per_address: usize) -> Arc<Connections> {
        let trusted_proxies = vec![Network::parse("127.0.0.0/8").unwrap()];
        Arc::new(Connections::new(Limits {
            all,
            per_address,
            waiting: all,
            waiting_per_app: all,
            trusted_proxies,
            bounded_by: None,
        }))
    }

    fn at(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn is_ended(place: &Place) -> bool {
        place.connection.standing(Instant::now()).is_none()
    }

    /// Does what the acceptor does, one second after the other connections arrived.
    fn admit(connections: &Arc<Connections>, ip: &str) -> Option<Place> {
        let later = Instant::now() + Duration::from_secs(1);
        if connections.count() >= connections.limits.all {
            let mut places = connections.lock();
            places.is_full = places.make_room(later, 1, None) == Found::AllAtWork;
        }
        connections.admit(at(ip)).inspect(|place| place.connection.begins())
    }

    #[test]
    fn the_oldest_stranger_makes_room_and_a_request_at_work_never_does() {
        let connections = connections(3, 3);
        let [working, known, stranger] =
            ["10.0.0.1", "10.0.0.2", "10.0.0.3"].map(|ip| admit(&connections, ip).unwrap());
        working.connection.request_begins(false);
        known.connection.is_known_good();
        let fourth = admit(&connections, "10.0.0.4").unwrap();
        assert!(is_ended(&stranger) && !is_ended(&known) && !fourth.connection.is_extra);
        drop(stranger);
        let fifth = admit(&connections, "10.0.0.5").unwrap();
        assert!(is_ended(&fourth) && !is_ended(&known) && !is_ended(&fifth));
        fifth.connection.request_begins(false);
        drop(fourth);
        let sixth = admit(&connections, "10.0.0.6").unwrap();
        assert!(is_ended(&known), "an idle known connection ends when there is no unknown one");
        sixth.connection.request_begins(true);
        drop(known);
        let seventh = admit(&connections, "10.0.0.7").unwrap();
        assert!(seventh.connection.is_extra, "all serve requests");
        assert!(!is_ended(&working) && !is_ended(&fifth) && !is_ended(&sixth));
    }

    #[test]
    fn who_has_just_come_may_say_what_it_wants() {
        let connections = connections(1, 3);
        let one = connections.admit(at("10.0.0.1")).unwrap();
        let found = |after| connections.lock().make_room(Instant::now() + after, 1, None);
        assert_eq!(found(Duration::ZERO), Found::OnlyNew);
        one.connection.begins();
        one.connection.request_begins(false);
        assert_eq!(found(Duration::from_secs(1)), Found::AllAtWork);
        one.connection.answer_begins(false);
        assert_eq!(found(Duration::from_secs(1)), Found::Some);
        assert!(one.connection.is_over());
    }

    #[test]
    fn a_request_that_came_meanwhile_is_answered() {
        let connections = connections(1, 3);
        let one = connections.admit(at("10.0.0.1")).unwrap();
        assert!(one.connection.end(Ending::GivesWay));
        one.connection.request_begins(false);
        assert!(!one.connection.is_over());
        assert!(one.connection.end(Ending::Over));
        assert!(one.connection.is_over());
    }

    #[test]
    fn the_address_with_the_most_connections_gives_way_first() {
        let connections = connections(5, 4);
        let good = admit(&connections, "10.0.0.1").unwrap();
        let bad: Vec<_> = (0..4).map(|_| admit(&connections, "10.0.0.2").unwrap()).collect();
        let _more = admit(&connections, "10.0.0.3").unwrap();
        assert!(bad.iter().any(is_ended) && !is_ended(&good));
    }

    #[tokio::test]
    async fn an_address_has_its_share_unless_it_is_a_proxy() {
        let connections = connections(100, 2);
        let mut of_one: Vec<_> = (0..2).map(|_| admit(&connections, "10.0.0.1").unwrap()).collect();
        of_one[1].connection.request_begins(false);
        tokio::time::sleep(NEW).await;
        let third = connections.admit(at("10.0.0.1")).unwrap();
        assert!(is_ended(&of_one[0]) && !is_ended(&of_one[1]));
        third.connection.request_begins(false);
        drop(of_one.remove(0));
        assert!(connections.admit(at("10.0.0.1")).is_none(), "the others serve requests");
        assert!(connections.admit(at("2001:db8::1")).is_some());
        let of_proxy: Vec<_> = (0..50).map(|_| connections.admit(at("127.0.0.1")).unwrap()).collect();
        assert!(!of_proxy.iter().any(is_ended));
        assert_eq!(connections.count(), 2 + 50);
        drop((of_one, third, of_proxy));
        assert_eq!((connections.count(), connections.lock().per_origin.len()), (0, 0));
    }

    #[test]
    fn at_a_stop_who_has_not_asked_yet_has_a_moment() {
        let connections = connections(2, 2);
        let [fresh, kept] = ["10.0.0.1", "10.0.0.2"].map(|ip| admit(&connections, ip).unwrap());
        kept.connection.request_begins(false);
        kept.connection.answer_begins(false);
        kept.connection.answer_written();
        kept.connection.flushed();
        connections.close();
        assert!(!fresh.connection.ends_when_idle() && kept.connection.ends_when_idle());
        let after = |s: f64| fresh.connection.is_overdue(Instant::now() + Duration::from_secs_f64(s));
        assert!(!after(0.9) && after(1.1));
    }

    #[test]
    fn each_step_has_its_time() {
        let connections = connections(1, 1);
        let place = connections.admit(at("10.0.0.1")).unwrap();
        let one = &place.connection;
        one.begins();
        let after = |s: f64| one.is_overdue(Instant::now() + Duration::from_secs_f64(s));
        assert!(!after(9.0) && after(11.0), "no first head");
        assert!(one.bytes_came(1));
        assert!(!after(9.0) && after(11.0), "a slow first head");
        one.request_begins(true);
        one.wants_body(true);
        assert!(!after(11.0) && after(13.0), "a slow body");
        one.body_ended();
        assert!(!after(99.0) && after(101.0), "a handler that does not end");
        one.answer_begins(false);
        assert!(!after(29.0) && after(31.0), "an answer that the client does not read");
        one.flushed();
        assert!(!after(29.0) && after(31.0), "it is not written yet");
        one.answer_written();
        one.flushed();
        assert!(!after(74.0) && after(76.0), "a kept connection");
        assert!(one.bytes_came(1));
        assert!(!after(9.0) && after(11.0), "a slow later head");
        one.request_begins(true);
        one.answer_begins(true);
        one.answer_written();
        one.flushed();
        assert!(!after(1.0) && after(3.0), "answered before its body was read");
    }
}
