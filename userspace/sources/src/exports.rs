//! Flow exports, of files or as they arrive.

use crate::clock::Clock;
use crate::demand::Demand;
use crate::ledger::LedgerRows;
use crate::listener::{Listener, ListenerReport, take};
use crate::notice::{Notice, Notices};
use crate::options::SourceOptions;
use crate::report::Reported;
use crate::source::{Missed, Progress, Source, Step, gone_wrong};
use arrow_array::RecordBatch;
use arrow_array::cast::AsArray as _;
use arrow_array::types::TimestampNanosecondType;
use std::io;
use tapline_capture::End;
use tapline_decode::export::{
    ExportAccount, ExportDecoder, ExportOptions, MissedRecords, SavedNumber, Strays,
};
use tapline_exports::{ExportCounters, ExportSet, Restored, TemplateFile};
use tapline_record::column::Symbol;
use tapline_record::ledger::SourceLedger;
use tapline_record::{
    EventTime, FLOWS, FlowColumn, INTERFACE_COUNTERS, InterfaceColumn, LEDGER, Stream, StreamId, Watermarks,
};

/// Messages that are read of files in one step.
const MESSAGES_A_STEP: usize = 256;
/// Rows of a batch when only times are looked at.
const SCAN_ROWS: usize = 8192;
/// A step reads a listener no longer than this, in nanoseconds: orders wait meanwhile.
const STEP_NS: i64 = 5_000_000;

/// What stands before the time at which a position was asked for.
const SINCE: &str = "since ";
/// How long after a start behind such a position an exporter that nobody knows may have sent before, in nanoseconds.
const NEW_FOR_NS: i64 = 60_000_000_000;

/// What the fates of the source as a whole are counted in.
const UNIT: &str = "rows";

/// Where messages come from.
enum ExportInput {
    Files(ExportSet),
    Listener(Box<Listener>),
}

impl ExportInput {
    fn name(&self) -> String {
        match self {
            Self::Files(files) => files.files().map(|(name, _)| name).collect::<Vec<_>>().join(", "),
            Self::Listener(listener) => listener.url(),
        }
    }

    /// The names of what the messages are of: the files as they were named, or the listener's URL.
    fn sources(&self) -> Vec<String> {
        match self {
            Self::Files(files) => files.paths().to_vec(),
            Self::Listener(listener) => vec![listener.url()],
        }
    }
}

/// What became of the templates of an earlier run.
#[derive(Clone, Debug)]
pub struct TemplateReport {
    /// What was restored.
    pub restored: Restored,
    /// Why this run's templates could not be kept.
    pub failure: Option<String>,
}

/// The account of an export source.
#[derive(Clone, Debug)]
pub struct ExportReport {
    /// What rows name as their source; of several files, the names of all.
    pub source: String,
    /// Rows and their fates; dropped are those that the workers had no room for.
    pub rows: SourceLedger,
    /// Every exporter and domain.
    pub accounts: Vec<ExportAccount>,
    /// Messages that belong to no exporter.
    pub strays: Strays,
    /// How each file ended; `None` when it was not read to its end.
    pub files: Vec<(String, Option<End>)>,
    /// What files held.
    pub counters: Option<ExportCounters>,
    /// What was listened on.
    pub listener: Option<ListenerReport>,
    /// What became of the templates of an earlier run, where they are kept.
    pub templates: Option<TemplateReport>,
}

