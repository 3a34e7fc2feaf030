//! Packets as the kernel's flow table gives them: rows of `packet flows`, and records of the flows that they make.
//!
//! The table is emptied several times a pane, while the programs go on; all frames before that moment have come out
//! then, so the watermark is exact and nothing is late. What the table had no room for waits in a ring buffer, which
//! is emptied more often. Rows wait for room in the rings of the pipeline: what is in the kernel is not lost by that,
//! and what the kernel has no room for is counted there.

mod flows;
mod intake;
mod panes;
mod report;
mod rows;

pub use report::KernelReport;

use crate::active::{FlowsAsk, FlowsTold};
use crate::demand::Demand;
use crate::kernel_filter::ReaderFilter;
use crate::ledger::LedgerRows;
use crate::notice::Notice;
use crate::options::SourceOptions;
use crate::passing::{PassedCounters, Passing};
use crate::report::Reported;
use crate::selection::Selecting;
use crate::source::{AtEnd, Progress, Source, Step, gone_wrong};
use crate::watch::Watch;
use arrow_array::RecordBatch;
use flows::TableFlows;
use intake::Intake;
use panes::{DRAIN_MIN, drains_every, pane_of};
use rows::{heaviest_first, time_of};
use std::io;
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};
use tapline_decode::export::ExporterIdentity;
use tapline_filter::Predicate;
use tapline_interface::Directions;
use tapline_interface::kernel::{
    AttachMode, CardUse, Clock, FilterState, FrameReader, KernelCapture, KernelError, KernelOptions, Rule,
    SharedPreFilter, Verdict, monotonic_ns,
};
use tapline_interface::link::{self, Carries};
use tapline_interface::live::{self, FrameSource, LiveError, LiveMode, LiveOptions, Promiscuous};
use tapline_record::column::BURST_ROWS;
use tapline_record::ledger::SourceLedger;
use tapline_record::time::greatest_common_divisor;
use tapline_record::{
    BatchBuilder, EventTime, LEDGER, PACKET_FLOWS, PacketFlowColumn, PacketFlowRow, Stream, StreamId,
    TABLE_FLOWS, Watermarks,
};

/// Between two looks at the ring buffer.
const LOOK: Duration = Duration::from_millis(10);

/// Octets of a link header, with two VLAN tags.
const HEADER_OCTETS_MAX: u64 = 22;

/// What the fates are counted in.
const UNIT: &str = "frames";

/// A program that counts packets into flows, on an interface.
pub struct KernelInput {
    interface: String,
    /// The interface's number, which another one of its name has not.
    index: u32,
    /// Who runs the program that counts what is received, if that is counted.
    mode: Option<AttachMode>,
    directions: Directions,
    capture: KernelCapture,
    pane_ns: u64,
    with_tcp_flags: bool,
    /// Octets of the longest frame that holds one packet of the interface.
    frame_octets_max: u64,
    /// Of a mirror port, asks for frames to everybody.
    _promiscuous: Option<Promiscuous>,
}

impl KernelInput {
    /// Attaches the programs to `interface` that count frames of these directions, for queries of which some read
    /// [`PACKET_FLOWS`] or [`TABLE_FLOWS`]. Where the driver cannot run that of XDP the kernel does. Frames of a mirror port
    /// are not passed on to the host.
    ///
    /// # Errors
    /// What stands in the way, with the mend.
    pub fn open(
        interface: &str,
        (is_mirror, directions): (bool, Directions),
        rules: &[(Rule, Verdict)],
        demand: &Demand,
    ) -> Result<Self, LiveError> {
        let link = link::find(interface).ok().flatten();
        let link = link.ok_or_else(|| KernelError::NoInterface(interface.to_owned()))?;
        let columns = demand.columns(StreamId::PacketFlows).unwrap_or_default();
        let pane_ns = pane_of(demand);
        let with_tcp_flags = columns.contains(&(PacketFlowColumn::TcpFlags as usize));
        let mut capture = KernelCapture::load(&KernelOptions {
            panes: Clock::measure().grid(pane_ns, monotonic_ns()),
            with_tcp_flags,
            is_raw_ip: link.carries() == Carries::RawIp,
            rules: rules.to_vec(),
            counts_sent: directions.has_sent(),
            ..KernelOptions::default()
        })?;
        if directions.has_sent() {
            capture.attach_to_sent(interface)?;
        }
        let mode = directions.has_received().then(|| attach(&mut capture, interface)).transpose()?;
        capture.set_mirror(is_mirror);
        let promiscuous = is_mirror.then(|| Promiscuous::ask(interface)).transpose()?;
        let frame_octets_max = u64::from(link.mtu_octets) + HEADER_OCTETS_MAX;
        let (interface, index) = (link.name, link.index);
        Ok(Self {
            interface,
            index,
            mode,
            directions,
            capture,
            pane_ns,
            with_tcp_flags,
            frame_octets_max,
            _promiscuous: promiscuous,
        })
    }

