//! Counts packets by flow before they become rows.
//!
//! Takes bursts of packets, gives batches of [`PACKET_FLOWS`]: one row a flow and pane, in the order of the flows'
//! first packets. Always: the rows given stand for the packets taken in, each of them once, and no row holds packets
//! of two panes. When a packet of a later pane comes, all flows of the pane before are given, and so they are when
//! there are too many. A packet of an earlier pane is a row of its own.
//!
//! Where flows are hardly fewer than packets, counting them first costs more than it saves: then packets go by the
//! cache for a while, each as a row.

mod key;
mod table;
#[cfg(test)]
mod tests;

use crate::packet::Depth;
use arrow_array::RecordBatch;
use key::{Family, KeyLayout};
use std::collections::VecDeque;
use std::ops::Range;
use table::{FLOWS_MAX, Table};
use tapline_record::column::{BURST_ROWS, Symbol};
use tapline_record::{
    BatchBuilder, ColumnBuilder, EventTime, PACKET_FLOWS, PACKETS, PacketColumn, PacketFlowColumn,
    PacketFlowRow, PacketRow,
};

/// Packets after which it is judged whether counting them first is worth it.
const JUDGED_PACKETS: u64 = 1 << 14;
/// For so many times as many packets as were judged the judgement holds.
const PASSING_TIMES: u64 = 16;

/// Packets by flow and pane.
#[derive(Debug)]
pub struct FlowCache {
    builder: BatchBuilder,
    /// Where packets have the columns of flows, by their positions.
    places: Vec<Option<usize>>,
    /// Full batches.
    ready: VecDeque<RecordBatch>,
    v4: Box<dyn Table>,
    other: Box<dyn Table>,
    /// The width of panes in nanoseconds; without it, all of time is one.
    pane_ns: Option<i64>,
    /// The pane of the flows that are being counted.
    pane: Range<i64>,
    /// What the packets that come now are of.
    source: Symbol,
    /// Packets that were counted since the last judgement, and the flows that were given for them.
    judged: [u64; 2],
    /// Packets of the pane, and packets of earlier ones that came meanwhile.
    packets: u64,
    strays: u64,
    /// So many packets more go by the cache.
    passing: u64,
}

impl FlowCache {
    /// Builds the columns at these positions of [`PACKET_FLOWS`] in batches of `batch_rows` rows, for panes of this
    /// width in nanoseconds.
    #[must_use]
    pub fn new(columns: &[usize], pane_ns: Option<i64>, batch_rows: usize) -> Self {
        let [v4, other] = tables(columns);
        Self {
            builder: BatchBuilder::new(&PACKET_FLOWS, columns, batch_rows),
            places: (0..PACKET_FLOWS.columns.len()).map(place_in_packets).collect(),
            ready: VecDeque::new(),
            v4,
            other,
            pane_ns,
            pane: 0..0,
            source: Symbol::default(),
            judged: [0; 2],
            packets: 0,
            strays: 0,
            passing: 0,
        }
    }

    /// Builds these columns for these panes instead: what was counted before is in rows, which were taken.
    pub fn relayout(&mut self, columns: &[usize], pane_ns: Option<i64>) {
        debug_assert!(self.packets == 0 && self.is_empty(), "flushed and taken first");
        self.builder.relayout(columns);
        [self.v4, self.other] = tables(columns);
        self.pane_ns = pane_ns;
        self.pane = 0..0;
    }

    /// How far packets have to be read for the columns at these positions of [`PACKET_FLOWS`].
    #[must_use]
    pub fn depth(columns: &[usize]) -> Depth {
        let packets: Vec<_> = columns.iter().filter_map(|&column| place_in_packets(column)).collect();
        Depth::of_columns(&packets)
    }

    /// The symbol of a source's name, for [`Self::set_source`].
    pub fn intern_source(&mut self, name: &str) -> Symbol {
        self.builder.intern(name)
    }

    /// Says of which source the packets are that come now.
    pub const fn set_source(&mut self, source: Symbol) {
        self.source = source;
    }

    /// Counts packets.
    pub fn update_burst(&mut self, mut packets: &[PacketRow]) {
        while let Some(first) = packets.first() {
            let taken = if self.passing > 0 {
                self.passing = self.passing.saturating_sub(packets.len() as u64);
                self.pass(packets);
                packets.len()
            } else if self.pane.contains(&first.ts) {
                let inside = packets.iter().take_while(|packet| self.pane.contains(&packet.ts)).count();
                self.count(&packets[..inside]);
                inside
            } else {
                self.turn_to(first)
            };
            packets = &packets[taken..];
        }
    }

    /// Gives the flows of a pane that ends here or earlier.
    pub fn advance(&mut self, time: EventTime) {
        if self.packets > 0 && self.pane.end <= time.0 {
            self.flush();
        }
    }

    /// Makes rows of all flows.
    pub fn flush(&mut self) {
        let Self { v4, other, builder, ready, .. } = self;
        self.judged[0] += self.packets;
        self.judged[1] += (v4.len() + other.len()) as u64;
        (self.packets, self.strays) = (0, 0);
        for table in [v4, other] {
            table.drain(&mut |rows| {
                append(builder, ready, rows.len(), &mut |position, column| {
                    PacketFlowRow::append(rows, position, column);
                });
            });
        }
        self.judge();
    }

