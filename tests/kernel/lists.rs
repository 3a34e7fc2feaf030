//! Lists that are too long for instructions: what the kernel looks up is what a count without its filter finds.

use std::net::{IpAddr, Ipv4Addr};

use tapline_filter::{Comparison, Condition, Field, Predicate};
use tapline_interface::kernel::{FilterState, FrameReader, KernelCapture, KernelOptions, PaneGrid};
use tapline_trafficgen::random::Random;

use crate::account::template;
use crate::pushed::{holds, tell};
use crate::rights::load;

/// 10.0.0.0
const FIRST: u32 = 10 << 24;
/// More entries than all maps of a filter have.
const TOO_MANY: u128 = (1 << 20) + 1;

/// A frame from an address to a port.
fn frame(src: u32, port: u16) -> Vec<u8> {
    let mut frame = template();
    frame[26..30].copy_from_slice(&src.to_be_bytes());
    frame[36..38].copy_from_slice(&port.to_be_bytes());
    frame
}

fn v4(address: u32) -> u128 {
    0xffff_0000_0000 | u128::from(address)
}

fn addresses(count: u128, step: u128) -> Condition {
    Condition::is_in(Field::SrcIp, (0..count).map(|number| v4(FIRST) + step * number))
}

/// The table's filter as it stands, which must have a place: SQL, lists, and what is left out.
fn placed(state: FilterState) -> (String, usize, Option<String>) {
    let FilterState::Placed { sql, lists, widened, .. } = state else { unreachable!("{state:?}") };
    (sql, lists, widened.map(|widened| widened.to_string()))
}

/// Looks at frames with a filter in the kernel and without: it leaves out what does not hold and nothing else. Gives how
/// many it kept.
fn check(kernel: &mut KernelCapture, predicate: &Predicate, frames: &[Vec<u8>]) -> usize {
    let (_, lists, widened) = placed(tell(kernel, FrameReader::Table, predicate.clone()));
    assert_eq!((lists, widened), (1, None));
    let mut kept = 0;
    for frame in frames {
        let before = kernel.counters();
        kernel.test(frame, 1).unwrap();
        let counted = kernel.counters().since(&before);
        let is_kept = holds(predicate, frame);
        assert_eq!(
            (counted.seen_packets, counted.unwanted_packets),
            (1, u64::from(!is_kept)),
            "{frame:02x?}"
        );
        kept += usize::from(is_kept);
    }
    let mut in_table = 0;
    kernel.table().drain(PaneGrid::default(), |flow| in_table += flow.packets).unwrap();
    assert_eq!(in_table, kept as u64);
    kept
}

/// The same of a condition and of its opposite.
fn check_both(kernel: &mut KernelCapture, condition: &Condition, frames: &[Vec<u8>]) {
    let kept = check(kernel, &condition.predicate(), frames);
    let others = check(kernel, &Condition::Not(Box::new(condition.clone())).predicate(), frames);
    assert!(kept > 0 && others > 0);
    assert_eq!(kept + others, frames.len());
}

#[test]
fn a_thousand_ports_are_looked_up() {
    let Some(mut kernel) = load(&KernelOptions::default()) else { return };
    let ports = Condition::is_in(Field::DstPort, (0..1000).map(|number| 3 * number + 1));
    let frames: Vec<_> = (0..=u16::MAX).step_by(5).map(|port| frame(FIRST, port)).collect();
    check_both(&mut kernel, &ports, &frames);
}

#[test]
fn ten_thousand_addresses_are_looked_up() {
    let Some(mut kernel) = load(&KernelOptions::default()) else { return };
    let frames: Vec<_> = (0..70_100).step_by(3).map(|address| frame(FIRST - 50 + address, 53)).collect();
    check_both(&mut kernel, &addresses(10_000, 7), &frames);
}

