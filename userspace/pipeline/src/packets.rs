//! Packets of capture files or of an interface, and the flows that are built from them.

use crate::ledger::LedgerRows;
use crate::sink::Progress;
use crate::source::{Source, Step, now};
use arrow_array::RecordBatch;
use std::time::{Duration, Instant};
use tapline_capture::live::{Description, FrameSource, LiveCounters};
use tapline_capture::{CaptureFile, CaptureSet};
use tapline_decode::export::ExporterIdentity;
use tapline_decode::flow_meter::FlowMeterCounters;
use tapline_decode::{
    DamageCounts, Depth, FlowBatcher, FlowMeter, FlowMeterLimits, Frame, PacketBatcher, UnreadCounts,
};
use tapline_record::ledger::SourceLedger;
use tapline_record::{EventTime, FLOWS, FlowColumn, LEDGER, PACKETS, Stream, StreamId, Watermarks};

/// Between two looks at what an interface lost.
const LOOK_EVERY: Duration = Duration::from_millis(200);

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

impl PacketPlan {
    /// Lets flows say how many packets they are, behind the columns that queries read: completeness is counted in
    /// frames.
    pub(crate) fn count_flows_in_packets(&mut self) {
        const PACKETS: usize = FlowColumn::Packets as usize;
        if let Some(columns) = self.flow_columns.as_mut().filter(|columns| !columns.contains(&PACKETS)) {
            columns.push(PACKETS);
        }
    }
}

/// Where frames come from.
pub(crate) enum FrameInput {
    Files(CaptureSet),
    Interface(Box<dyn FrameSource>),
}

impl FrameInput {
    fn name(&self) -> String {
        match self {
            Self::Files(files) => files.files().iter().map(CaptureFile::name).collect::<Vec<_>>().join(", "),
            Self::Interface(source) => source.description().interface.clone(),
        }
    }

    /// Lends up to so many frames; gives how many, or why there will be no more.
    fn read(&mut self, frames_max: usize, visit: &mut impl FnMut(&Frame<'_>)) -> Result<usize, String> {
        match self {
            Self::Files(files) => Ok(files.read(frames_max, visit)),
            Self::Interface(source) => source.read(frames_max, visit).map_err(|error| error.to_string()),
        }
    }
}

/// The account of what was read of an interface.
#[derive(Clone, Debug)]
pub struct InterfaceReport {
    /// What was opened, and why nothing better.
    pub description: Description,
    /// What was read and lost.
    pub counters: LiveCounters,
    /// Why it could not be read any more.
    pub failure: Option<String>,
}

/// The account of what was read.
#[derive(Debug)]
pub(crate) struct PacketReport {
    pub(crate) ledger: SourceLedger,
    pub(crate) files: Option<CaptureSet>,
    pub(crate) interface: Option<InterfaceReport>,
    pub(crate) damage: DamageCounts,
    pub(crate) unread: UnreadCounts,
    pub(crate) frame_octets: u64,
    pub(crate) flows: Option<FlowMeterCounters>,
}

/// Reads frames.
pub(crate) struct PacketSource {
    input: FrameInput,
    /// Of an interface, what was read and lost until the last look.
    live: LiveCounters,
    looked: Instant,
    /// Frames that were dropped between this source and the workers.
    rows_dropped: u64,
    /// Those that were lost, as far as was told.
    missing: u64,
    failure: Option<String>,
    total_octets: Option<u64>,
    packets: PacketBatcher,
    sends_packets: bool,
    flows: Option<(FlowMeter, FlowBatcher)>,
    ledger: Option<LedgerRows>,
    batch_rows: usize,
    lateness_ns: i64,
    latest: EventTime,
    watermarks: Watermarks,
    has_ended: bool,
}

impl PacketSource {
    pub(crate) fn new(input: FrameInput, plan: &PacketPlan) -> Self {
        let flows = plan
            .flow_columns
            .as_ref()
            .map(|columns| (FlowMeter::new(plan.flow_limits), FlowBatcher::new(columns, plan.batch_rows)));
        let columns = plan.packet_columns.as_deref();
        let depth = match (&flows, &plan.ledger_columns) {
            (Some(_), _) => Depth::Transport,
            // The ledger tells what is not read, whatever else is asked.
            (None, Some(_)) => Depth::Link,
            (None, None) => Depth::Frame,
        };
        let name = input.name();
        let ledger = |columns: &Vec<usize>| LedgerRows::new(columns, &name, ExporterIdentity::default());
        Self {
            ledger: plan.ledger_columns.as_ref().map(ledger),
            total_octets: match &input {
                FrameInput::Files(files) => files.total_octets(),
                FrameInput::Interface(_) => None,
            },
            input,
            live: LiveCounters::default(),
            looked: Instant::now(),
            rows_dropped: 0,
            missing: 0,
            failure: None,
            packets: PacketBatcher::new(columns.unwrap_or_default(), plan.batch_rows).with_depth(depth),
            sends_packets: columns.is_some(),
            flows,
            batch_rows: plan.batch_rows,
            lateness_ns: plan.lateness_ns,
            latest: EventTime::MIN,
            watermarks: Watermarks::BEGINNING,
            has_ended: false,
        }
    }

