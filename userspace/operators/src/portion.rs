//! What one query gets of what lower halves give that it shares with others.
//!
//! Takes outputs of the shared halves, gives them with the keys and the query's own aggregates, in its order.

use crate::groups::GroupBatch;
use crate::output::LowerOutput;
use datafusion::arrow::array::RecordBatch;
use datafusion::common::Result;
use tapline_query::{ContinuousQuery, Fold};

/// The part of shared lower halves that is one query's.
#[derive(Clone, Debug)]
pub struct Portion {
    /// Of each half; `None` where all of it is.
    halves: Vec<Option<HalfPortion>>,
}

/// The part of one half.
#[derive(Clone, Debug)]
struct HalfPortion {
    /// Positions of its aggregates.
    aggregates: Vec<usize>,
    /// Positions of the columns of its keys and of the states of its aggregates.
    states: Vec<usize>,
    /// Positions of the columns of its keys and of its finished aggregates.
    results: Vec<usize>,
}

impl Portion {
    /// Of the lower halves of `shared`, of which these aggregates are the query's, by half.
    ///
    /// # Errors
    /// Only when an aggregate does not know its own state.
    pub fn new(shared: &ContinuousQuery, places: &[Vec<usize>]) -> Result<Self> {
        let portion = |(lower, places): (&tapline_query::LowerHalf, &Vec<usize>)| {
            let Fold::Aggregate(fold) = &lower.fold else { return Ok(None) };
            if places.iter().copied().eq(0..fold.aggregates.len()) {
                return Ok(None);
            }
            let keys = fold.keys.len();
            let mut ends = vec![keys];
            for aggregate in &fold.aggregates {
                ends.push(ends[ends.len() - 1] + aggregate.function.state_fields()?.len());
            }
            let states = places.iter().flat_map(|&place| ends[place]..ends[place + 1]);
            let results = places.iter().map(|place| keys + place);
            Ok(Some(HalfPortion {
                aggregates: places.clone(),
                states: (0..keys).chain(states).collect(),
                results: (0..keys).chain(results).collect(),
            }))
        };
        let halves = shared.lowers.iter().zip(places).map(portion).collect::<Result<_>>()?;
        Ok(Self { halves })
    }

    /// Whether this aggregate of this half is the query's.
    #[must_use]
    pub fn has(&self, half: usize, aggregate: usize) -> bool {
        let portion = self.halves.get(half).and_then(Option::as_ref);
        portion.is_none_or(|portion| portion.aggregates.contains(&aggregate))
    }

    /// What of an output is the query's.
    ///
    /// # Errors
    /// When the output is not one of these halves.
    pub fn of(&self, mut output: LowerOutput) -> Result<LowerOutput> {
        if let LowerOutput::Pane { lower, groups, finished, .. } = &mut output
            && let Some(Some(portion)) = self.halves.get(*lower)
        {
            let columns = if *finished { &portion.results } else { &portion.states };
            let pick = |batch: &RecordBatch| batch.project(columns);
            let folded = groups.folded.as_ref().map(pick).transpose()?;
            *groups = GroupBatch { groups: pick(&groups.groups)?, folded, ..*groups };
        }
        Ok(output)
    }
}
