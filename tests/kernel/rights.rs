//! What this machine lets a test do.

use tapline_interface::kernel::{KernelCapture, KernelError, KernelOptions};

/// The loaded programs; `None`, and a line that says why, where they cannot be had.
pub(crate) fn load(options: &KernelOptions) -> Option<KernelCapture> {
    or_skipped(KernelCapture::load(options))
}

/// What was asked for; `None`, and a line that says why, where it cannot be had.
pub(crate) fn or_skipped<T>(outcome: Result<T, KernelError>) -> Option<T> {
    match outcome {
        Ok(value) => Some(value),
        Err(KernelError::NoRights) => {
            println!("skipped: needs CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON");
            None
        }
        Err(error) => {
            assert!(matches!(error, KernelError::NotBuilt), "{error}");
            println!("skipped: {error}");
            None
        }
    }
}
