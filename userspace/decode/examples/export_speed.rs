//! Measures the export decoder alone: records a second of CPU time, per protocol, of trafficgen's datagrams.
//!
//! `cargo run --release -p tapline-decode --example export_speed [MILLION_RECORDS]`

use std::net::{IpAddr, Ipv4Addr};
use tapline_decode::export::{Datagram, ExportDecoder, ExportOptions, Sender};
use tapline_record::{ElementColumn, ElementForm, EventTime, FLOWS, FlowColumn};
use tapline_trafficgen::exports::{ExportPlan, Fleet, Outbox, Protocol};

const START_NS: u64 = 1_700_000_000_000_000_000;
const BATCH_ROWS: usize = 8192;

fn main() -> Result<(), String> {
    let millions = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(5);
    let matrix = [FlowColumn::Ts, FlowColumn::SrcAs, FlowColumn::DstAs, FlowColumn::Octets]
        .map(|column| column as usize);
    let by_number = [16, 17, 1].map(|id| ElementColumn { enterprise: 0, id, form: ElementForm::Unsigned });
    let elements = [&[FlowColumn::Ts as usize][..], &by_number.map(ElementColumn::position)].concat();
    let every_column: Vec<usize> = (0..FLOWS.columns.len()).collect();
    for protocol in Protocol::ALL {
        let columns = [
            ("traffic matrix", &matrix[..]),
            ("the same by numbers of elements", &elements),
            ("every column", &every_column),
        ];
        for (name, columns) in columns {
            let speed = measure(protocol, columns, millions * 1_000_000)?;
            println!("{protocol}, {name}: {speed:.1} M records/s");
        }
    }
    Ok(())
}

/// Decodes the same datagrams again and again; gives millions of records a second.
fn measure(protocol: Protocol, columns: &[usize], records: u64) -> Result<f64, String> {
    let mut fleet = Fleet::new(&ExportPlan::new(protocol, 1), 0..1)?;
    let mut outbox = Outbox::default();
    while outbox.len() < 1000 {
        fleet.emit(0, START_NS, &mut outbox);
    }
    let mut decoder = ExportDecoder::new(columns, BATCH_ROWS, ExportOptions::default());
    let sender = Sender::udp(IpAddr::V4(Ipv4Addr::LOCALHOST), 2055);
    let received = EventTime(START_NS.cast_signed());
    let (start_ns, mut decoded) = (cpu_ns()?, 0);
    while decoded < records {
        for payload in outbox.datagrams() {
            decoder.push(&Datagram { received, sender, payload });
            if decoder.is_full() {
                decoded += decoder.rows() as u64;
                decoder.finish().into_iter().for_each(|batch| decoder.recycle(batch));
            }
        }
    }
    Ok(decoded as f64 * 1e3 / (cpu_ns()? - start_ns) as f64)
}

/// Nanoseconds that this process has run.
fn cpu_ns() -> Result<u64, String> {
    let text = std::fs::read_to_string("/proc/self/schedstat").map_err(|error| error.to_string())?;
    let first = text.split_whitespace().next().and_then(|number| number.parse().ok());
    first.ok_or_else(|| format!("schedstat is {text}"))
}
