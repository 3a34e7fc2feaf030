//! Frames in, record batches out.
//!
//! Rows are decoded into an array that stays in the first-level cache and moved into the columns
//! burst by burst. Every frame pushed is one row of one batch, damaged ones too; once warm, nothing
//! is allocated but text and payload.

use super::damage::DamageCounts;
use super::decode::decode;
use super::depth::Depth;
use super::tunnel_kind::Kind;
use super::unread::UnreadCounts;
use crate::frame::Frame;
use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use std::collections::HashMap;
use tapline_record::column::{BURST_ROWS, Symbol};
use tapline_record::{BatchBuilder, PACKETS, PacketColumn, PacketRow};

/// Octets of payload in one batch from which on it is full, whatever its rows.
const PAYLOAD_OCTETS_MAX: usize = 16 << 20;
/// Interfaces that are told apart; frames of further ones have no name.
const INTERFACES_MAX: usize = 4096;

/// Builds batches of the stream `packets` from frames.
#[derive(Debug)]
pub struct PacketBatcher {
    builder: BatchBuilder,
    batch_rows: usize,
    depth: Depth,
    burst: Box<[PacketRow; BURST_ROWS]>,
    /// Rows of the burst that are not yet in the columns.
    pending: usize,
    /// Whether the payload column is built, and its octets in this batch.
    payload_octets: Option<usize>,
    /// What the frames that come now are of, when the source column is built.
    source: Option<Symbol>,
    /// Names seen so far, when the interface column is built.
    interfaces: Option<HashMap<Box<str>, Symbol>>,
    damage: DamageCounts,
    unread: UnreadCounts,
    seen: Seen,
}

/// What a batcher has seen since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Frames, each of them a row.
    pub rows: u64,
    /// Sum of the column `octets`; zero when nothing needs the IP header.
    pub octets: u64,
    /// Sum of the column `frame_octets`.
    pub frame_octets: u64,
}

impl PacketBatcher {
    /// Builds the columns at these positions of the stream, in batches of `batch_rows` rows.
    #[must_use]
    pub fn new(columns: &[usize], batch_rows: usize) -> Self {
        let mut builder = BatchBuilder::new(&PACKETS, columns, batch_rows);
        for text in Kind::TEXTS {
            builder.intern(text);
        }
        Self {
            batch_rows,
            depth: Depth::of_columns(columns),
            burst: Box::new([PacketRow::default(); BURST_ROWS]),
            pending: 0,
            payload_octets: builder.builds(PacketColumn::Payload as usize).then_some(0),
            source: builder.builds(PacketColumn::Source as usize).then(|| builder.intern("")),
            interfaces: builder.builds(PacketColumn::Interface as usize).then(HashMap::new),
            damage: DamageCounts::default(),
            unread: UnreadCounts::default(),
            seen: Seen::default(),
            builder,
        }
    }

    /// Reads at least down to `depth`, for somebody who uses the rows of [`Self::push`].
    #[must_use]
    pub fn with_depth(mut self, depth: Depth) -> Self {
        self.depth = self.depth.max(depth);
        self
    }

    /// Reads at least down to `depth` from the next frame on.
    pub fn read_to(&mut self, depth: Depth) {
        self.depth = self.depth.max(depth);
    }

    /// Builds the columns at these positions instead, and reads at least down to `depth`; what was seen stays counted.
    pub fn relayout(&mut self, columns: &[usize], depth: Depth) {
        self.builder.relayout(columns);
        self.depth = Depth::of_columns(columns).max(depth);
        self.payload_octets = self.builder.builds(PacketColumn::Payload as usize).then_some(0);
        let has_source = self.builder.builds(PacketColumn::Source as usize);
        self.source = has_source.then(|| self.source.unwrap_or_else(|| self.builder.intern("")));
        self.interfaces = self.builder.builds(PacketColumn::Interface as usize).then(HashMap::new);
    }

    /// The schema of the batches.
    #[must_use]
    pub fn schema(&self) -> SchemaRef {
        self.builder.schema()
    }

    /// The symbol of a source's name, for [`Self::set_source`].
    pub fn intern_source(&mut self, name: &str) -> Symbol {
        self.builder.intern(name)
    }

    /// Says of which source the frames are that come now. The burst moves into the columns; whoever needs its rows
    /// takes them before.
    pub fn set_source(&mut self, source: Symbol) {
        self.flush();
        self.source = self.source.map(|_| source);
    }

    /// Appends a frame and gives its row.
    #[inline]
    pub fn push(&mut self, frame: &Frame<'_>) -> &PacketRow {
        self.push_if(frame, |_| true);
        &self.burst[self.pending - 1]
    }