/// Reads export messages.
pub struct ExportSource {
    input: ExportInput,
    /// What a listener is called, where that is not the URL of its socket.
    name: Option<String>,
    options: SourceOptions,
    decoder: ExportDecoder,
    sends_flows: bool,
    sends_counters: bool,
    ledger: Option<LedgerRows>,
    /// Where messages are of several files and some query reads of which: the symbol of each file.
    turns: Vec<Symbol>,
    /// Rows of flows, and of counters, dropped between this source and the workers.
    rows_dropped: u64,
    counters_dropped: u64,
    /// How far a record of files may lie behind the latest one, and one of a listener behind its arrival.
    lateness_ns: i64,
    /// The widths of the intervals after each of which some query takes no more rows of `flows`.
    closing_widths_ns: Vec<i64>,
    /// Records that went missing until the last look.
    missing: u64,
    templates: Option<TemplateFile>,
    restored: Restored,
    /// Where an earlier run was when somebody asked it last.
    position: Option<String>,
    watermarks: Watermarks,
    notices: Notices,
    has_ended: bool,
    failure: Option<io::Error>,
    template_failure: Option<String>,
    reported: Reported<ExportReport>,
}

impl ExportSource {
    /// Reads files, whose records lie so far behind the latest one; see [`disorder_ns`].
    #[must_use]
    pub fn of_files(files: ExportSet, lateness_ns: i64, options: &SourceOptions) -> Self {
        Self::new(ExportInput::Files(files), lateness_ns, options)
    }

    /// Reads what arrives; with a file, takes the templates of an earlier run from it, and keeps those of this one
    /// there.
    #[must_use]
    pub fn of_listener(listener: Listener, templates: Option<TemplateFile>, options: &SourceOptions) -> Self {
        let input = ExportInput::Listener(Box::new(listener));
        Self { templates, ..Self::new(input, options.exports_lateness_ns(), options) }
    }

    /// Calls it by this name in the column `source`, in place of the URL of its socket or the files' names.
    #[must_use]
    pub fn named(self, name: String) -> Self {
        Self { name: Some(name), ..self }
    }

    /// Goes on behind this [`Source::position`] of an earlier run, unless that run left numbers of its end: what was sent
    /// since then is missing.
    #[must_use]
    pub fn resuming(self, position: String) -> Self {
        Self { position: Some(position), ..self }
    }

    /// Takes up the numbers of exporters where an earlier run was, unless there are later ones.
    fn resume(&mut self) {
        let position = self.position.take().filter(|_| self.restored.numbers == 0).unwrap_or_default();
        for line in position.lines() {
            if let Some(since) = line.strip_prefix(SINCE).and_then(|since| since.parse().ok()) {
                let until = self.options.clock.now().plus(NEW_FOR_NS);
                self.decoder.doubt_newcomers(EventTime(since), until);
                continue;
            }
            let is_taken = line.parse::<SavedNumber>().is_ok_and(|saved| self.decoder.resume(&saved));
            *(if is_taken { &mut self.restored.numbers } else { &mut self.restored.refused }) += 1;
        }
    }

    fn new(input: ExportInput, lateness_ns: i64, options: &SourceOptions) -> Self {
        Self {
            decoder: ExportDecoder::new(&[], options.batch_rows, options.exports),
            options: options.clone(),
            sends_flows: false,
            sends_counters: false,
            ledger: None,
            turns: vec![],
            input,
            name: None,
            lateness_ns,
            closing_widths_ns: vec![],
            missing: 0,
            rows_dropped: 0,
            counters_dropped: 0,
            templates: None,
            restored: Restored::default(),
            position: None,
            watermarks: Watermarks::BEGINNING,
            notices: Notices::default(),
            has_ended: false,
            failure: None,
            template_failure: None,
            reported: Reported::default(),
        }
    }

    /// Where its account is told.
    #[must_use]
    pub fn reported(&self) -> Reported<ExportReport> {
        self.reported.clone()
    }

    /// Builds what is demanded from now on.
    fn build(&mut self, demand: &Demand) {
        let columns = demand.columns(StreamId::Flows);
        let counters = demand.columns(StreamId::InterfaceCounters);
        self.decoder.relayout(columns.unwrap_or_default(), counters);
        self.sends_flows = columns.is_some();
        self.sends_counters = counters.is_some();
        self.name_sources(demand);
        self.closing_widths_ns = demand.closing_widths_ns(StreamId::Flows).collect();
        self.ledger = LedgerRows::by(self.ledger.take(), demand.columns(StreamId::Ledger), || {
            (self.name(), self.options.exports.identity)
        });
        self.watermarks = self.watermarks.carrying(&self.streams());
    }

