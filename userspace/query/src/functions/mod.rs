//! tapline's own SQL functions, beyond those that DataFusion brings.
//!
//! Scalar functions read and write addresses as the streams hold them: 16 octets in network order,
//! IPv4 mapped. Aggregates are sketches whose partial states merge in any order.

mod aggregate;
mod approx_distinct;
mod argument;
mod buckets;
mod cidr;
mod ddsketch;
mod frequent;
mod hash;
mod hyperloglog;
mod ip;
mod keys;
mod network;
mod quantile;
mod service;
mod service_names;
mod sketch;
mod sum;
mod text;
mod top_k;
mod varint;

#[cfg(test)]
mod tests;

use datafusion::logical_expr::{AggregateUDF, ScalarUDF};

/// `cidr`, `ip`, `network`, `service` and `text`.
#[must_use]
pub fn scalar_functions() -> Vec<ScalarUDF> {
    vec![
        cidr::Cidr::new().into(),
        ip::Ip::new().into(),
        network::Network::new().into(),
        service::Service::new().into(),
        text::Text::new().into(),
    ]
}

/// `approx_distinct`, `quantile`, `sum` and `top_k`.
#[must_use]
pub fn aggregate_functions() -> Vec<AggregateUDF> {
    vec![
        approx_distinct::ApproxDistinct::new().into(),
        quantile::Quantile::new().into(),
        sum::Sum::new().into(),
        top_k::TopK::new().into(),
    ]
}
