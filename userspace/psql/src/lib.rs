//! A node over PostgreSQL's protocol.
//!
//! Takes connections, gives the rows of a node's tables, and of the catalogs by which clients find them; of a statement
//! over a stream, windows as they come. Nothing can be written. What comes over a connection is framed, bounded and
//! checked here before anything reads it (`wire.rs`, `messages.rs`): the libraries that know the types and the catalogs
//! trust what they are given. Nothing here is on the way of a record: it has threads of its own, and reads what the
//! catalog keeps.
//!
//! ```text
//! octets ── wire ──► messages ──► startup: TLS, password ──► session ──► statements: plan ──► rows ──► wire
//! ```

#![forbid(unsafe_code)]

mod access;
mod cancel;
mod functions;
mod information;
mod messages;
mod node;
mod parameters;
mod rows;
mod said;
mod scram;
mod server;
mod session;
mod settings;
mod simple;
mod startup;
mod statements;
mod streams;
mod wire;

pub use access::{AccessOptions, PASSWORD_VARIABLE};
pub use server::Server;
