//! What is looked up: values and NULL.

use super::session::{rows, session_with};
use datafusion::arrow::array::{ArrayRef, FixedSizeBinaryArray, RecordBatch, StringArray, UInt16Array};
use datafusion::prelude::{SessionConfig, SessionContext};
use std::path::Path;
use std::sync::Arc;
use tapline_lookup::Tables;
use tapline_record::address::{parse_ip, parse_mac};
use tapline_trafficgen::mmdb::{Value, database};

const NETS: &str = "prefix,name,weight\n10.0.0.0/8,ten,1\n10.1.0.0/16,first,2\n2001:db8::/32,six,3\n";

/// Tables of every kind of key, and the folder that holds their files.
fn tables() -> (tempfile::TempDir, Arc<Tables>) {
    let folder = tempfile::tempdir().unwrap();
    let text = |text: &str| Value::Text(text.to_owned());
    let asn = Value::Map(vec![
        ("autonomous_system_number", Value::Number(64_500)),
        ("autonomous_system_organization", text("Example")),
    ]);
    let country = Value::Map(vec![("country", Value::Map(vec![("iso_code", text("DE"))]))]);
    let of = |value| database("test", &[("10.0.0.0".parse().unwrap(), 8, value)]);
    let files = [
        ("nets.csv", NETS.as_bytes().to_vec()),
        ("ports.csv", b"port,name\n443,https\n53,dns\n".to_vec()),
        ("macs.csv", b"mac,owner\n00:11:22:33:44:55,alice\n00:11:22:33:44:66,bob\n".to_vec()),
        ("texts.csv", b"text,site\n10.1.2.3,here\nother,there\nanother,there\n".to_vec()),
        ("asn.mmdb", of(&asn)),
        ("country.mmdb", of(&country)),
    ];
    let files = files.map(|(name, octets)| {
        let path = folder.path().join(name);
        std::fs::write(&path, octets).unwrap();
        format!("{}={}", Path::new(name).file_stem().unwrap().display(), path.display()).parse().unwrap()
    });
    (folder, Arc::new(Tables::open(files.to_vec()).unwrap()))
}

/// A table `t` of three rows, in the middle IPv6, at the end NULL.
fn session(tables: &Arc<Tables>) -> SessionContext {
    let texts = [Some("10.1.2.3"), Some("2001:db8::1"), None];
    let ips = FixedSizeBinaryArray::try_from_sparse_iter_with_size(
        texts.map(|text| text.and_then(parse_ip)).into_iter(),
        16,
    );
    let macs = [parse_mac("00:11:22:33:44:55"), parse_mac("52:54:00:00:00:01"), None];
    let macs = FixedSizeBinaryArray::try_from_sparse_iter_with_size(macs.into_iter(), 6);
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("ip", Arc::new(ips.unwrap())),
        ("mac", Arc::new(macs.unwrap())),
        ("txt", Arc::new(StringArray::from(texts.to_vec()))),
        ("port", Arc::new(UInt16Array::from(vec![Some(443), Some(1), None]))),
    ];
    let batch = RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, c)| (n, c, true)));
    session_with(tables, SessionConfig::new(), vec![vec![batch.unwrap()]])
}

#[test]
fn every_kind_of_key_is_looked_up() {
    let (_folder, tables) = tables();
    let session = session(&tables);
    for (expression, expected) in [
        ("lookup('nets', ip)", ["first", "six", ""]),
        ("lookup('nets', ip, 'weight')", ["2", "3", ""]),
        ("lookup('nets', ip, 'prefix')", ["10.1.0.0/16", "2001:db8::/32", ""]),
        ("lookup('nets', txt)", ["first", "six", ""]),
        ("lookup('nets', '10.9.9.9')", ["ten", "ten", "ten"]),
        ("lookup('nets', '11.0.0.0')", ["", "", ""]),
        ("lookup('nets', NULL)", ["", "", ""]),
        ("lookup('ports', port)", ["https", "", ""]),
        ("lookup('ports', 53)", ["dns", "dns", "dns"]),
        ("lookup('macs', mac)", ["alice", "", ""]),
        ("lookup('macs', '00-11-22-33-44-66')", ["bob", "bob", "bob"]),
        ("lookup('texts', txt)", ["here", "", ""]),
        ("lookup('asn', ip, 'autonomous_system_organization')", ["Example", "", ""]),
        ("asn(ip)", ["64500", "", ""]),
        ("as_name(ip)", ["Example", "", ""]),
        ("country(ip)", ["DE", "", ""]),
        ("country('10.0.0.1')", ["DE", "DE", "DE"]),
        ("asn(NULL)", ["", "", ""]),
        ("mac_vendor(mac) = 'QEMU/KVM'", ["", "true", ""]),
        ("mac_vendor('52:54:00:12:34:56')", ["QEMU/KVM"; 3]),
    ] {
        // A machine's registry may know who made the first card.
        let found = rows(&session, &format!("SELECT {expression} FROM t"));
        let compared = if expression.contains("= 'QEMU") { 1..3 } else { 0..3 };
        assert_eq!(found[compared.clone()], expected[compared], "{expression}");
    }
}
