//! The loops of the service by name, and when each last went round.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::domain::words;

/// Each name is one loop: `workers::start_one` builds it, and [`LoopName::ALL`] is the list that is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LoopName {
    Clock,
    Deadlines,
    Instances,
    Janitor,
    Lives,
    Pulse,
    Recovery,
    Sender,
    StatusQueries,
    Waiting,
    Watcher,
}

words! {
    LoopName {
        Clock = "clock",
        Deadlines = "deadlines",
        Instances = "instances",
        Janitor = "janitor",
        Lives = "lives",
        Pulse = "pulse",
        Recovery = "recovery",
        Sender = "sender",
        StatusQueries = "status_queries",
        Waiting = "waiting",
        Watcher = "watcher",
    }
}

impl LoopName {
    /// Whether the service is unready while this loop is stalled. One round of the janitor may take half a minute, and no
    /// message waits for it.
    const fn is_needed(self) -> bool {
        !matches!(self, Self::Janitor)
    }
}

/// When each loop last began or ended a round. Cheap to clone; all clones are one.
#[derive(Clone, Default)]
pub struct Ticks(Arc<Mutex<BTreeMap<LoopName, Instant>>>);

impl Ticks {
    pub fn tick(&self, name: LoopName) {
        self.tick_at(name, Instant::now());
    }

    /// Records a tick at a time that has passed.
    pub fn tick_at(&self, name: LoopName, at: Instant) {
        self.lock().insert(name, at);
    }

    /// Whether the loop has not ticked for longer than `longest`. A loop that never ticked is not stalled.
    pub fn is_stalled(&self, name: LoopName, longest: Duration) -> bool {
        self.lock().get(&name).is_some_and(|at| at.elapsed() > longest)
    }

    /// The loops that readiness depends on and that have not ticked for longer than `longest`.
    pub fn stalled(&self, longest: Duration) -> Vec<LoopName> {
        let ticks = self.lock();
        let stalled = ticks.iter().filter(|(name, at)| name.is_needed() && at.elapsed() > longest);
        stalled.map(|(name, _)| *name).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<LoopName, Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readiness_depends_on_each_loop_but_the_janitor() {
        let ticks = Ticks::default();
        let long_ago = Instant::now().checked_sub(Duration::from_secs(9)).expect("the machine is up for nine seconds");
        LoopName::ALL.iter().for_each(|name| ticks.tick_at(*name, long_ago));
        let stalled = ticks.stalled(Duration::from_secs(5));
        let needed: Vec<LoopName> = LoopName::ALL.iter().copied().filter(|name| *name != LoopName::Janitor).collect();
        assert_eq!(stalled, needed);
        assert!(ticks.is_stalled(LoopName::Janitor, Duration::from_secs(5)));
        ticks.tick(LoopName::Sender);
        assert!(!ticks.is_stalled(LoopName::Sender, Duration::from_secs(5)));
    }
}
