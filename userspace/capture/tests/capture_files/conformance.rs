//! Captures from real networks and what Wireshark's tools make of them, read as tshark reads them.

use std::fs;
use std::path::{Path, PathBuf};

use harness::captures::packet_files;
use harness::wireshark::{self, capinfos};
use tapline_capture::{CaptureFile, Counters, End};

use crate::oracle::{Seen, tshark};

fn frames(path: &Path) -> (Vec<Seen>, Counters, End) {
    let mut file = CaptureFile::open(path).unwrap();
    let mut frames = Vec::new();
    let mut see = |frame: &tapline_decode::Frame<'_>| {
        frames.push(Seen {
            ts_ns: frame.ts.0,
            original_octets: frame.original_octets,
            captured_octets: frame.bytes.len(),
        });
    };
    while file.read(1000, &mut see) > 0 {}
    (frames, file.counters(), file.end().unwrap().clone())
}

/// Compares a whole file frame by frame, and its sums.
fn assert_agrees(path: &Path) {
    let (frames, counters, end) = frames(path);
    assert_eq!(end, End::Complete, "{}", path.display());
    if let Some(counted) = capinfos(path) {
        assert_eq!((counters.frames, counters.original_octets), counted, "{}", path.display());
    }
    if let Some(seen) = tshark(path) {
        assert_eq!(frames, seen, "{}", path.display());
    }
}

/// A few captures of both formats and byte orders.
fn some_packet_files() -> impl Iterator<Item = PathBuf> {
    let names = ["6in4tunnel.pcap", "alexa-app.pcapng", "fuzz-2006-06-26-2594.pcap", "vxlan.pcap"];
    packet_files().into_iter().filter(move |path| names.iter().any(|name| path.ends_with(name)))
}

#[test]
fn every_capture_is_as_tshark_says() {
    packet_files().iter().for_each(|path| assert_agrees(path));
}

#[test]
fn every_form_that_editcap_writes_is_as_tshark_says() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("form");
    let forms: &[&[&str]] = &[
        &["-F", "pcap"],
        &["-F", "nsecpcap"],
        &["-F", "modpcap"],
        &["-F", "pcapng"],
        &["-F", "pcapng", "-s", "60"],
        &["-F", "pcap", "-s", "60", "-L"],
        &["-F", "nsecpcap", "-t", "-0.000000001"],
        &["-F", "pcapng", "-t", "2000000000"],
    ];
    for capture in some_packet_files() {
        for form in forms {
            let files = [capture.to_str().unwrap(), path.to_str().unwrap()];
            let Some(output) = wireshark::run("editcap", &[form, &files[..]].concat()) else { return };
            assert!(output.status.success(), "{form:?} {}", String::from_utf8_lossy(&output.stderr));
            assert_agrees(&path);
        }
    }
}

/// Four octets of hexadecimal text as raw IP, which text2pcap turns into a capture.
fn raw_ip(folder: &Path) -> Option<PathBuf> {
    let (text, path) = (folder.join("text"), folder.join("raw.pcap"));
    fs::write(&text, "000000 45 00 00 14\n").unwrap();
    let files = [text.to_str().unwrap(), path.to_str().unwrap()];
    wireshark::run("text2pcap", &[&["-q", "-l", "101"], &files[..]].concat())?;
    Some(path)
}

#[test]
fn captures_of_different_link_types_merged_are_as_tshark_says() {
    let folder = tempfile::tempdir().unwrap();
    let Some(raw_ip) = raw_ip(folder.path()) else { return };
    let merged = folder.path().join("merged.pcapng");
    for capture in some_packet_files() {
        let files = [&merged, &capture, &raw_ip].map(|path| path.to_str().unwrap());
        wireshark::run("mergecap", &[&["-w"], &files[..]].concat());
        assert_agrees(&merged);
        let concatenated = [&["-a", "-w"], &files[..]].concat();
        wireshark::run("mergecap", &concatenated);
        assert_agrees(&merged);
    }
}

/// The frames before a cut or a damage are those that tshark delivers.
fn assert_agrees_until_its_end(path: &Path) {
    let (frames, _, end) = frames(path);
    assert_ne!(end, End::Complete);
    if let Some(seen) = tshark(path) {
        assert_eq!(frames, seen, "{end:?}");
    }
}

#[test]
fn cut_captures_are_as_tshark_says() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cut");
    for capture in some_packet_files() {
        let whole = fs::read(capture).unwrap();
        for cut in [1, 33, whole.len() / 2 + 1] {
            fs::write(&path, &whole[..whole.len() - cut]).unwrap();
            assert_agrees_until_its_end(&path);
        }
    }
}

#[test]
fn damaged_captures_are_as_tshark_says() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("damaged");
    for capture in some_packet_files() {
        let whole = fs::read(capture).unwrap();
        let middle = whole.len() / 2;
        for value in [0x7f, 0xff] {
            let mut damaged = whole.clone();
            damaged[middle..middle + 4000].fill(value);
            fs::write(&path, &damaged).unwrap();
            assert_agrees_until_its_end(&path);
        }
    }
}
