//! Sensors that are threads of this program: their rows are made, but what comes of these, how it is kept, and the link to
//! the aggregator are those of any sensor. A hundred of them fit on one machine beside it.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Error, Result, ensure};
use serde_json::Value;
use tapline_aggregate::PartMaker;
use tapline_delivery::SensorName;
use tapline_engine::{
    CoveredSecond, CutPane, CutQuery, DATAFUSION_VERSION, QueryId, QueryLimits, STATES_VERSION, SourceId,
    Span, Unread,
};
use tapline_fleet::Fleet;
use tapline_forward::{
    NotKept, Part, Sender, SenderEvents, SenderOptions, SenderStatus, SpoolPlan, Upstream,
};
use tapline_operators::{LowerOperator, OperatorLimits, PaneCollector, RowQuota, StreamBatch};
use tapline_programs::style;
use tapline_query::{ContinuousQuery, Planner};
use tapline_record::address::mapped_v4;
use tapline_record::column::BURST_ROWS;
use tapline_record::{BatchBuilder, Epoch, EventTime, FLOWS, FlowColumn, FlowRow, Layout, StreamId};
use tapline_trafficgen::random::Random;
use tempfile::TempDir;

pub(super) const SECOND_NS: i64 = 1_000_000_000;
/// A window of all queries that are asked.
pub(super) const WINDOW_SECONDS: i64 = 10;
/// Where a file costs no disk: it is not the sensors that are measured.
const IN_MEMORY: &str = "/dev/shm";
const SPOOL_OCTETS: u64 = 512 << 20;
const KEPT: Duration = Duration::from_secs(86_400);
/// All are connected, and what they are asked has come, within this time.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// A cut has room in a spool within this time.
const ROOM_WITHIN: Duration = Duration::from_secs(60);
const BETWEEN_LOOKS: Duration = Duration::from_millis(5);

/// Sensors, all of which see the same.
pub(super) struct Simulated {
    senders: Vec<Sender>,
    questions: Vec<Question>,
    /// Of spools and tokens.
    _folder: TempDir,
}

/// What all of them are asked.
struct Question {
    query: Arc<ContinuousQuery>,
    columns: Vec<usize>,
    maker: PartMaker,
}

/// What each sensor sees in a second.
#[derive(Clone, Copy, Debug)]
pub(super) struct Load {
    /// Records.
    pub(super) rows: u64,
    /// Sources in a window.
    pub(super) sources: u64,
}

/// Hears what an aggregator asks.
#[derive(Clone, Default)]
struct Listener(Arc<Mutex<Option<Vec<u8>>>>);

impl SenderEvents for Listener {
    fn assigned(&mut self, octets: &[u8]) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(octets.to_vec());
    }

    fn ended(&mut self, why: &str) {
        self.tell(why);
    }

    fn tell(&mut self, sentence: &str) {
        eprintln!("{} {sentence}", style::warning("warning:"));
    }
}

impl Simulated {
    /// So many that join the aggregator of a fleet, each at one of these addresses, in turn; its queries are there.
    pub(super) fn join(fleet: &Fleet, count: usize, at: &[SocketAddr]) -> Result<Self> {
        let mut builder = tempfile::Builder::new();
        builder.prefix("tapline-sensors-");
        let folder =
            if Path::new(IN_MEMORY).is_dir() { builder.tempdir_in(IN_MEMORY) } else { builder.tempdir() };
        let folder = folder.context("there is no temporary folder")?;
        let listener = Listener::default();
        let mut senders = vec![];
        for (number, address) in (0..count).zip(at.iter().cycle()) {
            senders.push(sender(fleet, number, *address, folder.path(), listener.clone())?);
        }
        let begun = Instant::now();
        let is_ready = || {
            let is_asked = listener.0.lock().unwrap_or_else(PoisonError::into_inner).is_some();
            is_asked && senders.iter().all(|sender| sender.status().connected_since_ns.is_some())
        };
        while !is_ready() {
            ensure!(begun.elapsed() < READY_WITHIN, "not all simulated sensors are connected");
            sleep(BETWEEN_LOOKS);
        }
        let asked = listener.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        let questions = questions(&asked.unwrap_or_default())?;
        Ok(Self { senders, questions, _folder: folder })
    }

