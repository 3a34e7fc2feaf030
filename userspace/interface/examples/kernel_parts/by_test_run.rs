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
    println!("ns/frame: median (least); share of frames whose coming sent another flow's entry out");
    println!("{}\n", filtered(&mut rows));
    Ok(())
}

/// What a frame costs where a filter keeps one in a hundred, beside what reading its headers does.
fn filtered(rows: &mut [(Part, [Cell; FLOWS.len()])]) -> String {
    let mut of = |wanted: Part| {
        let row = rows.iter_mut().find(|(part, _)| *part == wanted).map(|(_, row)| row);
        row.map_or([0.0; FLOWS.len()], |row| row.each_mut().map(|cell| median(&mut cell.ns) as f64))
    };
    let (parse, unwanted, wanted) = (of(Part::Parse), of(Part::Unwanted), of(Part::Wanted));
    let cells = (0..FLOWS.len()).map(|at| {
        let cost = 0.99 * unwanted[at] + 0.01 * wanted[at];
        format!("{:>17.2}", cost / parse[at].max(1.0))
    });
    format!("{:>10}{}   × Parse where a filter keeps 1 %", "", cells.collect::<String>())
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
