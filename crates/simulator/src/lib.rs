//! Providers that misbehave on order: the wire formats of real ones over HTTP, with signed callbacks.
//!
//! A test tool. It keeps codes and numbers in memory on purpose, since counting what each phone really got is what it
//! is for, and it logs none. README.md beside this file lists the paths, the credentials and the fates.
//!
//! A [`Simulator`] is started with a [`SimConfig`] and listens. What phones got can be read back with
//! [`Simulator::phone`] or over HTTP.
//!
//! ```text
//! engine <--- wire <--- faces <--- registry <--- config, server <--- simulator
//! ```
//!
//! - `engine` knows no provider: fates, laws, plans, the book of messages, callbacks. Its `face` module has the trait that
//!   a provider implements.
//! - `wire` is what several providers write the same way, such as the body of an authentication template.
//! - [`faces`] has a folder for each provider: requests, answers, callbacks, signatures, tests and the default account.
//! - `registry` has a row for each provider, and is the only other place that names one.
//! - `server` joins addresses to faces.
//!
//! A request travels: `server` finds the faces at its address, `engine::send` the account; the face checks its shape;
//! `engine::plan` decides all that will happen, from the number's fate or the laws, by draws that depend on nothing but the
//! request; `engine::book` writes it down; `engine::poster` posts what is due.
//!
//! The crate depends on `otpost-domain` alone. Its JSON and that of the adapters are written twice, so that they check each
//! other.

mod engine;
mod wire;
mod registry;
mod config;
mod server;
mod simulator;
#[cfg(test)]
#[path = "../tests/over_http/bench.rs"]
mod bench;

pub use config::{NoFace, SimConfig, SimConfigError};
pub use engine::account::{Mode, SENDER, SENDERS, SimAccount};
pub use engine::clock::SimTime;
pub use engine::fates::{Fate, GivenFate};
pub use engine::laws::{ChannelLaws, Latency, Laws};
pub use engine::plan::Status;
pub use engine::retries::{Batching, Retries};
pub use engine::seen::{Count, Dlt, Outcome, SeenCallback, SeenCode, SeenMessage, SeenPhone};
pub use engine::stats::{AccountStats, Advanced, CallbackStats, Refusal, Stats};
pub use registry::{DefaultAccount, FaceInfo, default_accounts, face_info, faces};
pub use simulator::{SimError, Simulator};

// The tests' helper is also a file of the integration tests, and names this crate from outside.
#[cfg(test)]
extern crate self as otpost_simulator;
