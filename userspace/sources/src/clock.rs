//! What time it is.

use std::fmt::Debug;
use std::time::{SystemTime, UNIX_EPOCH};
use tapline_record::EventTime;

/// Tells the time to sources, which look at no other clock for it.
pub trait Clock: Debug + Send + Sync {
    /// The time now, since the epoch.
    fn now(&self) -> EventTime;
}

/// This machine's clock; before 1970 it stands at its beginning.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> EventTime {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        EventTime(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
    }
}