    /// Appends a frame, unless its row, as far as it is read, is not to be kept; says whether it was. A frame that is not
    /// kept is not among those seen.
    #[inline]
    pub fn push_if(&mut self, frame: &Frame<'_>, keeps: impl FnOnce(&PacketRow) -> bool) -> bool {
        if self.is_burst_full() {
            self.flush();
        }
        let row = &mut self.burst[self.pending];
        let decoded = decode(frame, self.depth, row);
        if !keeps(row) {
            return false;
        }
        self.pending += 1;
        self.seen.rows += 1;
        self.seen.frame_octets += row.frame_octets;
        self.seen.octets += if row.has(PacketColumn::Octets) { row.octets } else { 0 };
        if let Some(damage) = decoded.damage {
            self.damage.count(damage);
        }
        if let Some(what) = decoded.unread {
            self.unread.count(what);
        }
        if let Some(interfaces) = &mut self.interfaces
            && let Some(symbol) = symbol_of(frame.interface, interfaces, &mut self.builder)
        {
            row.interface = symbol;
            row.present |= PacketColumn::Interface.bit();
        }
        if let Some(octets) = &mut self.payload_octets
            && let Some(column) = self.builder.column_mut(PacketColumn::Payload as usize)
        {
            column.push_bytes(decoded.payload);
            *octets += decoded.payload.map_or(0, <[u8]>::len);
        }
        true
    }

    /// Whether the next frame begins another burst, so that it is time to [`Self::take_burst`].
    #[must_use]
    #[inline]
    pub const fn is_burst_full(&self) -> bool {
        self.pending == BURST_ROWS
    }

    /// Moves the rows of the burst into the columns, and gives them.
    pub fn take_burst(&mut self) -> &[PacketRow] {
        let pending = self.pending;
        self.flush();
        &self.burst[..pending]
    }

    /// Rows of the batch that is being filled.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.builder.rows() + self.pending
    }

    /// Whether it is time to [`Self::finish`] the batch; another frame is still taken.
    #[must_use]
    #[inline]
    pub fn is_full(&self) -> bool {
        self.rows() >= self.batch_rows
            || self.payload_octets.is_some_and(|octets| octets >= PAYLOAD_OCTETS_MAX)
    }

    /// The rows since the last call, `None` when there are none.
    pub fn finish(&mut self) -> Option<RecordBatch> {
        self.flush();
        if let Some(octets) = &mut self.payload_octets {
            *octets = 0;
        }
        (self.builder.rows() > 0).then(|| self.builder.finish())
    }

    /// Takes back a batch whose memory may be used again.
    pub fn recycle(&mut self, batch: RecordBatch) {
        self.builder.recycle(batch);
    }

    /// Damaged frames so far, by reason.
    #[must_use]
    pub fn damage(&self) -> &DamageCounts {
        &self.damage
    }

    /// Frames so far of link types, EtherTypes and the like that are not read.
    #[must_use]
    pub fn unread(&self) -> &UnreadCounts {
        &self.unread
    }

    /// Totals over all frames so far.
    #[must_use]
    pub fn seen(&self) -> Seen {
        self.seen
    }

    fn flush(&mut self) {
        let rows = &mut self.burst[..self.pending];
        if let Some(source) = self.source {
            rows.iter_mut().for_each(|row| note_source(row, source));
        }
        let rows = &*rows;
        if !rows.is_empty() {
            self.builder.append(rows.len(), |position, column| PacketRow::append(rows, position, column));
        }
        self.pending = 0;
    }
}

/// The source is the same of all rows of a burst: no frame need carry it.
fn note_source(row: &mut PacketRow, source: Symbol) {
    row.source = source;
    row.present |= PacketColumn::Source.bit();
}

