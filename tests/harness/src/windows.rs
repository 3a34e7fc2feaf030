//! The beginning of a window of time, by the clock of this machine.

use std::thread::sleep;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Waits until a window of this size begins that lies behind all that came so far; gives its start, as times of results
/// contain it, such as `T16:02:10`.
///
/// # Panics
/// When the clock is before 1970.
#[must_use]
pub fn wait_for_window(size: Duration) -> String {
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is set");
    let begin = Duration::from_secs((now().as_secs() / size.as_secs() + 1) * size.as_secs());
    sleep(begin.saturating_sub(now()));
    let seconds = begin.as_secs() % 86_400;
    format!("T{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}
