//! Tests of the packet decoder against tables, properties and tshark.

#![expect(clippy::unwrap_used, reason = "helpers of tests, too")]

mod captures;
mod damage;
mod headers;
mod prefixes;
mod rows;
mod tshark;
mod tunnels;
