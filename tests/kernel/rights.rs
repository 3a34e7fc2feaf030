//! What this machine lets a test do.

use tapline_capture::kernel::{KernelCapture, KernelError, KernelOptions};

/// The loaded programs; `None`, and a line that says why, where they cannot be had.
pub(crate) fn load(options: &KernelOptions) -> Option<KernelCapture> {
    or_skipped(KernelCapture::load(options))
}

/// What was asked for; `None`, and a line that says why, where it cannot be had.
pub(crate) fn or_skipped<T>(outcome: Result<T, KernelError>) -> Option<T> {
    match outcome {
        Ok(value) => Some(value),
        Err(error @ KernelError::NoRights) => {
            println!("skipped: needs CAP_BPF: {error}");
            None
        }
        Err(error @ KernelError::NotBuilt) => {
            println!("skipped: {error}");
            None
        }
        Err(error) => panic!("{error}"),
    }
}
