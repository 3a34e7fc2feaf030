//! The command line as its users meet it: what is refused and how, exit codes, formats, outputs.

#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may end where it cannot go on")]

mod accounts;
mod advice;
mod early;
mod files;
mod filters;
mod flags;
mod formats;
mod help;
mod lines;
mod refusals;
mod standard_error;

use harness::scenario::Office;
use harness::{Finished, tapline};
use std::path::Path;
use std::sync::LazyLock;

/// The office's first frames, a few seconds.
const FRAMES: usize = 20_000;

static OFFICE: LazyLock<Office> =
    LazyLock::new(|| Office::write(&Path::new(env!("CARGO_TARGET_TMPDIR")).join("cli.pcap"), FRAMES));

/// The capture that is asked where nothing is wrong with the capture.
pub(crate) fn capture() -> &'static Path {
    &OFFICE.capture
}

/// `tapline query --pcap CAPTURE ARGUMENTS`.
pub(crate) fn query(capture: &Path, arguments: &[&str]) -> Finished {
    let capture = capture.to_str().expect("temporary folders are UTF-8");
    tapline(&[&["query", "--pcap", capture], arguments].concat())
}

/// Asserts the exit code, that nothing was printed as a result, and that each part is in the message.
pub(crate) fn assert_failed(run: &Finished, code: i32, parts: &[&str]) {
    assert_eq!(run.code, Some(code), "exit code; stderr:\n{}", run.stderr);
    assert_eq!(run.text(), "", "results of a run that failed");
    for part in parts {
        assert!(run.stderr.contains(part), "{part:?} is not in:\n{}", run.stderr);
    }
    assert!(!run.stderr.contains("panicked"), "{}", run.stderr);
}