    /// The parts of a cut that has this second.
    pub(super) fn parts(&self, load: Load, second: i64) -> Result<Vec<Part>> {
        let rows = rows(load, second);
        let parts = self.questions.iter().map(|question| question.parts(&rows, second));
        Ok(parts.collect::<Result<Vec<_>>>()?.concat())
    }

    /// Gives a cut to all of them.
    pub(super) fn give(&self, parts: &[Part]) -> Result<()> {
        self.senders.iter().try_for_each(|sender| give(sender, parts.to_vec()))
    }

    /// How the first of them stands.
    pub(super) fn first(&self) -> Result<SenderStatus> {
        Ok(self.senders.first().context("there is no sensor")?.status())
    }

    /// How far the others are behind at the most, in nanoseconds.
    pub(super) fn lag_of_others(&self) -> i64 {
        self.senders.iter().skip(1).map(|sender| sender.status().lag_ns).max().unwrap_or_default()
    }
}

fn sender(fleet: &Fleet, number: usize, at: SocketAddr, folder: &Path, listener: Listener) -> Result<Sender> {
    let name = format!("sim-{number}");
    let token_file = folder.join(format!("{name}.token"));
    fs::write(&token_file, fleet.token(&name)?)?;
    let options = SenderOptions {
        name: SensorName::new(&name),
        to: Upstream { url: format!("http://{at}"), ca: None, own: None, token_file: Some(token_file) },
        spool: SpoolPlan { folder: folder.join(&name), octets_max: SPOOL_OCTETS, age_max: KEPT },
        version: env!("CARGO_PKG_VERSION").to_owned(),
        states: format!("{STATES_VERSION} with DataFusion {DATAFUSION_VERSION}"),
    };
    let (sender, _) = Sender::start(options, Box::new(listener)).map_err(Error::msg)?;
    Ok(sender)
}

/// Gives a cut, as soon as there is room for it.
fn give(sender: &Sender, mut parts: Vec<Part>) -> Result<()> {
    let begun = Instant::now();
    loop {
        let Err(NotKept { parts: refused, why, .. }) = sender.cut(parts, b"[]".to_vec()) else {
            return Ok(());
        };
        ensure!(begun.elapsed() < ROOM_WITHIN, "a cut is not kept: {why}");
        parts = refused;
        sleep(BETWEEN_LOOKS);
    }
}

/// What an aggregator asks, planned as it has it.
fn questions(asked: &[u8]) -> Result<Vec<Question>> {
    let asked: Value = serde_json::from_slice(asked).context("what the aggregator asks cannot be read")?;
    let queries = asked["queries"].as_array().context("the aggregator asks nothing")?;
    queries.iter().map(Question::of).collect()
}

impl Question {
    fn of(asked: &Value) -> Result<Self> {
        let told = || format!("not as it should be: {asked}");
        let id = asked["id"].as_u64().with_context(told)?;
        let (sql, starting) = asked["sql"].as_str().zip(asked["starting_ns"].as_i64()).with_context(told)?;
        let query = Planner::new().starting(EventTime(starting)).plan(sql).with_context(told)?;
        let maker = PartMaker::new(id, &query, &QueryLimits::default()).map_err(Error::msg)?;
        let columns = query.columns_of(&FLOWS).with_context(told)?;
        Ok(Self { query: Arc::new(query), columns, maker })
    }