    /// Rows of what changed in the account: of a live source now and then, of files at their end.
    fn take_ledger(&mut self) -> Option<RecordBatch> {
        let fates = self.fates();
        let ledger = self.ledger.as_mut()?;
        let (now, socket_drops) = match &mut self.input {
            ExportInput::Files(_) => (self.decoder.latest().unwrap_or(EventTime(0)), 0),
            ExportInput::Listener(listener) => (self.options.clock.now(), listener.socket_drops()),
        };
        let is_live = matches!(self.input, ExportInput::Listener(_));
        if self.has_ended || is_live && ledger.is_due(now) {
            ledger.note_whole(&fates, socket_drops, UNIT, now);
            ledger.note_strays(&self.decoder.strays(), now);
            ledger.note_exporters(self.decoder.accounts(), now);
        }
        self.watermarks.set(StreamId::Ledger, if is_live { now } else { EventTime::MIN });
        ledger.finish()
    }

    /// The rows of `flows`; without a query for them they are done with.
    fn take_flows(&mut self, all: bool) -> Option<RecordBatch> {
        let is_due = all || self.decoder.is_full();
        let batch = is_due.then(|| self.decoder.finish()).flatten();
        if !self.sends_flows {
            batch.into_iter().for_each(|batch| self.decoder.recycle(batch));
            return None;
        }
        if is_due {
            self.advance_flows();
        }
        batch
    }

    /// The rows of `interface_counters`.
    fn take_counters(&mut self) -> Option<RecordBatch> {
        let batch = self.decoder.finish_interface_counters();
        let time = if self.is_live() { self.options.clock.now() } else { self.files_watermark() };
        self.watermarks.set(StreamId::InterfaceCounters, time);
        batch
    }

    /// No row of `flows` waits: later ones are not older than this. The watermark of a listener follows our clock,
    /// whatever any exporter's says: rows that come later than is allowed are late, and hold up nobody.
    fn advance_flows(&mut self) {
        let watermark = if self.is_live() {
            self.options.clock.now().plus(-self.lateness_ns)
        } else {
            self.files_watermark()
        };
        self.watermarks.set(StreamId::Flows, watermark);
        let closed_until = self.closing_widths_ns.iter().map(|&width| watermark.align_down(width)).max();
        self.decoder.note_closed(closed_until.unwrap_or(EventTime::MIN));
    }

    fn files_watermark(&self) -> EventTime {
        self.decoder.latest().unwrap_or(EventTime::MIN).plus(-self.lateness_ns)
    }

    /// Keeps the templates, now and then before the end; where that fails, goes on without.
    fn keep_templates(&mut self, is_end: bool) {
        let Some(file) = &mut self.templates else { return };
        let kept =
            if is_end { file.end(&self.decoder) } else { file.keep(&self.decoder, self.options.clock.now()) };
        if let Err(error) = kept {
            self.templates = None;
            self.template_failure = Some(error.to_string());
        }
    }

    /// Names the sources of rows: the only one once, those of several files turn by turn, if some query reads them.
    fn name_sources(&mut self, demand: &Demand) {
        let reads = |stream, column| demand.columns(stream).is_some_and(|columns| columns.contains(&column));
        if !reads(StreamId::Flows, FlowColumn::Source as usize)
            && !reads(StreamId::InterfaceCounters, InterfaceColumn::Source as usize)
        {
            return;
        }
        let names = self.name.clone().map_or_else(|| self.input.sources(), |name| vec![name]);
        let symbols: Vec<_> = names.iter().map(|name| self.decoder.intern_source(name)).collect();
        symbols.first().iter().for_each(|&&source| self.decoder.set_source(source));
        if let ExportInput::Files(files) = &mut self.input
            && symbols.len() > 1
        {
            files.read_by_turns();
            self.turns = symbols;
        }
    }

