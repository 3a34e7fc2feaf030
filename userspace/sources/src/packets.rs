//! Packets of capture files, of an interface or of captures that appear, and the flows that are built from them.

use crate::active::{FlowsAsk, FlowsTold};
use crate::captures::CaptureFolder;
use crate::demand::Demand;
use crate::frames::{FrameInput, InterfaceFrames};
use crate::kernel_filter::{PacketFilter, ReaderFilter};
use crate::ledger::LedgerRows;
use crate::notice::Notice;
use crate::options::SourceOptions;
use crate::packet_report::PacketReport;
use crate::passing::{PassedCounters, Passing};
use crate::report::Reported;
use crate::source::{AtEnd, Progress, Source, Step, gone_wrong};
use arrow_array::RecordBatch;
use std::io;
use tapline_capture::CaptureSet;
use tapline_decode::export::ExporterIdentity;
use tapline_decode::{Depth, FlowBatcher, FlowCache, FlowMeter, PacketBatcher};
use tapline_filter::Predicate;
use tapline_interface::kernel::FrameReader;
use tapline_interface::live::FrameSource;
use tapline_record::column::Symbol;
use tapline_record::ledger::SourceLedger;
use tapline_record::{
    EventTime, FLOWS, FlowColumn, LEDGER, PACKET_FLOWS, PACKETS, PacketColumn, PacketFlowColumn, PacketRow,
    Stream, StreamId, Watermarks,
};

/// Batches of packets counted by flow that an interface's source keeps, until the workers have room for them.
const KEPT_BATCHES_MAX: usize = 256;

/// What the fates are counted in.
const UNIT: &str = "frames";

/// Reads frames.
pub struct PacketSource {
    input: FrameInput,
    options: SourceOptions,
    /// Frames that the filter left out.
    frames_filtered: u64,
    /// Frames that were dropped between this source and the workers.
    frames_dropped: u64,
    /// What of the frames of an interface the kernel is told to leave out.
    kernel: Option<PacketFilter>,
    failure: Option<String>,
    /// Whether its interface fails: what it holds still is all that will come.
    is_gone: bool,
    at_end: Option<AtEnd>,
    passing: Passing,
    total_octets: Option<u64>,
    packets: PacketBatcher,
    sends_packets: bool,
    flows: Option<(FlowMeter, FlowBatcher)>,
    /// Since when flows are metered.
    metered_since: EventTime,
    /// Packets by flow, where some query reads them so.
    cache: Option<FlowCache>,
    /// Whether the kernel counts packets by flow, so that this source does not.
    is_beside_table: bool,
    /// Where frames are of several files and some query reads of which: the symbols of each file, in packets, in
    /// flows and in packets by flow.
    turns: Vec<[Symbol; 3]>,
    ledger: Option<LedgerRows>,
    /// How far a record may lie behind the latest one.
    lateness_ns: i64,
    latest: EventTime,
    watermarks: Watermarks,
    has_ended: bool,
    reported: Reported<PacketReport>,
}

impl PacketSource {
    /// Reads capture files, whose packets lie so far behind the latest one.
    #[must_use]
    pub fn of_files(files: CaptureSet, lateness_ns: i64, options: &SourceOptions) -> Self {
        Self::new(FrameInput::Files(files), lateness_ns, options)
    }

    /// Reads an interface; the kernel may count its packets by flow meanwhile.
    #[must_use]
    pub fn of_interface(
        source: Box<dyn FrameSource>,
        is_beside_table: bool,
        options: &SourceOptions,
    ) -> Self {
        let (name, filter) = (source.description().interface.clone(), source.filter());
        let part = |filter| ReaderFilter::new(&name, filter, FrameReader::Packets, options);
        let kernel = filter.map(|filter| PacketFilter::new(part(filter), options));
        let input = FrameInput::Interface(InterfaceFrames::new(source));
        Self { is_beside_table, kernel, ..Self::new(input, options.packets_lateness_ns(), options) }
    }

    /// Reads a folder in which captures appear.
    #[must_use]
    pub fn of_folder(folder: CaptureFolder, options: &SourceOptions) -> Self {
        Self::new(FrameInput::Folder(Box::new(folder)), options.packets_lateness_ns(), options)
    }

    /// Does this when its input has ended.
    #[must_use]
    pub fn at_end(self, at_end: AtEnd) -> Self {
        Self { at_end: Some(at_end), ..self }
    }

    /// Says by these where it is.
    #[must_use]
    pub fn counted_by(self, counters: PassedCounters) -> Self {
        Self { passing: Passing::by(counters), ..self }
    }

