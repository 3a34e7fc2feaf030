//! What a row costs that is looked up in a table of a million prefixes, on one core over batches of addresses in memory,
//! against a hash table that is asked length by length, and against `maxminddb`, in the same run.
//!
//! Prints one line a kind of addresses: nanoseconds a row of all three, of CPU time, medians of several turns, and how many times as
//! much the others take. Ours goes the whole way from a column of addresses to a column of names; the others only find
//! where an answer is. All find the same rows, or there is no line.

#![expect(clippy::expect_used, clippy::print_stdout, reason = "a measurement fails by panicking, and prints")]

use datafusion::arrow::array::{Array as _, ArrayRef, FixedSizeBinaryArray, UInt32Array};
use hashbrown::HashMap;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::process::ExitCode;
use std::sync::Arc;
use tapline_benches::floors;
use tapline_lookup::{Table, Tables};
use tapline_record::address::mapped_v4;
use tapline_trafficgen::mmdb::{Value, database};
use tapline_trafficgen::random::{Random, Zipf};

const TURNS: usize = 9;
const PREFIXES: usize = 1_000_000;
const BATCHES: usize = 256;
const BATCH_ROWS: usize = 4096;
/// Names of a table: autonomous systems, sites, customers.
const NAMES: u64 = 50_000;
/// Addresses that flows have in common, by Zipf's law.
const HOSTS: u32 = 200_000;

/// How many of a hundred prefixes have which length, as in a table of the Internet's routes.
const LENGTHS: [(u32, u64); 9] =
    [(24, 60), (23, 10), (22, 11), (21, 5), (20, 5), (19, 4), (18, 2), (16, 2), (12, 1)];

/// First address, length in bits, number of the name.
type Prefix = (u32, u32, u32);

fn main() -> ExitCode {
    let prefixes = prefixes();
    let (table, ours_took) = timed(|| table_of(&prefixes));
    let hashed = Hashed::new(&prefixes);
    let (maxmind, _) = timed(|| maxmind_of(&prefixes));
    println!("{PREFIXES} prefixes, loaded from CSV in {ours_took:.2} s\n");
    println!(
        "| addresses | tapline, ns/row | rows alone | hash table | ratio | maxminddb | ratio | floors |"
    );
    println!("|---|---:|---:|---:|---:|---:|---:|---|");
    let mut random = Random::new(8, "addresses");
    let any: Vec<u32> = (0..BATCHES * BATCH_ROWS).map(|_| random.bits() as u32).collect();
    let zipf = Zipf::new(HOSTS);
    let hosts: Vec<u32> = (0..HOSTS).map(|_| random.bits() as u32).collect();
    let of_flows = (0..BATCHES * BATCH_ROWS).map(|_| hosts[zipf.draw(&mut random)]).collect();
    for (name, addresses) in [("any address", any), ("the addresses of flows", of_flows)] {
        measure(name, &addresses, &table, &hashed, &maxmind);
    }
    floors::exit_code()
}

fn measure(
    name: &str,
    addresses: &[u32],
    table: &Table,
    hashed: &Hashed,
    maxmind: &maxminddb::Reader<Vec<u8>>,
) {
    let batches: Vec<ArrayRef> = addresses.chunks(BATCH_ROWS).map(column).collect();
    check(addresses, &batches, table, hashed, maxmind);
    let mut times = [const { vec![] }; 4];
    for _ in 0..TURNS {
        let turn = [
            timed(|| {
                batches.iter().map(|keys| table.values(keys, "name").expect("it has it").len()).sum::<usize>()
            })
            .1,
            timed(|| {
                batches.iter().map(|keys| table.rows(keys).expect("addresses").null_count()).sum::<usize>()
            })
            .1,
            timed(|| addresses.iter().filter(|address| hashed.find(**address).is_some()).count()).1,
            timed(|| addresses.iter().filter(|address| offset(maxmind, **address).is_some()).count()).1,
        ];
        times.iter_mut().zip(turn).for_each(|(times, time)| times.push(time));
    }
    let [values, rows, hash, maxmind] =
        times.map(|mut times| median(&mut times) / addresses.len() as f64 * 1e9);
    let floors = [
        floors::verdict(&format!("lookup: {name}"), values),
        if name == "any address" {
            floors::verdict(&format!("lookup: {name}, hash table"), hash / values)
        } else {
            String::new()
        },
        if name == "any address" {
            floors::verdict(&format!("lookup: {name}, maxminddb"), maxmind / values)
        } else {
            String::new()
        },
    ];
    println!(
        "| {name} | {values:.1} | {rows:.1} | {hash:.1} | {:.1} | {maxmind:.1} | {:.1} | {} |",
        hash / values,
        maxmind / values,
        floors.join(" ")
    );
}