    /// How far the packets have come.
    fn packets_watermark(&self) -> EventTime {
        let latest = if self.is_live() { now() } else { self.latest };
        latest.plus(-self.lateness_ns)
    }

    /// The rows of `packets`; without a query for them they are done with.
    fn take_packets(&mut self, all: bool) -> Option<RecordBatch> {
        let is_due = all || self.packets.is_full();
        let batch = is_due.then(|| self.packets.finish()).flatten();
        if !self.sends_packets {
            batch.into_iter().for_each(|batch| self.packets.recycle(batch));
            return None;
        }
        if self.packets.rows() == 0 {
            self.watermarks.set(StreamId::Packets, self.packets_watermark());
        }
        batch
    }

    /// The rows of `flows`.
    fn take_flows(&mut self, all: bool) -> Option<RecordBatch> {
        let packets = self.packets_watermark();
        let (meter, flows) = self.flows.as_mut()?;
        let is_due = all || flows.is_full();
        let batch = is_due.then(|| flows.finish()).flatten();
        if flows.rows() == 0 {
            let metered = meter.watermark().plus(-self.lateness_ns);
            self.watermarks.set(StreamId::Flows, packets.min(metered));
        }
        batch
    }

    /// Frames and their fates.
    pub(crate) fn account(&self) -> SourceLedger {
        match &self.input {
            FrameInput::Files(files) => {
                let counters = files.counters();
                SourceLedger {
                    offered: counters.frames + counters.undecodable,
                    delivered: counters.frames,
                    undecodable: counters.undecodable,
                    ..SourceLedger::default()
                }
            }
            FrameInput::Interface(_) => {
                let (frames, lost) = (self.live.frames, self.live.drops.sum());
                let delivered = frames.saturating_sub(self.rows_dropped);
                let dropped = frames - delivered + lost;
                SourceLedger { offered: frames + lost, delivered, dropped, ..SourceLedger::default() }
            }
        }
    }

    pub(crate) fn is_live(&self) -> bool {
        matches!(self.input, FrameInput::Interface(_))
    }

    pub(crate) fn report(mut self) -> PacketReport {
        self.look(true);
        let ledger = self.account();
        let (files, interface) = match self.input {
            FrameInput::Files(files) => (Some(files), None),
            FrameInput::Interface(source) => {
                let description = source.description().clone();
                (None, Some(InterfaceReport { description, counters: self.live, failure: self.failure }))
            }
        };
        PacketReport {
            ledger,
            damage: *self.packets.damage(),
            unread: self.packets.unread().clone(),
            frame_octets: self.packets.seen().frame_octets,
            flows: self.flows.map(|(meter, _)| meter.counters()),
            files,
            interface,
        }
    }

    /// Asks an interface what was lost, now and then.
    fn look(&mut self, is_end: bool) {
        if let FrameInput::Interface(source) = &mut self.input
            && (is_end || self.looked.elapsed() >= LOOK_EVERY)
        {
            self.looked = Instant::now();
            match source.counters() {
                Ok(counters) => self.live = counters,
                Err(error) => self.failure = Some(error.to_string()),
            }
        }
    }

