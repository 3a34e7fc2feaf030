//! Packets of capture files, of an interface or of captures that appear, and the flows that are built from them.

mod building;
#[cfg(test)]
mod tests;

use crate::active::{FlowsAsk, FlowsTold};
use crate::captures::CaptureFolder;
use crate::demand::Demand;
use crate::frames::{FrameInput, InterfaceFrames};
use crate::kernel_filter::{ReaderFilter, Sharers};
use crate::ledger::LedgerRows;
use crate::metered::MeteredFlows;
use crate::notice::Notice;
use crate::options::SourceOptions;
use crate::packet_report::PacketReport;
use crate::passing::{PassedCounters, Passing};
use crate::report::Reported;
use crate::selection::{Change, Selecting};
use crate::source::{AtEnd, Progress, Source, Step, gone_wrong};
use arrow_array::RecordBatch;
use std::io;
use std::sync::Arc;
use tapline_capture::CaptureSet;
use tapline_decode::{FlowCache, PacketBatcher};
use tapline_interface::kernel::FrameReader;
use tapline_interface::live::FrameSource;
use tapline_record::column::Symbol;
use tapline_record::ledger::SourceLedger;
use tapline_record::{
    EventTime, FLOWS, LEDGER, PACKET_FLOWS, PACKETS, PacketRow, Stream, StreamId, TABLE_FLOWS, Watermarks,
};

/// Batches of packets counted by flow that an interface's source keeps, until the workers have room for them.
const KEPT_BATCHES_MAX: usize = 256;

/// What the fates are counted in.
const UNIT: &str = "frames";

/// Reads frames.
pub struct PacketSource {
    input: FrameInput,
    /// Which of those it is who share an interface; the first one alone meters flows.
    reader: usize,
    options: SourceOptions,
    /// Which frames become rows, and how many do not.
    selecting: Selecting,
    frames_filtered: u64,
    /// Frames that were dropped between this source and the workers.
    frames_dropped: u64,
    /// What of the frames of an interface the kernel is told to leave out.
    kernel: Option<ReaderFilter>,
    failure: Option<String>,
    /// Whether its interface fails: what it holds still is all that will come.
    is_gone: bool,
    at_end: Option<AtEnd>,
    passing: Passing,
    total_octets: Option<u64>,
    packets: PacketBatcher,
    sends_packets: bool,
    flows: Option<MeteredFlows>,
    /// Whether somebody asks for active flows.
    are_flows_asked: bool,
    /// Packets by flow, where some query reads them so.
    cache: Option<FlowCache>,
    /// Whether the kernel counts packets by flow, so that this source does not.
    is_beside_table: bool,
    /// Whether it gives what the kernel's table would, which counts nothing.
    is_for_table: bool,
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

    /// Reads an interface, each of these some of its frames; the kernel may count its packets by flow meanwhile. They have one
    /// name, one filter in the kernel, and accounts that add up to that of the interface.
    #[must_use]
    pub fn of_interface(
        readers: Vec<Box<dyn FrameSource>>,
        is_beside_table: bool,
        options: &SourceOptions,
    ) -> Vec<Self> {
        let sharers = Arc::default();
        let source = |(reader, frames)| Self::of_reader((reader, &sharers), frames, is_beside_table, options);
        readers.into_iter().enumerate().map(source).collect()
    }

    fn of_reader(
        (reader, sharers): (usize, &Arc<Sharers>),
        source: Box<dyn FrameSource>,
        is_beside_table: bool,
        options: &SourceOptions,
    ) -> Self {
        let (name, filter) = (source.description().interface.clone(), source.filter());
        let (clock, place) = (Arc::clone(&options.clock), (reader, sharers));
        let part =
            |filter| ReaderFilter::beside(&name, filter, FrameReader::Packets, place, Arc::clone(&clock));
        let kernel = filter.map(part);
        let tells_of_program = reader == 0 && !is_beside_table;
        let input = FrameInput::Interface(InterfaceFrames::new(source, tells_of_program));
        Self { reader, is_beside_table, kernel, ..Self::new(input, options.packets_lateness_ns(), options) }
    }

    /// Reads a folder in which captures appear.
    #[must_use]
    pub fn of_folder(folder: CaptureFolder, options: &SourceOptions) -> Self {
        Self::new(FrameInput::Folder(Box::new(folder)), options.packets_lateness_ns(), options)
    }