#[test]
fn five_thousand_prefixes_are_looked_up() {
    let Some(mut kernel) = load(&KernelOptions::default()) else { return };
    let mut random = Random::new(7, "prefixes");
    let (mut conditions, mut frames) = (vec![], vec![]);
    for number in 0..5000_u32 {
        // No two prefixes are near each other, so that they stay as many.
        let (network, bits) = (FIRST + (number << 12), 21 + random.below(11) as u8);
        let hosts = u32::MAX >> bits;
        conditions.push(Condition::prefix(Field::SrcIp, IpAddr::V4(Ipv4Addr::from(network)), bits));
        let ends = [network - 1, network, network + hosts, network + hosts + 1];
        frames.extend(ends.map(|address| frame(address, 53)));
    }
    check_both(&mut kernel, &Condition::Any(conditions), &frames);
}

#[test]
fn lengths_are_looked_up_and_compared_above() {
    let Some(mut kernel) = load(&KernelOptions::default()) else { return };
    let lengths = (0..100).map(|number| 2 * number).chain([100_000]);
    let frames: Vec<_> = (0..300).map(|octets| [template(), vec![0; octets]].concat()).collect();
    check_both(&mut kernel, &Condition::is_in(Field::FrameOctets, lengths), &frames);
}

#[test]
fn a_list_that_is_too_large_leaves_the_filters_of_others() {
    let Some(mut kernel) = load(&KernelOptions::default()) else { return };
    let port = |port: u128| Condition::compare(Field::DstPort, Comparison::Equal, port);
    let large = Condition::All(vec![addresses(TOO_MANY, 2), port(53)]);
    let other = Condition::All(vec![addresses(10_000, 7), port(80)]);
    let both = Condition::Any(vec![large, other]).predicate();
    tell(&kernel, FrameReader::Packets, port(443).predicate());
    let (sql, lists, widened) = placed(tell(&kernel, FrameReader::Table, both));
    let widened = widened.unwrap();
    assert!(widened.starts_with("without conditions on src_ip (1): its lists have more than "), "{widened}");
    assert!(sql.contains("src_ip IN (10000 values) AND dst_port = 80") && lists == 1, "{sql}");
    // The large list lets through all that goes to its port; the other one is exact.
    for (src, port, is_kept) in [
        (FIRST + 1, 53, true),
        (FIRST, 53, true),
        (FIRST + 7, 80, true),
        (FIRST + 8, 80, false),
        (FIRST, 81, false),
    ] {
        let before = kernel.counters();
        kernel.test(&frame(src, port), 1).unwrap();
        let unwanted = kernel.counters().since(&before).unwanted_packets;
        assert_eq!(unwanted, u64::from(!is_kept), "{src:x} {port}");
    }
}

/// Lists as long as no other test of this process has any.
const LENGTHS: std::ops::Range<u128> = 7001..7100;

/// Descriptors of maps of such lists.
fn descriptors_of_lists() -> usize {
    let is_of_list = |number: &std::ffi::OsStr| {
        let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", number.to_str().unwrap()));
        let entries = info.unwrap_or_default().lines().find_map(|line| {
            line.strip_prefix("max_entries:").and_then(|entries| entries.trim().parse::<u128>().ok())
        });
        entries.is_some_and(|entries| LENGTHS.contains(&entries))
    };
    let open = std::fs::read_dir("/proc/self/fd").unwrap();
    open.filter(|entry| entry.as_ref().is_ok_and(|entry| is_of_list(&entry.file_name()))).count()
}

#[test]
fn lists_that_change_leave_no_map_behind() {
    let Some(kernel) = load(&KernelOptions::default()) else { return };
    for length in LENGTHS {
        let list = addresses(length, 7).predicate();
        let (_, lists, widened) = placed(tell(&kernel, FrameReader::Table, list));
        assert_eq!((lists, widened), (1, None));
        assert_eq!(descriptors_of_lists(), 1);
    }
    assert_eq!(tell(&kernel, FrameReader::Table, Predicate::ALWAYS), FilterState::Open);
    assert_eq!(descriptors_of_lists(), 0);
}