    /// Rows of what changed in the account: of an interface now and then, of files at their end.
    fn take_ledger(&mut self) -> Option<RecordBatch> {
        let (is_live, account) = (self.is_live(), self.account());
        let time = if is_live { now() } else { self.latest.max(EventTime(0)) };
        let ledger = self.ledger.as_mut()?;
        if self.has_ended || is_live && ledger.is_due(time) {
            ledger.note_whole(&account, 0, "frames", time);
            ledger.note_unread(self.packets.unread(), time);
        }
        self.watermarks.set(StreamId::Ledger, if is_live { time } else { EventTime::MIN });
        ledger.finish()
    }
}

impl Source for PacketSource {
    fn step(&mut self) -> Step {
        let before = self.is_live().then(now);
        let Self { input, packets, flows, latest, .. } = self;
        let room = (self.batch_rows - packets.rows().min(self.batch_rows)).max(1);
        let read = match flows {
            None => input.read(room, &mut |frame| {
                *latest = (*latest).max(frame.ts);
                packets.push(frame);
            }),
            Some((meter, batcher)) => {
                let read = input.read(room, &mut |frame| {
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
        let is_at_end = match input {
            FrameInput::Files(files) => files.is_at_end(),
            FrameInput::Interface(_) => false,
        };
        // On an interface that has nothing more to give now, time goes on without packets: flows end.
        if let (Some(before), Some((meter, batcher)), Ok(frames)) = (before, flows, &read)
            && *frames < room
        {
            meter.advance(before.plus(-self.lateness_ns), &mut |flow| batcher.push(flow));
        }
        self.look(false);
        match read {
            Ok(0) if is_at_end => Step::End,
            Ok(0) => Step::Idle,
            Ok(_) => Step::Read,
            Err(failure) => {
                self.failure = Some(failure);
                Step::End
            }
        }
    }

    fn streams(&self) -> Vec<&'static Stream> {
        let flows = self.flows.as_ref().map(|_| &FLOWS);
        let ledger = self.ledger.as_ref().map(|_| &LEDGER);
        // Packets are read for the flows' sake too.
        [Some(&PACKETS), flows, ledger].into_iter().flatten().collect()
    }

    fn take(&mut self, stream: StreamId, all: bool) -> Option<RecordBatch> {
        match stream {
            StreamId::Packets => self.take_packets(all),
            StreamId::Flows => self.take_flows(all),
            StreamId::Ledger => self.take_ledger(),
            StreamId::PacketFlows | StreamId::InterfaceCounters => None,
        }
    }

    fn watermarks(&self) -> Watermarks {
        self.watermarks
    }

    fn counts_packets(&self, stream: StreamId) -> bool {
        stream == StreamId::Flows
    }

    fn newly_missing(&mut self) -> i64 {
        let lost = self.live.drops.sum();
        let before = std::mem::replace(&mut self.missing, lost);
        i64::try_from(lost - before).unwrap_or(i64::MAX)
    }

    fn note_dropped(&mut self, _: StreamId, rows: u64) {
        self.rows_dropped += rows;
    }

    fn end(&mut self) {
        if let Some((meter, batcher)) = &mut self.flows {
            meter.finish(&mut |flow| batcher.push(flow));
        }
        self.look(true);
        self.has_ended = true;
    }

    fn recycle(&mut self, stream: StreamId, batch: RecordBatch) {
        match (stream, &mut self.flows) {
            (StreamId::Packets, _) => self.packets.recycle(batch),
            (StreamId::Flows, Some((_, flows))) => flows.recycle(batch),
            _ => {}
        }
    }

    fn progress(&self) -> Progress {
        Progress {
            octets: match &self.input {
                FrameInput::Files(files) => files.position_octets(),
                FrameInput::Interface(_) => self.packets.seen().frame_octets,
            },
            total_octets: self.total_octets,
            frames: match &self.input {
                FrameInput::Files(files) => files.counters().frames,
                FrameInput::Interface(_) => self.live.frames,
            },
        }
    }
}
