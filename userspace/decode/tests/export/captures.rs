//! Messages of real exporters, decoded as `netflow_parser` decodes them, where it is right.

use crate::oracle::{self, Record};
use crate::rows::{Row, decoder, decoder_with, push};
use harness::captures::export_folder;
use netflow_parser::NetflowParser;
use std::path::Path;
use tapline_decode::ExportOptions;
use tapline_decode::export::Undecodable;

/// Files of one exporter, templates first.
pub(crate) const EXPORTERS: &[&[&str]] = &[
    &["ipfix.dat"],
    &["ipfix_test_barracuda_tpl.dat", "ipfix_test_barracuda_data256.dat"],
    &[
        "ipfix_test_barracuda_extended_uniflow_tpl256.dat",
        "ipfix_test_barracuda_extended_uniflow_data256.dat",
    ],
    &["ipfix_test_mikrotik_tpl.dat", "ipfix_test_mikrotik_data258.dat", "ipfix_test_mikrotik_data259.dat"],
    &["ipfix_test_netscaler_tpl.dat", "ipfix_test_netscaler_data.dat"],
    &["ipfix_test_openbsd_pflow_tpl.dat", "ipfix_test_openbsd_pflow_data.dat"],
    &["ipfix_test_yaf_tpls_option_tpl.dat", "ipfix_test_yaf_tpl45841.dat", "ipfix_test_yaf_data45841.dat"],
    &["ipfix_test_yaf_tpls_option_tpl.dat", "ipfix_test_yaf_data45873.dat", "ipfix_test_yaf_data53248.dat"],
    &["netflow9_test_cisco_asa_1_tpl.dat", "netflow9_test_cisco_asa_1_data.dat"],
    &["netflow9_test_cisco_asr9k_tpl260.dat", "netflow9_test_cisco_asr9k_data260.dat"],
    &["netflow9_test_cisco_asr9k_opttpl256.dat", "netflow9_test_cisco_asr9k_data256.dat"],
    &["netflow9_test_cisco_nbar_tpl262.dat", "netflow9_test_cisco_nbar_data262.dat"],
    &[
        "netflow9_test_fortigate_fortios_521_tpl.dat",
        "netflow9_test_fortigate_fortios_521_data256.dat",
        "netflow9_test_fortigate_fortios_521_data257.dat",
    ],
    &["netflow9_test_huawei_netstream_tpl.dat", "netflow9_test_huawei_netstream_data.dat"],
    &["netflow9_test_iptnetflow_reduced_size_encoding_tpldata260.dat"],
    &["netflow9_test_juniper_srx_tplopt.dat"],
    &["netflow9_test_nprobe_tpl.dat", "netflow9_test_nprobe_data.dat"],
    &["netflow9_test_softflowd_tpl_data.dat"],
    &[
        "netflow9_test_ubnt_edgerouter_tpl.dat",
        "netflow9_test_ubnt_edgerouter_data1024.dat",
        "netflow9_test_ubnt_edgerouter_data1025.dat",
    ],
];

/// The messages of a file: most hold one, IPFIX's say how long they are.
fn messages(octets: &[u8]) -> Vec<&[u8]> {
    let mut rest = octets;
    let mut messages = vec![];
    while rest.len() > 4 {
        let word = |first: usize| usize::from(u16::from_be_bytes([rest[first], rest[first + 1]]));
        let length = match word(0) {
            5 => 24 + 48 * word(2),
            10 => word(2),
            _ => rest.len(),
        };
        let (message, next) = rest.split_at(length.min(rest.len()));
        messages.push(message);
        rest = next;
    }
    messages
}

pub(crate) fn read(folder: &Path, files: &[&str]) -> Vec<Vec<u8>> {
    let octets = files.iter().map(|file| std::fs::read(folder.join(file)).unwrap());
    octets.flat_map(|octets| messages(&octets).into_iter().map(<[u8]>::to_vec).collect::<Vec<_>>()).collect()
}

/// The rows of the records' own direction: where all are biflows, the first half.
fn forward<'a>(rows: &'a [Row], records: &[Record]) -> &'a [Row] {
    let is_clear = rows.len() == records.len() || rows.len() == 2 * records.len();
    if is_clear { &rows[..records.len()] } else { &[] }
}

#[test]
fn records_equal_those_of_netflow_parser() {
    let Some(folder) = export_folder() else { return };
    let mut compared = 0;
    for files in EXPORTERS {
        let options = ExportOptions { skew_ns_max: i64::MAX, ..ExportOptions::default() };
        let (mut decoder, mut parser) = (decoder_with(options), NetflowParser::default());
        for message in read(&folder, files) {
            let (rows, records) = (push(&mut decoder, &message), oracle::records(&mut parser, &message));
            let biflows =
                records.iter().filter(|record| record.iter().any(|(element, _)| is_reverse(*element)));
            assert_eq!(rows.len(), records.len() + biflows.count(), "rows of {files:?}");
            for (number, (row, record)) in forward(&rows, &records).iter().zip(&records).enumerate() {
                for (column, expected) in oracle::row(record) {
                    assert_eq!(row.get(column), Some(&expected), "{files:?} record {number} {column}");
                    compared += 1;
                }
            }
        }
        for account in decoder.accounts() {
            assert!(account.ledger().adds_up(), "{files:?}: {account:?}");
        }
    }
    println!("{compared} values compared");
    assert!(compared > 1000, "only {compared} values compared");
}

fn is_reverse(element: u32) -> bool {
    matches!(element, 232 | 299) || (oracle::REVERSE..u32::MAX).contains(&element)
}

#[test]
fn v5_messages_back_to_back() {
    let Some(folder) = export_folder() else { return };
    let mut decoder = decoder();
    let messages = read(&folder, &["netflow5.dat"]);
    assert_eq!(messages.len(), 12);
    let rows: usize = messages.iter().map(|message| push(&mut decoder, message).len()).sum();
    assert_eq!(rows, 30);
    let messages = read(&folder, &["netflow5_test_juniper_mx80.dat"]);
    assert_eq!(push(&mut decoder, &messages[0]).len(), 29);
}

/// The record has 100 octets, of which the template beside it tells 83, in another order: 239.255.255.250, whom the
/// flow was sent to, stands where the template has no address.
#[test]
fn a_record_that_its_own_template_does_not_fit_gives_no_row() {
    let Some(folder) = export_folder() else { return };
    let messages = read(&folder, &["netflow9_test_nprobe_dpi.dat"]);
    assert!(messages[0][0xa2..].starts_with(&[239, 255, 255, 250]));
    let mut decoder = decoder();
    assert!(push(&mut decoder, &messages[0]).is_empty());
    decoder.give_up_waiting();
    let counts = decoder.accounts().next().unwrap().counts;
    assert_eq!(counts.reasons.of(Undecodable::Record), 1);
}

#[test]
fn zeros_fill_the_message_of_a_firewall_up() {
    let Some(folder) = export_folder() else { return };
    let files = [
        "netflow9_test_paloalto_81_tpl256-263.dat",
        "netflow9_test_paloalto_81_data257_1flowset_in_large_zerofilled_packet.dat",
    ];
    let mut decoder = decoder();
    let rows: usize = read(&folder, &files).iter().map(|message| push(&mut decoder, message).len()).sum();
    assert_eq!((rows, decoder.accounts().next().unwrap().counts.reasons.total()), (1, 0));
}