    fn new(input: FrameInput, lateness_ns: i64, options: &SourceOptions) -> Self {
        Self {
            ledger: None,
            total_octets: input.total_octets(),
            input,
            frames_filtered: 0,
            frames_dropped: 0,
            kernel: None,
            failure: None,
            is_gone: false,
            at_end: None,
            passing: Passing::default(),
            packets: PacketBatcher::new(&[], options.batch_rows),
            sends_packets: false,
            flows: None,
            metered_since: EventTime::MIN,
            cache: None,
            is_beside_table: false,
            turns: vec![],
            options: options.clone(),
            lateness_ns,
            latest: EventTime::MIN,
            watermarks: Watermarks::BEGINNING,
            has_ended: false,
            reported: Reported::default(),
        }
    }

    /// Where its account is told.
    #[must_use]
    pub fn reported(&self) -> Reported<PacketReport> {
        self.reported.clone()
    }

    /// The columns of `flows`, if some query reads it.
    fn flow_columns(&self, demand: &Demand) -> Option<Vec<usize>> {
        const PACKETS: usize = FlowColumn::Packets as usize;
        let mut columns = demand.columns(StreamId::Flows)?.to_vec();
        // Of an interface completeness is counted in frames: flows say how many they are, behind what queries read.
        if self.is_live() && !columns.contains(&PACKETS) {
            columns.push(PACKETS);
        }
        Some(columns)
    }

    /// Conditions, one of which holds of each frame that some query needs.
    fn wanted(&self, demand: &Demand) -> Vec<Predicate> {
        let by_flow: &[Predicate] = if self.is_beside_table { &[] } else { demand.wanted(StreamId::PacketFlows) };
        let wanted = [demand.wanted(StreamId::Packets), by_flow].concat();
        // Flows are built of all frames; and who has nobody but the ledger to read for counts all of them.
        let has_all = demand.columns(StreamId::Flows).is_some() || wanted.is_empty() && !self.is_beside_table;
        if has_all { vec![Predicate::ALWAYS] } else { wanted }
    }

    /// Builds what is demanded from now on. A meter that nobody reads any more is let go, with the flows in it.
    fn build(&mut self, demand: &Demand) {
        let flow_columns = self.flow_columns(demand);
        let batch_rows = self.options.batch_rows;
        self.flows = match (self.flows.take(), flow_columns) {
            (_, None) => None,
            (None, Some(columns)) => {
                self.metered_since = self.now();
                Some((FlowMeter::new(self.options.flows), FlowBatcher::new(&columns, batch_rows)))
            }
            (Some((meter, mut batcher)), Some(columns)) => {
                batcher.relayout(&columns);
                Some((meter, batcher))
            }
        };
        self.build_cache(demand);
        let ledger_columns = demand.columns(StreamId::Ledger);
        let depth = match (&self.flows, ledger_columns) {
            (Some(_), _) => Depth::Transport,
            // The ledger tells what is not read, whatever else is asked.
            (None, Some(_)) => Depth::Link,
            (None, None) => Depth::Frame,
        };
        let by_flow = demand.columns(StreamId::PacketFlows).filter(|_| self.cache.is_some());
        let by_flow = FlowCache::depth(by_flow.unwrap_or_default());
        let depth = depth.max(by_flow).max(self.options.filter_depth());
        let columns = demand.columns(StreamId::Packets);
        self.packets.relayout(columns.unwrap_or_default(), depth);
        self.sends_packets = columns.is_some();
        self.name_sources(demand);
        self.ledger = LedgerRows::by(self.ledger.take(), ledger_columns, || {
            (self.input.name(), ExporterIdentity::default())
        });
        self.watermarks = self.watermarks.carrying(&self.streams());
    }

    /// What time it is where the packets are of.
    fn now(&self) -> EventTime {
        if matches!(self.input, FrameInput::Interface(_)) { self.options.clock.now() } else { self.latest() }
    }

    /// Counts packets by flow, if that is demanded and the kernel does not.
    fn build_cache(&mut self, demand: &Demand) {
        let columns = demand.columns(StreamId::PacketFlows).filter(|_| !self.is_beside_table);
        let pane_ns = demand.common_pane_ns(StreamId::PacketFlows);
        self.cache = match (self.cache.take(), columns) {
            (_, None) => None,
            (None, Some(columns)) => Some(FlowCache::new(columns, pane_ns, self.options.batch_rows)),
            (Some(mut cache), Some(columns)) => {
                cache.relayout(columns, pane_ns);
                Some(cache)
            }
        };
    }

