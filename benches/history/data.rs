//! A day of results, from a seed: flows by five-tuple, of which some go on from minute to minute and few hosts have
//! most, and a traffic matrix, of which some pairs are there in each minute and others now and then.

use datafusion::arrow::array::{
    ArrayRef, FixedSizeBinaryArray, Int64Array, RecordBatch, UInt8Array, UInt16Array, UInt32Array,
};
use datafusion::arrow::compute::cast;
use std::sync::Arc;
use tapline_operators::{QueryId, Span, Status, WindowResult};
use tapline_query::Planner;
use tapline_record::EventTime;
use tapline_record::address::{Address, mapped_v4};
use tapline_sinks::{Origin, Parcel, ResultId};
use tapline_trafficgen::random::{Random, Zipf};

pub(crate) const MINUTE_NS: i64 = 60_000_000_000;
/// A midnight.
pub(crate) const DAY: i64 = 1_795_996_800_000_000_000;

const HOSTS: u32 = 65_536;
const SERVERS: u32 = 4_096;
const SYSTEMS: u32 = 20_000;
const SERVICES: [u16; 10] = [443, 80, 53, 123, 22, 25, 993, 8080, 3306, 5432];
/// How many of a hundred flows of a minute are new.
const NEW_PERCENT: u64 = 60;

/// A query whose results are made up.
pub(crate) struct Query {
    pub(crate) name: &'static str,
    sql: &'static str,
}

/// The queries.
pub(crate) const QUERIES: [Query; 2] = [
    Query {
        name: "five_tuple",
        sql: "SELECT src_ip, dst_ip, src_port, dst_port, protocol, sum(packets) AS packets, sum(octets) AS octets \
              FROM flows GROUP BY src_ip, dst_ip, src_port, dst_port, protocol, tumble('1 minute')",
    },
    Query {
        name: "matrix",
        sql: "SELECT src_as, dst_as, count(*) AS flows, sum(octets) AS octets \
              FROM flows GROUP BY src_as, dst_as, tumble('1 minute')",
    },
];

impl Query {
    fn origin(&self) -> Arc<Origin> {
        let query = Planner::new().plan(self.sql).expect("it is a query");
        Arc::new(Origin::of(self.name, &query))
    }
}

#[derive(Clone, Copy)]
struct Flow {
    src: Address,
    dst: Address,
    src_port: u16,
    dst_port: u16,
    protocol: u8,
}

/// Makes results, minute by minute.
pub(crate) struct Day {
    random: Random,
    hosts: Zipf,
    servers: Zipf,
    services: Zipf,
    flows: Vec<Flow>,
    pairs: Vec<(u32, u32)>,
    rows: usize,
    origins: [Arc<Origin>; 2],
    /// Of all flows so far.
    pub(crate) octets: i64,
}

impl Day {
    /// One with about so many rows a minute in each query's results.
    pub(crate) fn new(rows: usize) -> Self {
        let mut random = Random::new(44, "history");
        let systems = Zipf::new(SYSTEMS);
        let mut system = || 1 + systems.draw(&mut random) as u32 * 3;
        let mut pairs: Vec<(u32, u32)> = vec![];
        let mut seen = hashbrown::HashSet::new();
        while pairs.len() < 2 * rows {
            let pair = (system(), system());
            if seen.insert(pair) {
                pairs.push(pair);
            }
        }
        Self {
            random,
            hosts: Zipf::new(HOSTS),
            servers: Zipf::new(SERVERS),
            services: Zipf::new(SERVICES.len() as u32),
            flows: vec![],
            pairs,
            rows,
            origins: [QUERIES[0].origin(), QUERIES[1].origin()],
            octets: 0,
        }
    }

    /// The results of the minute that begins then.
    pub(crate) fn minute(&mut self, start: i64) -> [Parcel; 2] {
        for place in 0..self.rows {
            let is_new = place >= self.flows.len() || self.random.percent(NEW_PERCENT);
            if is_new {
                let flow = self.flow();
                match self.flows.get_mut(place) {
                    Some(known) => *known = flow,
                    None => self.flows.push(flow),
                }
            }
        }
        let [flows, pairs] = [self.of_flows(), self.of_pairs()];
        let [of_flows, of_pairs] = &self.origins;
        [parcel(of_flows, start, &flows), parcel(of_pairs, start, &pairs)]
    }

