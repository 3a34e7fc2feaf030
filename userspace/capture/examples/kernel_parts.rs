//! What a frame costs in the kernel, part by part, by test runs: `cargo xtask bench kernel` prints it.
//!
//! All parts and all numbers of flows are run in turn, again and again, so that what else the machine does falls on
//! all of them alike; medians are given, and the least in brackets.

use std::error::Error;
use std::time::{Duration, Instant};

use tapline_capture::kernel::{Clock, KernelOptions, Part, Trial, monotonic_ns};

const FLOWS: [u32; 4] = [1, 1 << 10, 1 << 14, 1 << 16];
const FRAMES: u32 = 1_000_000;
/// Twice as many as there are flows at the most.
const ENTRIES: u32 = 1 << 17;
/// The CPU that everything runs on, if there are two.
const CPU: usize = 1;

/// Ns per frame of all rounds, and what the table did.
#[derive(Default)]
struct Cell {
    ns: Vec<u64>,
    early: u64,
    lost: u64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let rounds = std::env::args().nth(1).map_or(Ok(9), |rounds| rounds.parse())?;
    core_affinity::set_for_current(core_affinity::CoreId { id: CPU });
    let panes = Clock::measure().grid(3_600_000_000_000, monotonic_ns());
    let options = KernelOptions { flow_entries_max: ENTRIES, panes, ..KernelOptions::default() };
    let mut trial = Trial::load(&options)?;
    let mut cells: Vec<Vec<Cell>> =
        Part::ALL.iter().map(|_| FLOWS.iter().map(|_| Cell::default()).collect()).collect();
    for _ in 0..rounds {
        for (row, part) in cells.iter_mut().zip(Part::ALL) {
            for (cell, flows) in row.iter_mut().zip(FLOWS) {
                measure(&mut trial, part, flows, cell)?;
            }
        }
    }
    println!("{:>10}{}", "ns/frame", FLOWS.map(|flows| format!("{flows:>18}")).concat());
    for (row, part) in cells.iter_mut().zip(Part::ALL) {
        print!("{:>10}", format!("{part:?}"));
        for cell in row {
            cell.ns.sort_unstable();
            let early = cell.early as f64 / (f64::from(FRAMES) * cell.ns.len() as f64) * 100.0;
            print!("{:>5} ({:>3}) {early:4.1} %", cell.ns[cell.ns.len() / 2], cell.ns[0]);
            assert_eq!(cell.lost, 0);
        }
        println!();
    }
    drains(&mut trial, panes)?;
    on_the_wire(&mut trial, panes)
}

/// Frames/s of one CPU that sends and receives over a veth pair, part by part.
fn on_the_wire(trial: &mut Trial, panes: tapline_capture::kernel::PaneGrid) -> Result<(), Box<dyn Error>> {
    // SAFETY: changes what this thread sees of networks, and no memory.
    if unsafe { libc::unshare(libc::CLONE_NEWNET) } != 0 {
        println!("skipped: needs CAP_SYS_ADMIN for a network namespace");
        return Ok(());
    }
    for command in ["link add near type veth peer name far", "link set near up", "link set far up"] {
        std::process::Command::new("ip").args(command.split(' ')).status()?;
    }
    let mut sender = tapline_capture::kernel::Sender::load(1, 0)?;
    sender.open("near")?;
    let template = template();
    for flows in [1 << 10, 1 << 16] {
        trial.set_flows(flows);
        for round in 0..3 {
            for part in [Part::Parse, Part::Clock, Part::Table, Part::Swap] {
                trial.attach(part, "far")?;
                let before = trial.counters();
                let start = Instant::now();
                for _ in 0..16 {
                    sender.send("near", &template, 1 << 17)?;
                }
                let rate = f64::from(1 << 21) / start.elapsed().as_secs_f64() / 1e6;
                let counted = trial.counters().since(&before);
                let mut packets = 0;
                trial.table().drain(panes, |flow| packets += flow.packets)?;
                trial.swap().drain(|_, value| packets += u64::from(value[1]))?;
                println!(
                    "{flows:>6} flows, round {round}: {part:?} {rate:.2} M frames/s, seen {}, drained {packets}, lost {}",
                    counted.seen_packets, counted.lost_packets
                );
            }
        }
    }
    Ok(())
}

fn measure(trial: &mut Trial, part: Part, flows: u32, cell: &mut Cell) -> Result<(), Box<dyn Error>> {
    let template = template();
    trial.run(part, &template, flows, (flows * 2).max(1000))?;
    let before = trial.counters();
    cell.ns.push(trial.run(part, &template, flows, FRAMES)?);
    let counted = trial.counters().since(&before);
    cell.early += counted.evicted_entries;
    cell.lost += counted.lost_packets;
    let panes = Clock::measure().grid(3_600_000_000_000, monotonic_ns());
    trial.table().drain(panes, |_| ())?;
    trial.swap().drain(|_, _| ())?;
    Ok(())
}

fn drains(trial: &mut Trial, panes: tapline_capture::kernel::PaneGrid) -> Result<(), Box<dyn Error>> {
    let template = template();
    for part in [Part::Table, Part::Swap] {
        let (mut took, mut entries, mut packets) = (Duration::ZERO, 0, 0_u64);
        for _ in 0..10 {
            trial.run(part, &template, 1 << 16, 1 << 16)?;
            let start = Instant::now();
            if part == Part::Table {
                let drained = trial.table().drain(panes, |flow| packets += flow.packets)?;
                entries += drained.entries + drained.ring_entries;
            } else {
                entries += trial.swap().drain(|_, value| packets += u64::from(value[1]))?;
            }
            took += start.elapsed();
        }
        println!("{part:?}: {entries} entries in {took:?} with the wait, {packets} frames");
    }
    Ok(())
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