    /// Names the sources of rows: the only one once, those of several files turn by turn, if some query reads them.
    fn name_sources(&mut self, demand: &Demand) {
        let reads = |stream, column| demand.columns(stream).is_some_and(|columns| columns.contains(&column));
        if !reads(StreamId::Packets, PacketColumn::Source as usize)
            && !reads(StreamId::Flows, FlowColumn::Source as usize)
            && !reads(StreamId::PacketFlows, PacketFlowColumn::Source as usize)
        {
            return;
        }
        self.turns.clear();
        for name in self.input.sources() {
            let of_packets = self.packets.intern_source(&name);
            let of_flows = self.flows.as_mut().map(|(_, flows)| flows.intern_source(&name));
            let by_flow = self.cache.as_mut().map(|cache| cache.intern_source(&name));
            self.turns.push([of_packets, of_flows.unwrap_or_default(), by_flow.unwrap_or_default()]);
        }
        self.begin_turn(0);
        match &mut self.input {
            FrameInput::Files(files) if self.turns.len() > 1 => files.read_by_turns(),
            _ => self.turns.clear(),
        }
    }

    /// The frames that come now are of this file.
    fn begin_turn(&mut self, file: usize) {
        let Some(&[of_packets, of_flows, by_flow]) = self.turns.get(file) else { return };
        self.packets.set_source(of_packets);
        if let Some((meter, _)) = &mut self.flows {
            meter.set_source(of_flows);
        }
        if let Some(cache) = &mut self.cache {
            cache.set_source(by_flow);
        }
    }

    /// Reads up to so many frames into rows; gives how many, or why there will be no more.
    fn read(&mut self, frames_max: usize) -> Result<usize, String> {
        if self.turns.is_empty() {
            return self.read_turn(frames_max);
        }
        let mut frames = 0;
        while frames < frames_max
            && let FrameInput::Files(files) = &mut self.input
            && let Some(file) = files.turn()
        {
            self.begin_turn(file);
            match self.read_turn(frames_max - frames)? {
                0 => break,
                more => frames += more,
            }
        }
        Ok(frames)
    }

    /// As [`Self::read`], of one source.
    fn read_turn(&mut self, frames_max: usize) -> Result<usize, String> {
        let Self { input, packets, flows, cache, latest, options, frames_filtered, .. } = self;
        let filter = options.filter.as_deref();
        let mut count = |packets: &[PacketRow]| {
            if let Some((meter, batcher)) = flows {
                meter.update_burst(packets, &mut |flow| batcher.push(flow));
            }
            if let Some(cache) = cache {
                cache.update_burst(packets);
            }
        };
        let read = input.read(frames_max, &mut |frame| {
            *latest = (*latest).max(frame.ts);
            if !packets.push_if(frame, |row| filter.is_none_or(|filter| filter.holds(row))) {
                *frames_filtered += 1;
            }
            if packets.is_burst_full() {
                count(packets.take_burst());
            }
        });
        count(packets.take_burst());
        read
    }

    /// How far the packets have come, as `stream` has them.
    fn packets_watermark(&self, stream: StreamId) -> EventTime {
        match &self.input {
            FrameInput::Files(_) => self.latest.plus(-self.lateness_ns),
            FrameInput::Interface(_) => self.options.clock.now().plus(-self.lateness_ns),
            FrameInput::Folder(folder) => folder.watermark(stream),
        }
    }

