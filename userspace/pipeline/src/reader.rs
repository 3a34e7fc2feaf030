//! The capture thread: frames of files in, batches of every stream that is asked for out.

use crate::ring::{StopFlag, send};
use arrow_array::RecordBatch;
use rtrb::{Consumer, Producer};
use std::sync::atomic::{AtomicU64, Ordering};
use tapline_capture::CaptureSet;
use tapline_decode::flow_meter::FlowMeterCounters;
use tapline_decode::{DamageCounts, Depth, FlowBatcher, FlowMeter, FlowMeterLimits, PacketBatcher};
use tapline_operators::StreamBatch;
use tapline_record::{EventTime, FLOWS, PACKETS, Stream};

/// The reader's ends of one worker's rings.
pub(crate) struct Lane {
    pub(crate) batches: Producer<StreamBatch>,
    pub(crate) used: Consumer<StreamBatch>,
}

/// What the reader has done so far, for a progress bar.
#[derive(Debug, Default)]
pub(crate) struct ReaderProgress {
    pub(crate) octets: AtomicU64,
    pub(crate) frames: AtomicU64,
}

/// What to read and which columns to build.
pub(crate) struct ReaderPlan {
    pub(crate) packet_columns: Option<Vec<usize>>,
    pub(crate) flow_columns: Option<Vec<usize>>,
    pub(crate) batch_rows: usize,
    /// How far a record may lie behind the latest one.
    pub(crate) lateness_ns: i64,
    pub(crate) flow_limits: FlowMeterLimits,
}

/// What the reader has to tell at the end.
pub(crate) struct ReaderReport {
    pub(crate) files: CaptureSet,
    pub(crate) damage: DamageCounts,
    pub(crate) frame_octets: u64,
    pub(crate) flows: Option<FlowMeterCounters>,
}

/// Reads capture files and deals batches out to the workers in turn.
pub(crate) struct Reader {
    files: CaptureSet,
    packets: PacketBatcher,
    sends_packets: bool,
    flows: Option<(FlowMeter, FlowBatcher)>,
    dealer: Dealer,
    batch_rows: usize,
    lateness_ns: i64,
    latest: EventTime,
}

impl Reader {
    pub(crate) fn new(files: CaptureSet, plan: &ReaderPlan, lanes: Vec<Lane>) -> Self {
        let flows = plan
            .flow_columns
            .as_ref()
            .map(|columns| (FlowMeter::new(plan.flow_limits), FlowBatcher::new(columns, plan.batch_rows)));
        let columns = plan.packet_columns.as_deref();
        let depth = if flows.is_some() { Depth::Transport } else { Depth::Frame };
        Self {
            files,
            packets: PacketBatcher::new(columns.unwrap_or_default(), plan.batch_rows).with_depth(depth),
            sends_packets: columns.is_some(),
            flows,
            dealer: Dealer { lanes, next: 0, sequence: 0 },
            batch_rows: plan.batch_rows,
            lateness_ns: plan.lateness_ns,
            latest: EventTime::MIN,
        }
    }

    /// Reads until the files end, or the run, or whoever started it has seen enough.
    pub(crate) fn run(mut self, progress: &ReaderProgress, stop: &StopFlag<'_>) -> ReaderReport {
        while !stop.is_set() && !stop.input_ends() {
            let is_idle = !self.fill();
            if is_idle && self.files.is_at_end() {
                break;
            }
            self.collect_used();
            // While a pipe is silent, what came so far must not wait for a full batch.
            if !self.hand_over(is_idle, stop) {
                return self.report();
            }
            progress.octets.store(self.files.position_octets(), Ordering::Relaxed);
            progress.frames.store(self.files.counters().frames, Ordering::Relaxed);
        }
        if let Some((meter, batcher)) = &mut self.flows {
            meter.finish(&mut |flow| batcher.push(flow));
        }
        self.hand_over(true, stop);
        self.report()
    }

    /// Decodes frames until a batch of packets is full or no more come for now; says whether there was any.
    fn fill(&mut self) -> bool {
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
        read > 0
    }

    /// Sends the batches that are full, or all of them; says whether to go on.
    fn hand_over(&mut self, all: bool, stop: &StopFlag<'_>) -> bool {
        let watermark = self.watermark();
        if all || self.packets.is_full() {
            let batch = self.packets.finish().filter(|_| self.sends_packets);
            if !batch.is_none_or(|batch| self.dealer.send(&PACKETS, batch, watermark, stop)) {
                return false;
            }
        }
        let batch = self.flows.as_mut().filter(|(_, flows)| all || flows.is_full());
        let batch = batch.and_then(|(_, flows)| flows.finish());
        batch.is_none_or(|batch| self.dealer.send(&FLOWS, batch, watermark, stop))
    }

    /// No record of any stream that is still to come is older.
    fn watermark(&self) -> EventTime {
        let flows = self.flows.as_ref().map_or(EventTime::MAX, |(meter, _)| meter.watermark());
        self.latest.min(flows).plus(-self.lateness_ns)
    }

    /// Takes back the batches that the workers are done with.
    fn collect_used(&mut self) {
        for lane in &mut self.dealer.lanes {
            while let Ok(used) = lane.used.pop() {
                if std::ptr::eq(used.stream, &raw const PACKETS) {
                    self.packets.recycle(used.batch);
                } else if let Some((_, flows)) = &mut self.flows {
                    flows.recycle(used.batch);
                }
            }
        }
    }

    fn report(self) -> ReaderReport {
        ReaderReport {
            damage: *self.packets.damage(),
            frame_octets: self.packets.seen().frame_octets,
            flows: self.flows.map(|(meter, _)| meter.counters()),
            files: self.files,
        }
    }
}

/// Deals batches out to the lanes, one after the other.
struct Dealer {
    lanes: Vec<Lane>,
    next: usize,
    sequence: u64,
}

impl Dealer {
    fn send(
        &mut self,
        stream: &'static Stream,
        batch: RecordBatch,
        watermark: EventTime,
        stop: &StopFlag<'_>,
    ) -> bool {
        let batch = StreamBatch { stream, batch, sequence: self.sequence, watermark };
        self.sequence += 1;
        let lane = self.next;
        self.next = (lane + 1) % self.lanes.len();
        send(&mut self.lanes[lane].batches, batch, stop)
    }
}