    fn flow(&mut self) -> Flow {
        let random = &mut self.random;
        let (host, server) = (self.hosts.draw(random) as u32, self.servers.draw(random) as u32);
        let service = SERVICES[self.services.draw(random)];
        let own = 1_024 + random.below(64_512) as u16;
        let protocol = if matches!(service, 53 | 123) || random.percent(10) { 17 } else { 6 };
        let (host, server) = (host_address(host), server_address(server));
        if random.percent(50) {
            Flow { src: host, dst: server, src_port: own, dst_port: service, protocol }
        } else {
            Flow { src: server, dst: host, src_port: service, dst_port: own, protocol }
        }
    }

    fn of_flows(&mut self) -> Vec<ArrayRef> {
        let sizes: Vec<(i64, i64)> = self.flows.iter().map(|_| size(&mut self.random)).collect();
        self.octets += sizes.iter().map(|(_, octets)| octets).sum::<i64>();
        let addresses = |of: fn(&Flow) -> Address| -> ArrayRef {
            let addresses = self.flows.iter().map(of);
            Arc::new(FixedSizeBinaryArray::try_from_iter(addresses).expect("sixteen octets each"))
        };
        let columns: [ArrayRef; 7] = [
            addresses(|flow| flow.src),
            addresses(|flow| flow.dst),
            Arc::new(self.flows.iter().map(|flow| Some(flow.src_port)).collect::<UInt16Array>()),
            Arc::new(self.flows.iter().map(|flow| Some(flow.dst_port)).collect::<UInt16Array>()),
            Arc::new(self.flows.iter().map(|flow| Some(flow.protocol)).collect::<UInt8Array>()),
            Arc::new(sizes.iter().map(|(packets, _)| Some(*packets)).collect::<Int64Array>()),
            Arc::new(sizes.iter().map(|(_, octets)| Some(*octets)).collect::<Int64Array>()),
        ];
        columns.into()
    }

    /// The pairs that were drawn first are there in each minute, a third of the others too.
    fn of_pairs(&mut self) -> Vec<ArrayRef> {
        let (random, always) = (&mut self.random, self.rows / 2);
        let mut rows: Vec<((u32, u32), i64, i64)> = vec![];
        for (place, pair) in self.pairs.iter().enumerate() {
            if place < always || random.percent(33) {
                let (flows, octets) = size(random);
                rows.push((*pair, flows, octets));
            }
        }
        let columns: [ArrayRef; 4] = [
            Arc::new(rows.iter().map(|((src, _), ..)| Some(*src)).collect::<UInt32Array>()),
            Arc::new(rows.iter().map(|((_, dst), ..)| Some(*dst)).collect::<UInt32Array>()),
            Arc::new(rows.iter().map(|(_, flows, _)| Some(*flows)).collect::<Int64Array>()),
            Arc::new(rows.iter().map(|(.., octets)| Some(*octets)).collect::<Int64Array>()),
        ];
        columns.into()
    }
}

/// Packets with a heavy tail, and their octets.
fn size(random: &mut Random) -> (i64, i64) {
    let doublings = random.bits().trailing_zeros().min(12);
    let packets = (1 << doublings) + random.below(1 << doublings);
    (packets as i64, (packets * random.within(40..1_500)) as i64)
}

/// Hosts are of one network, those next to each other in rank not in address.
fn host_address(rank: u32) -> Address {
    let [_, _, high, low] = (rank.wrapping_mul(40_503) % HOSTS).to_be_bytes();
    mapped_v4([10, 20, high, low])
}

/// Servers are everywhere.
fn server_address(rank: u32) -> Address {
    let [a, b, c, d] = rank.wrapping_mul(2_654_435_761).to_be_bytes();
    mapped_v4([1 + a % 220, b, c, d])
}

fn parcel(origin: &Arc<Origin>, start: i64, columns: &[ArrayRef]) -> Parcel {
    let selected: Vec<usize> = origin.columns.selected().collect();
    let schema = Arc::new(origin.columns.schema().project(&selected).expect("they are columns"));
    let typed = columns.iter().zip(schema.fields());
    let typed = typed.map(|(column, field)| cast(column, field.data_type()).expect("numbers fit")).collect();
    let rows = RecordBatch::try_new(schema, typed).expect("a column each");
    let window = Some(Span { start: EventTime(start), end: EventTime(start + MINUTE_NS) });
    let result = WindowResult {
        query: QueryId(0),
        window,
        status: Status::Final,
        revision: 0,
        completeness: Some(1.0),
        rows: vec![rows],
    };
    let given = EventTime(start + MINUTE_NS);
    let id = ResultId { sender: 1, number: start / MINUTE_NS };
    Parcel { id, origin: Arc::clone(origin), result: Arc::new(result), given }
}
