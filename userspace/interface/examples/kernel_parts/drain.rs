//! How long it takes to empty the table.

use std::time::{Duration, Instant};

use tapline_interface::kernel::{Part, Trial};

use crate::{Outcome, median, one_pane, template};

const FLOWS: u32 = 1 << 16;

pub(crate) fn measure(trial: &mut Trial, rounds: usize) -> Outcome {
    let (mut full, mut empty) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        trial.run(Part::Table, &template(), FLOWS, FLOWS)?;
        full.push(drain(trial, u64::from(FLOWS))?);
        empty.push(drain(trial, 0)?);
    }
    let (full, empty) = (median(&mut full), median(&mut empty));
    println!("drain of {FLOWS} entries: {full:.1?}; of none, for the wait and the look: {empty:.1?}\n");
    Ok(())
}

fn drain(trial: &mut Trial, expected: u64) -> Result<Duration, Box<dyn std::error::Error>> {
    let start = Instant::now();
    let mut packets = 0;
    trial.table().drain(one_pane(), |flow| packets += flow.packets)?;
    let took = start.elapsed();
    assert_eq!(packets, expected, "every frame comes out");
    Ok(took)
}
