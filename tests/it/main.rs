//! The feature tests, in one binary: one module per feature.

mod helpers;
mod demo;
mod fates;
mod postgres;
mod tidy;
