//! The feature tests, in one binary: one module per feature.

mod helpers;
mod fates;
mod kills;
mod postgres;
mod tidy;
