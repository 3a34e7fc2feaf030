//! Which windows hold a pane.

use crate::halves::pane_width;
use std::iter::successors;
use tapline_query::{ContinuousQuery, Window};
use tapline_record::EventTime;

/// How windows lie, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) size: i64,
    slide: i64,
    /// Of panes.
    pub(crate) width: i64,
}

impl Shape {
    /// That of a query's windows.
    ///
    /// # Errors
    /// A sentence, when they are not of time.
    pub(crate) fn of(query: &ContinuousQuery) -> Result<Self, String> {
        let width = pane_width(query)?;
        let (size, slide) = query.window.and_then(Window::size_and_slide).unwrap_or((width, width));
        Ok(Self { size, slide, width })
    }

    /// Whether a window is one pane.
    pub(crate) const fn is_of_one_pane(self) -> bool {
        self.size == self.width
    }

    /// The starts of the windows that hold the pane which begins here, and that end behind `after`, but not behind
    /// `until`, earliest first.
    pub(crate) fn starts(self, pane: i64, after: i64, until: i64) -> impl Iterator<Item = i64> {
        let Self { size, slide, .. } = self;
        let earliest = pane.max(after).saturating_sub(size).saturating_add(1);
        let first = EventTime(earliest.saturating_add(slide - 1)).align_down(slide).0;
        let latest = pane.min(until.saturating_sub(size));
        let starts = successors(Some(first), move |start| start.checked_add(slide));
        starts.take_while(move |start| *start <= latest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn starts(shape: Shape, pane: i64, after: i64, until: i64) -> Vec<i64> {
        shape.starts(pane, after, until).collect()
    }

    #[test]
    fn windows_are_found_by_their_panes() {
        let tumble = Shape { size: 10, slide: 10, width: 10 };
        assert_eq!(starts(tumble, 20, i64::MIN, i64::MAX), [20]);
        assert_eq!(starts(tumble, 20, 30, i64::MAX), [0_i64; 0]);
        assert_eq!(starts(tumble, 20, i64::MIN, 29), [0_i64; 0]);
        let hop = Shape { size: 6, slide: 4, width: 2 };
        assert_eq!(starts(hop, 4, i64::MIN, i64::MAX), [0, 4]);
        assert_eq!(starts(hop, 6, i64::MIN, i64::MAX), [4]);
        assert_eq!(starts(hop, 4, 6, i64::MAX), [4]);
        assert_eq!(starts(hop, 4, i64::MIN, 9), [0]);
        assert_eq!(starts(hop, -2, i64::MIN, i64::MAX), [-4]);
        let slides = Shape { size: 10, slide: 1, width: 1 };
        assert_eq!(starts(slides, 100, i64::MIN, i64::MAX).len(), 10);
        assert_eq!(starts(slides, 100, 105, 107), [96, 97]);
    }
}
