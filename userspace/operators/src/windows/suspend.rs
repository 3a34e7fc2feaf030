//! Takes out what is held for open windows, and goes on with it.

use super::{Closed, Windows};
use crate::lower::Pane;
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

    /// Closes the windows of which some worker gave finished aggregates: nothing can be merged with these.
    fn close_finished(&mut self, out: &mut Vec<Closed>) {
        let has_finished = |parts: &Vec<Parts>| parts.iter().any(Parts::has_finished);
        let finished: Vec<i64> = self
            .open
            .iter()
            .filter(|(_, window)| has_finished(&window.parts))
            .map(|(start, _)| *start)
            .collect();
        for start in finished {
            let Some(mut window) = self.open.remove(&start) else { continue };
            // Of several lower halves, some may not have come so far.
            window.pane.is_complete &=
                window.parts.iter().all(|parts| parts.is_empty() || parts.has_finished());
            self.cut = self.cut.max(start.saturating_add(1));
            self.close(window, out);
        }
    }

    /// Goes on with what others held, before anything else comes. What comes later for windows that they gave is
    /// counted as rows without a place.
    ///
    /// # Errors
    /// When the states are not of this query's aggregates.
    pub fn resume(&mut self, suspended: SuspendedWindows) -> Result<()> {
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
        Ok(())
    }
}
