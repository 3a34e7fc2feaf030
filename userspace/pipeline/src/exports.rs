//! Flow exports, of files or as they arrive.

use crate::ledger::LedgerRows;
use crate::notice::{Notice, Notices};
use crate::sink::Progress;
use crate::source::{Source, Step, now};
use arrow_array::RecordBatch;
use arrow_array::cast::AsArray as _;
use arrow_array::types::TimestampNanosecondType;
use std::io;
use tapline_capture::{
    ExportCounters, ExportEvent, ExportSet, IpfixListener, Restored, TcpCounters, TemplateFile, UdpListener,
};
use tapline_decode::export::{ExportAccount, ExportDecoder, ExportOptions, Strays};
use tapline_record::ledger::SourceLedger;
use tapline_record::{EventTime, FLOWS, INTERFACE_COUNTERS, LEDGER, Stream, StreamId, Watermarks};

/// Messages that are read of files in one step.
const MESSAGES_A_STEP: usize = 256;
/// Rows of a batch when only times are looked at.
const SCAN_ROWS: usize = 8192;
/// Reads of a listener in one step, at most.
const READS_A_STEP: usize = 64;

/// Which columns to build, in which batches.
#[derive(Clone, Debug)]
pub(crate) struct ExportPlan {
    /// Columns of `flows`, if some query reads it.
    pub(crate) columns: Option<Vec<usize>>,
    /// Columns of `interface_counters`, if some query reads it.
    pub(crate) interface_columns: Option<Vec<usize>>,
    /// Columns of `ledger`, if some query reads it.
    pub(crate) ledger_columns: Option<Vec<usize>>,
    pub(crate) batch_rows: usize,
    /// How far a record of files may lie behind the latest one, and one of a listener behind its arrival.
    pub(crate) lateness_ns: i64,
    /// The widths of the panes of all queries that read `flows`.
    pub(crate) pane_widths_ns: Vec<i64>,
    pub(crate) options: ExportOptions,
}

/// Where messages come from.
pub(crate) enum ExportInput {
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
}

/// A bound listener.
pub enum Listener {
    /// Of NetFlow, IPFIX and sFlow in datagrams.
    Udp(UdpListener),
    /// Of IPFIX in connections.
    Tcp(IpfixListener),
}

impl Listener {
    /// Lends what came to the decoder; gives how many messages.
    fn read(&mut self, decoder: &mut ExportDecoder) -> io::Result<usize> {
        match self {
            Self::Udp(listener) => listener.read(now, &mut |datagram| decoder.push(datagram)),
            Self::Tcp(listener) => listener.read(now, &mut |event| take(event, decoder)),
        }
    }

    /// Messages and octets so far.
    const fn received(&self) -> (u64, u64) {
        match self {
            Self::Udp(listener) => (listener.counters().datagrams, listener.counters().octets),
            Self::Tcp(listener) => (listener.counters().messages, listener.counters().octets),
        }
    }

    /// Packets that the kernel dropped.
    fn socket_drops(&mut self) -> u64 {
        match self {
            Self::Udp(listener) => listener.drops().unwrap_or_default(),
            Self::Tcp(_) => 0,
        }
    }

    /// What it listens on.
    fn url(&self) -> String {
        let (scheme, address) = match self {
            Self::Udp(listener) => ("udp", listener.local_address()),
            Self::Tcp(listener) => ("tcp", listener.local_address()),
        };
        address.map_or_else(|_| scheme.to_owned(), |address| format!("{scheme}://{address}"))
    }

    fn report(&mut self, failure: Option<String>) -> ListenerReport {
        let (messages, octets) = self.received();
        ListenerReport {
            address: self.url(),
            messages,
            octets,
            socket_drops: self.socket_drops(),
            receive_buffer_octets: match self {
                Self::Udp(listener) => Some(listener.receive_buffer_octets()),
                Self::Tcp(_) => None,
            },
            connections: match self {
                Self::Udp(_) => None,
                Self::Tcp(listener) => Some(listener.counters()),
            },
            failure,
        }
    }
}

