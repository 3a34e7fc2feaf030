//! The objects that are compiled in.

use super::KernelError;

static CAPTURE: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/tapline.bpf.o"));
static LOGGING: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/tapline-log.bpf.o"));
static LOAD: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/tapline-load.bpf.o"));

/// Whether the kernel programs were there when this program was built.
#[must_use]
pub(crate) fn is_built_in() -> bool {
    !CAPTURE.is_empty()
}

/// The object of the capture program; of the one that says what happens in it, if it is to.
pub(super) fn capture(says: bool) -> Result<&'static [u8], KernelError> {
    non_empty(if says { LOGGING } else { CAPTURE })
}

/// The object of the sender and of what is measured.
pub(super) fn load() -> Result<&'static [u8], KernelError> {
    non_empty(LOAD)
}

fn non_empty(object: &'static [u8]) -> Result<&'static [u8], KernelError> {
    if object.is_empty() { Err(KernelError::NotBuilt) } else { Ok(object) }
}
