//! What is said of files that cannot be opened.

use std::fs;
use std::path::Path;

use tapline_capture::{CaptureFile, CaptureSet, OpenError};

fn message(path: &Path) -> String {
    CaptureFile::open(path).unwrap_err().to_string()
}

#[test]
fn every_message_names_the_file_and_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::create_dir(path("folder.pcap")).unwrap();
    fs::write(path("empty.pcap"), b"").unwrap();
    let cases = [
        ("missing.pcap", "there is no such file"),
        ("folder.pcap", "is a directory"),
        ("empty.pcap", "is empty"),
    ];
    for (name, words) in cases {
        let message = message(&path(name));
        assert!(message.contains(name) && message.contains(words), "{message}");
    }
}

#[test]
fn a_foreign_file_is_recognised() {
    let folder = tempfile::tempdir().unwrap();
    let cases: &[(&[u8], &str)] = &[
        (b"\x89PNG\r\n\x1a\n", "a PNG image"),
        (b"\x7fELF\x02\x01\x01", "an ELF program"),
        (b"PK\x03\x04....", "a ZIP archive; unpack it first"),
        (b"\xfd7zXZ\0", "an xz file; decompress it first"),
        (b"timestamp,source,destination\n", "a text file"),
        (b"\0\x05\0\x1e and so on", "NetFlow version 5"),
        (b"\x01\x02\x03\x04\x05\x06\x07\x08\x09", "data that begins with 01 02 03 04 05 06 07 08;"),
    ];
    for (content, words) in cases {
        let path = folder.path().join("foreign");
        fs::write(&path, content).unwrap();
        let message = message(&path);
        assert!(message.contains(words), "{message}");
        assert!(message.contains("expected pcap or pcapng"), "{message}");
    }
}

#[test]
fn an_empty_pipe_is_named() {
    let error = CaptureFile::from_reader("a pipe", std::io::empty()).unwrap_err();
    assert!(matches!(&error, OpenError::Empty { name } if name == "a pipe"), "{error}");
}

#[test]
fn standard_input_can_be_named_once_only() {
    assert!(matches!(CaptureSet::open(&["-", "-"]).unwrap_err(), OpenError::StandardInputTwice));
}

#[test]
fn a_set_names_the_file_that_cannot_be_opened() {
    let error = CaptureSet::open(&["/dev/null", "/nowhere/b.pcap"]).unwrap_err();
    assert!(matches!(&error, OpenError::Empty { name } if name == "/dev/null"), "{error}");
    let error = CaptureSet::open(&["/nowhere/b.pcap"]).unwrap_err();
    assert!(matches!(&error, OpenError::Missing { name } if name == "/nowhere/b.pcap"), "{error}");
}