    /// Gives all that the kernel's table would, which does not tell apart what a filter looks at, and counts nothing. It is the
    /// only one that reads its input.
    #[must_use]
    pub fn in_place_of_table(self) -> Self {
        Self { is_for_table: true, ..self }
    }

    /// Does this when its input has ended.
    #[must_use]
    pub fn at_end(self, at_end: AtEnd) -> Self {
        Self { at_end: Some(at_end), ..self }
    }

    /// Says by these where it is, which said so before it was opened.
    #[must_use]
    pub fn counted_by(self, counters: PassedCounters, begun: Option<String>) -> Self {
        Self { passing: Passing::by(counters, begun), ..self }
    }

    fn new(input: FrameInput, lateness_ns: i64, options: &SourceOptions) -> Self {
        Self {
            ledger: None,
            total_octets: input.total_octets(),
            input,
            reader: 0,
            selecting: Selecting::by(&options.selection),
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
            are_flows_asked: false,
            cache: None,
            is_beside_table: false,
            is_for_table: false,
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

    /// What time it is where the packets are of.
    fn now(&self) -> EventTime {
        if matches!(self.input, FrameInput::Interface(_)) { self.options.clock.now() } else { self.latest() }
    }

    /// Lets another selection hold from now on, if the kernel lets through all that it keeps.
    fn look_at_selection(&mut self) {
        let Some(kernel) = &mut self.kernel else {
            self.selecting.change().into_iter().for_each(|change| self.take_up(change));
            return;
        };
        let Some(change) = self.selecting.change() else {
            kernel.go_on();
            return;
        };
        let kept = change.kept();
        if kernel.keep(vec![self.selecting.kept(), Arc::clone(&kept)]) {
            kernel.keep(vec![kept]);
            self.take_up(change);
        }
    }

    fn take_up(&mut self, change: Change) {
        self.selecting.take_up(change);
        self.packets.read_to(self.selecting.depth());
    }

    /// The frames that come now are of this file.
    fn begin_turn(&mut self, file: usize) {
        let Some(&[of_packets, of_flows, by_flow]) = self.turns.get(file) else { return };
        self.packets.set_source(of_packets);
        if let Some(flows) = &mut self.flows {
            flows.set_source(of_flows);
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
        let Self { input, packets, flows, cache, latest, selecting, frames_filtered, .. } = self;
        let mut count = |packets: &[PacketRow]| {
            if let Some(flows) = flows {
                flows.update_burst(packets);
            }
            if let Some(cache) = cache {
                cache.update_burst(packets);
            }
        };
        let read = input.read(frames_max, &mut |frame| {
            *latest = (*latest).max(frame.ts);
            if !packets.push_if(frame, |row| selecting.keeps(row)) {
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
        if let (Some(time), Some(flows)) = (flows, &mut self.flows) {
            flows.advance(time);
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

    /// The records of flows.
    fn take_flows(&mut self, stream: StreamId, all: bool) -> Option<RecordBatch> {
        let packets = self.packets_watermark(stream);
        let flows = self.flows.as_mut()?;
        let (batch, are_all_taken) = flows.take(stream, all)?;
        if are_all_taken {
            // Of a source at rest no flow is open.
            let is_at_rest = packets == EventTime::MAX;
            let metered = if is_at_rest { packets } else { flows.watermark().plus(-self.lateness_ns) };
            self.watermarks.set(stream, packets.min(metered));
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
        let (kept, needed, is_whole) = (self.selecting.kept(), self.needed(demand), self.needs_whole(demand));
        if let Some(kernel) = &mut self.kernel {
            kernel.begin(kept, needed, is_whole);
        }
        self.build(demand);
        Ok(())
    }

    fn prepare(&mut self, demand: &Demand) -> bool {
        let (needed, is_whole) = (self.needed(demand), self.needs_whole(demand));
        let may_gather = self.input.may_gather(self.gathers(demand));
        let Some(kernel) = &mut self.kernel else { return may_gather };
        // What the program has cut must have been read before anybody looks behind headers.
        let comes = kernel.need(needed, is_whole);
        comes && may_gather && (!is_whole || self.input.lent_until_ns() >= kernel.since_ns())
    }

    fn relayout(&mut self, demand: &Demand) -> io::Result<()> {
        self.build(demand);
        let is_whole = self.needs_whole(demand);
        if let Some(kernel) = self.kernel.as_mut().filter(|_| !is_whole) {
            kernel.need_headers_only();
        }
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

    fn stays(&self) -> bool {
        let FrameInput::Folder(folder) = &self.input else { return false };
        let mut others = self.streams().into_iter().filter(|stream| !stream.id.is_lossless());
        others.all(|stream| folder.is_alone_in(stream.id))
    }

    fn step(&mut self) -> Step {
        self.passing.look();
        let before = self.options.clock.now();
        let batch_rows = self.options.batch_rows;
        let room = (batch_rows - self.packets.rows().min(batch_rows)).max(1);
        self.look_at_selection();
        let read = self.read(room);
        if let Ok(frames) = read {
            self.pass_time(before, frames < room);
        }
        self.look(false);
        match read {
            Ok(0) if self.input.is_at_end() || self.is_gone => Step::End,
            Ok(0) => {
                if self.input.has_all() {
                    self.passing.has_read_all();
                }
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
        let [flows, table_flows] = [&FLOWS, &TABLE_FLOWS].map(|stream| {
            let flows = self.flows.as_ref().filter(|flows| flows.carries(stream.id));
            flows.map(|_| stream)
        });
        let ledger = self.ledger.as_ref().map(|_| &LEDGER);
        let by_flow = self.cache.as_ref().map(|_| &PACKET_FLOWS);
        // Packets are read for the flows' sake too.
        [Some(&PACKETS), flows, table_flows, by_flow, ledger].into_iter().flatten().collect()
    }

    fn take(&mut self, stream: StreamId, all: bool) -> Option<RecordBatch> {
        match stream {
            StreamId::Packets => self.take_packets(all),
            StreamId::Flows | StreamId::TableFlows => self.take_flows(stream, all),
            StreamId::PacketFlows => self.take_by_flow(all),
            StreamId::Ledger => self.take_ledger(),
            StreamId::InterfaceCounters => None,
        }
    }

    fn watermarks(&self) -> Watermarks {
        self.watermarks
    }

    fn lateness_ns(&self, stream: StreamId) -> i64 {
        // What is counted by flow comes when its pane has closed, and not before.
        match stream {
            StreamId::Packets | StreamId::Flows | StreamId::TableFlows => self.lateness_ns,
            StreamId::PacketFlows | StreamId::InterfaceCounters | StreamId::Ledger => 0,
        }
    }

    fn latest(&self) -> EventTime {
        if let FrameInput::Folder(folder) = &self.input { folder.newest() } else { self.latest }
    }

    fn counts_packets(&self, stream: StreamId) -> bool {
        matches!(stream, StreamId::Flows | StreamId::TableFlows | StreamId::PacketFlows)
    }

    fn newly_missing(&mut self) -> i64 {
        self.input.newly_missing()
    }

    fn notice(&mut self) -> Option<Notice> {
        self.kernel.as_mut().and_then(ReaderFilter::notice).or_else(|| self.input.notice())
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
        if ask.is_of_table() && !self.is_for_table {
            return ask.end(FlowsTold::Nothing);
        }
        // In place of the table flows are metered for whoever asks, and made of all frames.
        if self.is_for_table && !self.kernel.as_mut().is_none_or(|kernel| kernel.need_all(true)) {
            return false;
        }
        let now = self.now();
        if self.is_for_table && self.flows.is_none() {
            self.flows = Some(MeteredFlows::new(self.options.flows, now));
        }
        self.are_flows_asked = true;
        let Some(flows) = &mut self.flows else { return ask.end(FlowsTold::Nothing) };
        flows.tell(ask, now)
    }

    fn forget_flows(&mut self) {
        self.are_flows_asked = false;
        if let Some(kernel) = &mut self.kernel {
            kernel.need_all(false);
        }
        if let Some(flows) = &mut self.flows {
            flows.forget();
        }
        // Nothing is metered for nobody.
        if self.flows.as_ref().is_some_and(|flows| !flows.gives_records()) {
            self.flows = None;
        }
    }

    fn end(&mut self) {
        self.cache.iter_mut().for_each(FlowCache::flush);
        if let Some(flows) = &mut self.flows {
            flows.advance(EventTime::MAX);
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
            (StreamId::Flows | StreamId::TableFlows, Some(flows), _) => flows.recycle(stream, batch),
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
            flows: self.flows.as_ref().map(MeteredFlows::counters),
            files: self.input.ends(),
            interface: self.input.interface(self.kernel.as_ref().map(ReaderFilter::state), self.failure()),
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
