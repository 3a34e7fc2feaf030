//! Starts and ends of flows as nearly all messages of NetFlow v5 and v9 tell them: both by the exporter's uptime,
//! neither in need of mending. The loops have no branches and become vectors; all else is `times.rs`.

use super::elements::Form;
use super::extract::extend_arrays;
use super::plan::Times;
use super::records::Records;

/// Half of the milliseconds after which an uptime of 32 bits starts anew.
pub(super) const HALF_WRAP_MS: u32 = i32::MAX as u32;

/// Times of one message's rows in milliseconds since the exporter started.
#[derive(Debug, Default)]
pub(super) struct Uptimes {
    pub(super) starts: Vec<u32>,
    pub(super) ends: Vec<u32>,
}

impl Uptimes {
    /// Takes those of other records in, if these have both.
    pub(super) fn load(&mut self, times: &Times, records: &Records<'_>) -> Option<()> {
        let Times { start: Some((start, Form::Uptime)), end: Some((end, Form::Uptime)), init: None, .. } =
            *times
        else {
            return None;
        };
        let (starts, ends) = (records.arrays(start)?, records.arrays(end)?);
        self.starts.clear();
        self.ends.clear();
        extend_arrays(&mut self.starts, starts, u32::from_be_bytes);
        extend_arrays(&mut self.ends, ends, u32::from_be_bytes);
        Some(())
    }

    /// How many milliseconds after `earliest` the latest end lies; `None` when one lies before it or half a wrap
    /// after it, when a start lies after its end, and when one of them is not given.
    pub(super) fn latest_after(&self, earliest: u32) -> Option<u32> {
        // Negative once a row is not sound.
        let mut soundness = if self.ends.is_empty() { -1 } else { 0 };
        let mut latest = 0;
        for (&start, &end) in self.starts.iter().zip(&self.ends) {
            let not_given = -i32::from((start == u32::MAX) | (end == u32::MAX));
            let [start, end] = [start, end].map(|uptime| uptime.wrapping_sub(earliest).cast_signed());
            soundness |= start | end | end.wrapping_sub(start) | not_given;
            latest = latest.max(end);
        }
        (soundness >= 0).then_some(latest.cast_unsigned())
    }
}
