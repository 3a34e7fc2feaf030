//! What queries ask of a source.

use std::sync::Arc;
use tapline_filter::Predicate;
use tapline_record::time::greatest_common_divisor;
use tapline_record::{Stream, StreamId};

/// How a query cuts a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PaneWidths {
    /// Width of its panes, in nanoseconds: no partial aggregate that it is given may span two.
    pub width_ns: i64,
    /// Width of the intervals after each of which it takes no more rows, in nanoseconds; panes divide it.
    pub closing_ns: i64,
}

/// Columns and panes that queries need, by stream.
#[derive(Clone, Debug, Default)]
pub struct Demand {
    columns: [Option<Vec<usize>>; StreamId::COUNT],
    panes: [Vec<PaneWidths>; StreamId::COUNT],
    /// Conditions, one of which holds of each row that some query needs.
    wanted: [Vec<Arc<Predicate>>; StreamId::COUNT],
}

impl Demand {
    /// Adds what one query reads of a stream: columns by their positions, and its panes, if it has any; of all rows.
    pub fn add(&mut self, stream: &Stream, columns: &[usize], panes: Option<PaneWidths>) {
        self.add_where(stream, columns, panes, Predicate::ALWAYS);
    }

    /// As [`Self::add`], of a query that needs no other rows than those of which this holds.
    pub fn add_where(
        &mut self,
        stream: &Stream,
        columns: &[usize],
        panes: Option<PaneWidths>,
        wanted: Predicate,
    ) {
        let known = &mut self.wanted[stream.id as usize];
        if !known.iter().any(|known| **known == wanted) {
            known.push(Arc::new(wanted));
        }
        let all = self.columns[stream.id as usize].get_or_insert_default();
        all.extend_from_slice(columns);
        all.sort_unstable();
        all.dedup();
        self.panes[stream.id as usize].extend(panes);
    }

    /// The columns of a stream that some query reads, ascending; `None` when none reads the stream.
    #[must_use]
    pub fn columns(&self, stream: StreamId) -> Option<&[usize]> {
        self.columns[stream as usize].as_deref()
    }

    /// Conditions, one of which holds of each row of a stream that some query needs; none where nobody reads it.
    pub(crate) fn wanted(&self, stream: StreamId) -> &[Arc<Predicate>] {
        &self.wanted[stream as usize]
    }

    /// The widths of the intervals after each of which some query takes no more rows of a stream, in nanoseconds.
    pub(crate) fn closing_widths_ns(&self, stream: StreamId) -> impl Iterator<Item = i64> {
        self.panes[stream as usize].iter().map(|panes| panes.closing_ns)
    }

    /// The widest panes of which those of all queries that read a stream consist, in nanoseconds; `None` where none of
    /// them has any.
    #[must_use]
    pub(crate) fn common_pane_ns(&self, stream: StreamId) -> Option<i64> {
        let widths = self.panes[stream as usize].iter().map(|panes| panes.width_ns.unsigned_abs());
        let common = widths.fold(0, greatest_common_divisor);
        (common > 0).then_some(common.cast_signed())
    }

    /// Whether some query has windows of time.
    #[must_use]
    pub fn has_panes(&self) -> bool {
        self.panes.iter().any(|panes| !panes.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tapline_filter::{Condition, Field};
    use tapline_record::{FLOWS, PACKETS};

    #[test]
    fn columns_are_those_of_all_queries() {
        let mut demand = Demand::default();
        assert_eq!((demand.columns(StreamId::Packets), demand.has_panes()), (None, false));
        demand.add(&PACKETS, &[7, 1], None);
        let panes = |width_ns, closing_ns| Some(PaneWidths { width_ns, closing_ns });
        demand.add(&PACKETS, &[1, 3], panes(60, 120));
        demand.add(&FLOWS, &[], None);
        assert_eq!(
            [StreamId::Packets, StreamId::Flows].map(|of| demand.common_pane_ns(of)),
            [Some(60), None]
        );
        demand.add(&FLOWS, &[], panes(4_000, 4_000));
        demand.add(&FLOWS, &[], panes(6_000, 6_000));
        assert_eq!(demand.common_pane_ns(StreamId::Flows), Some(2_000));
        assert_eq!(demand.columns(StreamId::Packets), Some(&[1, 3, 7][..]));
        assert_eq!(demand.columns(StreamId::Flows), Some(&[][..]), "read, though no column of it");
        assert!(demand.closing_widths_ns(StreamId::Packets).eq([120]));
        assert!(demand.has_panes());
    }

    #[test]
    fn rows_are_needed_for_one_query_or_another() {
        let http = || Condition::is_in(Field::DstPort, [80]).predicate();
        let mut demand = Demand::default();
        assert!(demand.wanted(StreamId::Packets).is_empty());
        demand.add_where(&PACKETS, &[1], None, http());
        demand.add_where(&PACKETS, &[3], None, http());
        assert_eq!(demand.wanted(StreamId::Packets), [Arc::new(http())]);
        demand.add(&PACKETS, &[7], None);
        assert_eq!(demand.wanted(StreamId::Packets), [http(), Predicate::ALWAYS].map(Arc::new));
        assert!(demand.wanted(StreamId::Flows).is_empty());
    }
}