    /// Whether the interface is there no more; not when the kernel just does not say.
    fn is_gone(&self) -> bool {
        link::find(&self.interface).is_ok_and(|found| found.is_none_or(|link| link.index != self.index))
    }

    /// What the program takes from the card.
    #[must_use]
    pub const fn card(&self) -> &CardUse {
        self.capture.card()
    }

    /// The program's pre-filter.
    #[must_use]
    pub fn prefilter(&self) -> SharedPreFilter {
        self.capture.prefilter()
    }

    /// Reads the packets of the same interface besides: those of a mirror port come through the same program, where
    /// that can be; where not, they are passed on to the host for `AF_PACKET` to find them there.
    ///
    /// # Errors
    /// As for [`live::open`].
    pub fn open_packets(&mut self, options: &LiveOptions) -> Result<Box<dyn FrameSource>, LiveError> {
        let source = live::open_on(&mut self.capture, &self.interface, options)?;
        if source.description().mode == LiveMode::Packet {
            self.capture.set_mirror(false);
        }
        Ok(source)
    }
}

/// Attaches the program that counts what is received; says who runs it.
fn attach(capture: &mut KernelCapture, interface: &str) -> Result<AttachMode, KernelError> {
    match capture.attach(interface, AttachMode::Native) {
        Ok(()) => Ok(AttachMode::Native),
        Err(KernelError::Refused { .. }) => {
            capture.attach(interface, AttachMode::Generic)?;
            Ok(AttachMode::Generic)
        }
        Err(error) => Err(error),
    }
}

/// Empties a flow table.
pub struct KernelSource {
    input: KernelInput,
    /// What the program is told to leave out of the table.
    filter: ReaderFilter,
    /// What it does not get from its card, until that was told.
    drawback: Option<String>,
    options: SourceOptions,
    clock: Clock,
    /// In which panes the entries of the table are counted, in nanoseconds.
    counted_pane_ns: u64,
    drain_every: Duration,
    drained: Instant,
    builder: BatchBuilder,
    ledger: Option<LedgerRows>,
    /// What was taken out of the table, the first `appended` rows of it being in the batch that is built.
    intake: Intake,
    appended: usize,
    /// Frames before this are in rows; and in batches that were taken.
    until: EventTime,
    /// No frame that was taken out of the table is later.
    latest: EventTime,
    watermarks: Watermarks,
    has_ended: bool,
    at_end: Option<AtEnd>,
    passing: Passing,
    entries: u64,
    lost: u64,
    failure: Option<String>,
    reported: Reported<KernelReport>,
}

