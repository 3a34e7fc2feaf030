//! What libraries do with octets of others may end in a panic: that is a refusal, too.

use std::panic::{AssertUnwindSafe, catch_unwind};
use tapline_operators::QueryFailure;

/// Does something with octets of others; it changes nothing that outlives it but at its end.
///
/// # Errors
/// What it says, and where it panics.
pub(crate) fn guarded<T>(work: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    let outcome = catch_unwind(AssertUnwindSafe(work));
    outcome.unwrap_or_else(|_| Err("a library ended in a panic over them; please report this".to_owned()))
}

/// The first line of what went wrong at its root.
pub(crate) fn said(error: &QueryFailure) -> String {
    let text = error.find_root().message().into_owned();
    text.lines().next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_a_refusal() {
        assert_eq!(guarded(|| Ok(7)), Ok(7));
        let refusal = guarded(|| -> Result<(), String> { panic!("of a library") });
        assert!(refusal.unwrap_err().contains("panic"));
    }
}
