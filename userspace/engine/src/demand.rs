//! What queries need of sources.

use tapline_query::ContinuousQuery;
use tapline_record::{
    Epoch, FLOWS, INTERFACE_COUNTERS, LEDGER, Layout, PACKET_FLOWS, PACKETS, Stream, StreamId,
};
use tapline_sources::{Demand, PaneWidths};

/// All streams that sources carry, in the order of their numbers.
const ALL_STREAMS: [&Stream; StreamId::COUNT] =
    [&PACKETS, &FLOWS, &PACKET_FLOWS, &INTERFACE_COUNTERS, &LEDGER];

/// What these queries need of sources.
#[must_use]
pub fn demand_of<'a>(queries: impl IntoIterator<Item = &'a ContinuousQuery>) -> Demand {
    let mut demand = Demand::default();
    queries.into_iter().for_each(|query| add(&mut demand, query));
    demand
}

/// Adds what one more query needs.
pub(crate) fn add(demand: &mut Demand, query: &ContinuousQuery) {
    let widths = query.pane_width().zip(query.closing_width());
    let panes = widths.map(|(width_ns, closing_ns)| PaneWidths { width_ns, closing_ns });
    for stream in ALL_STREAMS {
        if let Some(columns) = query.columns_of(stream) {
            demand.add(stream, &columns, panes);
        }
    }
}

/// The layout of batches that give what is demanded, and no more.
pub(crate) fn layout_of(demand: &Demand, epoch: Epoch) -> Layout {
    Layout::new(epoch, ALL_STREAMS.map(|stream| demand.columns(stream.id).map(<[usize]>::to_vec)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_stand_in_the_order_of_their_numbers() {
        assert!(ALL_STREAMS.iter().enumerate().all(|(number, stream)| stream.id as usize == number));
    }
}
