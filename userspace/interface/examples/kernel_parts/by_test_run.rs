//! Ns per frame by test runs: the program alone, on one CPU.

use tapline_interface::kernel::{Part, Trial};

use crate::{Outcome, median, one_pane, template};

const FLOWS: [u32; 4] = [1, 1 << 10, 1 << 14, 1 << 16];
const FRAMES: u32 = 1_000_000;

/// One part, one number of flows, all rounds.
#[derive(Default)]
struct Cell {
    ns: Vec<u64>,
    evicted: u64,
}

pub(crate) fn measure(trial: &mut Trial, rounds: usize) -> Outcome {
    let row = || FLOWS.map(|_| Cell::default());
    let mut rows = Part::ALL.map(|part| (part, row()));
    for _ in 0..rounds {
        for (part, row) in &mut rows {
            for (cell, flows) in row.iter_mut().zip(FLOWS) {
                run(trial, *part, flows, cell)?;
            }
        }
    }
    println!("{:>10}{}   flows", "", FLOWS.map(|flows| format!("{flows:>17}")).concat());
    for (part, row) in &mut rows {
        println!("{:>10}{}", format!("{part:?}"), row.each_mut().map(print).concat());
    }
    println!("ns/frame: median (least); share of frames whose coming sent another flow's entry out\n");
    Ok(())
}

fn print(cell: &mut Cell) -> String {
    let frames = FRAMES as usize * cell.ns.len();
    let evicted = cell.evicted as f64 / frames as f64 * 100.0;
    let least = cell.ns.iter().min().copied().unwrap_or(0);
    format!("{:>5} ({least:>3}) {evicted:3.1} %", median(&mut cell.ns))
}

fn run(trial: &mut Trial, part: Part, flows: u32, cell: &mut Cell) -> Outcome {
    let template = template();
    trial.run(part, &template, flows, (flows * 2).max(1000))?;
    let before = trial.counters();
    cell.ns.push(trial.run(part, &template, flows, FRAMES)?);
    let counted = trial.counters().since(&before);
    cell.evicted += counted.evicted_entries;
    assert_eq!(counted.lost_packets, 0, "the ring buffer is large enough");
    trial.table().drain(one_pane(), |_| ())?;
    Ok(())
}
