//! tapline's own SQL functions, beyond those that DataFusion brings.
//!
//! Scalar functions read and write addresses as the streams hold them: 16 octets in network order,
//! IPv4 mapped. Aggregates are sketches whose partial states merge in any order.
//!
//! They run per row, in both halves of a query, and so does what [looks at batches](room) on their way through a plan.
//! Nothing here knows the planner.

#![forbid(unsafe_code)]

mod address_facts;
mod aggregate;
mod approx_distinct;
mod argument;
mod array_element;
mod bounded;
mod buckets;
mod checked;
mod cidr;
mod ddsketch;
mod described;
mod duration_part;
mod frequent;
mod hash;
mod held;
mod hyperloglog;
mod ip;
mod keys;
mod kinds;
mod lookup;
mod mac_vendor;
mod network;
mod number_text;
mod octets;
mod patterns;
mod quantile;
pub mod room;
mod service;
mod service_names;
mod sketch;
mod sum;
mod text;
mod top_k;
mod varint;

#[cfg(test)]
mod tests;

pub use described::{DESCRIBED, Described};
pub use held::held_octets;
pub use kinds::{AddressKind, is_octets, is_text};

use datafusion::logical_expr::{AggregateUDF, Expr, Operator, ScalarUDF};
use std::sync::{Arc, LazyLock};
use tapline_lookup::Tables;

/// `as_name`, `asn`, `cidr`, `country`, `hex`, `ip`, `lookup`, `mac`, `mac_vendor`, `network`, `protocol_name`, `service`,
/// `tcp_flags_text` and `text`; what is looked up is looked up in `tables`.
#[must_use]
pub fn scalar_functions(tables: &Arc<Tables>) -> Vec<ScalarUDF> {
    let tables = lookup::SharedTables(Arc::clone(tables));
    let [asn, as_name, country] = address_facts::AddressFact::all(&tables);
    vec![
        asn,
        as_name,
        cidr::Cidr::new().into(),
        country,
        text::Written::hex().into(),
        ip::Named::ip().into(),
        lookup::Lookup::new(tables.clone()).into(),
        ip::Named::mac().into(),
        mac_vendor::MacVendor::new(tables).into(),
        network::Network::new().into(),
        number_text::NumberText::protocol_name().into(),
        number_text::NumberText::tcp_flags_text().into(),
        service::Service::new().into(),
        text::Written::text().into(),
    ]
}

/// `lpad`, `repeat`, `replace` and `rpad` as DataFusion has them, up to a size.
#[must_use]
pub fn bounded_functions() -> Vec<ScalarUDF> {
    bounded::Bounded::all().into()
}

/// The function up to a size, where it may give more than it is given.
#[must_use]
pub fn with_bound(function: &Arc<ScalarUDF>) -> Option<ScalarUDF> {
    bounded::Bounded::of(function)
}

/// `left || right`, up to a size.
#[must_use]
pub fn joined(left: Expr, right: Expr) -> Expr {
    JOINED.call(vec![left, right])
}

/// What is matched with a text, if there is not too much of it.
#[must_use]
pub fn pattern(expression: Expr) -> Expr {
    PATTERN.call(vec![expression])
}

/// Whether a function is the one of [`pattern`].
#[must_use]
pub fn is_pattern(function: &ScalarUDF) -> bool {
    function.inner().is::<patterns::Pattern>()
}

/// Whether a function stands in the place of `||`.
#[must_use]
pub fn is_joined(function: &ScalarUDF) -> bool {
    function.inner().is::<bounded::Joined>()
}

/// `left + right`, `left - right` or `left * right` of integers of 64 bits, an error where it does not fit into them.
#[must_use]
pub fn checked_operation(operator: Operator, left: Expr, right: Expr) -> Expr {
    ScalarUDF::from(checked::Checked::new(operator)).call(vec![left, right])
}

/// The operator in whose place a function stands that fails where the result does not fit.
#[must_use]
pub fn checked_operator(function: &ScalarUDF) -> Option<Operator> {
    function.inner().downcast_ref::<checked::Checked>().map(|checked| checked.operator)
}

/// The function that a call in which no column is named calls instead, so that it is not computed once and for all; of
/// those that look something up.
#[must_use]
pub fn standing(function: &ScalarUDF) -> Option<ScalarUDF> {
    let function = function.inner();
    let lookup = function.downcast_ref::<lookup::Lookup>().map(lookup::Lookup::standing);
    let fact = || function.downcast_ref().map(address_facts::AddressFact::standing);
    lookup.or_else(fact)
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

/// A function that planning itself calls.
type Known = LazyLock<Arc<ScalarUDF>>;

static IP: Known = LazyLock::new(|| Arc::new(ip::Named::ip().into()));
static MAC: Known = LazyLock::new(|| Arc::new(ip::Named::mac().into()));
static TEXT: Known = LazyLock::new(|| Arc::new(text::Written::text().into()));
static CHARACTERS: Known = LazyLock::new(|| Arc::new(text::Written::characters().into()));
static ARRAY_ELEMENT: Known = LazyLock::new(|| Arc::new(array_element::ArrayElement::new().into()));
static JOINED: Known = LazyLock::new(|| Arc::new(bounded::Joined::new().into()));
static PATTERN: Known = LazyLock::new(|| Arc::new(patterns::Pattern::new().into()));
static DURATION_PART: Known = LazyLock::new(|| Arc::new(duration_part::DurationPart::new().into()));

/// `ip(x)`
#[must_use]
pub fn ip(x: Expr) -> Expr {
    IP.call(vec![x])
}

/// `mac(x)`
#[must_use]
pub fn mac(x: Expr) -> Expr {
    MAC.call(vec![x])
}

/// `text(x)`
#[must_use]
pub fn text(x: Expr) -> Expr {
    TEXT.call(vec![x])
}

/// Octets, or those of a text, each as the character of its number.
#[must_use]
pub fn characters(x: Expr) -> Expr {
    CHARACTERS.call(vec![x])
}

/// `list[n]`
#[must_use]
pub fn array_element(arguments: Vec<Expr>) -> Expr {
    ARRAY_ELEMENT.call(arguments)
}

/// `date_part(part, duration)`
#[must_use]
pub fn duration_part(arguments: Vec<Expr>) -> Expr {
    DURATION_PART.call(arguments)
}
