pub mod domain;
pub mod store;
pub mod providers;
pub mod config;
pub mod telemetry;
pub mod clock;
pub mod services;
