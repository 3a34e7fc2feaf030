//! Records of flows, of what the kernel counts.
//!
//! Takes counts of packets by flow, none of which spans two seconds, and the times before which all has come out of
//! the table; gives batches of `table flows`. A flow ends as it would over a capture of the same packets.

use crate::active::{FlowsAsk, FlowsTold};
use crate::demand::Demand;
use crate::options::SourceOptions;
use arrow_array::RecordBatch;
use tapline_decode::FlowBatcher;
use tapline_decode::flow_meter::{DrainedMeter, FlowMeterCounters, FlowUpdate};
use tapline_record::column::Symbol;
use tapline_record::{EventTime, FlowColumn, StreamId};

/// Meters flows of the kernel's table, for queries that read records of them.
pub(super) struct TableFlows {
    meter: DrainedMeter,
    batcher: FlowBatcher,
    /// The symbol of the interface's name.
    source: Symbol,
    /// Since when flows are metered.
    since: EventTime,
}

impl TableFlows {
    /// Builds what is demanded from now on: what was metered before goes on, or begins then. `None` where no query reads
    /// it: then the flows that were metered are let go.
    pub(super) fn by(
        before: Option<Self>,
        demand: &Demand,
        interface: &str,
        (options, since): (&SourceOptions, EventTime),
    ) -> Option<Self> {
        const PACKETS: usize = FlowColumn::Packets as usize;
        let mut columns = demand.columns(StreamId::TableFlows)?.to_vec();
        // Completeness is counted in frames: flows say how many they are, behind what queries read.
        if !columns.contains(&PACKETS) {
            columns.push(PACKETS);
        }
        let mut flows = if let Some(mut flows) = before {
            flows.batcher.relayout(&columns);
            flows
        } else {
            let batcher = FlowBatcher::new(&columns, options.batch_rows);
            Self { meter: DrainedMeter::new(options.flows), batcher, source: Symbol::default(), since }
        };
        flows.source = flows.batcher.intern_source(interface);
        Some(flows)
    }

    /// Takes what was counted of a flow.
    pub(super) fn add(&mut self, update: &FlowUpdate) {
        self.meter.add(FlowUpdate { source: self.source, ..*update });
    }

    /// All that the kernel counted before this time was given.
    pub(super) fn advance(&mut self, until: EventTime) {
        let Self { meter, batcher, .. } = self;
        meter.advance(until, &mut |flow| batcher.push(flow));
    }

    /// Nothing more comes.
    pub(super) fn finish(&mut self) {
        let Self { meter, batcher, .. } = self;
        meter.finish(&mut |flow| batcher.push(flow));
    }

    /// The records that wait, where they fill a batch, or `all` are asked for; and, where none wait then, before which
    /// time none will end any more.
    pub(super) fn take(&mut self, all: bool) -> (Option<RecordBatch>, Option<EventTime>) {
        let is_due = all || self.batcher.is_full();
        let batch = is_due.then(|| self.batcher.finish()).flatten();
        (batch, (self.batcher.rows() == 0).then(|| self.meter.meter().watermark()))
    }

    /// Takes back a batch whose memory may be used again.
    pub(super) fn recycle(&mut self, batch: RecordBatch) {
        self.batcher.recycle(batch);
    }

    /// What was metered.
    pub(super) const fn counters(&self) -> FlowMeterCounters {
        self.meter.meter().counters()
    }

    /// Tells flows that are active, as many as may be told at once; says whether that was all.
    pub(super) fn tell(&mut self, ask: &mut FlowsAsk, now: EventTime) -> bool {
        self.meter.keep_ended(true);
        let meter = self.meter.meter();
        ask.tell(meter, FlowsTold::by(meter, now, self.since))
    }

    /// Nobody asks for active flows any more.
    pub(super) fn forget(&mut self) {
        self.meter.keep_ended(false);
    }
}
