//! Batches in memory, from a seed.

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use std::sync::Arc;
use tapline_operators::{SourceId, StreamBatch};
use tapline_record::address::mapped_v4;
use tapline_record::column::BURST_ROWS;
use tapline_record::{
    BatchBuilder, ColumnBuilder, Epoch, FLOWS, FlowColumn, FlowRow, Layout, PACKETS, PacketColumn, PacketRow,
    Stream, StreamId,
};
use tapline_trafficgen::random::Random;

/// Rows of every workload.
pub(crate) const ROWS: usize = 4 << 20;
const BATCH_ROWS: usize = 8192;

/// What the rows look like.
pub(crate) enum Workload {
    /// Rows of `flows` with so many pairs of autonomous systems.
    AsPairs {
        /// Pairs.
        pairs: u64,
    },
    /// Rows of `packets` with so many five-tuples of IPv4 addresses.
    Flows {
        /// Five-tuples.
        flows: u64,
    },
}

impl Workload {
    /// The rows in batches of the columns at these positions.
    pub(crate) fn batches(&self, columns: &[usize]) -> Vec<StreamBatch> {
        match *self {
            Self::AsPairs { pairs } => {
                build(&FLOWS, columns, |number| as_pair(number % pairs), FlowRow::append)
            }
            Self::Flows { flows } => {
                build(&PACKETS, columns, |number| packet(number % flows), PacketRow::append)
            }
        }
    }
}

/// The schema that all batches share.
pub(crate) fn schema_of(batches: &[RecordBatch]) -> SchemaRef {
    batches[0].schema()
}

fn build<R>(
    stream: &'static Stream,
    columns: &[usize],
    row: impl Fn(u64) -> R,
    append: impl Fn(&[R], usize, &mut ColumnBuilder),
) -> Vec<StreamBatch> {
    let mut random = Random::new(7, "rows");
    let mut builder = BatchBuilder::new(stream, columns, BATCH_ROWS);
    let mut of_streams = [const { None }; StreamId::COUNT];
    of_streams[stream.id as usize] = Some(columns.to_vec());
    let layout = Arc::new(Layout::new(Epoch(1), of_streams));
    let batch = |sequence: usize| {
        for _ in 0..BATCH_ROWS / BURST_ROWS {
            let burst: Vec<R> = (0..BURST_ROWS).map(|_| row(random.bits())).collect();
            builder.append(BURST_ROWS, |position, column| append(&burst, position, column));
        }
        let sequence = sequence as u64;
        let (source, layout) = (SourceId(0), Arc::clone(&layout));
        StreamBatch { source, stream, layout, batch: builder.finish(), sequence }
    };
    (0..ROWS / BATCH_ROWS).map(batch).collect()
}

fn as_pair(pair: u64) -> FlowRow {
    let present = [FlowColumn::Ts, FlowColumn::SrcAs, FlowColumn::DstAs, FlowColumn::Octets];
    FlowRow {
        present: present.iter().fold(0, |bits, column| bits | column.bit()),
        src_as: 64_512 + u32::try_from(pair % 32).expect("below 32"),
        dst_as: u32::try_from(pair / 32).expect("few pairs"),
        octets: 1500,
        ..FlowRow::default()
    }
}

fn packet(flow: u64) -> PacketRow {
    let present = [
        PacketColumn::Ts,
        PacketColumn::SrcIp,
        PacketColumn::DstIp,
        PacketColumn::SrcPort,
        PacketColumn::DstPort,
        PacketColumn::Protocol,
        PacketColumn::Octets,
    ];
    let octets = flow.to_be_bytes();
    PacketRow {
        present: present.iter().fold(0, |bits, column| bits | column.bit()),
        src_ip: mapped_v4([10, octets[5], octets[6], octets[7]]),
        dst_ip: mapped_v4([192, 168, 0, octets[7]]),
        src_port: 1024 + u16::try_from(flow % 50_000).expect("below 50000"),
        dst_port: 443,
        protocol: if flow.is_multiple_of(3) { 17 } else { 6 },
        octets: 1500,
        ..PacketRow::default()
    }
}