/// All find the same.
fn check(
    addresses: &[u32],
    batches: &[ArrayRef],
    table: &Table,
    hashed: &Hashed,
    maxmind: &maxminddb::Reader<Vec<u8>>,
) {
    let rows: Vec<UInt32Array> = batches.iter().map(|keys| table.rows(keys).expect("addresses")).collect();
    let rows = rows.iter().flat_map(UInt32Array::iter);
    for (address, row) in addresses.iter().zip(rows).step_by(101) {
        assert_eq!(row, hashed.find(*address), "{}", Ipv4Addr::from(*address));
        assert_eq!(row.is_some(), offset(maxmind, *address).is_some(), "{}", Ipv4Addr::from(*address));
    }
}

fn column(addresses: &[u32]) -> ArrayRef {
    let octets = addresses.iter().map(|address| mapped_v4(address.to_be_bytes()));
    Arc::new(FixedSizeBinaryArray::try_from_iter(octets).expect("sixteen octets each"))
}

/// Distinct prefixes, of which many lie within others.
fn prefixes() -> Vec<Prefix> {
    let (mut random, mut all) = (Random::new(7, "prefixes"), HashMap::new());
    // Routes cluster in blocks that registries gave out.
    let blocks: Vec<u32> = (0..12_000).map(|_| (random.bits() as u32) & 0xffff_0000).collect();
    while all.len() < PREFIXES {
        let address = random.choose(&blocks) | random.below(1 << 16) as u32;
        let mut share = random.below(100);
        let length = LENGTHS.iter().find(|(_, percent)| {
            let is_it = share < *percent;
            share = share.saturating_sub(*percent);
            is_it
        });
        let length = length.map_or(24, |(length, _)| *length);
        all.insert((address & u32::MAX << (32 - length), length), random.below(NAMES) as u32);
    }
    let mut all: Vec<Prefix> = all.into_iter().map(|((first, length), name)| (first, length, name)).collect();
    all.sort_unstable();
    all
}

fn table_of(prefixes: &[Prefix]) -> Arc<Table> {
    let mut text = String::from("prefix,name\n");
    for (first, length, name) in prefixes {
        let _ = writeln!(text, "{}/{length},name of {name}", Ipv4Addr::from(*first));
    }
    let folder = tempfile::tempdir().expect("room");
    let path = folder.path().join("nets.csv");
    std::fs::write(&path, text).expect("room");
    let file = format!("nets={}", path.display()).parse().expect("it is right");
    let tables = Tables::open(vec![file]).expect("it is right");
    tables.get("nets").map(tapline_lookup::Loaded::table).expect("it is there")
}

/// Prefixes of each length that there is, longest first.
struct Hashed(Vec<(u32, HashMap<u32, u32>)>);

impl Hashed {
    fn new(prefixes: &[Prefix]) -> Self {
        let of_length = |(length, _): (u32, u64)| {
            let prefixes = prefixes.iter().zip(0..).filter(|((_, of, _), _)| *of == length);
            (32 - length, prefixes.map(|((first, ..), row)| (first >> (32 - length), row)).collect())
        };
        Self(LENGTHS.into_iter().map(of_length).collect())
    }

    fn find(&self, address: u32) -> Option<u32> {
        self.0.iter().find_map(|(shift, prefixes)| prefixes.get(&(address >> shift)).copied())
    }
}

fn maxmind_of(prefixes: &[Prefix]) -> maxminddb::Reader<Vec<u8>> {
    let names: Vec<Value> =
        (0..NAMES).map(|name| Value::Map(vec![("name", Value::Text(format!("name of {name}")))])).collect();
    let networks: Vec<_> = prefixes
        .iter()
        .map(|(first, length, name)| (IpAddr::from(Ipv4Addr::from(*first)), *length, &names[*name as usize]))
        .collect();
    maxminddb::Reader::from_source(database("names", &networks)).expect("it is right")
}

fn offset(reader: &maxminddb::Reader<Vec<u8>>, address: u32) -> Option<usize> {
    reader.lookup(IpAddr::from(Ipv4Addr::from(address))).ok()?.offset()
}

/// What something gives, and the seconds of this thread that it took: others may want the cores, too.
fn timed<T>(what: impl FnOnce() -> T) -> (T, f64) {
    let started = thread_seconds();
    let made = std::hint::black_box(what());
    (made, thread_seconds() - started)
}

fn thread_seconds() -> f64 {
    let account = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux tells it");
    let on_core = account.split(' ').next().and_then(|ns| ns.parse::<f64>().ok());
    on_core.expect("nanoseconds on a core") / 1e9
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
