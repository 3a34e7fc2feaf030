//! Wireshark's programs: runs them, and says so where one is not installed.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Output};

/// What a program prints; `None`, and a line that says so, where it is not installed.
pub fn run<A: AsRef<OsStr>>(program: &str, arguments: &[A]) -> Option<Output> {
    let output = Command::new(program).args(arguments).output().ok();
    if output.is_none() {
        println!("skipped: {program} not found");
    }
    output
}

/// What tshark prints of a capture's frames, one a line: the fields between tabs, with these options besides.
/// `None`, and a line that says so, where it is not installed.
#[must_use]
pub fn fields(capture: &Path, options: &[&str], fields: &[&str]) -> Option<Output> {
    let mut arguments: Vec<&OsStr> = ["-n", "-T", "fields"].map(OsStr::new).to_vec();
    arguments.extend(options.iter().map(OsStr::new));
    arguments.extend(fields.iter().flat_map(|field| ["-e", field]).map(OsStr::new));
    arguments.extend([OsStr::new("-r"), capture.as_os_str()]);
    run("tshark", &arguments)
}

/// The text that [`fields`] gives.
///
/// # Panics
/// When tshark fails.
#[must_use]
pub fn field_text(capture: &Path, options: &[&str], names: &[&str]) -> Option<String> {
    let output = fields(capture, options, names)?;
    assert!(output.status.success(), "tshark: {}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).expect("tshark prints UTF-8"))
}

/// Packets and octets on the wire, from capinfos, which counts up to a damage; `None` without it, and of files that
/// it does not read at all.
///
/// # Panics
/// When capinfos prints what it should not.
#[must_use]
pub fn capinfos(file: &Path) -> Option<(u64, u64)> {
    let options = ["-T", "-M", "-r", "-B", "-c", "-d"].map(OsStr::new);
    let output = run("capinfos", &[&options[..], &[file.as_os_str()]].concat())?;
    let text = String::from_utf8(output.stdout).expect("capinfos prints UTF-8");
    let mut numbers = text.trim_end().rsplit('\t').map_while(|field| field.parse().ok());
    let octets = numbers.next()?;
    Some((numbers.next()?, octets))
}
