//! Results as messages of Kafka's protocol, a topic a query: a row each as JSON, or many rows as a stream of Arrow.
//!
//! Takes results, gives messages that brokers have acknowledged; a result counts as taken when all of its messages are.
//! A crate of its own, since the library that speaks the protocol is in C and takes `make` to build.

#![forbid(unsafe_code)]

mod message;
mod options;
mod reports;
mod sink;

pub use options::{KafkaOptions, MessageFormat, MessageKey};
pub use sink::KafkaSink;