    /// Lets time go on without packets: flows and panes end. What an interface gave before then `is_all` that there
    /// is for now, or is not.
    fn pass_time(&mut self, before: EventTime, is_all: bool) {
        let (flows, by_flow) = match &self.input {
            FrameInput::Interface(_) => {
                let time = before.plus(-self.lateness_ns);
                (is_all.then_some(time), time)
            }
            FrameInput::Folder(folder) if folder.is_silent() => {
                let of = |stream| folder.watermark(stream);
                (Some(of(StreamId::Flows)), of(StreamId::PacketFlows))
            }
            FrameInput::Files(_) | FrameInput::Folder(_) => return,
        };
        if let (Some(time), Some((meter, batcher))) = (flows, &mut self.flows) {
            match time {
                EventTime::MAX => meter.finish(&mut |flow| batcher.push(flow)),
                _ => meter.advance(time, &mut |flow| batcher.push(flow)),
            }
        }
        if let Some(cache) = &mut self.cache {
            cache.advance(by_flow);
        }
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
            self.watermarks.set(StreamId::Packets, self.packets_watermark(StreamId::Packets));
        }
        batch
    }

    /// The rows of `flows`.
    fn take_flows(&mut self, all: bool) -> Option<RecordBatch> {
        let packets = self.packets_watermark(StreamId::Flows);
        let (meter, flows) = self.flows.as_mut()?;
        let is_due = all || flows.is_full();
        let batch = is_due.then(|| flows.finish()).flatten();
        if flows.rows() == 0 {
            // Of a source at rest no flow is open.
            let is_at_rest = packets == EventTime::MAX;
            let metered = if is_at_rest { packets } else { meter.watermark().plus(-self.lateness_ns) };
            self.watermarks.set(StreamId::Flows, packets.min(metered));
        }
        batch
    }

    /// The rows of packets by flow; those that are still counted are none yet.
    fn take_by_flow(&mut self, all: bool) -> Option<RecordBatch> {
        let packets = self.packets_watermark(StreamId::PacketFlows);
        let cache = self.cache.as_mut()?;
        let batch = cache.take(all);
        if cache.is_empty() {
            let before = self.watermarks.of(StreamId::PacketFlows);
            let watermark = packets.min(cache.oldest());
            // One that was at rest goes on from its packets.
            let watermark = if before == EventTime::MAX { watermark } else { watermark.max(before) };
            self.watermarks.set(StreamId::PacketFlows, watermark);
        }
        batch
    }

    /// Asks an interface what was lost, now and then.
    fn look(&mut self, at_once: bool) {
        if let Err(failure) = self.input.look(at_once) {
            self.failure = Some(failure);
        }
    }

    /// Rows of what changed in the account: of an interface now and then, of files at their end.
    fn take_ledger(&mut self) -> Option<RecordBatch> {
        let (is_live, account) = (self.is_live(), self.fates());
        let time = if is_live { self.options.clock.now() } else { self.latest.max(EventTime(0)) };
        let ledger = self.ledger.as_mut()?;
        if self.has_ended || is_live && ledger.is_due(time) {
            ledger.note_whole(&account, 0, UNIT, time);
            ledger.note_unread(self.packets.unread(), time);
        }
        self.watermarks.set(StreamId::Ledger, if is_live { time } else { EventTime::MIN });
        ledger.finish()
    }
}

impl Source for PacketSource {
    fn name(&self) -> String {
        self.input.name()
    }

