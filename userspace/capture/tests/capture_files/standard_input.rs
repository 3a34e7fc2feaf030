//! Standard input, in a process of its own.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};

use tapline_capture::CaptureFile;

use crate::reading::read;
use crate::written::{Big, pcapng};

/// Run by the test below, with a capture as standard input.
#[test]
#[ignore = "needs a capture on standard input"]
fn reader() {
    let file = CaptureFile::open(Path::new("-")).unwrap();
    assert_eq!((file.name(), file.total_octets()), ("standard input", None));
    println!("read: {:?}", read(file));
}

fn output_of_reader(input: Stdio) -> String {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "standard_input::reader", "--ignored", "--nocapture"])
        .stdin(input)
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn it_equals_the_file() {
    let plain = pcapng(Big, &[60, 61, 62]);
    let expected = format!("read: {:?}\n", crate::reading::mapped(&plain).unwrap());
    let packed = zstd::encode_all(&plain[..], 1).unwrap();
    for stored in [plain, packed] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("capture");
        std::fs::write(&path, stored).unwrap();
        assert!(output_of_reader(File::open(&path).unwrap().into()).contains(&expected));
    }
}

#[test]
fn nothing_on_it_is_told() {
    assert!(!output_of_reader(Stdio::null()).contains("read:"));
}
