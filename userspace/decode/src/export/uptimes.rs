//! Starts and ends of flows as nearly all messages of NetFlow v5 and v9 tell them: both by the exporter's uptime,
//! neither in need of mending. The loops have no branches and become vectors; all else is `times.rs`.

use super::append::extend_arrays;
use super::elements::Form;
use super::plan::Times;
use super::records::Records;

/// Times of one message's rows in milliseconds since the exporter started.
#[derive(Debug, Default)]
pub(super) struct Uptimes {
    pub(super) starts: Vec<u32>,
    pub(super) ends: Vec<u32>,
}

impl Uptimes {
    /// Takes those of other records in, if these have both.
    pub(super) fn load(&mut self, times: &Times, records: &Records<'_>) -> Option<()> {
        let ([(start, Form::Uptime)], [(end, Form::Uptime)], None) =
            (&times.start[..], &times.end[..], times.init)
        else {
            return None;
        };
        let (starts, ends) = (records.arrays(*start)?, records.arrays(*end)?);
        self.starts.clear();
        self.ends.clear();
        extend_arrays(&mut self.starts, starts, u32::from_be_bytes);
        extend_arrays(&mut self.ends, ends, u32::from_be_bytes);
        Some(())
    }

    /// How many milliseconds after `earliest` the first and the latest end lie; `None` when one lies before it or more
    /// than `width_ms` after it, when a start lies before it or after its end, and when one of them is not given.
    pub(super) fn span_within(&self, earliest: u32, width_ms: u32) -> Option<(u32, u32)> {
        // Negative once a row is not sound.
        let mut soundness = if self.ends.is_empty() { -1 } else { 0 };
        let (mut first, mut latest) = (i32::MAX, 0);
        for (&start, &end) in self.starts.iter().zip(&self.ends) {
            // 0 and all bits set stand for none.
            let not_given = -i32::from((start.wrapping_add(1) < 2) | (end.wrapping_add(1) < 2));
            let [start, end] = [start, end].map(|uptime| uptime.wrapping_sub(earliest).cast_signed());
            let until_end = width_ms.cast_signed().wrapping_sub(end);
            soundness |= start | end | end.wrapping_sub(start) | until_end | not_given;
            first = first.min(end);
            latest = latest.max(end);
        }
        (soundness >= 0).then_some((first.cast_unsigned(), latest.cast_unsigned()))
    }
}