fn take(event: &ExportEvent<'_>, decoder: &mut ExportDecoder) {
    match event {
        ExportEvent::Message(datagram) => decoder.push(datagram),
        ExportEvent::Closed(sender) => decoder.close(*sender),
    }
}

/// The account of one listener.
#[derive(Clone, Debug)]
pub struct ListenerReport {
    /// What it listened on.
    pub address: String,
    /// Messages that were read.
    pub messages: u64,
    /// Their octets.
    pub octets: u64,
    /// Packets that the kernel dropped since nobody read them in time; their messages are lost, and missing in
    /// the exporters' numbers.
    pub socket_drops: u64,
    /// Octets of the kernel's queue as granted; `None` for connections, whose senders wait.
    pub receive_buffer_octets: Option<usize>,
    /// The fates of connections, where there are any.
    pub connections: Option<TcpCounters>,
    /// Why it could not be read any more.
    pub failure: Option<String>,
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
#[derive(Debug)]
pub(crate) struct ExportReport {
    pub(crate) accounts: Vec<ExportAccount>,
    pub(crate) strays: Strays,
    pub(crate) files: Option<(ExportSet, ExportCounters)>,
    pub(crate) listener: Option<ListenerReport>,
    pub(crate) templates: Option<TemplateReport>,
}

/// Reads export messages.
pub(crate) struct ExportSource {
    input: ExportInput,
    decoder: ExportDecoder,
    sends_flows: bool,
    sends_counters: bool,
    ledger: Option<LedgerRows>,
    /// Rows of flows, and of counters, dropped between this source and the workers.
    rows_dropped: u64,
    counters_dropped: u64,
    lateness_ns: i64,
    pane_widths_ns: Vec<i64>,
    /// Records that went missing until the last look.
    missing: u64,
    templates: Option<TemplateFile>,
    restored: Restored,
    watermarks: Watermarks,
    notices: Notices,
    has_ended: bool,
    failure: Option<io::Error>,
    template_failure: Option<String>,
}

impl ExportSource {
    pub(crate) fn new(input: ExportInput, plan: &ExportPlan) -> Self {
        let columns = plan.columns.as_deref().unwrap_or_default();
        let mut decoder = ExportDecoder::new(columns, plan.batch_rows, plan.options);
        if let Some(columns) = &plan.interface_columns {
            decoder = decoder.with_interface_counters(columns);
        }
        Self {
            decoder,
            sends_flows: plan.columns.is_some(),
            sends_counters: plan.interface_columns.is_some(),
            ledger: plan
                .ledger_columns
                .as_ref()
                .map(|columns| LedgerRows::new(columns, &input.name(), plan.options.identity)),
            input,
            lateness_ns: plan.lateness_ns,
            pane_widths_ns: plan.pane_widths_ns.clone(),
            missing: 0,
            rows_dropped: 0,
            counters_dropped: 0,
            templates: None,
            restored: Restored::default(),
            watermarks: Watermarks::BEGINNING,
            notices: Notices::default(),
            has_ended: false,
            failure: None,
            template_failure: None,
        }
    }

    /// Takes the templates of an earlier run from `file`, and keeps those of this one there.
    ///
    /// # Errors
    /// When the file is there but cannot be read.
    pub(crate) fn with_templates(mut self, file: TemplateFile) -> io::Result<Self> {
        self.restored = file.load(&mut self.decoder)?;
        self.templates = Some(file);
        Ok(self)
    }

