//! Reads settings: a TOML file with the environment on top. It collects every problem with its line.
//!
//! It knows no setting. The caller walks through the file by [`section::Section`]s and asks for each value by name.
//! [`mod@file`] parses TOML and remembers lines. [`source`] finds a value in the environment or the file, and collects the
//! [`problem`]s. [`spelling`] proposes the name that was probably meant. [`weak`] recognises secrets that are easy to
//! guess.

pub mod address;
pub mod file;
pub mod problem;
pub mod section;
pub mod source;
pub mod spelling;
pub mod weak;
