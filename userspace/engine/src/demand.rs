//! What queries need of sources.

use tapline_query::ContinuousQuery;
use tapline_record::{Epoch, Layout, STREAMS};
use tapline_sources::{Demand, PaneWidths};

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
    for stream in STREAMS {
        if let Some(columns) = query.columns_of(stream) {
            demand.add_where(stream, &columns, panes, query.wanted_of(stream));
        }
    }
}

/// The layout of batches that give what is demanded, and no more.
pub(crate) fn layout_of(demand: &Demand, epoch: Epoch) -> Layout {
    Layout::new(epoch, STREAMS.map(|stream| demand.columns(stream.id).map(<[usize]>::to_vec)))
}