/// The symbol of an interface's name.
fn symbol_of(
    name: Option<&str>,
    known: &mut HashMap<Box<str>, Symbol>,
    builder: &mut BatchBuilder,
) -> Option<Symbol> {
    let name = name?;
    if let Some(symbol) = known.get(name) {
        return Some(*symbol);
    }
    if known.len() == INTERFACES_MAX {
        return None;
    }
    let symbol = builder.intern(name);
    known.insert(name.into(), symbol);
    Some(symbol)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Damage, LinkType};
    use arrow_array::Array as _;
    use arrow_array::cast::AsArray as _;
    use arrow_array::types::{Int64Type, UInt16Type};
    use tapline_record::EventTime;

    /// Ethernet, IPv4, UDP from port 53 to port 1000, two octets of data.
    const FRAME: &[u8] = b"\x02\0\0\0\0\x01\x02\0\0\0\0\x02\x08\0\
        \x45\0\0\x1e\0\x01\0\0\x40\x11\0\0\x0a\0\0\x01\x0a\0\0\x02\
        \0\x35\x03\xe8\0\x0a\0\0hi";

    fn frame(bytes: &[u8]) -> Frame<'_> {
        let ts = EventTime(7);
        Frame {
            ts,
            link: LinkType::Ethernet,
            direction: None,
            interface: Some("eth0"),
            original_octets: u32::try_from(bytes.len()).unwrap(),
            bytes,
        }
    }

    fn columns(columns: &[PacketColumn]) -> Vec<usize> {
        columns.iter().map(|&column| column as usize).collect()
    }

    #[test]
    fn every_frame_is_a_row_and_batches_hold_what_was_asked_for() {
        let wanted = columns(&[PacketColumn::SrcPort, PacketColumn::FrameOctets]);
        let mut batcher = PacketBatcher::new(&wanted, 100);
        assert!(batcher.finish().is_none(), "nothing was pushed");
        let mut sizes = vec![];
        for position in 0..250 {
            let bytes = if position % 2 == 0 { FRAME } else { &FRAME[..5] };
            batcher.push(&frame(bytes));
            if batcher.is_full() {
                let batch = batcher.finish().unwrap();
                sizes.push(batch.num_rows());
                batcher.recycle(batch);
            }
        }
        let rest = batcher.finish().unwrap();
        assert_eq!((sizes, rest.num_rows()), (vec![100, 100], 50));
        assert_eq!(rest.column(0).null_count(), 25);
        assert_eq!(rest.column(0).as_primitive::<UInt16Type>().value(0), 53);
        assert_eq!(rest.column(1).as_primitive::<Int64Type>().value(0), 44);
        assert_eq!(batcher.damage().of(Damage::EthernetTruncated), 125);
        assert_eq!(batcher.seen(), Seen { rows: 250, octets: 125 * 30, frame_octets: 125 * (44 + 5) });
    }

    #[test]
    fn bursts_are_lent_once_and_stay_in_the_batch() {
        let mut batcher = PacketBatcher::new(&columns(&[PacketColumn::SrcPort]), 256);
        let mut lent = 0;
        for _ in 0..150 {
            batcher.push(&frame(FRAME));
            if batcher.is_burst_full() {
                lent += batcher.take_burst().len();
            }
        }
        assert_eq!((lent, batcher.take_burst().len(), batcher.take_burst().len()), (128, 22, 0));
        assert_eq!(batcher.finish().unwrap().num_rows(), 150);
    }

    #[test]
    fn text_and_payload_stay_with_their_rows() {
        let wanted = columns(&[PacketColumn::Interface, PacketColumn::Payload]);
        let mut batcher = PacketBatcher::new(&wanted, 128);
        for position in 0..70 {
            let bytes = if position == 3 { &FRAME[..14] } else { FRAME };
            let interface = (position != 66).then_some("eth0");
            batcher.push(&Frame { interface, ..frame(bytes) });
        }
        let batch = batcher.finish().unwrap();
        let (interface, payload) = (batch.column(0).as_string::<i32>(), batch.column(1).as_binary::<i32>());
        assert_eq!((interface.value(0), interface.null_count(), interface.is_null(66)), ("eth0", 1, true));
        assert_eq!((payload.value(69), payload.null_count(), payload.is_null(3)), (&b"hi"[..], 1, true));
    }

    #[test]
    fn rows_are_of_the_source_that_was_set_when_they_came() {
        let mut batcher = PacketBatcher::new(&columns(&[PacketColumn::Source]), 256);
        let symbols = ["a", "b"].map(|name| batcher.intern_source(name));
        for (source, frames) in [(0, 70), (1, 3), (0, 1)] {
            batcher.set_source(symbols[source]);
            for _ in 0..frames {
                batcher.push(&frame(FRAME));
            }
        }
        let batch = batcher.finish().unwrap();
        let found: Vec<_> = batch.column(0).as_string::<i32>().iter().map(Option::unwrap).collect();
        assert_eq!(found, [vec!["a"; 70], vec!["b"; 3], vec!["a"]].concat());
    }

    #[test]
    fn the_row_is_as_deep_as_asked() {
        let mut batcher = PacketBatcher::new(&[PacketColumn::Ts as usize], 64);
        assert!(!batcher.push(&frame(FRAME)).has(PacketColumn::Ethertype));
        batcher.read_to(Depth::Link);
        let row = batcher.push(&frame(FRAME));
        assert!(row.has(PacketColumn::Ethertype) && !row.has(PacketColumn::DstPort));
        let mut batcher = batcher.with_depth(Depth::Transport);
        let row = batcher.push(&frame(FRAME));
        assert_eq!((row.src_port, row.dst_port, row.has(PacketColumn::DstPort)), (53, 1000, true));
    }

    #[test]
    fn a_batch_is_full_of_payload_before_it_is_full_of_rows() {
        let mut batcher = PacketBatcher::new(&columns(&[PacketColumn::Payload]), 1 << 20);
        let mut jumbo = FRAME.to_vec();
        jumbo.resize(60_000, 0);
        // Total length and UDP length of zero: whatever was captured.
        (jumbo[16], jumbo[17], jumbo[38], jumbo[39]) = (0, 0, 0, 0);
        let rows = (1..1000).find(|_| {
            batcher.push(&frame(&jumbo));
            batcher.is_full()
        });
        assert_eq!(rows, Some(280));
        batcher.finish();
        assert!(!batcher.is_full());
    }
}
