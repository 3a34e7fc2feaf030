//! Scalar functions: values, NULL, refusals and the plan that is left of them.

use super::session::{refusal, rows, session};
use datafusion::arrow::array::{
    ArrayRef, FixedSizeBinaryArray, Int64Array, RecordBatch, StringArray, UInt8Array, UInt16Array,
};
use datafusion::prelude::{SessionConfig, SessionContext};
use std::sync::Arc;
use tapline_record::address::{Address, parse_ip, parse_mac};

/// Six rows: IPv4, IPv6, an edge of each family, NULL.
fn table() -> SessionContext {
    let texts =
        [Some("10.1.2.3"), Some("2001:db8:1:2::3"), Some("11.0.0.0"), Some("::"), None, Some("no address")];
    let ips = texts.map(|text| text.and_then(parse_ip));
    let mac = parse_mac("02:00:00:00:00:0a");
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("n", Arc::new(Int64Array::from_iter_values(0..6))),
        ("ip", addresses(&ips)),
        ("mac", fixed(&[mac, None, None, None, None, None], 6)),
        ("txt", Arc::new(StringArray::from(texts.to_vec()))),
        ("protocol", Arc::new(UInt8Array::from(vec![Some(6), Some(17), Some(17), None, Some(6), Some(1)]))),
        ("port", Arc::new(UInt16Array::from(vec![Some(443), Some(53), Some(514), Some(80), None, Some(0)]))),
    ];
    session(
        SessionConfig::new(),
        vec![vec![
            RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, c)| (n, c, true))).unwrap(),
        ]],
    )
}

fn addresses(ips: &[Option<Address>]) -> ArrayRef {
    fixed(ips, 16)
}

fn fixed<const N: usize>(values: &[Option<[u8; N]>], octets: i32) -> ArrayRef {
    Arc::new(FixedSizeBinaryArray::try_from_sparse_iter_with_size(values.iter().copied(), octets).unwrap())
}

/// The rows of `t`, by number, for which `expression` gives each text.
fn column(expression: &str) -> Vec<String> {
    rows(&table(), &format!("SELECT {expression} FROM t ORDER BY n"))
}

#[test]
fn cidr_covers_its_prefix_and_no_other_family() {
    assert_eq!(column("cidr(ip, '10.0.0.0/8')"), ["true", "false", "false", "false", "", ""]);
    assert_eq!(column("cidr(ip, '0.0.0.0/0')"), ["true", "false", "true", "false", "", ""]);
    assert_eq!(column("cidr(ip, '2001:db8::/32')"), ["false", "true", "false", "false", "", ""]);
    for (prefix, of_v6, of_unspecified) in [
        ("::/0", "true", "true"),
        ("::/80", "false", "true"),
        ("::fffe:0:0/95", "false", "false"),
        ("::ffff:0:0/96", "false", "false"),
        ("::ffff:10.0.0.0/104", "false", "false"),
        ("2000::/3", "true", "false"),
    ] {
        let expected = ["false", of_v6, "false", of_unspecified, "", ""];
        assert_eq!(column(&format!("cidr(ip, '{prefix}')")), expected, "{prefix}");
    }
    assert_eq!(column("cidr(ip, '11.0.0.0')"), ["false", "false", "true", "false", "", ""]);
}

#[test]
fn cidr_takes_any_address() {
    for prefix in ["10.0.0.0/8", "0.0.0.0/0", "2001:db8::/32", "::/0", "::ffff:0:0/96", "11.0.0.0"] {
        let computed = format!("cidr(coalesce(ip, ip), '{prefix}')");
        assert_eq!(column(&computed), column(&format!("cidr(ip, '{prefix}')")), "{prefix}");
    }
    assert_eq!(column("cidr(ip('10.0.0.1'), '10.0.0.0/8')")[0], "true");
    assert_eq!(column("cidr('10.0.0.1', '10.0.0.0/8')")[0], "true");
    assert_eq!(column("cidr(NULL, '10.0.0.0/8')")[0], "");
}

#[test]
fn ip_reads_text_and_keeps_addresses() {
    let same = ["true", "true", "true", "true", "", ""];
    assert_eq!(column("ip(txt) = ip"), same);
    assert_eq!(column("ip(ip) = ip"), same);
    assert_eq!(column("ip = ip('10.1.2.3')"), ["true", "false", "false", "false", "", ""]);
    assert_eq!(column("ip = ip('::ffff:10.1.2.3')")[0], "true");
    assert_eq!(column("ip(NULL)")[0], "");
    assert_eq!(column("ip(arrow_cast(txt, 'Utf8View')) = ip"), same);
}

#[test]
fn mac_reads_text_and_keeps_addresses() {
    assert_eq!(column("mac('02-00-00-00-00-0A') = mac"), ["true", "", "", "", "", ""]);
    assert_eq!(column("mac(mac) = mac")[0], "true");
    assert_eq!(column("mac(txt)")[0], "");
}

#[test]
fn an_ip_literal_is_folded() {
    let plan = rows(&table(), "EXPLAIN SELECT n FROM t WHERE ip = ip('10.1.2.3')").join("\n");
    assert!(!plan.contains("ip(Utf8"), "{plan}");
}

#[test]
fn network_masks_by_family() {
    let networks = column("text(network(ip, 8, 48))");
    assert_eq!(networks, ["10.0.0.0", "2001:db8:1::", "11.0.0.0", "::", "", ""]);
    assert_eq!(column("text(network(ip, 0, 0))"), ["0.0.0.0", "::", "0.0.0.0", "::", "", ""]);
    assert_eq!(column("network(ip, 32, 128) = ip"), ["true", "true", "true", "true", "", ""]);
    assert_eq!(column("network(NULL, 32, 128)")[0], "");
}