    /// Rows of what changed in the account: of a live source now and then, of files at their end.
    fn take_ledger(&mut self) -> Option<RecordBatch> {
        let ledger = self.ledger.as_mut()?;
        let (now, socket_drops) = match &mut self.input {
            ExportInput::Files(_) => (self.decoder.latest().unwrap_or(EventTime(0)), 0),
            ExportInput::Listener(listener) => (now(), listener.socket_drops()),
        };
        let is_live = matches!(self.input, ExportInput::Listener(_));
        if self.has_ended || is_live && ledger.is_due(now) {
            let rows = self.decoder.accounts().map(|account| account.counts.rows).sum::<u64>();
            let dropped = self.rows_dropped.min(rows);
            let whole = SourceLedger {
                offered: rows + self.counters_dropped,
                delivered: rows - dropped,
                dropped: dropped + self.counters_dropped,
                ..SourceLedger::default()
            };
            ledger.note_whole(&whole, socket_drops, "rows", now);
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
        let time = if self.is_live() { now() } else { self.files_watermark() };
        self.watermarks.set(StreamId::InterfaceCounters, time);
        batch
    }

    /// No row of `flows` waits: later ones are not older than this. The watermark of a listener follows our clock,
    /// whatever any exporter's says: rows that come later than is allowed are late, and hold up nobody.
    fn advance_flows(&mut self) {
        let watermark = if self.is_live() { now().plus(-self.lateness_ns) } else { self.files_watermark() };
        self.watermarks.set(StreamId::Flows, watermark);
        let closed_until = self.pane_widths_ns.iter().map(|&width| watermark.align_down(width)).max();
        self.decoder.note_closed(closed_until.unwrap_or(EventTime::MIN));
    }

    fn files_watermark(&self) -> EventTime {
        self.decoder.latest().unwrap_or(EventTime::MIN).plus(-self.lateness_ns)
    }

    /// Keeps the templates, now and then before the end; where that fails, goes on without.
    fn keep_templates(&mut self, is_end: bool) {
        let Some(file) = &mut self.templates else { return };
        let kept = if is_end { file.end(&self.decoder) } else { file.keep(&self.decoder, now()) };
        if let Err(error) = kept {
            self.templates = None;
            self.template_failure = Some(error.to_string());
        }
    }

    pub(crate) fn is_live(&self) -> bool {
        matches!(self.input, ExportInput::Listener(_))
    }

    pub(crate) fn report(self) -> ExportReport {
        let failure = self.failure.map(|error| error.to_string());
        let (files, listener) = match self.input {
            ExportInput::Files(files) => {
                let counters = files.counters();
                (Some((files, counters)), None)
            }
            ExportInput::Listener(mut listener) => (None, Some(listener.report(failure))),
        };
        ExportReport {
            accounts: self.decoder.report(),
            strays: self.decoder.strays(),
            templates: (self.templates.is_some() || self.template_failure.is_some())
                .then_some(TemplateReport { restored: self.restored, failure: self.template_failure }),
            files,
            listener,
        }
    }

    fn step_files(files: &mut ExportSet, decoder: &mut ExportDecoder) -> Step {
        while !decoder.is_full() {
            let read = files.read(MESSAGES_A_STEP, &mut |event| take(event, decoder));
            if read == 0 {
                return if files.is_at_end() { Step::End } else { Step::Idle };
            }
        }
        Step::Read
    }

    fn step_listener(listener: &mut Listener, decoder: &mut ExportDecoder) -> io::Result<Step> {
        for _ in 0..READS_A_STEP {
            if listener.read(decoder)? == 0 {
                return Ok(Step::Idle);
            }
            if decoder.is_full() {
                break;
            }
        }
        Ok(Step::Read)
    }
}

impl Source for ExportSource {
    fn step(&mut self) -> Step {
        self.keep_templates(false);
        let Self { input, decoder, failure, .. } = self;
        match input {
            ExportInput::Files(files) => Self::step_files(files, decoder),
            ExportInput::Listener(listener) => {
                Self::step_listener(listener, decoder).unwrap_or_else(|error| {
                    *failure = Some(error);
                    Step::End
                })
            }
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
            StreamId::Packets | StreamId::PacketFlows => None,
        }
    }

    fn watermarks(&self) -> Watermarks {
        self.watermarks
    }

    fn newly_missing(&mut self) -> i64 {
        let missing = self.decoder.missing_records();
        let before = std::mem::replace(&mut self.missing, missing);
        i64::try_from(i128::from(missing) - i128::from(before)).unwrap_or(0)
    }

    fn notice(&mut self) -> Option<Notice> {
        if self.is_live() {
            self.notices.look(now(), || self.decoder.accounts());
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

/// How far the records of files lie behind the latest one.
pub(crate) fn disorder_ns(mut files: ExportSet, options: ExportOptions) -> i64 {
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
    while ExportSource::step_files(&mut files, &mut decoder) != Step::End {
        measure(&mut decoder);
    }
    measure(&mut decoder);
    disorder
}
