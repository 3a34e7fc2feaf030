//! What the program reads in the kernel, by test runs: the same as the decoder, of every frame.

use std::collections::BTreeMap;

use tapline_capture::CaptureFile;
use tapline_decode::{Frame, LinkType};
use tapline_interface::kernel::{KernelCapture, KernelFlow, KernelOptions, PaneGrid, Part, Trial};
use tapline_trafficgen::random::Random;
use tapline_trafficgen::scenario::branch_office;

use crate::rights::{load, or_skipped};
use harness::columns::{self, Columns};
use harness::samples;

/// The kernel runs a program on no shorter frame.
const FRAME_OCTETS_MIN: usize = 14;
/// A test run takes no longer frame in one piece.
const FRAME_OCTETS_MAX: usize = 3000;

/// Frames, octets of IP, octets of frames.
type Sums = [u64; 3];

type Table = BTreeMap<Columns, Sums>;

/// Runs the program on frames and compares what stands in its table with what the decoder says of them.
fn assert_agreement(kernel: &mut KernelCapture, frames: &[Vec<u8>]) {
    assert_agreement_on(kernel, LinkType::Ethernet, frames);
}

fn assert_agreement_on(kernel: &mut KernelCapture, link: LinkType, frames: &[Vec<u8>]) {
    let before = kernel.counters();
    let (mut expected, mut found) = (Table::new(), Table::new());
    for frame in frames.iter().filter(|frame| frame.len() >= FRAME_OCTETS_MIN) {
        assert_eq!(kernel.test(frame, 1).unwrap().action, 2, "XDP_PASS");
        let (columns, octets) = columns::of_frame(link, frame, frame.len() as u32);
        add(&mut expected, columns, [1, octets, frame.len() as u64]);
    }
    drain(kernel, |flow| {
        add(&mut found, columns::of_key(&flow.key), [flow.packets, flow.octets, flow.frame_octets]);
    });
    assert_eq!(found, expected);
    let counted = kernel.counters().since(&before);
    let packets: u64 = found.values().map(|sums| sums[0]).sum();
    assert_eq!((counted.seen_packets, counted.lost_packets, counted.too_deep_packets), (packets, 0, 0));
}

/// Whether the program finds more headers in a frame than it looks through.
fn is_too_deep(kernel: &mut KernelCapture, frame: &[u8]) -> bool {
    let before = kernel.counters();
    kernel.test(frame, 1).unwrap();
    kernel.counters().since(&before).too_deep_packets > 0
}

fn drain(kernel: &mut KernelCapture, each: impl FnMut(&KernelFlow)) {
    kernel.table().drain(PaneGrid::default(), each).unwrap();
}

fn add(table: &mut Table, columns: Columns, sums: Sums) {
    let cell = table.entry(columns).or_default();
    cell.iter_mut().zip(sums).for_each(|(cell, more)| *cell += more);
}

fn sample_frames() -> Vec<Vec<u8>> {
    samples_of(LinkType::Ethernet)
}

fn samples_of(wanted: LinkType) -> Vec<Vec<u8>> {
    samples::all().into_iter().filter(|(_, link, _)| *link == wanted).map(|(_, _, bytes)| bytes).collect()
}

/// The kernel runs a program on frames in several parts, as drivers hand jumbo frames over.
#[test]
fn a_length_of_zero_is_that_of_all_parts() {
    let Some(mut kernel) = load(&KernelOptions::default()) else { return };
    let mut packet = harness::frames::ipv4(harness::frames::UDP, &harness::frames::udp(1234, 53, &[0; 4054]));
    packet[2..4].fill(0);
    let frame = harness::frames::ethernet(harness::frames::IPV4, &packet);
    assert_eq!(frame.len(), 4096);
    assert_agreement(&mut kernel, &[frame]);
}

#[test]
fn bare_ip_packets_are_read_alike() {
    let raw = KernelOptions { is_raw_ip: true, ..KernelOptions::default() };
    let Some(mut kernel) = load(&raw) else { return };
    let is_ip = |frame: &Vec<u8>| matches!(frame[12..14], [0x08, 0] | [0x86, 0xdd]);
    let without_link = |frame: Vec<u8>| frame[14..].to_vec();
    let mut packets = samples_of(LinkType::RawIp);
    packets.extend(sample_frames().into_iter().filter(is_ip).map(without_link));
    assert_agreement_on(&mut kernel, LinkType::RawIp, &packets);
    // Frames of Ethernet are damaged packets here.
    assert_agreement_on(&mut kernel, LinkType::RawIp, &sample_frames());
}

#[test]
fn sample_frames_and_all_that_they_begin_with_are_read_alike() {
    let Some(mut kernel) = load(&KernelOptions::default()) else { return };
    let frames = sample_frames();
    assert_agreement(&mut kernel, &frames);
    let cut = |frame: &Vec<u8>| (0..frame.len()).map(|octets| frame[..octets].to_vec()).collect::<Vec<_>>();
    assert_agreement(&mut kernel, &frames.iter().flat_map(cut).collect::<Vec<_>>());
}

#[test]
fn frames_that_lie_are_read_alike() {
    let Some(mut kernel) = load(&KernelOptions::default()) else { return };
    let mut random = Random::new(2, "lies");
    let mut lies = Vec::new();
    for frame in sample_frames() {
        for _ in 0..200 {
            let mut lie = frame.clone();
            let at = 14 + random.below(lie.len() as u64 - 14) as usize;
            lie[at] = random.below(256) as u8;
            lies.push(lie);
        }
    }
    let all = lies.len();
    lies.retain(|lie| !is_too_deep(&mut kernel, lie));
    assert!(lies.len() > all * 99 / 100, "{} of {all}", lies.len());
    drain(&mut kernel, |_| ());
    assert_agreement(&mut kernel, &lies);
}

#[test]
fn an_office_is_read_alike() {
    let Some(mut kernel) = load(&KernelOptions::default()) else { return };
    let write = |frame: &tapline_trafficgen::scenario::TimedFrame| {
        let mut bytes = Vec::new();
        frame.frame.write(&mut bytes);
        bytes
    };
    let frames: Vec<_> = branch_office(3).frames.iter().step_by(7).take(20_000).map(write).collect();
    assert_agreement(&mut kernel, &frames);
}

#[test]
fn real_captures_are_read_alike() {
    let Some(mut kernel) = load(&KernelOptions::default()) else { return };
    for path in harness::captures::packet_files() {
        let mut frames = Vec::new();
        let mut file = CaptureFile::open(&path).unwrap();
        let mut take = |frame: &Frame<'_>| {
            if frame.link == LinkType::Ethernet && frame.bytes.len() <= FRAME_OCTETS_MAX {
                frames.push(frame.bytes.to_vec());
            }
        };
        while file.read(4096, &mut take) > 0 {}
        assert_agreement(&mut kernel, &frames);
    }
}

/// The verifier sees each of them as the compiler wrote it, which is another program for each.
#[test]
fn programs_that_are_only_measured_are_accepted_too() {
    let Some(mut trial) = or_skipped(Trial::load(&KernelOptions::default())) else { return };
    let frame = &samples_of(LinkType::Ethernet)[0];
    for part in Part::ALL {
        trial.run(part, frame, 1, 1).unwrap();
    }
}
