//! Gathers the records of consecutive messages, so that a plan runs over many of them at once.
//!
//! A column costs some time for each run, whatever the number of its records. So the records of sets that follow
//! each other with one plan, of one exporter and domain, are put one behind the other until they are many, or
//! something else comes; only the first such set runs by itself, so that nothing is copied where exporters take
//! turns. What depends on a message, its times and its sampling, is found as it comes. Rows keep their order.

use super::extract::Extractor;
use super::extract_counts::ExtractCounts;
use super::message::{Message, Origin};
use super::plan::Plan;
use super::records::Records;
use std::sync::Arc;
use tapline_record::{BatchBuilder, EventTime};

/// Octets of the records that are gathered: they stay in the nearest cache while column after column is read.
const GATHERED_OCTETS_MAX: usize = 24 << 10;

/// Makes rows of sets of records.
#[derive(Debug, Default)]
pub(super) struct Gatherer {
    extractor: Extractor,
    /// What the last set was of.
    last: Option<(Arc<Plan>, Origin)>,
    /// Records that are not yet rows, all like the last set.
    body: Vec<u8>,
    rows: usize,
}

impl Gatherer {
    /// Appends the rows of a set, now or later.
    pub(super) fn append(
        &mut self,
        plan: &Arc<Plan>,
        records: &Records<'_>,
        message: &Message<'_>,
        batch: &mut BatchBuilder,
    ) {
        let goes_on = self.goes_on(plan, message.origin);
        if goes_on && let Some(body) = gatherable(plan, records) {
            self.extractor.find(&plan.template, &plan.forward, records, message);
            self.body.extend_from_slice(body);
            self.rows += records.len();
            if self.body.len() >= GATHERED_OCTETS_MAX {
                self.flush(batch);
            }
            return;
        }
        self.flush(batch);
        if !goes_on {
            self.last = Some((plan.clone(), message.origin));
        }
        for side in [Some(&plan.forward), plan.reverse.as_ref()].into_iter().flatten() {
            self.extractor.find(&plan.template, side, records, message);
            self.extractor.run(side, records, message.origin, batch);
        }
    }

    /// Moves all rows into the columns.
    pub(super) fn flush(&mut self, batch: &mut BatchBuilder) {
        if let Some((plan, origin)) = &self.last
            && let Some(stride) = plan.stride
            && self.rows > 0
        {
            let records = Records::fixed(&self.body, stride);
            self.extractor.run(&plan.forward, &records, *origin, batch);
            self.body.clear();
            self.rows = 0;
        }
    }

    /// Rows that are not yet in the columns.
    pub(super) const fn pending_rows(&self) -> usize {
        self.rows
    }

    /// What was mended since the last call, in pending rows too.
    pub(super) fn take_counts(&mut self) -> ExtractCounts {
        self.extractor.take_counts()
    }

    /// The latest event time of the rows since the last call, pending ones among them.
    pub(super) fn take_latest(&mut self) -> Option<EventTime> {
        self.extractor.take_latest()
    }

    /// Whether a set follows one of the same plan and origin.
    fn goes_on(&self, plan: &Arc<Plan>, origin: Origin) -> bool {
        self.last.as_ref().is_some_and(|(last, before)| Arc::ptr_eq(last, plan) && *before == origin)
    }
}

/// The octets of records that may be put behind others: of one length, of one direction, and few.
fn gatherable<'a>(plan: &Plan, records: &Records<'a>) -> Option<&'a [u8]> {
    let Records::Fixed { body, .. } = *records else { return None };
    (plan.reverse.is_none() && body.len() < GATHERED_OCTETS_MAX).then_some(body)
}
