//! Tests of the export decoder against hand-made messages, real exporters' messages and `netflow_parser`.

#![expect(clippy::unwrap_used, reason = "helpers of tests, too")]

mod captures;
mod dissection;
mod domains;
mod elements;
mod fields;
mod fitting;
mod gathering;
mod messages;
mod numbers;
mod oracle;
mod properties;
mod rows;
mod sflow;
mod templates;
mod times;
mod truth;
