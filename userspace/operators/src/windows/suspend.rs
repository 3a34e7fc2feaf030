//! Takes out what is held for open windows, and goes on with it.

use super::{Closed, OpenWindow, Windows};
use crate::output::Pane;
use crate::parts::Parts;
use crate::suspended::{SuspendedPart, SuspendedWindows};
use datafusion::common::Result;
use std::sync::Arc;
use tapline_record::EventTime;

impl Windows {
    /// Takes out what is held for open windows, for others to go on with; windows that nobody can go on with are
    /// pushed to `out`. `None` where windows are not of time.
    pub fn suspend(&mut self, out: &mut Vec<Closed>) -> Option<SuspendedWindows> {
        let (size, slide) = self.window?.size_and_slide()?;
        self.close_finished(out);
        let reached = self.reached.iter().map(|(watermark, _)| *watermark).min().unwrap_or(EventTime::MIN);
        let closed = reached.0.checked_sub(size).map(|last| EventTime(last).align_down(slide).plus(slide));
        let cut = closed.map_or(self.cut, |closed| self.cut.max(closed.0));
        let mut suspended = SuspendedWindows {
            cut: EventTime(cut),
            whole_after: self.whole_after,
            due: vec![],
            parts: vec![],
        };
        for (start, window) in std::mem::take(&mut self.open) {
            if self.early.is_some() {
                suspended.due.push((EventTime(start), window.next_early));
            }
            suspended.add_all(window.pane.start, window.parts);
        }
        for (start, parts) in std::mem::take(&mut self.panes) {
            suspended.add_all(EventTime(start), parts);
        }
        self.octets = 0;
        Some(suspended)
    }

    /// Closes the windows of which some worker gave finished aggregates, and those before them: nothing can be merged
    /// with these. Where other lower halves have not come so far, they are partial.
    fn close_finished(&mut self, out: &mut Vec<Closed>) {
        let is_finished = |window: &OpenWindow| window.parts.iter().any(Parts::has_finished);
        let last = self.open.iter().rev().find(|(_, window)| is_finished(window)).map(|(start, _)| *start);
        let Some(last) = last else { return };
        while let Some(entry) = self.open.first_entry().filter(|entry| *entry.key() <= last) {
            let mut window = entry.remove();
            window.pane.is_complete &= window.parts.iter().all(Parts::has_finished);
            self.close(window, out);
        }
        self.cut = self.cut.max(last.saturating_add(1));
    }

    /// Goes on with what others held, before anything else comes; windows that there is no room for are pushed to `out`.
    /// What comes later for windows that they gave is counted as rows without a place.
    ///
    /// # Errors
    /// When the states are not of this query's aggregates.
    pub fn resume(&mut self, suspended: SuspendedWindows, out: &mut Vec<Closed>) -> Result<()> {
        let SuspendedWindows { cut, whole_after, due, parts } = suspended;
        (self.cut, self.whole_after) = (cut.0, whole_after);
        let width = self.pane_width.unwrap_or_default();
        for SuspendedPart { lower, pane, lacks_rows, groups } in parts {
            let pane = Pane { start: pane, end: pane.plus(width), index: 0, is_complete: true };
            if !self.is_cut(pane) {
                self.keep(lower, pane, Parts::suspended(Arc::new(groups), lacks_rows))?;
            }
        }
        for (start, due) in due {
            if let Some(window) = self.open.get_mut(&start.0) {
                (window.next_early, window.seen) = (due, self.came);
            }
        }
        while self.is_too_much() && self.close_earliest(out) {}
        Ok(())
    }
}