impl KernelSource {
    /// Reads what the program of `input` counts.
    #[must_use]
    pub fn new(input: KernelInput, options: &SourceOptions) -> Self {
        let (frame_octets_max, selecting) = (input.frame_octets_max, Selecting::by(&options.selection));
        let (of_program, clock) = (input.capture.filter(), Arc::clone(&options.clock));
        let filter = ReaderFilter::new(&input.interface, of_program, FrameReader::Table, clock);
        let intake = Intake { frame_octets_max, selecting, ..Intake::default() };
        Self {
            filter,
            drawback: input.card().drawback.clone(),
            drain_every: drains_every(input.pane_ns),
            counted_pane_ns: input.pane_ns,
            input,
            options: options.clone(),
            clock: Clock::measure(),
            drained: Instant::now(),
            builder: BatchBuilder::new(&PACKET_FLOWS, &[], options.batch_rows),
            ledger: None,
            intake,
            appended: 0,
            until: EventTime::MIN,
            latest: EventTime::MIN,
            watermarks: Watermarks::BEGINNING,
            has_ended: false,
            at_end: None,
            passing: Passing::default(),
            entries: 0,
            lost: 0,
            failure: None,
            reported: Reported::default(),
        }
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

    /// Where its account is told.
    #[must_use]
    pub fn reported(&self) -> Reported<KernelReport> {
        self.reported.clone()
    }

    /// Takes everything out of the table.
    fn drain(&mut self) -> Result<(), KernelError> {
        let Self { input, intake, clock, counted_pane_ns, .. } = self;
        let KernelInput { capture, pane_ns, .. } = input;
        // What was counted until now was counted by the clock and in the panes as they were then.
        let (before, pane_before) = (*clock, std::mem::replace(counted_pane_ns, *pane_ns));
        *clock = Clock::measure();
        let grid = clock.grid(*pane_ns, monotonic_ns());
        // What has left the table early may be of the new panes already.
        let either_pane_ns = greatest_common_divisor(pane_before, *pane_ns);
        let known = intake.rows.len();
        let drained = capture.table().drain(grid, |entry| intake.take(entry, before, either_pane_ns));
        heaviest_first(&mut intake.rows[known..]);
        let drained = drained?;
        self.entries += drained.entries + drained.ring_entries;
        [self.until, self.latest] =
            [drained.until_ns, drained.latest_ns].map(|time_ns| time_of(before.utc_ns(time_ns)));
        self.intake.advance(self.until);
        self.drained = Instant::now();
        Ok(())
    }

    /// Lets another selection hold from now on, if the program counts all that it keeps: what was counted before is looked
    /// at by the one before it.
    fn look_at_selection(&mut self) -> Result<(), KernelError> {
        let Some(change) = self.intake.selecting.change() else {
            self.filter.go_on();
            return Ok(());
        };
        let kept = change.kept();
        if !self.filter.keep(vec![self.intake.selecting.kept(), Arc::clone(&kept)]) {
            return Ok(());
        }
        let drained = self.drain();
        self.intake.selecting.take_up(change);
        self.filter.keep(vec![kept]);
        drained
    }

    /// Whether some query reads TCP flags, which its program does not count.
    fn lacks_tcp_flags(&self, demand: &Demand) -> bool {
        let columns = demand.columns(StreamId::PacketFlows).unwrap_or_default();
        columns.contains(&(PacketFlowColumn::TcpFlags as usize)) && !self.input.with_tcp_flags
    }

    /// A row of what changed in the account, now and then.
    fn take_ledger(&mut self) -> Option<RecordBatch> {
        let (time, account) = (self.options.clock.now(), self.fates());
        let ledger = self.ledger.as_mut()?;
        if self.has_ended || ledger.is_due(time) {
            ledger.note_whole(&account, 0, UNIT, time);
        }
        self.watermarks.set(StreamId::Ledger, time);
        ledger.finish()
    }

    /// The rows that were taken out of the table.
    fn take_rows(&mut self, all: bool) -> Option<RecordBatch> {
        let rows = &mut self.intake.rows;
        for burst in rows[self.appended..].chunks(BURST_ROWS) {
            self.builder
                .append(burst.len(), |position, column| PacketFlowRow::append(burst, position, column));
            self.appended += burst.len();
            if self.builder.is_full() {
                break;
            }
        }
        let has_all = self.appended == rows.len();
        if has_all {
            rows.clear();
            self.appended = 0;
        }
        let is_due = self.builder.is_full() || all && self.builder.rows() > 0;
        let batch = is_due.then(|| self.builder.finish());
        if has_all && self.builder.rows() == 0 {
            self.watermarks.set(StreamId::PacketFlows, self.until);
        }
        batch
    }

    /// The records of flows that wait.
    fn take_flows(&mut self, all: bool) -> Option<RecordBatch> {
        let (batch, watermark) = self.intake.flows.as_mut()?.take(all);
        if let Some(watermark) = watermark {
            self.watermarks.set(StreamId::TableFlows, watermark);
        }
        batch
    }

    /// Takes what left the table early.
    fn drain_ring(&mut self) {
        let Self { input, intake, clock, counted_pane_ns, .. } = self;
        let table = input.capture.table();
        self.entries += table.drain_ring(|entry| intake.take(entry, *clock, *counted_pane_ns));
    }

    /// Builds what is demanded from now on.
    fn build(&mut self, demand: &Demand) {
        let columns = demand.columns(StreamId::PacketFlows);
        self.builder.relayout(columns.unwrap_or_default());
        self.intake.source = self.builder.intern(&self.input.interface);
        self.intake.sends_rows = columns.is_some();
        if columns.is_none() {
            self.intake.rows.clear();
            self.appended = 0;
        }
        let since = if self.until == EventTime::MIN { self.options.clock.now() } else { self.until };
        let before = self.intake.flows.take();
        self.intake.flows = TableFlows::by(before, demand, &self.input.interface, (&self.options, since));
        self.ledger = LedgerRows::by(self.ledger.take(), demand.columns(StreamId::Ledger), || {
            (flow_table_of(&self.input.interface), ExporterIdentity::default())
        });
        self.watermarks = self.watermarks.carrying(&self.streams());
    }
}

/// What the ledger calls the table of an interface.
#[must_use]
pub fn flow_table_of(interface: &str) -> String {
    format!("{interface} by its flow table")
}

impl Source for KernelSource {
    fn name(&self) -> String {
        flow_table_of(&self.input.interface)
    }

