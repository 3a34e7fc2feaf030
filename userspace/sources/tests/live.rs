//! A live source by a clock that is set, over an interface that is made up.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use arrow_array::cast::AsArray as _;
use arrow_array::types::Int64Type;
use harness::frames;
use tapline_decode::{Frame, LinkType};
use tapline_filter::pcap;
use tapline_interface::kernel::CardUse;
use tapline_interface::live::{Description, Drops, FrameSource, LiveCounters, LiveMode};
use tapline_record::{
    EventTime, FLOWS, FlowColumn, LEDGER, LedgerColumn, PACKET_FLOWS, PACKETS, PacketColumn,
    PacketFlowColumn, StreamId, TABLE_FLOWS,
};
use tapline_sources::{
    Clock, Demand, FlowsTold, PacketSource, PaneWidths, Selection, Source, SourceOptions, Step, Taken,
    ask_flows,
};

const SECOND_NS: i64 = 1_000_000_000;
const SECOND: PaneWidths = PaneWidths { width_ns: SECOND_NS, closing_ns: SECOND_NS };
/// When the tests begin.
const START_S: i64 = 1_750_000_000;
/// The allowed lateness of packets.
const LATENESS_S: i64 = 2;

#[derive(Debug)]
struct SetClock(AtomicI64);

impl Clock for SetClock {
    fn now(&self) -> EventTime {
        EventTime(self.0.load(Ordering::Relaxed))
    }
}

/// What is on its way to an interface, and what it lost.
#[derive(Debug, Default)]
struct Wire {
    frames: VecDeque<(EventTime, Vec<u8>)>,
    counters: LiveCounters,
    /// Whether one of several reads all.
    are_gathered: bool,
}

/// Gives what is on the wire.
struct Interface {
    wire: Arc<Mutex<Wire>>,
    description: Description,
}

impl Interface {
    fn on(wire: &Arc<Mutex<Wire>>) -> Box<dyn FrameSource> {
        let description = Description {
            interface: "made0".to_owned(),
            mode: LiveMode::Packet,
            queues: 1,
            readers: 1,
            card: CardUse::default(),
            reasons: vec![],
        };
        Box::new(Self { wire: Arc::clone(wire), description })
    }
}

impl FrameSource for Interface {
    fn read(&mut self, frames_max: usize, visit: &mut dyn FnMut(&Frame<'_>)) -> io::Result<usize> {
        let mut wire = self.wire.lock().unwrap();
        let count = frames_max.min(wire.frames.len());
        for (ts, bytes) in wire.frames.drain(..count) {
            let original_octets = bytes.len() as u32;
            let link = LinkType::Ethernet;
            visit(&Frame { ts, link, direction: None, interface: None, original_octets, bytes: &bytes });
        }
        wire.counters.frames += count as u64;
        Ok(count)
    }

    fn counters(&mut self) -> io::Result<LiveCounters> {
        Ok(self.wire.lock().unwrap().counters)
    }

    fn description(&self) -> &Description {
        &self.description
    }

    fn share_out(self: Box<Self>, _: usize) -> Vec<Box<dyn FrameSource>> {
        vec![self]
    }

    fn gather(&mut self, are_gathered: bool) {
        self.wire.lock().unwrap().are_gathered = are_gathered;
    }
}

/// A source, its clock and its wire.
struct Bench {
    source: PacketSource,
    clock: Arc<SetClock>,
    wire: Arc<Mutex<Wire>>,
    selection: Selection,
}

impl Bench {
    /// At the start, for these columns.
    fn new(demand: &Demand) -> Self {
        Self::by(demand, |source| source)
    }

    /// The same of a source that was changed before.
    fn by(demand: &Demand, change: impl FnOnce(PacketSource) -> PacketSource) -> Self {
        let clock = Arc::new(SetClock(AtomicI64::new(START_S * SECOND_NS)));
        let wire = Arc::new(Mutex::new(Wire::default()));
        let given: Arc<dyn Clock> = Arc::<SetClock>::clone(&clock);
        let options = SourceOptions { clock: given, batch_rows: 4, ..SourceOptions::default() };
        let mut sources = PacketSource::of_interface(vec![Interface::on(&wire)], false, &options);
        let mut source = change(sources.remove(0));
        source.bind(demand).unwrap();
        Self { source, clock, wire, selection: options.selection }
    }

    /// Sets the clock so many seconds after the start.
    fn set(&self, second: i64) {
        self.clock.0.store((START_S + second) * SECOND_NS, Ordering::Relaxed);
    }

