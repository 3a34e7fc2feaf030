//! Waiting for what comes by itself.

use std::thread::sleep;
use std::time::{Duration, Instant};

/// Nothing that a test waits for takes longer.
const WITHIN: Duration = Duration::from_secs(60);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(20);

/// Looks until something is as it is to be, and gives it.
///
/// # Panics
/// When it is not in time; with what was found last in its place.
pub fn wait_for<T>(what: &str, mut look: impl FnMut() -> Result<T, String>) -> T {
    let begun = Instant::now();
    loop {
        match look() {
            Ok(found) => return found,
            Err(instead) => {
                assert!(begun.elapsed() < WITHIN, "{what}: not within {} s, but {instead}", WITHIN.as_secs());
            }
        }
        sleep(LOOK);
    }
}