    fn unit(&self) -> &'static str {
        UNIT
    }

    fn fates(&self) -> SourceLedger {
        let counters = self.input.capture.counters();
        let (delivered, dropped) = (self.intake.delivered, counters.lost_packets);
        let left_out = counters.filtered_packets + counters.unwanted_packets + counters.uncounted_packets;
        let filtered = self.intake.filtered + left_out;
        let offered = delivered + filtered + dropped;
        SourceLedger { offered, delivered, filtered, dropped, ..SourceLedger::default() }
    }

    fn failure(&self) -> Option<String> {
        self.failure.as_deref().map(gone_wrong)
    }

    fn bind(&mut self, demand: &Demand) -> io::Result<()> {
        self.filter.begin(self.intake.selecting.kept(), needed(demand), true);
        self.build(demand);
        Ok(())
    }

    fn prepare(&mut self, demand: &Demand) -> bool {
        // What it cannot give is refused when it is to go over to that.
        self.lacks_tcp_flags(demand) || self.filter.need(needed(demand), true)
    }

    fn relayout(&mut self, demand: &Demand) -> io::Result<()> {
        if self.lacks_tcp_flags(demand) {
            let message = format!(
                "the program that counts on {} was loaded without TCP flags, which no query read then; start with one that does",
                self.input.interface
            );
            return Err(io::Error::other(message));
        }
        // What is in the table by now is of panes as they were; from here on they are as the queries now need them.
        self.input.pane_ns = pane_of(demand);
        self.drain_every = drains_every(self.input.pane_ns);
        self.settle()?;
        self.build(demand);
        Ok(())
    }

    fn settle(&mut self) -> io::Result<()> {
        self.passing.look_now();
        self.drain().map_err(|error| io::Error::other(error.to_string()))?;
        self.passing.has_read_all();
        Ok(())
    }

    fn position(&self) -> Option<String> {
        self.passing.position()
    }

    fn is_live(&self) -> bool {
        true
    }

    fn step(&mut self) -> Step {
        sleep(LOOK.min(self.drain_every.saturating_sub(self.drained.elapsed())));
        let selected = self.look_at_selection();
        if selected.is_ok() && self.drained.elapsed() < self.drain_every {
            self.drain_ring();
            return Step::Read;
        }
        let gone = self.input.is_gone().then(|| format!("interface `{}` is gone", self.input.interface));
        self.failure = gone.or(selected.and_then(|()| self.drain()).err().map(|error| error.to_string()));
        if self.failure.is_some() { Step::End } else { Step::Idle }
    }