    /// What comes of the rows of a second.
    fn parts(&self, rows: &[FlowRow], second: i64) -> Result<Vec<Part>> {
        let limits = OperatorLimits { groups_max: QueryLimits::default().groups_max, is_only_worker: false };
        let (batch, mut out) = (self.batch(rows), vec![]);
        for mut operator in LowerOperator::all(&self.query, limits) {
            operator.process(&batch, &mut out)?;
            operator.finish(&mut out)?;
        }
        let mut collector = PaneCollector::new(&self.query, limits);
        let mut quota = RowQuota::new(QueryLimits::default().sent_rows());
        out.into_iter().try_for_each(|output| collector.accept(output, &mut quota).map(drop))?;
        let width = self.query.pane_width().context("the query has no windows of time")?;
        let delivered = rows.len() as f64;
        let covered = CoveredSecond { stream: StreamId::Flows, second, delivered, missing: 0.0 };
        let panes = collector.take().map(|(start, half, parts)| CutPane {
            half,
            pane: Span { start, end: start.plus(width) },
            parts,
            covered: vec![covered],
            unread: Unread::default(),
        });
        let cut = CutQuery {
            query: QueryId(0),
            watermark: EventTime((second + 1) * SECOND_NS),
            whole_after: EventTime::MIN,
            panes: panes.collect(),
        };
        self.maker.parts(cut).map_err(Error::msg)
    }

    fn batch(&self, rows: &[FlowRow]) -> StreamBatch {
        let mut builder = BatchBuilder::new(&FLOWS, &self.columns, rows.len() + BURST_ROWS);
        for burst in rows.chunks(BURST_ROWS) {
            builder.append(burst.len(), |position, column| FlowRow::append(burst, position, column));
        }
        let mut of_streams = [const { None }; StreamId::COUNT];
        of_streams[StreamId::Flows as usize] = Some(self.columns.clone());
        let layout = Arc::new(Layout::new(Epoch(1), of_streams));
        StreamBatch { source: SourceId(0), stream: &FLOWS, layout, batch: builder.finish(), sequence: 0 }
    }
}

/// What each sensor sees in a second: the sources of a window one after the other, all else at random.
fn rows(load: Load, second: i64) -> Vec<FlowRow> {
    const PORTS: [u16; 8] = [443, 80, 53, 22, 25, 123, 3389, 8080];
    const PRESENT: [FlowColumn; 13] = [
        FlowColumn::Ts,
        FlowColumn::SrcIp,
        FlowColumn::DstIp,
        FlowColumn::SrcPort,
        FlowColumn::DstPort,
        FlowColumn::Protocol,
        FlowColumn::Tos,
        FlowColumn::Packets,
        FlowColumn::Octets,
        FlowColumn::SrcAs,
        FlowColumn::DstAs,
        FlowColumn::InputInterface,
        FlowColumn::OutputInterface,
    ];
    let present = PRESENT.iter().fold(0, |bits, column| bits | column.bit());
    let mut random = Random::new(second.unsigned_abs(), "rows");
    let begun = second.rem_euclid(WINDOW_SECONDS).unsigned_abs() * load.rows;
    let row = |number: u64| {
        let [_, high, middle, low] = (((begun + number) % load.sources.max(1)) as u32).to_be_bytes();
        let packets = random.within(1..100);
        FlowRow {
            present,
            ts: second * SECOND_NS + (number * SECOND_NS.unsigned_abs() / load.rows.max(1)) as i64,
            src_ip: mapped_v4([10, high, middle, low]),
            dst_ip: mapped_v4([192, 0, 2, random.below(256) as u8]),
            src_port: random.within(1024..65_536) as u16,
            dst_port: *random.choose(&PORTS),
            protocol: if random.percent(80) { 6 } else { 17 },
            packets,
            octets: packets * random.within(40..1500),
            src_as: 64_512 + random.below(32) as u32,
            dst_as: random.below(32) as u32,
            input_interface: random.within(1..9) as u32,
            output_interface: random.within(1..9) as u32,
            ..FlowRow::default()
        }
    };
    (0..load.rows).map(row).collect()
}
