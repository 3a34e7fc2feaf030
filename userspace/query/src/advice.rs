//! What to write instead, where DataFusion does not say, or says what does not help here.

use crate::error::SqlError;
use crate::literals::{AddressKind, BadAddress, Together};
use tapline_record::address::parse_prefix;

/// What to use instead of functions that other engines have.
const INSTEAD: [(&str, &str); 22] = [
    ("approx_count_distinct", "approx_distinct(x)"),
    ("approx_quantile", "quantile(x, 0.95)"),
    ("approx_top_k", "top_k(x, 10)"),
    ("count_distinct", "count(DISTINCT x), or approx_distinct(x)"),
    ("host", "text(src_ip)"),
    ("inet", "ip('10.0.0.1')"),
    ("inet_aton", "ip('10.0.0.1')"),
    ("inet_ntoa", "text(src_ip)"),
    ("inet6_aton", "ip('2001:db8::1')"),
    ("inet6_ntoa", "text(src_ip)"),
    ("list_element", "x[1]"),
    ("macaddr", "mac('00:11:22:33:44:55')"),
    ("masklen", "network(src_ip, 24, 64)"),
    ("mode", "top_k(x, 1)"),
    ("percentile", "quantile(x, 0.95)"),
    ("percentile_disc", "quantile(x, 0.95)"),
    ("quantile_cont", "quantile(x, 0.95)"),
    ("quantile_disc", "quantile(x, 0.95)"),
    ("set_masklen", "network(src_ip, 24, 64)"),
    ("time_bucket", "GROUP BY tumble('60 seconds')"),
    ("to_hex", "hex(x)"),
    ("uniq", "approx_distinct(x)"),
];

/// What to use instead of an unknown function.
pub(crate) fn instead_of(function: &str) -> Option<&'static str> {
    let is_it = |(known, _): &&(&str, &str)| known.eq_ignore_ascii_case(function);
    INSTEAD.iter().find(is_it).map(|(_, instead)| *instead)
}

/// A text that is no address where one is expected.
pub(crate) fn bad_address(bad: &BadAddress) -> SqlError {
    let (text, column) = (&bad.text, bad.column.as_deref());
    let (message, example, column) = match bad.kind {
        AddressKind::Ip => ("an address", "'10.0.0.1' or '2001:db8::1'", column.unwrap_or("src_ip")),
        AddressKind::Mac => ("a MAC address", "'00:11:22:33:44:55'", column.unwrap_or("src_mac")),
    };
    let is_prefix = bad.kind == AddressKind::Ip && parse_prefix(text).is_some();
    let help = match bad.together {
        Together::Compared if is_prefix => format!("write cidr({column}, '{text}')"),
        Together::Compared if text.contains('%') => format!("write {column} LIKE '{text}'"),
        Together::Compared => format!("write e.g. {example}"),
        Together::Chosen => format!("write e.g. {example}, or text({column}) where other texts are mixed with addresses"),
    };
    SqlError::new(format!("'{text}' is not {message}"), help)
}

/// A literal that could not be read as what it stands for.
pub(crate) fn unread_literal(message: &str) -> Option<SqlError> {
    const KINDS: [(&str, &str, &str); 4] = [
        ("parsing timestamp from '", "a time", "write e.g. '2026-01-31 12:00:00'"),
        ("Cannot cast string '", "a number", "write a number, without quotes"),
        ("Invalid input syntax for type interval: \"", "an interval", "write e.g. INTERVAL '60 seconds'"),
        ("Cannot parse '", "a number", "write a number, without quotes"),
    ];
    KINDS.iter().find_map(|(before, kind, help)| {
        let (_, rest) = message.split_once(before)?;
        let text = rest.split(['\'', '"']).next()?;
        Some(SqlError::new(format!("'{text}' is not {kind}"), *help))
    })
}

/// A message in words of SQL: no types of Arrow, no parts of DataFusion.
pub(crate) fn plain_words(message: &str) -> String {
    const WORDS: [(&str, &str); 8] = [
        ("FixedSizeBinary(16)", "address"),
        ("FixedSizeBinary(6)", "MAC address"),
        ("LargeUtf8", "text"),
        ("Utf8View", "text"),
        ("Utf8", "text"),
        ("LargeBinary", "octets"),
        ("Binary", "octets"),
        ("Duration(ns)", "duration"),
    ];
    let message = message.split(" Hint:").next().unwrap_or_default();
    let message = message.split(" by ExprPlanner").next().unwrap_or_default();
    let message = message.strip_prefix("Could not plan array literal.").map_or(message, |_| NO_LISTS);
    WORDS.iter().fold(message.to_owned(), |text, (arrow, sql)| text.replace(arrow, sql))
}

const NO_LISTS: &str = "lists cannot be written in a query";