    /// Reads until a batch is full, each turn of a file as of its symbol, where there are any.
    fn step_files(files: &mut ExportSet, turns: &[Symbol], decoder: &mut ExportDecoder) -> Step {
        while !decoder.is_full() {
            if !turns.is_empty()
                && let Some(source) = files.turn().and_then(|file| turns.get(file))
            {
                decoder.set_source(*source);
            }
            let read = files.read(MESSAGES_A_STEP, &mut |event| take(event, decoder));
            if read == 0 {
                return if files.is_at_end() { Step::End } else { Step::Idle };
            }
        }
        Step::Read
    }

    fn step_listener(
        listener: &mut Listener,
        clock: &dyn Clock,
        decoder: &mut ExportDecoder,
    ) -> io::Result<Step> {
        let begun = clock.now();
        while !decoder.is_full() {
            if listener.read(clock, decoder)? == 0 {
                return Ok(Step::Idle);
            }
            // So it does when the clock was set back.
            if !(0..STEP_NS).contains(&(clock.now().0 - begun.0)) {
                break;
            }
        }
        Ok(Step::Read)
    }
}

impl Source for ExportSource {
    fn name(&self) -> String {
        self.name.clone().unwrap_or_else(|| self.input.name())
    }

    fn unit(&self) -> &'static str {
        UNIT
    }

    fn fates(&self) -> SourceLedger {
        let rows = self.decoder.rows_decoded();
        let dropped = self.rows_dropped.min(rows);
        SourceLedger {
            offered: rows + self.counters_dropped,
            delivered: rows - dropped,
            dropped: dropped + self.counters_dropped,
            ..SourceLedger::default()
        }
    }

    fn failure(&self) -> Option<String> {
        self.failure.as_ref().map(|error| gone_wrong(&error.to_string()))
    }

    fn bind(&mut self, demand: &Demand) -> io::Result<()> {
        self.build(demand);
        if let Some(file) = &self.templates {
            let cannot =
                |error| io::Error::other(format!("the templates of an earlier run cannot be read: {error}"));
            self.restored = file.load(&mut self.decoder).map_err(cannot)?;
        }
        self.resume();
        Ok(())
    }

    fn relayout(&mut self, demand: &Demand) -> io::Result<()> {
        self.build(demand);
        Ok(())
    }

    fn is_live(&self) -> bool {
        matches!(self.input, ExportInput::Listener(_))
    }

    fn step(&mut self) -> Step {
        self.keep_templates(false);
        let Self { input, decoder, failure, options, turns, .. } = self;
        match input {
            ExportInput::Files(files) => Self::step_files(files, turns, decoder),
            ExportInput::Listener(listener) => Self::step_listener(listener, options.clock.as_ref(), decoder)
                .unwrap_or_else(|error| {
                    *failure = Some(error);
                    Step::End
                }),
        }
    }

    fn streams(&self) -> Vec<&'static Stream> {
        let counters = self.sends_counters.then_some(&INTERFACE_COUNTERS);
        let ledger = self.ledger.as_ref().map(|_| &LEDGER);
        [Some(&FLOWS), counters, ledger].into_iter().flatten().collect()
    }

    fn take(&mut self, stream: StreamId, all: bool) -> Option<RecordBatch> {
        match stream {
            StreamId::Flows => self.take_flows(all),
            StreamId::InterfaceCounters => self.take_counters(),
            StreamId::Ledger => self.take_ledger(),
            StreamId::Packets | StreamId::PacketFlows | StreamId::TableFlows => None,
        }
    }

    fn watermarks(&self) -> Watermarks {
        self.watermarks
    }

    fn lateness_ns(&self, stream: StreamId) -> i64 {
        if stream == StreamId::Flows { self.lateness_ns } else { 0 }
    }

    fn latest(&self) -> EventTime {
        self.decoder.latest().unwrap_or(EventTime::MIN)
    }

    fn newly_missing(&mut self) -> i64 {
        let missing = self.decoder.missing_records();
        let before = std::mem::replace(&mut self.missing, missing);
        i64::try_from(i128::from(missing) - i128::from(before)).unwrap_or(0)
    }

    fn missed_before(&mut self) -> Vec<Missed> {
        // Nobody knows of which stream they would have been: they are missing in each, as what is lost later is.
        let of = |MissedRecords { since, until, records }: MissedRecords| {
            let missed = move |stream| Missed { stream, since, until, records };
            [StreamId::Flows, StreamId::InterfaceCounters].map(missed)
        };
        self.decoder.take_missed().into_iter().flat_map(of).collect()
    }

    /// When it is asked, and which numbers of exporters come next, a line each. Of what waits for its template the numbers
    /// have passed, and say so.
    fn position(&self) -> Option<String> {
        let numbers = self.is_live().then(|| self.decoder.numbers())?;
        let mut position = format!("{SINCE}{}\n", self.options.clock.now().0);
        position.extend(numbers.map(|number| format!("{number}\n")));
        Some(position)
    }

    fn notice(&mut self) -> Option<Notice> {
        if self.is_live() {
            self.notices.look(self.options.clock.now(), || self.decoder.accounts());
        }
        self.notices.next()
    }

    fn note_dropped(&mut self, stream: StreamId, rows: u64) {
        match stream {
            StreamId::InterfaceCounters => self.counters_dropped += rows,
            _ => self.rows_dropped += rows,
        }
    }

    fn end(&mut self) {
        self.decoder.give_up_waiting();
        self.keep_templates(true);
        self.has_ended = true;
    }

    fn recycle(&mut self, stream: StreamId, batch: RecordBatch) {
        if stream == StreamId::Flows {
            self.decoder.recycle(batch);
        }
    }

    fn report(&mut self) {
        let failure = self.failure();
        let (source, rows) = (self.name(), self.fates());
        let (files, counters, listener) = match &mut self.input {
            ExportInput::Files(files) => {
                let ends = files.files().map(|(name, end)| (name.to_owned(), end.cloned()));
                (ends.collect(), Some(files.counters()), None)
            }
            ExportInput::Listener(listener) => {
                (vec![], None, Some(listener.report(source.clone(), rows, failure)))
            }
        };
        let keeps_templates = self.templates.is_some() || self.template_failure.is_some();
        let templates = || TemplateReport { restored: self.restored, failure: self.template_failure.clone() };
        self.reported.tell(ExportReport {
            source,
            rows,
            accounts: self.decoder.report(),
            strays: self.decoder.strays(),
            templates: keeps_templates.then(templates),
            files,
            counters,
            listener,
        });
    }

    fn progress(&self) -> Progress {
        match &self.input {
            ExportInput::Files(files) => Progress {
                octets: files.position_octets(),
                total_octets: files.total_octets(),
                frames: files.counters().messages,
            },
            ExportInput::Listener(listener) => {
                let (frames, octets) = listener.received();
                Progress { octets, total_octets: None, frames }
            }
        }
    }
}

/// How far the records of files lie behind the latest one, in nanoseconds.
#[must_use]
pub fn disorder_ns(mut files: ExportSet, options: ExportOptions) -> i64 {
    let mut decoder = ExportDecoder::new(&[Stream::TS], SCAN_ROWS, options);
    let (mut latest, mut disorder) = (i64::MIN, 0);
    let mut measure = |decoder: &mut ExportDecoder| {
        let Some(batch) = decoder.finish() else { return };
        for &time in batch.column(0).as_primitive::<TimestampNanosecondType>().values() {
            latest = latest.max(time);
            disorder = disorder.max(latest.saturating_sub(time));
        }
        decoder.recycle(batch);
    };
    while ExportSource::step_files(&mut files, &[], &mut decoder) != Step::End {
        measure(&mut decoder);
    }
    measure(&mut decoder);
    disorder
}
