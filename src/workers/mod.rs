//! The loops that call services. Each is a value that runs one round and knows when the next is due.
//!
//! A loop takes no input but the database, so it continues after a restart as always: find what is due, do it, sleep
//! until the nearest deadline, a wake-up or the tick, whichever is first.
//!
//! [`LoopName`] lists the loops, [`start_one`] builds each, and `supervise` restarts it.

mod round;
mod supervise;
mod sender;
mod deadlines;
mod lives;
mod status_queries;
mod clock;
mod recovery;
mod waiting;
mod janitor;
pub mod matcher;
mod pulse;
mod instances;
mod watcher;

use tokio::task::JoinHandle;

use crate::services::upkeep::loops::{LoopName, Ticks};
use crate::workers::supervise::supervise;

pub use self::round::Services;

/// Starts every loop.
pub fn start(services: &Services, ticks: &Ticks) -> Vec<JoinHandle<()>> {
    LoopName::ALL.iter().map(|name| start_one(*name, services, ticks)).collect()
}

/// Starts the loop of this name. It is restarted when it panics or stands still, until the handle is aborted.
pub fn start_one(name: LoopName, services: &Services, ticks: &Ticks) -> JoinHandle<()> {
    let services = services.clone();
    match name {
        LoopName::Clock => supervise(name, ticks, move || clock::ClockLoop::new(&services)),
        LoopName::Deadlines => supervise(name, ticks, move || deadlines::Deadlines::new(&services)),
        LoopName::Instances => supervise(name, ticks, move || instances::InstanceLoop::new(&services)),
        LoopName::Janitor => supervise(name, ticks, move || janitor::Janitor::new(&services)),
        LoopName::Lives => supervise(name, ticks, move || lives::Lives::new(&services)),
        LoopName::Pulse => supervise(name, ticks, move || pulse::PulseLoop::new(&services)),
        LoopName::Recovery => supervise(name, ticks, move || recovery::Recovery::new(&services)),
        LoopName::Sender => supervise(name, ticks, move || sender::Sender::new(&services)),
        LoopName::StatusQueries => supervise(name, ticks, move || status_queries::StatusQueryLoop::new(&services)),
        LoopName::Waiting => supervise(name, ticks, move || waiting::Waiting::new(&services)),
        LoopName::Watcher => supervise(name, ticks, move || watcher::WatcherLoop::new(&services)),
    }
}
