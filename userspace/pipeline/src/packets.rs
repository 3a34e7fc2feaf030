//! Packets of capture files, and the flows that are built from them.

use crate::ledger::LedgerRows;
use crate::sink::Progress;
use crate::source::{Send, Source, Step};
use arrow_array::RecordBatch;
use tapline_capture::{CaptureFile, CaptureSet};
use tapline_decode::export::ExporterIdentity;
use tapline_decode::flow_meter::FlowMeterCounters;
use tapline_decode::{DamageCounts, Depth, FlowBatcher, FlowMeter, FlowMeterLimits, PacketBatcher};
use tapline_record::ledger::SourceLedger;
use tapline_record::{EventTime, FLOWS, LEDGER, PACKETS, Stream};

/// Which columns to build, in which batches.
#[derive(Clone, Debug)]
pub(crate) struct PacketPlan {
    pub(crate) packet_columns: Option<Vec<usize>>,
    pub(crate) flow_columns: Option<Vec<usize>>,
    pub(crate) ledger_columns: Option<Vec<usize>>,
    pub(crate) batch_rows: usize,
    /// How far a record may lie behind the latest one.
    pub(crate) lateness_ns: i64,
    pub(crate) flow_limits: FlowMeterLimits,
}

/// The account of what was read from capture files.
#[derive(Debug)]
pub(crate) struct PacketReport {
    pub(crate) ledger: SourceLedger,
    pub(crate) files: CaptureSet,
    pub(crate) damage: DamageCounts,
    pub(crate) frame_octets: u64,
    pub(crate) flows: Option<FlowMeterCounters>,
}

/// Reads capture files.
pub(crate) struct PacketSource {
    files: CaptureSet,
    total_octets: Option<u64>,
    packets: PacketBatcher,
    sends_packets: bool,
    flows: Option<(FlowMeter, FlowBatcher)>,
    ledger: Option<LedgerRows>,
    batch_rows: usize,
    lateness_ns: i64,
    latest: EventTime,
}

impl PacketSource {
    pub(crate) fn new(files: CaptureSet, plan: &PacketPlan) -> Self {
        let flows = plan
            .flow_columns
            .as_ref()
            .map(|columns| (FlowMeter::new(plan.flow_limits), FlowBatcher::new(columns, plan.batch_rows)));
        let columns = plan.packet_columns.as_deref();
        let depth = if flows.is_some() { Depth::Transport } else { Depth::Frame };
        let name = files.files().iter().map(CaptureFile::name).collect::<Vec<_>>().join(", ");
        let ledger = |columns: &Vec<usize>| LedgerRows::new(columns, &name, ExporterIdentity::default());
        Self {
            ledger: plan.ledger_columns.as_ref().map(ledger),
            total_octets: files.total_octets(),
            files,
            packets: PacketBatcher::new(columns.unwrap_or_default(), plan.batch_rows).with_depth(depth),
            sends_packets: columns.is_some(),
            flows,
            batch_rows: plan.batch_rows,
            lateness_ns: plan.lateness_ns,
            latest: EventTime::MIN,
        }
    }

    /// Frames and their fates.
    pub(crate) fn account(&self) -> SourceLedger {
        let counters = self.files.counters();
        SourceLedger {
            offered: counters.frames + counters.undecodable,
            delivered: counters.frames,
            undecodable: counters.undecodable,
            ..SourceLedger::default()
        }
    }

    pub(crate) fn report(self) -> PacketReport {
        PacketReport {
            ledger: self.account(),
            damage: *self.packets.damage(),
            frame_octets: self.packets.seen().frame_octets,
            flows: self.flows.map(|(meter, _)| meter.counters()),
            files: self.files,
        }
    }
}

impl Source for PacketSource {
    fn step(&mut self) -> Step {
        let Self { files, packets, flows, latest, .. } = self;
        let room = (self.batch_rows - packets.rows().min(self.batch_rows)).max(1);
        let read = match flows {
            None => files.read(room, &mut |frame| {
                *latest = (*latest).max(frame.ts);
                packets.push(frame);
            }),
            Some((meter, batcher)) => {
                let read = files.read(room, &mut |frame| {
                    *latest = (*latest).max(frame.ts);
                    packets.push(frame);
                    if packets.is_burst_full() {
                        meter.update_burst(packets.take_burst(), &mut |flow| batcher.push(flow));
                    }
                });
                meter.update_burst(packets.take_burst(), &mut |flow| batcher.push(flow));
                read
            }
        };
        match read {
            0 if files.is_at_end() => Step::End,
            0 => Step::Idle,
            _ => Step::Read,
        }
    }

    fn hand_over(&mut self, all: bool, send: &mut Send<'_>) -> bool {
        if all || self.packets.is_full() {
            let batch = self.packets.finish().filter(|_| self.sends_packets);
            if !batch.is_none_or(|batch| send(&PACKETS, batch)) {
                return false;
            }
        }
        let batch = self.flows.as_mut().filter(|(_, flows)| all || flows.is_full());
        let batch = batch.and_then(|(_, flows)| flows.finish());
        if !batch.is_none_or(|batch| send(&FLOWS, batch)) {
            return false;
        }
        let batch = self.ledger.as_mut().and_then(LedgerRows::finish);
        batch.is_none_or(|batch| send(&LEDGER, batch))
    }

    fn watermark(&mut self) -> EventTime {
        let flows = self.flows.as_ref().map_or(EventTime::MAX, |(meter, _)| meter.watermark());
        self.latest.min(flows).plus(-self.lateness_ns)
    }

    fn newly_missing(&mut self) -> i64 {
        0
    }

    fn note_dropped(&mut self, _: u64) {}

    fn end(&mut self) {
        if let Some((meter, batcher)) = &mut self.flows {
            meter.finish(&mut |flow| batcher.push(flow));
        }
        let account = self.account();
        if let Some(ledger) = &mut self.ledger {
            ledger.note_whole(&account, 0, "frames", self.latest.max(EventTime(0)));
        }
    }

    fn recycle(&mut self, stream: &'static Stream, batch: RecordBatch) {
        if std::ptr::eq(stream, &raw const PACKETS) {
            self.packets.recycle(batch);
        } else if let Some((_, flows)) =
            self.flows.as_mut().filter(|_| std::ptr::eq(stream, &raw const FLOWS))
        {
            flows.recycle(batch);
        }
    }

    fn no_rows(&self) -> (&'static Stream, RecordBatch) {
        (&PACKETS, RecordBatch::new_empty(self.packets.schema()))
    }

    fn progress(&self) -> Progress {
        Progress {
            octets: self.files.position_octets(),
            total_octets: self.total_octets,
            frames: self.files.counters().frames,
        }
    }
}