#[test]
fn numbers_of_headers_are_written_as_people_do() {
    assert_eq!(column("protocol_name(protocol)"), ["TCP", "UDP", "UDP", "", "TCP", "ICMP"]);
    for (number, name) in
        [(58, "IPv6-ICMP"), (89, "OSPF"), (132, "SCTP"), (145, "NSH"), (61, "61"), (255, "255"), (256, "")]
    {
        assert_eq!(column(&format!("protocol_name({number})"))[0], name, "{number}");
    }
    let flags = [
        (0, ""),
        (2, "SYN"),
        (18, "SYN ACK"),
        (24, "PSH ACK"),
        (17, "FIN ACK"),
        (511, "FIN SYN RST PSH ACK URG ECE CWR AE"),
    ];
    for (number, text) in flags {
        assert_eq!(column(&format!("tcp_flags_text({number})"))[0], text, "{number}");
    }
    assert_eq!(column("tcp_flags_text(n) IS NULL"), ["false"; 6]);
    assert_eq!(column("tcp_flags_text(512) IS NULL")[0], "true");
}

#[test]
fn service_names_a_port() {
    assert_eq!(column("service(protocol, port)"), ["https", "dns", "syslog", "", "", ""]);
    assert_eq!(column("service(6, 22)")[0], "ssh");
    assert_eq!(column("service(protocol, 53)"), ["dns", "dns", "dns", "", "dns", ""]);
    assert_eq!(column("service(6, 65579)")[0], "");
    assert_eq!(column("service(262, 443)")[0], "");
    assert_eq!(column("service(NULL, 443)")[0], "");
}

#[test]
fn text_prints_ip_and_mac_addresses() {
    assert_eq!(column("text(ip)"), ["10.1.2.3", "2001:db8:1:2::3", "11.0.0.0", "::", "", ""]);
    assert_eq!(column("text(mac)")[0], "02:00:00:00:00:0a");
    assert_eq!(column("text(ip) || '!'")[0], "10.1.2.3!");
    assert_eq!(column("text(NULL)")[0], "");
}

#[test]
fn octets_and_numbers_are_written() {
    assert_eq!(column("text(X'474554201bff')")[0], "GET \u{fffd}\u{fffd}");
    assert_eq!(column("hex(X'00ff1b')")[0], "00ff1b");
    assert_eq!(column("hex(mac)"), ["02000000000a", "", "", "", "", ""]);
    assert_eq!(column("hex(port)"), ["1bb", "35", "202", "50", "", "0"]);
    assert_eq!(column("hex(-1)")[0], "ffffffffffffffff");
    assert_eq!(column("hex(18446744073709551615)")[0], "ffffffffffffffff");
    assert_eq!(column("hex('é')")[0], "c3a9");
    assert_eq!(column("text(txt) = txt")[5], "true");
}

#[test]
fn a_refusal_says_what_would_be_right() {
    let cases = [
        (
            "cidr(ip, '10.0.0.0/33')",
            "cidr: '10.0.0.0/33' is not a prefix; write e.g. '10.0.0.0/8' or '2001:db8::/32'",
        ),
        (
            "cidr(ip, txt)",
            "cidr: the second argument is not a literal prefix; write e.g. cidr(src_ip, '10.0.0.0/8')",
        ),
        ("cidr(ip, 8)", "cidr: the second argument is not a literal prefix"),
        ("cidr(ip, NULL)", "cidr: the second argument is not a literal prefix"),
        ("cidr(port, '10.0.0.0/8')", "cidr: the first argument is UInt16, not an address"),
        ("cidr(mac, '10.0.0.0/8')", "cidr: the first argument is FixedSizeBinary(6), not an address"),
        ("ip('10.0.0')", "ip: '10.0.0' is not an address; write e.g. ip('10.0.0.1') or ip('2001:db8::1')"),
        ("ip(port)", "ip: the argument is UInt16, not text"),
        ("mac('10.0.0.1')", "mac: '10.0.0.1' is not an address; write e.g. mac('00:11:22:33:44:55')"),
        (
            "hex(ip = ip)",
            "hex: the argument is Boolean, neither octets nor a whole number; write e.g. hex(payload)",
        ),
        ("cidr('10.0.0', '10.0.0.0/8')", "cidr: '10.0.0' is not an address; write e.g. '10.0.0.1'"),
        (
            "network(ip, 33, 48)",
            "network: v4_bits is 33; write a number from 0 to 32, e.g. network(src_ip, 24, 48)",
        ),
        ("network(ip, 24, -1)", "network: v6_bits is -1; write a number from 0 to 128"),
        ("network(ip, port, 48)", "network: v4_bits is not a literal; write a number from 0 to 32"),
        ("network(ip, 24.5, 48)", "network: v4_bits is 24.5; write a number"),
        ("network(txt, 24, 48)", "network: the first argument is Utf8, not an address"),
        (
            "protocol_name(txt)",
            "protocol_name: the argument is Utf8, not a number; write e.g. protocol_name(protocol)",
        ),
        ("service(txt, 443)", "service: an argument is Utf8, not a number"),
        ("text(port)", "text: the argument is UInt16, not an address"),
    ];
    let table = table();
    for (expression, sentence) in cases {
        let error = refusal(&table, &format!("SELECT {expression} FROM t"));
        assert!(error.starts_with(&format!("Error during planning: {sentence}")), "{expression}: {error}");
    }
}
