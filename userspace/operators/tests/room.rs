//! Panes while others hold what may be held: those that begin have room of their own.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use tapline_operators::{LowerOperator, LowerOutput, OperatorLimits, Room, SourceId, StreamBatch};
use tapline_query::Planner;
use tapline_record::{BatchBuilder, Epoch, Layout, PACKETS, PacketColumn, PacketRow, Reach, StreamId};

const SQL: &str =
    "SELECT src_port, dst_port, count(*) AS n FROM packets GROUP BY src_port, dst_port, tumble('10 seconds')";
const ROWS: u32 = 4096;
/// Rows that are appended at once.
const BURST: usize = 32;

/// Groups of each pane, and rows in their folded rows: a pane of this many rows, each of a group of its own.
fn panes(rows: u32, room: Room) -> Vec<(usize, u64)> {
    let query = Arc::new(Planner::new().plan(SQL).unwrap());
    let limits = OperatorLimits { groups_max: 1 << 20, is_only_worker: true };
    let mut lower = LowerOperator::all(&query, limits).swap_remove(0);
    let columns = query.columns_of(&PACKETS).unwrap();
    let mut of_streams = [const { None }; StreamId::COUNT];
    of_streams[StreamId::Packets as usize] = Some(columns.clone());
    let layout = Arc::new(Layout::new(Epoch(1), of_streams));
    let mut outputs = vec![];
    for (sequence, first) in (0..).zip((0..2 * rows).step_by(ROWS as usize)) {
        let row = |number: u32| PacketRow {
            ts: if number < rows { 1 } else { 10_000_000_001 },
            src_port: (number % 60_000) as u16,
            dst_port: (number / 60_000) as u16,
            present: PacketColumn::Ts.bit() | PacketColumn::SrcPort.bit() | PacketColumn::DstPort.bit(),
            ..PacketRow::default()
        };
        let rows: Vec<PacketRow> = (first..first + ROWS).map(row).collect();
        let mut builder = BatchBuilder::new(&PACKETS, &columns, rows.len());
        for burst in rows.chunks(BURST) {
            builder.append(burst.len(), |position, column| PacketRow::append(burst, position, column));
        }
        let (source, layout, batch) = (SourceId(0), Arc::clone(&layout), builder.finish());
        lower.set_room(room);
        let input = StreamBatch { source, stream: &PACKETS, layout, batch, sequence };
        lower.process(&input, &mut outputs).unwrap();
    }
    lower.advance(&Reach::END, &mut outputs).unwrap();
    let of_a_pane = |output: LowerOutput| match output {
        LowerOutput::Pane { groups, .. } => Some((groups.groups.num_rows(), groups.folded_rows)),
        _ => None,
    };
    outputs.into_iter().filter_map(of_a_pane).collect()
}

#[test]
fn a_pane_has_octets_of_its_own_whatever_others_hold() {
    let rows = 16 * ROWS;
    let all = usize::MAX;
    let none_left = panes(rows, Room { octets: 0, of_a_pane: all, own: 0 });
    let some_own = panes(rows, Room { octets: 0, of_a_pane: all, own: 1 << 20 });
    let much = panes(rows, Room::default());
    for panes in [&none_left, &some_own, &much] {
        assert!(panes.iter().all(|(groups, folded)| *groups as u64 + folded == u64::from(rows)), "{panes:?}");
    }
    assert!(none_left.iter().all(|(groups, _)| *groups < 256), "{none_left:?}");
    assert!(some_own.iter().all(|(groups, _)| (4_000..rows as usize).contains(groups)), "{some_own:?}");
    assert_eq!(much, [(rows as usize, 0); 2]);
}
