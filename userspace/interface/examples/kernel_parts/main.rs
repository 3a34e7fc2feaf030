//! What a frame costs in the kernel, part by part: `cargo xtask bench kernel` prints it.
//!
//! Takes the number of rounds. All parts and all numbers of flows are run in turn, again and again, so that what
//! else the machine does falls on all of them alike; medians are given.

mod by_test_run;
mod drain;
mod wire;

use std::error::Error;

use tapline_interface::kernel::{Clock, KernelError, KernelOptions, PaneGrid, Trial, monotonic_ns};

type Outcome = Result<(), Box<dyn Error>>;

/// Twice as many entries as there are flows at the most.
const ENTRIES: u32 = 1 << 17;
/// The CPU that everything runs on, if there are two.
const CPU: usize = 1;

fn main() -> Outcome {
    let rounds = std::env::args().nth(1).map_or(Ok(9), |rounds| rounds.parse())?;
    core_affinity::set_for_current(core_affinity::CoreId { id: CPU });
    let options = KernelOptions { flow_entries_max: ENTRIES, panes: one_pane(), ..KernelOptions::default() };
    let mut trial = match Trial::load(&options) {
        Err(error @ (KernelError::NoRights | KernelError::NotBuilt)) => {
            println!("skipped: {error}");
            return Ok(());
        }
        trial => trial?,
    };
    by_test_run::measure(&mut trial, rounds)?;
    drain::measure(&mut trial, rounds)?;
    wire::measure(&mut trial, rounds)
}

/// A pane that does not end while it is measured.
fn one_pane() -> PaneGrid {
    Clock::measure().grid(PaneGrid::LENGTH_NS_MAX, monotonic_ns())
}

/// A frame of 64 octets: UDP over IPv4.
fn template() -> Vec<u8> {
    let mut frame = vec![0; 64];
    frame[..14].copy_from_slice(&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0]);
    frame[14..24].copy_from_slice(&[0x45, 0, 0, 50, 0, 0, 0, 0, 64, 17]);
    frame[26..34].copy_from_slice(&[10, 0, 0, 0, 10, 255, 0, 1]);
    frame[34..40].copy_from_slice(&[4, 210, 0, 53, 0, 30]);
    frame
}

/// The middle one.
fn median<T: Copy + PartialOrd>(values: &mut [T]) -> T {
    values.sort_unstable_by(|a, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
    values[values.len() / 2]
}
