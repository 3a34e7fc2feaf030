//! Memory stays bounded, measured in a process of its own.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::Command;

use tapline_capture::CaptureFile;

use crate::written::{Little, pcap, pcapng};

const CAPTURE: &str = "TAPLINE_TEST_CAPTURE";

/// Reads the capture that the environment names, and prints the most memory that it took.
#[test]
#[ignore = "needs a capture named in the environment"]
fn reader() {
    let path = std::env::var_os(CAPTURE).unwrap();
    let mut file = CaptureFile::open(Path::new(&path)).unwrap();
    while file.read(usize::MAX, &mut |_| {}) > 0 {}
    println!("frames: {}", file.counters().frames);
    print!("{}", std::fs::read_to_string("/proc/self/status").unwrap());
}

/// Frames read of `path`, and the peak of resident memory in KiB.
fn frames_and_peak_kib(path: &str, input: File) -> (u64, u64) {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "memory::reader", "--ignored", "--nocapture"])
        .env(CAPTURE, path)
        .stdin(input)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let number = |label: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(label)).unwrap();
        line.trim_end_matches("kB").trim().parse().unwrap()
    };
    (number("frames:"), number("VmHWM:"))
}

#[test]
fn pages_behind_the_reader_are_released() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&pcap(Little, &[])).unwrap();
    // Zeros read as frames without octets.
    let frames = 12 << 20;
    file.as_file().set_len(24 + frames * 16).unwrap();
    let (read, peak_kib) = frames_and_peak_kib(file.path().to_str().unwrap(), file.reopen().unwrap());
    assert_eq!(read, frames);
    assert!(peak_kib < 100 << 10, "{peak_kib} KiB");
}

#[test]
fn a_length_that_lies_takes_no_memory() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&pcapng(Little, &[60])).unwrap();
    file.write_all(&[6, 0, 0, 0, 0xfc, 0xff, 0xff, 0x0f]).unwrap();
    file.write_all(&vec![0; 1 << 20]).unwrap();
    let (read, peak_kib) = frames_and_peak_kib("-", file.reopen().unwrap());
    assert_eq!(read, 1);
    assert!(peak_kib < 50 << 10, "{peak_kib} KiB");
}
