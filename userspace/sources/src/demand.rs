//! What queries ask of a source.

use tapline_record::time::greatest_common_divisor;
use tapline_record::{Stream, StreamId};

/// Columns and panes that queries need, by stream.
#[derive(Clone, Debug, Default)]
pub struct Demand {
    columns: [Option<Vec<usize>>; StreamId::COUNT],
    pane_widths_ns: [Vec<i64>; StreamId::COUNT],
}

impl Demand {
    /// Adds what one query reads of a stream: columns by their positions, and the width of its panes in nanoseconds,
    /// if it has any.
    pub fn add(&mut self, stream: &Stream, columns: &[usize], pane_width_ns: Option<i64>) {
        let all = self.columns[stream.id as usize].get_or_insert_default();
        all.extend_from_slice(columns);
        all.sort_unstable();
        all.dedup();
        self.pane_widths_ns[stream.id as usize].extend(pane_width_ns);
    }

    /// The columns of a stream that some query reads, ascending; `None` when none reads the stream.
    #[must_use]
    pub fn columns(&self, stream: StreamId) -> Option<&[usize]> {
        self.columns[stream as usize].as_deref()
    }

    /// The widths of the panes of all queries that read a stream.
    #[must_use]
    pub(crate) fn pane_widths_ns(&self, stream: StreamId) -> &[i64] {
        &self.pane_widths_ns[stream as usize]
    }

    /// The widest panes of which those of all queries that read a stream consist, in nanoseconds; `None` where none of
    /// them has any.
    #[must_use]
    pub(crate) fn common_pane_ns(&self, stream: StreamId) -> Option<i64> {
        let widths = self.pane_widths_ns(stream).iter().map(|width| width.unsigned_abs());
        let common = widths.fold(0, greatest_common_divisor);
        (common > 0).then_some(common.cast_signed())
    }

    /// Whether some query has windows of time.
    #[must_use]
    pub fn has_panes(&self) -> bool {
        self.pane_widths_ns.iter().any(|widths| !widths.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tapline_record::{FLOWS, PACKETS};

    #[test]
    fn columns_are_those_of_all_queries() {
        let mut demand = Demand::default();
        assert_eq!((demand.columns(StreamId::Packets), demand.has_panes()), (None, false));
        demand.add(&PACKETS, &[7, 1], None);
        demand.add(&PACKETS, &[1, 3], Some(60));
        demand.add(&FLOWS, &[], None);
        assert_eq!(
            [StreamId::Packets, StreamId::Flows].map(|of| demand.common_pane_ns(of)),
            [Some(60), None]
        );
        demand.add(&FLOWS, &[], Some(4_000));
        demand.add(&FLOWS, &[], Some(6_000));
        assert_eq!(demand.common_pane_ns(StreamId::Flows), Some(2_000));
        assert_eq!(demand.columns(StreamId::Packets), Some(&[1, 3, 7][..]));
        assert_eq!(demand.columns(StreamId::Flows), Some(&[][..]), "read, though no column of it");
        assert_eq!((demand.pane_widths_ns(StreamId::Packets), demand.has_panes()), (&[60][..], true));
    }
}