    /// No packet that is being counted, and is in no row yet, is older.
    #[must_use]
    pub fn oldest(&self) -> EventTime {
        EventTime(if self.packets > 0 { self.pane.start } else { i64::MAX })
    }

    /// Batches that wait to be taken.
    #[must_use]
    pub fn batches(&self) -> usize {
        self.ready.len()
    }

    /// A batch that is full, or `all` rows.
    pub fn take(&mut self, all: bool) -> Option<RecordBatch> {
        let rest = |builder: &mut BatchBuilder| (all && builder.rows() > 0).then(|| builder.finish());
        self.ready.pop_front().or_else(|| rest(&mut self.builder))
    }

    /// Whether no row waits to be taken.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ready.is_empty() && self.builder.rows() == 0
    }

    /// Takes back a batch whose memory may be used again.
    pub fn recycle(&mut self, batch: RecordBatch) {
        self.builder.recycle(batch);
    }

    fn count(&mut self, packets: &[PacketRow]) {
        if self.v4.len().max(self.other.len()) + packets.len() > FLOWS_MAX {
            self.flush();
        }
        self.packets += packets.len() as u64;
        for packets in packets.chunks(BURST_ROWS) {
            let (mut v4, mut other) = ([&packets[0]; BURST_ROWS], [&packets[0]; BURST_ROWS]);
            let (mut of_v4, mut of_other) = (0, 0);
            for packet in packets {
                let (picked, count) = match Family::of(packet) {
                    Family::V4 => (&mut v4, &mut of_v4),
                    Family::Other => (&mut other, &mut of_other),
                };
                picked[*count] = packet;
                *count += 1;
            }
            for (table, picked) in [(&mut self.v4, &v4[..of_v4]), (&mut self.other, &other[..of_other])] {
                if !picked.is_empty() {
                    table.count(picked, self.source);
                }
            }
        }
    }

    /// Turns to the pane of a packet that is in another one, or makes a row of the packet: where the pane is an
    /// earlier one, to which not more packets have come than to this one, and at the end of time, which is in no
    /// pane. Gives how many packets were taken.
    fn turn_to(&mut self, packet: &PacketRow) -> usize {
        let is_stray = packet.ts < self.pane.start && self.strays < self.packets;
        if is_stray || packet.ts == i64::MAX {
            self.strays += u64::from(is_stray);
            self.pass(std::slice::from_ref(packet));
            return 1;
        }
        self.flush();
        self.pane = match self.pane_ns {
            None => i64::MIN..i64::MAX,
            Some(width) => {
                let start = EventTime(packet.ts).align_down(width);
                start.0..start.plus(width).0
            }
        };
        0
    }

    /// Makes a row of each packet.
    fn pass(&mut self, packets: &[PacketRow]) {
        let Self { builder, places, ready, source, .. } = self;
        for packets in packets.chunks(BURST_ROWS) {
            append(builder, ready, packets.len(), &mut |position, column| {
                append_packets(packets, *source, (position, places[position]), column);
            });
        }
    }

    fn judge(&mut self) {
        let [packets, flows] = self.judged;
        if packets >= JUDGED_PACKETS {
            self.judged = [0; 2];
            self.passing = if 2 * flows > packets { PASSING_TIMES * packets } else { 0 };
        }
    }
}

/// Tables for the keys among these columns.
fn tables(columns: &[usize]) -> [Box<dyn Table>; 2] {
    let columns: Vec<_> =
        columns.iter().filter_map(|&column| PacketFlowColumn::ALL.get(column).copied()).collect();
    [Family::V4, Family::Other].map(|family| table::of_layout(KeyLayout::new(&columns, family)))
}

/// Appends rows; what is full then is ready.
fn append(
    builder: &mut BatchBuilder,
    ready: &mut VecDeque<RecordBatch>,
    rows: usize,
    fill: &mut dyn FnMut(usize, &mut ColumnBuilder),
) {
    builder.append(rows, fill);
    if builder.is_full() {
        ready.push_back(builder.finish());
    }
}

/// Appends the column at this position of [`PACKET_FLOWS`], and this one of packets that are a row each.
fn append_packets(
    packets: &[PacketRow],
    source: Symbol,
    position: (usize, Option<usize>),
    column: &mut ColumnBuilder,
) {
    const SOURCE: usize = PacketFlowColumn::Source as usize;
    const COUNT: usize = PacketFlowColumn::Packets as usize;
    match position {
        (SOURCE, _) => column.append(packets.iter().map(|_| (source, 1))),
        (COUNT, _) => column.append(packets.iter().map(|_| (1_u64, 1))),
        (_, Some(place)) => PacketRow::append(packets, place, column),
        (_, None) => column.append_absent(packets.len()),
    }
}

/// Where packets have the column at this position of [`PACKET_FLOWS`].
fn place_in_packets(column: usize) -> Option<usize> {
    if column == PacketFlowColumn::LastTs as usize {
        return Some(PacketColumn::Ts as usize);
    }
    PACKETS.position(PACKET_FLOWS.columns.get(column)?.name)
}