    /// Puts a frame of UDP on the wire, now.
    fn send(&self, src_port: u16) {
        let packet = frames::ipv4(frames::UDP, &frames::udp(src_port, 53, b"data"));
        let frame = (self.clock.now(), frames::ethernet(frames::IPV4, &packet));
        self.wire.lock().unwrap().frames.push_back(frame);
    }

    /// Rows of a stream that are there after a step, taken all or only in full batches.
    fn rows(&mut self, stream: StreamId, all: bool) -> usize {
        std::iter::from_fn(|| self.source.take(stream, all)).map(|batch| batch.num_rows()).sum()
    }

    /// The watermark of a stream, in seconds after the start.
    fn watermark(&self, stream: StreamId) -> i64 {
        self.source.watermarks().least_of([stream]).0 / SECOND_NS - START_S
    }
}

fn demand(flows: bool) -> Demand {
    let mut demand = Demand::default();
    demand.add(&PACKETS, &[PacketColumn::Ts as usize], Some(SECOND));
    if flows {
        demand.add(&FLOWS, &[FlowColumn::Ts as usize], Some(SECOND));
    }
    demand
}

#[test]
fn the_watermark_of_packets_follows_the_clock_and_covers_what_waits() {
    let mut bench = Bench::new(&demand(false));
    bench.set(10);
    (0..3).for_each(|_| bench.send(1));
    assert_eq!(bench.source.step(), Step::Read);
    assert_eq!(bench.rows(StreamId::Packets, false), 0, "three rows fill no batch of four");
    bench.set(20);
    assert_eq!(bench.rows(StreamId::Packets, false), 0);
    assert!(bench.watermark(StreamId::Packets) < 10, "three rows of second 10 wait");
    assert_eq!(bench.rows(StreamId::Packets, true), 3);
    assert_eq!(bench.watermark(StreamId::Packets), 20 - LATENESS_S);
    bench.set(30);
    assert_eq!(bench.source.step(), Step::Idle);
    assert_eq!(bench.rows(StreamId::Packets, false), 0);
    assert_eq!(bench.watermark(StreamId::Packets), 30 - LATENESS_S, "silence is no reason to stay behind");
}

/// Packets by port, in panes of a second.
fn by_flow() -> Demand {
    let mut demand = Demand::default();
    let columns = [PacketFlowColumn::Ts, PacketFlowColumn::SrcPort, PacketFlowColumn::Packets];
    demand.add(&PACKET_FLOWS, &columns.map(|column| column as usize), Some(SECOND));
    demand
}

impl Bench {
    /// The packets of each row by flow that is there.
    fn by_flow(&mut self, all: bool) -> Vec<i64> {
        let batches = std::iter::from_fn(|| self.source.take(StreamId::PacketFlows, all));
        let packets =
            |batch: arrow_array::RecordBatch| batch.column(2).as_primitive::<Int64Type>().values().to_vec();
        batches.flat_map(packets).collect()
    }
}

#[test]
fn packets_are_counted_by_flow_until_their_pane_has_ended() {
    let mut bench = Bench::new(&by_flow());
    [1, 2, 1].into_iter().for_each(|port| bench.send(port));
    bench.source.step();
    bench.set(LATENESS_S);
    bench.source.step();
    assert_eq!(bench.by_flow(true), [0_i64; 0], "more of that second may come");
    assert!(bench.watermark(StreamId::PacketFlows) <= 0, "what is counted is not behind the watermark");
    bench.set(LATENESS_S + 1);
    bench.source.step();
    assert_eq!(bench.by_flow(true), [2, 1]);
    assert_eq!(bench.watermark(StreamId::PacketFlows), 1);
    assert!(bench.source.counts_packets(StreamId::PacketFlows));
}

#[test]
fn what_is_counted_by_flow_is_given_before_another_layout_and_at_the_end() {
    let mut bench = Bench::new(&by_flow());
    bench.send(1);
    bench.source.step();
    bench.source.settle().unwrap();
    assert_eq!(bench.by_flow(true), [1]);
    bench.source.relayout(&by_flow()).unwrap();
    bench.send(1);
    bench.source.step();
    bench.source.end();
    assert_eq!(bench.by_flow(true), [1]);
    bench.source.relayout(&demand(false)).unwrap();
    assert!(!bench.source.streams().iter().any(|stream| stream.id == StreamId::PacketFlows));
}

#[test]
fn rows_by_flow_wait_for_room_and_packets_do_not() {
    let bench = Bench::new(&by_flow());
    let keeps = [StreamId::Packets, StreamId::PacketFlows, StreamId::Ledger].map(|of| bench.source.keeps(of));
    assert_eq!(keeps, [false, true, true]);
}

#[test]
fn rows_name_their_source_where_somebody_asks() {
    let mut demand = Demand::default();
    demand.add(&PACKETS, &[PacketColumn::Source as usize], None);
    demand.add(&FLOWS, &[FlowColumn::Source as usize], None);
    let mut bench = Bench::new(&demand);
    bench.send(1);
    bench.source.step();
    bench.source.end();
    for stream in [StreamId::Packets, StreamId::Flows] {
        let batch = bench.source.take(stream, true).unwrap();
        assert_eq!(batch.column(0).as_string::<i32>().value(0), "made0");
    }
    assert_eq!(
        bench.source.watermarks().of(StreamId::PacketFlows),
        EventTime::MAX,
        "it does not carry those"
    );
}

#[test]
fn flows_end_by_the_clock_while_nothing_comes() {
    let mut bench = Bench::new(&demand(true));
    [1, 2].into_iter().for_each(|port| bench.send(port));
    bench.source.step();
    assert_eq!(bench.rows(StreamId::Flows, true), 0, "they may go on");
    assert!(bench.watermark(StreamId::Flows) <= 0);
    // The inactive timeout is 15 s, and ends are looked for a quarter of a second apart.
    for (second, ended) in [(14, 0), (15 + LATENESS_S + 1, 2), (30, 0)] {
        bench.set(second);
        bench.source.step();
        assert_eq!(bench.rows(StreamId::Flows, true), ended, "second {second}");
    }
    let watermark = bench.watermark(StreamId::Flows);
    assert!((30 - 15 - 2 * LATENESS_S - 1..=30 - 15 - LATENESS_S).contains(&watermark), "{watermark}");
}

#[test]
fn what_the_interface_lost_is_missing_once() {
    let mut bench = Bench::new(&demand(false));
    (0..5).for_each(|_| bench.send(1));
    bench.wire.lock().unwrap().counters.drops = Drops { ring: 7, ..Drops::default() };
    while bench.source.step() == Step::Read {}
    // Counters are asked for now and then, and at the end.
    bench.source.end();
    assert_eq!([bench.source.newly_missing(), bench.source.newly_missing()], [7, 0]);
    bench.source.note_dropped(StreamId::Packets, 2);
    let reported = bench.source.reported();
    assert!(reported.last().is_none(), "it has told nothing yet");
    bench.source.report();
    let account = reported.last().unwrap().ledger;
    assert_eq!((account.offered, account.delivered, account.dropped), (12, 3, 9));
}

#[test]
fn rows_of_the_ledger_come_each_second_by_the_clock() {
    let mut demand = demand(false);
    demand.add(&LEDGER, &[LedgerColumn::Delivered as usize], None);
    let mut bench = Bench::new(&demand);
    let mut delivered = vec![];
    for second in 0..4 {
        bench.set(second);
        (0..=second).for_each(|_| bench.send(1));
        while bench.source.step() == Step::Read {
            bench.rows(StreamId::Packets, true);
        }
        // The account counts what the interface says that it lent, as of the last look.
        bench.source.end();
        let batch = bench.source.take(StreamId::Ledger, true);
        delivered.extend(batch.iter().flat_map(|batch| {
            let numbers = batch.column(0).as_primitive::<Int64Type>();
            numbers.iter().flatten().collect::<Vec<_>>()
        }));
        assert_eq!(bench.watermark(StreamId::Ledger), second);
    }
    assert_eq!(delivered, [1, 2, 3, 4], "what came since the row before");
}

#[test]
fn another_filter_holds_from_the_next_turn_on_and_leaves_out_what_is_filtered() {
    let mut bench = Bench::new(&demand(false));
    let only = |text: &str| Some(Arc::new(pcap::parse(text).unwrap().predicate()));
    for (filter, kept) in [(None, 3), (only("src port 1"), 2), (only("src port 2"), 1), (None, 3)] {
        bench.selection.set(filter);
        [1, 2, 1].into_iter().for_each(|port| bench.send(port));
        bench.source.step();
        assert_eq!(bench.rows(StreamId::Packets, true), kept);
    }
    // A program in front of it has refused others.
    bench.wire.lock().unwrap().counters.filtered = 5;
    bench.source.end();
    let fates = bench.source.fates();
    assert_eq!((fates.offered, fates.delivered, fates.filtered), (17, 9, 8));
    assert!(fates.adds_up() && bench.source.progress().frames == 12);
}

#[test]
fn in_place_of_the_table_there_is_all_that_it_would_give() {
    let mut demand = by_flow();
    demand.add(&FLOWS, &[FlowColumn::Ts as usize], Some(SECOND));
    demand.add(&TABLE_FLOWS, &[FlowColumn::SrcPort as usize], Some(SECOND));
    let streams = |bench: &Bench| {
        let streams = bench.source.streams();
        [StreamId::Flows, StreamId::TableFlows].map(|id| streams.iter().any(|stream| stream.id == id))
    };
    assert_eq!(streams(&Bench::new(&demand)), [true, false]);
    let mut bench = Bench::by(&demand, PacketSource::in_place_of_table);
    assert_eq!(streams(&bench), [true, true]);
    [1, 2, 1].into_iter().for_each(|port| bench.send(port));
    bench.source.step();
    bench.set(LATENESS_S + 1);
    bench.source.step();
    assert_eq!(bench.by_flow(true), [2, 1]);
    bench.source.end();
    let records = [StreamId::Flows, StreamId::TableFlows].map(|stream| bench.rows(stream, true));
    assert_eq!(records, [2, 2]);
}

#[test]
fn in_place_of_the_table_flows_are_metered_for_whoever_asks() {
    let flows = |bench: &mut Bench, of_table| {
        let ((mut ask, mut answer), mut flows) = (ask_flows(of_table), 0);
        while !bench.source.tell_flows(&mut ask) {}
        let told = answer.take(|_| flows += 1);
        matches!(told, Taken::All(FlowsTold::Metered { .. })).then_some(flows)
    };
    let mut beside = Bench::new(&by_flow());
    assert_eq!(flows(&mut beside, true), None);
    let mut bench = Bench::by(&by_flow(), PacketSource::in_place_of_table);
    assert_eq!(flows(&mut bench, true), Some(0));
    bench.source.relayout(&by_flow()).unwrap();
    [1, 2, 1].into_iter().for_each(|port| bench.send(port));
    bench.source.step();
    assert_eq!(flows(&mut bench, true), Some(2));
    bench.source.forget_flows();
    assert_eq!(flows(&mut bench, true), Some(0), "they were let go");
}

#[test]
fn of_those_who_share_an_interface_the_first_reads_all_while_flows_are_metered() {
    let wires: [Arc<Mutex<Wire>>; 2] = Default::default();
    let readers = wires.iter().map(Interface::on).collect();
    let mut sources = PacketSource::of_interface(readers, false, &SourceOptions::default());
    sources.iter_mut().for_each(|source| source.bind(&demand(false)).unwrap());
    for flows in [false, true, true, false] {
        for source in &mut sources {
            assert!(source.prepare(&demand(flows)));
            source.relayout(&demand(flows)).unwrap();
        }
        let gathered = wires.each_ref().map(|wire| wire.lock().unwrap().are_gathered);
        assert_eq!(gathered, [flows; 2]);
        let carries = |source: &PacketSource| {
            let mut streams = source.streams().into_iter();
            streams.any(|stream| stream.id == StreamId::Flows)
        };
        assert_eq!(sources.iter().map(carries).collect::<Vec<_>>(), [flows, false]);
        assert_eq!(sources[1].watermarks().of(StreamId::Flows), EventTime::MAX, "nobody waits for its flows");
    }
}

#[test]
fn accounts_of_those_who_share_an_interface_add_up() {
    let wires: [Arc<Mutex<Wire>>; 2] = Default::default();
    let readers = wires.iter().map(Interface::on).collect();
    let mut sources = PacketSource::of_interface(readers, false, &SourceOptions::default());
    let packet = frames::ipv4(frames::UDP, &frames::udp(1, 53, b"data"));
    let frame = (EventTime(0), frames::ethernet(frames::IPV4, &packet));
    for ((came, lost), (source, wire)) in [(3, 2), (5, 7)].into_iter().zip(sources.iter_mut().zip(&wires)) {
        source.bind(&demand(false)).unwrap();
        {
            let mut wire = wire.lock().unwrap();
            wire.frames.extend((0..came).map(|_| frame.clone()));
            wire.counters.drops.ring = lost;
        }
        while source.step() == Step::Read {}
        source.report();
    }
    let told = |source: &PacketSource| source.reported().last().unwrap();
    let (mut sum, other) = (told(&sources[0]), told(&sources[1]));
    assert!(sum.is_beside(&other));
    sum.add(other);
    assert!(sum.ledger.adds_up(), "{sum:?}");
    assert_eq!((sum.ledger.offered, sum.ledger.delivered, sum.ledger.dropped), (17, 8, 9));
    assert_eq!(sum.interface.map(|of| of.counters.drops.sum()), Some(9));
}
