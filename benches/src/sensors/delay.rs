//! How soon behind the ends of windows their results are there, of every query of a node.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle, sleep};
use std::time::Duration;

use anyhow::{Context, Error, Result};
use tapline_fleet::{Api, nanoseconds, now_ns};

use super::simulated::{SECOND_NS, WINDOW_SECONDS};

/// Between two looks, which go on for so long behind the end of each window.
const LOOK: Duration = Duration::from_millis(50);
const LOOKED_AT_SECONDS: i64 = 7;

/// By query and end of a window, how far behind it the result was seen, in nanoseconds.
type Seen = BTreeMap<(String, i64), i64>;

/// Whoever looks, as long as this is there.
pub(super) struct Delays {
    thread: Option<JoinHandle<Result<Seen>>>,
    ends: Arc<AtomicBool>,
}

impl Delays {
    /// Begins to look at the queries of a node.
    pub(super) fn watch(api: Api) -> Result<Self> {
        let ends = Arc::<AtomicBool>::default();
        let until = Arc::clone(&ends);
        let thread = thread::Builder::new().name("delays".to_owned()).spawn(move || look(&api, &until));
        Ok(Self { thread: Some(thread.context("a thread cannot be started")?), ends })
    }

    /// Seconds, in order; of windows that ended since it began to look.
    pub(super) fn end(mut self) -> Result<Vec<f64>> {
        self.ends.store(true, Ordering::Relaxed);
        let thread = self.thread.take().context("nobody looks")?;
        let seen = thread.join().map_err(|_| Error::msg("the thread that looks died"))??;
        let mut delays: Vec<f64> =
            seen.into_values().map(|behind| behind as f64 / SECOND_NS as f64).collect();
        delays.sort_by(f64::total_cmp);
        Ok(delays)
    }
}

impl Drop for Delays {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn look(api: &Api, ends: &AtomicBool) -> Result<Seen> {
    let (begun, mut seen) = (now_ns(), Seen::new());
    while !ends.load(Ordering::Relaxed) {
        sleep(LOOK);
        if now_ns().rem_euclid(WINDOW_SECONDS * SECOND_NS) > LOOKED_AT_SECONDS * SECOND_NS {
            continue;
        }
        let answer = api.get("/api/v1/queries")?;
        let now = now_ns();
        for query in answer["queries"].as_array().into_iter().flatten() {
            let (name, end) = (query["name"].as_str(), query["last_window_end"].as_str());
            let Some((name, end)) = name.zip(end) else { continue };
            let end = nanoseconds(end)?;
            if end > begun {
                seen.entry((name.to_owned(), end)).or_insert(now - end);
            }
        }
    }
    Ok(seen)
}
