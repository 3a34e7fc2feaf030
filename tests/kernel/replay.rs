//! Real captures, played into a mirrored port: the flow table holds what tshark reads in the files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::thread::sleep;

use harness::captures;
use harness::run::tapline_during;
use harness::tshark::Frame;
use tapline_capture::CaptureFile;
use tapline_decode::LinkType;
use tapline_interface::kernel::KernelOptions;
use tapline_interface::live::PacketSender;

use crate::namespace::{self, FAR, NEAR, ip};
use crate::queries::{FRAMES_A_NAP, NAP, totals, wait_for};
use crate::rights::load;

const KEYS: [&str; 7] = ["src_ip", "dst_ip", "protocol", "src_port", "dst_port", "vlan", "tcp_flags"];

/// The frames of a file as they were on the wire; `None` when it is not of Ethernet, or has not all of each.
fn whole_frames(file: &Path) -> Option<Vec<Vec<u8>>> {
    let (mut capture, mut frames, mut are_whole) = (CaptureFile::open(file).unwrap(), vec![], true);
    capture.read(usize::MAX, &mut |frame| {
        are_whole &= frame.link == LinkType::Ethernet && frame.bytes.len() == frame.original_octets as usize;
        frames.push(frame.bytes.to_vec());
    });
    are_whole.then_some(frames)
}

/// Packets and octets of IP of every flow.
fn add(expected: &mut BTreeMap<Vec<String>, Vec<i64>>, frames: &[Frame]) {
    for frame in frames {
        let key = KEYS.map(|column| frame.value(column).to_owned()).to_vec();
        let sums = expected.entry(key).or_insert_with(|| vec![0; 2]);
        sums[0] += 1;
        sums[1] += frame.octets.unwrap_or(0).cast_signed();
    }
}

#[test]
fn captures_that_are_played_are_counted_as_tshark_reads_them() {
    let whole = |file: &PathBuf| whole_frames(file).map(|frames| (file.clone(), frames));
    let files: Vec<_> = captures::packet_files().iter().filter_map(whole).collect();
    if files.is_empty() || !namespace::enter() || load(&KernelOptions::default()).is_none() {
        return;
    }
    for end in [NEAR, FAR] {
        // Some captures hold packets as long as a host makes them.
        assert!(ip(&["link", "set", end, "mtu", "65535"]), "{end}");
    }
    namespace::wait_for_carrier();
    let mut expected = BTreeMap::new();
    for (file, _) in &files {
        let Some(frames) = captures::dissected(file) else { return };
        add(&mut expected, &frames);
    }
    let keys = KEYS.join(", ");
    let sql =
        format!("SELECT {keys}, count(*), sum(octets) FROM packets GROUP BY {keys}, tumble('24 hours')");
    let run = tapline_during(&["query", "--interface", FAR, "--mirror", "--format", "csv", &sql], || {
        wait_for(namespace::is_attached);
        let sender = PacketSender::open(NEAR, false).unwrap();
        for (number, frame) in files.iter().flat_map(|(_, frames)| frames).enumerate() {
            sender.send(frame).unwrap();
            if number % FRAMES_A_NAP == 0 {
                sleep(NAP);
            }
        }
    });
    let found = totals(run.success(), KEYS.len(), 2);
    let differing: Vec<_> =
        expected.iter().filter(|(key, sums)| found.get(*key) != Some(*sums)).take(10).collect();
    assert!(differing.is_empty(), "{differing:?}\n{}", run.stderr);
    assert_eq!(found.len(), expected.len());
    println!("{} files, {} flows", files.len(), found.len());
}
