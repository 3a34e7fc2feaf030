//! What a sensor sends of a cut: the parts of one query's panes.

use crate::coverage::Covered;
use crate::guard::said;
use crate::halves::{check_query_id, fingerprint, half_id, states_of};
use crate::payload::{Payload, apart};
use tapline_delivery::{Fingerprint, PartHead, Span, Told};
use tapline_engine::{CutPane, CutQuery, QueryLimits};
use tapline_operators::HalfStates;
use tapline_query::ContinuousQuery;
use tapline_record::EventTime;

/// Makes parts of the cuts of one query.
#[derive(Debug)]
pub struct PartMaker {
    /// What the query is called on the wire.
    query: u64,
    halves: Vec<(HalfStates, Fingerprint)>,
    groups_max: usize,
}

/// A part, and its payload.
type Part = (PartHead, Vec<u8>);

impl PartMaker {
    /// That of a query, which is called so on the wire.
    ///
    /// # Errors
    /// A sentence, when sensors cannot answer for it.
    pub fn new(id: u64, query: &ContinuousQuery, limits: &QueryLimits) -> Result<Self, String> {
        check_query_id(id)?;
        let states = states_of(query)?.into_iter().enumerate();
        let half = |(half, states): (usize, HalfStates)| -> Result<_, String> {
            Ok((states, fingerprint(query, half)?))
        };
        let halves = states.map(half).collect::<Result<_, _>>()?;
        Ok(Self { query: id, halves, groups_max: limits.groups_max })
    }

    /// The parts of a cut and their payloads, in the order in which they are to be numbered. Of those of a half only the
    /// last one says how far the sensor has come, since only behind it all of them are there.
    ///
    /// # Errors
    /// A sentence, when an aggregate fails: the query cannot go on.
    pub fn parts(&self, cut: CutQuery) -> Result<Vec<(PartHead, Vec<u8>)>, String> {
        let CutQuery { watermark, whole_after, mut panes, .. } = cut;
        panes.sort_by_key(|pane| (pane.half, pane.pane.start));
        let mut made = vec![];
        for pane in panes {
            made.extend(self.parts_of(pane, whole_after)?);
        }
        for half in 0..self.halves.len() {
            let id = half_id(self.query, half);
            if let Some((last, _)) = made.iter_mut().rev().find(|(head, _)| head.half == id) {
                last.watermark = watermark.0;
            }
        }
        Ok(made)
    }

    /// The parts of one pane: several, where one would be too long.
    fn parts_of(&self, pane: CutPane, whole_after: EventTime) -> Result<Vec<Part>, String> {
        let CutPane { half, pane, parts, covered, unread, .. } = pane;
        let known = self.halves.get(half);
        let (states, fingerprint) = known.ok_or_else(|| format!("the query has no aggregate {half}"))?;
        let are_several = parts.each().nth(1).is_some();
        let merged = are_several.then(|| states.merged(&parts, self.groups_max)).transpose();
        let parts = merged.map_err(|error| said(&error))?.unwrap_or(parts);
        let covered = Covered::of_pane(pane, &covered);
        let records = covered.records().max(parts.rows());
        let whole = Payload { whole_after, is_doubted: false, covered, unread, parts };
        let mut made = vec![];
        for (octets, share) in apart(whole, states)? {
            let head = PartHead {
                half: half_id(self.query, half),
                fingerprint: *fingerprint,
                pane: Span { start: pane.start.0, end: pane.end.0 },
                watermark: i64::MIN,
                records: (records as f64 * share).round() as u64,
                told: Told::default(),
                behind: vec![],
            };
            made.push((head, octets));
        }
        Ok(made)
    }
}
