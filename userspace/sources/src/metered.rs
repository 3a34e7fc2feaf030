//! Flows that are metered from packets, as records of those streams that some query reads.
//!
//! An interface may be read frame by frame in place of the kernel's table: then the records that this would give,
//! `table flows`, are made here as well. One meter makes all of them.

use crate::active::{FlowsAsk, FlowsTold};
use arrow_array::RecordBatch;
use tapline_decode::flow_meter::FlowMeterCounters;
use tapline_decode::{FlowBatcher, FlowMeter, FlowMeterLimits};
use tapline_record::column::Symbol;
use tapline_record::{EventTime, FlowRow, PacketRow, StreamId};

/// The streams that it makes records of.
pub(crate) const RECORDS: [StreamId; 2] = [StreamId::Flows, StreamId::TableFlows];

/// A meter, and the records that it gives.
pub(crate) struct MeteredFlows {
    meter: FlowMeter,
    /// Of each of these streams that some query reads; of none, where flows are metered for whoever asks.
    records: [Option<FlowBatcher>; RECORDS.len()],
    /// Since when flows are metered.
    since: EventTime,
}

impl MeteredFlows {
    /// Meters from then on, and makes no records yet.
    pub(crate) fn new(limits: FlowMeterLimits, since: EventTime) -> Self {
        Self { meter: FlowMeter::new(limits), records: [None, None], since }
    }

    /// Makes records of these columns of each stream from now on.
    pub(crate) fn relayout(&mut self, columns: [Option<Vec<usize>>; RECORDS.len()], batch_rows: usize) {
        for (records, columns) in self.records.iter_mut().zip(columns) {
            *records = match (records.take(), columns) {
                (_, None) => None,
                (None, Some(columns)) => Some(FlowBatcher::new(&columns, batch_rows)),
                (Some(mut batcher), Some(columns)) => {
                    batcher.relayout(&columns);
                    Some(batcher)
                }
            };
        }
    }

    /// Whether some query reads its records.
    pub(crate) fn gives_records(&self) -> bool {
        self.records.iter().any(Option::is_some)
    }

    /// Whether some query reads this stream.
    pub(crate) fn carries(&self, stream: StreamId) -> bool {
        RECORDS.iter().zip(&self.records).any(|(of, records)| *of == stream && records.is_some())
    }

    fn records_of(&mut self, stream: StreamId) -> Option<&mut FlowBatcher> {
        let mut records = RECORDS.iter().zip(&mut self.records);
        records.find(|(of, _)| **of == stream).and_then(|(_, records)| records.as_mut())
    }

    /// The symbol of a source's name, for [`Self::set_source`]: the same in the records of each stream.
    pub(crate) fn intern_source(&mut self, name: &str) -> Symbol {
        let records = self.records.iter_mut().flatten();
        records.fold(Symbol::default(), |_, records| records.intern_source(name))
    }

    /// Says of which source the packets are that come now.
    pub(crate) const fn set_source(&mut self, source: Symbol) {
        self.meter.set_source(source);
    }

    /// Takes packets in the order in which they were read.
    pub(crate) fn update_burst(&mut self, packets: &[PacketRow]) {
        let Self { meter, records, .. } = self;
        meter.update_burst(packets, &mut |flow| push(records, flow));
    }

    /// Lets flows end that are silent or old by this time; [`EventTime::MAX`] ends all of them.
    pub(crate) fn advance(&mut self, time: EventTime) {
        let Self { meter, records, .. } = self;
        match time {
            EventTime::MAX => meter.finish(&mut |flow| push(records, flow)),
            _ => meter.advance(time, &mut |flow| push(records, flow)),
        }
    }

    /// The records of a stream that wait, where they fill a batch, or `all` are asked for; and whether none waits then.
    /// `None` where no query reads it.
    pub(crate) fn take(&mut self, stream: StreamId, all: bool) -> Option<(Option<RecordBatch>, bool)> {
        let records = self.records_of(stream)?;
        let is_due = all || records.is_full();
        let batch = is_due.then(|| records.finish()).flatten();
        Some((batch, records.rows() == 0))
    }

    /// No flow ends before this time, but for packets that are themselves older.
    pub(crate) fn watermark(&self) -> EventTime {
        self.meter.watermark()
    }

    /// Takes back a batch whose memory may be used again.
    pub(crate) fn recycle(&mut self, stream: StreamId, batch: RecordBatch) {
        if let Some(records) = self.records_of(stream) {
            records.recycle(batch);
        }
    }

    /// What was metered.
    pub(crate) const fn counters(&self) -> FlowMeterCounters {
        self.meter.counters()
    }

    /// Tells flows that are active, as many as may be told at once; says whether that was all.
    pub(crate) fn tell(&mut self, ask: &mut FlowsAsk, now: EventTime) -> bool {
        self.meter.keep_ended(true);
        ask.tell(&self.meter, FlowsTold::by(&self.meter, now, self.since))
    }

    /// Nobody asks for active flows any more.
    pub(crate) fn forget(&mut self) {
        self.meter.keep_ended(false);
    }
}

fn push(records: &mut [Option<FlowBatcher>], flow: &FlowRow) {
    records.iter_mut().flatten().for_each(|records| records.push(flow));
}
