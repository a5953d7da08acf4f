//! The simulator over HTTP: sends go in, callbacks come out. What one provider does is tested in its face's folder.

#![expect(clippy::unwrap_used, reason = "a test ends where a value is missing")]

mod bench;
mod fates;
mod callbacks;
mod refusals;
mod control;
mod throughput;
mod arrows;
