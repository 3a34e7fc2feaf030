//! What to write instead, where DataFusion does not say, or says what does not help here.

use crate::error::SqlError;
use crate::literals::{BadAddress, Together};
use tapline_functions::AddressKind;
use tapline_record::address::parse_prefix;

/// What to use instead of functions that other engines have.
const INSTEAD: [(&str, &str); 20] = [
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
    ("quantile_disc", "quantile(x, 0.95)"),
    ("set_masklen", "network(src_ip, 24, 64)"),
    ("time_bucket", "GROUP BY tumble('60 seconds')"),
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
        Together::Chosen => {
            format!("write e.g. {example}, or text({column}) where other texts are mixed with addresses")
        }
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

/// A function that was given what it does not take.
pub(crate) fn wrong_argument(message: &str) -> Option<SqlError> {
    let (_, rest) = message.split_once("Function '")?;
    let (function, rest) = rest.split_once('\'')?;
    let (_, rest) = rest.split_once(" requires ")?;
    let (_, rest) = rest.split_once("but received ")?;
    let given = rest.split(" (").next()?;
    let help = match given {
        "address" | "mac" => {
            "addresses can be counted, ranked and compared: count, approx_distinct, top_k, min, max"
        }
        "bytes" => "hex(x) and text(x) make text of octets",
        _ => {
            return Some(SqlError {
                message: format!("{function} takes no {given}"),
                help: None,
                place: None,
            });
        }
    };
    Some(SqlError::new(format!("{function} takes no {given}"), help))
}

/// A message in words of SQL: types as `tapline schema` names them, no parts of DataFusion.
pub(crate) fn plain_words(message: &str) -> String {
    const WORDS: [(&str, &str); 8] = [
        ("FixedSizeBinary(16)", "address"),
        ("FixedSizeBinary(6)", "mac"),
        ("LargeUtf8", "text"),
        ("Utf8View", "text"),
        ("Utf8", "text"),
        ("LargeBinary", "bytes"),
        ("Binary", "bytes"),
        ("Duration(ns)", "duration"),
    ];
    let message = message.split(" Hint:").next().unwrap_or_default();
    let message = message.split(" by ExprPlanner").next().unwrap_or_default();
    let message = message.split(". No function matches").next().unwrap_or_default();
    let message = message.rsplit("coercion failed with: ").next().unwrap_or_default();
    let message = message.strip_prefix("Error during planning: ").unwrap_or(message);
    let message = message.strip_prefix("Could not plan array literal.").map_or(message, |_| NO_LISTS);
    WORDS.iter().fold(message.to_owned(), |text, (arrow, sql)| text.replace(arrow, sql))
}

const NO_LISTS: &str = "lists cannot be written in a query";

#[cfg(test)]
mod tests {
    use crate::Planner;

    /// A query, what its refusal proposes, and the query with that in it.
    const MENDED: [(&str, &str, &str); 22] = [
        ("src_ip = '10.0.0.0/8'", "cidr(src_ip, '10.0.0.0/8')", "cidr(src_ip, '10.0.0.0/8')"),
        ("src_ip = '10.%'", "src_ip LIKE '10.%'", "src_ip LIKE '10.%'"),
        ("src_ip = '10.0.0'", "'10.0.0.1' or '2001:db8::1'", "src_ip = '10.0.0.1' OR src_ip = '2001:db8::1'"),
        ("src_mac = '10.0.0.1'", "'00:11:22:33:44:55'", "src_mac = '00:11:22:33:44:55'"),
        ("coalesce(src_ip, 'none')", "text(src_ip)", "coalesce(text(src_ip), 'none')"),
        ("ts > '2026-13-40'", "'2026-01-31 12:00:00'", "ts > '2026-01-31 12:00:00'"),
        ("dst_port = 'https'", "a number, without quotes", "dst_port = 443"),
        ("ts - ts > interval 'long'", "INTERVAL '60 seconds'", "ts - ts > INTERVAL '60 seconds'"),
        ("mode(octets)", "top_k(x, 1)", "top_k(octets, 1)"),
        ("percentile(octets, 95)", "quantile(x, 0.95)", "quantile(octets, 0.95)"),
        ("percentile_cont(0.5) WITHIN GROUP (ORDER BY octets)", "quantile(x, q)", "quantile(octets, 0.5)"),
        (
            "percentile_disc(0.5) WITHIN GROUP (ORDER BY octets)",
            "quantile(x, 0.95)",
            "quantile(octets, 0.95)",
        ),
        ("uniq(src_ip)", "approx_distinct(x)", "approx_distinct(src_ip)"),
        ("count_distinct(src_ip)", "count(DISTINCT x)", "count(DISTINCT src_ip)"),
        ("inet_ntoa(src_ip)", "text(src_ip)", "text(src_ip)"),
        ("inet_aton('10.0.0.1')", "ip('10.0.0.1')", "ip('10.0.0.1')"),
        ("macaddr('00:11:22:33:44:55')", "mac('00:11:22:33:44:55')", "mac('00:11:22:33:44:55')"),
        ("masklen(src_ip)", "network(src_ip, 24, 64)", "network(src_ip, 24, 64)"),
        ("approx_top_k(src_ip)", "top_k(x, 10)", "top_k(src_ip, 10)"),
        ("list_element(octets, 1)", "x[1]", "top_k(octets, 1)[1]"),
        ("inet6_aton('::1')", "ip('2001:db8::1')", "ip('2001:db8::1')"),
        ("0x1ffffffffffffffff", "0x1f", "0x1f"),
    ];

    #[test]
    fn every_proposal_works() {
        let planner = Planner::new();
        for (wrong, proposed, right) in MENDED {
            let query = |expression: &str| format!("SELECT {expression} FROM packets");
            let error = planner.plan(&query(wrong)).expect_err(wrong);
            let help = error.help.clone().unwrap_or_default();
            assert!(help.contains(proposed) && error.place.is_some(), "{wrong}: {error}");
            planner.plan(&query(right)).unwrap_or_else(|error| panic!("{right}: {error}"));
        }
        planner.plan("SELECT count(*) FROM packets GROUP BY tumble('60 seconds')").expect("for time_bucket");
        for (name, instead) in super::INSTEAD {
            let error = planner.plan(&format!("SELECT {name}(src_ip) FROM packets")).expect_err(name);
            assert!(error.message.starts_with("there is no function"), "{name}: {error}");
            assert!(error.help.is_some_and(|help| help.contains(instead)), "{name}");
        }
    }
}