    fn unit(&self) -> &'static str {
        UNIT
    }

    fn fates(&self) -> SourceLedger {
        self.input.fates(self.frames_filtered, self.frames_dropped)
    }

    fn failure(&self) -> Option<String> {
        self.failure.as_deref().map(gone_wrong)
    }

    fn bind(&mut self, demand: &Demand) -> io::Result<()> {
        let wanted = self.wanted(demand);
        self.kernel.iter_mut().for_each(|kernel| kernel.begin(wanted.clone()));
        self.build(demand);
        Ok(())
    }

    fn prepare(&mut self, demand: &Demand) -> bool {
        let wanted = self.wanted(demand);
        self.kernel.as_mut().is_none_or(|kernel| kernel.prepare(wanted))
    }

    fn relayout(&mut self, demand: &Demand) -> io::Result<()> {
        self.build(demand);
        // Of what is wanted since, earlier frames may not have come.
        self.latest = self.kernel.iter().fold(self.latest, |latest, kernel| latest.max(kernel.since()));
        Ok(())
    }

    fn is_live(&self) -> bool {
        self.input.is_live()
    }

    fn waits(&self) -> bool {
        self.input.waits()
    }

    fn step(&mut self) -> Step {
        self.passing.look();
        let before = self.options.clock.now();
        let batch_rows = self.options.batch_rows;
        let room = (batch_rows - self.packets.rows().min(batch_rows)).max(1);
        let read = self.read(room);
        if let Ok(frames) = read {
            self.pass_time(before, frames < room);
        }
        self.look(false);
        match read {
            Ok(0) if self.input.is_at_end() || self.is_gone => Step::End,
            Ok(0) => {
                self.passing.has_read_all();
                Step::Idle
            }
            Ok(_) => Step::Read,
            Err(_) if self.is_gone => Step::End,
            Err(failure) => {
                // What was received before may not have been handed over yet.
                (self.failure, self.is_gone) = (Some(failure), true);
                Step::Read
            }
        }
    }

    fn streams(&self) -> Vec<&'static Stream> {
        let flows = self.flows.as_ref().map(|_| &FLOWS);
        let ledger = self.ledger.as_ref().map(|_| &LEDGER);
        let by_flow = self.cache.as_ref().map(|_| &PACKET_FLOWS);
        // Packets are read for the flows' sake too.
        [Some(&PACKETS), flows, by_flow, ledger].into_iter().flatten().collect()
    }

    fn take(&mut self, stream: StreamId, all: bool) -> Option<RecordBatch> {
        match stream {
            StreamId::Packets => self.take_packets(all),
            StreamId::Flows => self.take_flows(all),
            StreamId::PacketFlows => self.take_by_flow(all),
            StreamId::Ledger => self.take_ledger(),
            StreamId::InterfaceCounters | StreamId::TableFlows => None,
        }
    }

    fn watermarks(&self) -> Watermarks {
        self.watermarks
    }

    fn lateness_ns(&self, stream: StreamId) -> i64 {
        // What is counted by flow comes when its pane has closed, and not before.
        if matches!(stream, StreamId::Packets | StreamId::Flows) { self.lateness_ns } else { 0 }
    }

    fn latest(&self) -> EventTime {
        if let FrameInput::Folder(folder) = &self.input { folder.newest() } else { self.latest }
    }

    fn counts_packets(&self, stream: StreamId) -> bool {
        matches!(stream, StreamId::Flows | StreamId::PacketFlows)
    }

    fn newly_missing(&mut self) -> i64 {
        self.input.newly_missing()
    }

    fn notice(&mut self) -> Option<Notice> {
        self.kernel.as_mut().and_then(PacketFilter::notice).or_else(|| self.input.notice())
    }

    fn note_dropped(&mut self, _: StreamId, records: u64) {
        self.frames_dropped += records;
    }

    fn keeps(&self, stream: StreamId) -> bool {
        let kept = self.cache.as_ref().filter(|_| stream == StreamId::PacketFlows).map(FlowCache::batches);
        stream.is_lossless() || kept.is_some_and(|batches| batches < KEPT_BATCHES_MAX)
    }

    fn position(&self) -> Option<String> {
        self.passing.position()
    }

    fn settle(&mut self) -> io::Result<()> {
        self.cache.iter_mut().for_each(FlowCache::flush);
        Ok(())
    }

    fn tell_flows(&mut self, ask: &mut FlowsAsk) -> bool {
        let now = self.now();
        let Some((meter, _)) = self.flows.as_mut().filter(|_| !ask.is_of_table()) else {
            return ask.end(FlowsTold::Nothing);
        };
        meter.keep_ended(true);
        ask.tell(meter, FlowsTold::by(meter, now, self.metered_since))
    }

    fn forget_flows(&mut self) {
        if let Some((meter, _)) = &mut self.flows {
            meter.keep_ended(false);
        }
    }

    fn end(&mut self) {
        self.cache.iter_mut().for_each(FlowCache::flush);
        if let Some((meter, batcher)) = &mut self.flows {
            meter.finish(&mut |flow| batcher.push(flow));
        }
        self.look(true);
        self.input.end();
        self.at_end.take().into_iter().for_each(|at_end| at_end());
        self.passing.look_now();
        self.passing.has_read_all();
        self.has_ended = true;
    }

    fn recycle(&mut self, stream: StreamId, batch: RecordBatch) {
        match (stream, &mut self.flows, &mut self.cache) {
            (StreamId::Packets, _, _) => self.packets.recycle(batch),
            (StreamId::Flows, Some((_, flows)), _) => flows.recycle(batch),
            (StreamId::PacketFlows, _, Some(cache)) => cache.recycle(batch),
            _ => {}
        }
    }

    fn report(&mut self) {
        self.look(true);
        self.reported.tell(PacketReport {
            source: self.input.name(),
            ledger: self.fates(),
            damage: *self.packets.damage(),
            unread: self.packets.unread().clone(),
            frame_octets: self.packets.seen().frame_octets,
            flows: self.flows.as_ref().map(|(meter, _)| meter.counters()),
            files: self.input.ends(),
            interface: self.input.interface(self.kernel.as_ref().map(PacketFilter::state), self.failure()),
        });
    }

    fn progress(&self) -> Progress {
        let SourceLedger { delivered, .. } = self.input.fates(0, 0);
        Progress {
            octets: self.input.position_octets().unwrap_or(self.packets.seen().frame_octets),
            total_octets: self.total_octets,
            frames: delivered,
        }
    }
}
