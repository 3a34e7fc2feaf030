//! The product on a terminal: prompts, tables that fit, keys that end things.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod demo;
mod prompt;
mod screen;
mod shell;
