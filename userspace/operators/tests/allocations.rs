//! What the data path allocates once it is warm: some octets of book-keeping a batch, such as the
//! reference counts of its arrays, and nothing that grows with its rows.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::alloc::{GlobalAlloc, Layout as Block, System};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tapline_operators::{Commons, LowerOperator, OperatorLimits, SourceId, StreamBatch};
use tapline_query::Planner;
use tapline_record::address::mapped_v4;
use tapline_record::column::BURST_ROWS;
use tapline_record::{BatchBuilder, Epoch, Layout, PACKETS, PacketColumn, PacketRow, StreamId};

/// Counts what it hands out.
struct Counting;

static CALLS: AtomicU64 = AtomicU64::new(0);
static OCTETS: AtomicU64 = AtomicU64::new(0);

// SAFETY: every call goes on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Block) -> *mut u8 {
        CALLS.fetch_add(1, Ordering::Relaxed);
        OCTETS.fetch_add(layout.size() as u64, Ordering::Relaxed);
        // SAFETY: the caller's promises are the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Block) {
        // SAFETY: the caller's promises are the same.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const BATCH_ROWS: usize = 8192;
const WARM_BATCHES: u64 = 20;
const BATCHES: u64 = 100;

/// Allocations and octets a batch, from rows to groups, of queries that share what they can.
fn cost_of(queries: &[&str]) -> (u64, u64) {
    let queries: Vec<_> = queries.iter().map(|sql| Arc::new(Planner::new().plan(sql).unwrap())).collect();
    let mut columns: Vec<usize> =
        queries.iter().flat_map(|query| query.columns_of(&PACKETS).unwrap()).collect();
    columns.sort_unstable();
    columns.dedup();
    let limits = OperatorLimits { groups_max: 1 << 20, is_only_worker: true };
    let mut commons = Commons::default();
    let mut operators: Vec<_> = queries.iter().flat_map(|query| LowerOperator::all(query, limits)).collect();
    operators.iter_mut().for_each(|operator| operator.join(&mut commons));
    let mut of_streams = [const { None }; StreamId::COUNT];
    of_streams[StreamId::Packets as usize] = Some(columns.clone());
    let layout = Arc::new(Layout::new(Epoch(1), of_streams));
    let mut builder = BatchBuilder::new(&PACKETS, &columns, BATCH_ROWS);
    let rows: Vec<PacketRow> = (0..BATCH_ROWS).map(row).collect();
    let mut out = vec![];
    let mut before = (0, 0);
    for sequence in 0..WARM_BATCHES + BATCHES {
        if sequence == WARM_BATCHES {
            before = counted();
        }
        for burst in rows.chunks(BURST_ROWS) {
            builder.append(burst.len(), |position, column| PacketRow::append(burst, position, column));
        }
        let batch = builder.finish();
        let (source, layout) = (SourceId(0), Arc::clone(&layout));
        let batch = StreamBatch { source, stream: &PACKETS, layout, batch, sequence };
        commons.begin([Some(&batch)].into_iter());
        for operator in &mut operators {
            operator.process_with(&batch, commons.of(0), &mut out).unwrap();
        }
        commons.end();
        builder.recycle(batch.batch);
    }
    let after = counted();
    ((after.0 - before.0) / BATCHES, (after.1 - before.1) / BATCHES)
}

fn counted() -> (u64, u64) {
    (CALLS.load(Ordering::Relaxed), OCTETS.load(Ordering::Relaxed))
}

fn row(number: usize) -> PacketRow {
    let low = u8::try_from(number % 256).unwrap();
    let present = [
        PacketColumn::Ts,
        PacketColumn::SrcIp,
        PacketColumn::DstIp,
        PacketColumn::SrcPort,
        PacketColumn::DstPort,
        PacketColumn::Protocol,
        PacketColumn::Octets,
    ];
    PacketRow {
        present: present.iter().fold(0, |bits, column| bits | column.bit()),
        src_ip: mapped_v4([10, 0, 0, low]),
        dst_ip: mapped_v4([10, 0, 1, low]),
        src_port: u16::from(low),
        dst_port: 443,
        protocol: 6,
        octets: 1500,
        ..PacketRow::default()
    }
}

#[test]
fn a_warm_batch_allocates_no_room_for_rows() {
    let queries: [&[&str]; 4] = [
        &["SELECT protocol, count(*) FROM packets GROUP BY protocol"],
        &["SELECT src_ip, dst_ip, src_port, dst_port, protocol, count(*), sum(octets) FROM packets \
          GROUP BY src_ip, dst_ip, src_port, dst_port, protocol"],
        &["SELECT src_ip, sum(octets), max(octets) FROM packets GROUP BY src_ip, tumble('1 hour')"],
        &[
            "SELECT src_ip, dst_ip, count(*) FROM packets WHERE dst_port = 443 GROUP BY src_ip, dst_ip",
            "SELECT src_ip, dst_ip, sum(octets) FROM packets WHERE dst_port = 443 AND protocol = 6 \
             GROUP BY src_ip, dst_ip",
            "SELECT src_ip, dst_ip, max(octets) FROM packets GROUP BY src_ip, dst_ip, tumble('1 hour')",
        ],
    ];
    for sql in queries {
        let (calls, octets) = cost_of(sql);
        println!("{calls} allocations, {octets} octets a batch of {BATCH_ROWS} rows: {sql:?}");
        // One octet a row and query would be 8192.
        let octets_max = (BATCH_ROWS * sql.len()) as u64;
        assert!(octets < octets_max, "{octets} octets in {calls} allocations a batch: {sql:?}");
    }
}