    fn streams(&self) -> Vec<&'static Stream> {
        let rows = self.intake.sends_rows.then_some(&PACKET_FLOWS);
        let flows = self.intake.flows.as_ref().map(|_| &TABLE_FLOWS);
        [rows, flows, self.ledger.as_ref().map(|_| &LEDGER)].into_iter().flatten().collect()
    }

    fn take(&mut self, stream: StreamId, all: bool) -> Option<RecordBatch> {
        match stream {
            StreamId::PacketFlows => self.take_rows(all),
            StreamId::TableFlows => self.take_flows(all),
            StreamId::Ledger => self.take_ledger(),
            StreamId::Packets | StreamId::Flows | StreamId::InterfaceCounters => None,
        }
    }

    fn watermarks(&self) -> Watermarks {
        self.watermarks
    }

    fn latest(&self) -> EventTime {
        self.latest
    }

    fn counts_packets(&self, stream: StreamId) -> bool {
        matches!(stream, StreamId::PacketFlows | StreamId::TableFlows)
    }

    fn newly_missing(&mut self) -> i64 {
        let lost = self.input.capture.counters().lost_packets;
        let before = std::mem::replace(&mut self.lost, lost);
        i64::try_from(lost - before).unwrap_or(i64::MAX)
    }

    fn notice(&mut self) -> Option<Notice> {
        let has_received = self.input.directions.has_received();
        self.drawback.take().map(Notice::Card).or_else(|| self.filter.notice().filter(|_| has_received))
    }

    fn note_dropped(&mut self, _: StreamId, _: u64) {}

    fn gathers(&self, stream: StreamId) -> bool {
        stream == StreamId::PacketFlows
    }

    fn waits(&self) -> bool {
        true
    }

    fn tell_flows(&mut self, ask: &mut FlowsAsk) -> bool {
        if !ask.is_of_table() {
            return ask.end(FlowsTold::Nothing);
        }
        // Whoever makes records of flows tells which are active, too, and needs all of them anyway.
        if ask.is_fresh() && !self.filter.need_all(self.intake.flows.is_none()) {
            return false;
        }
        let now = self.options.clock.now();
        if ask.is_fresh() {
            // Of what was left out before, earlier packets were not counted.
            let known = self.until.max(self.filter.since()).min(now);
            let since = if self.until == EventTime::MIN { now } else { known };
            if self.intake.flows.is_some() {
                self.intake.watch = None;
            } else {
                self.intake.watch.get_or_insert_with(|| Watch::new(self.options.flows, since));
            }
            // What stands in the table is taken out of it, and not read while the programs write; a failure is seen at
            // the next step.
            if self.drained.elapsed() >= DRAIN_MIN {
                let _ = self.drain();
            }
        }
        match (&mut self.intake.flows, &self.intake.watch) {
            (Some(flows), _) => flows.tell(ask, now),
            (None, Some(watch)) => watch.tell(ask, now),
            // Whoever began to tell does so no more.
            (None, None) => ask.end(FlowsTold::Nothing),
        }
    }

    fn forget_flows(&mut self) {
        self.filter.need_all(false);
        self.intake.watch = None;
        self.intake.flows.iter_mut().for_each(TableFlows::forget);
    }

    fn end(&mut self) {
        // Off the interface first, so that nothing comes after the last look.
        // The second time takes what programs counted that ended after the first.
        let ended = self.input.capture.detach().and_then(|()| self.drain()).and_then(|()| self.drain());
        if let Err(error) = ended {
            self.failure.get_or_insert(error.to_string());
        }
        self.intake.flows.iter_mut().for_each(TableFlows::finish);
        self.at_end.take().into_iter().for_each(|at_end| at_end());
        self.passing.look_now();
        self.passing.has_read_all();
        self.has_ended = true;
    }

    fn recycle(&mut self, stream: StreamId, batch: RecordBatch) {
        match (stream, &mut self.intake.flows) {
            (StreamId::PacketFlows, _) => self.builder.recycle(batch),
            (StreamId::TableFlows, Some(flows)) => flows.recycle(batch),
            _ => {}
        }
    }

    fn report(&mut self) {
        self.filter.go_on();
        self.reported.tell(KernelReport {
            counters: self.input.capture.counters(),
            interface: self.input.interface.clone(),
            mode: self.input.mode,
            sent: self.input.directions.has_sent().then(|| self.input.capture.sent()),
            card: self.input.card().clone(),
            ledger: self.fates(),
            joined: self.intake.joined,
            entries: self.entries,
            flows: self.intake.flows.as_ref().map(TableFlows::counters),
            // What is sent passes no filter in the kernel.
            filter: self.input.mode.map_or(FilterState::Open, |_| self.filter.state()),
            failure: self.failure(),
        });
    }

    fn progress(&self) -> Progress {
        let counters = self.input.capture.counters();
        Progress { octets: counters.seen_octets, total_octets: None, frames: counters.seen_packets }
    }
}

/// Conditions, one of which holds of each frame that the table has to count. Records of flows are made of all of them.
fn needed(demand: &Demand) -> Vec<Arc<Predicate>> {
    match demand.columns(StreamId::TableFlows) {
        Some(_) => vec![Arc::new(Predicate::ALWAYS)],
        None => demand.wanted(StreamId::PacketFlows).to_vec(),
    }
}
