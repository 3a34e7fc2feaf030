//! Frames/s over a veth pair, one CPU sending and receiving.

use std::process::Command;
use std::time::Instant;

use tapline_interface::kernel::{Part, Sender, Trial};

use crate::{Outcome, median, one_pane, template};

const FLOWS: [u32; 2] = [1 << 10, 1 << 16];
const PARTS: [Part; 5] = [Part::Parse, Part::Clock, Part::Table, Part::Unwanted, Part::Wanted];
const FRAMES_A_CALL: u32 = 1 << 17;
const CALLS: u32 = 16;

pub(crate) fn measure(trial: &mut Trial, rounds: usize) -> Outcome {
    // SAFETY: changes what this thread sees of networks, and no memory.
    if unsafe { libc::unshare(libc::CLONE_NEWNET) } != 0 {
        println!("skipped: needs CAP_SYS_ADMIN for a network namespace");
        return Ok(());
    }
    // Without addresses the kernel has nothing of its own to say on them, between two looks at what was counted.
    for command in [
        "link add near type veth peer name far",
        "link set near addrgenmode none up",
        "link set far addrgenmode none up",
    ] {
        Command::new("ip").args(command.split(' ')).status()?;
    }
    let mut sender = Sender::load(1, 0)?;
    sender.open("near")?;
    for flows in FLOWS {
        trial.set_flows(flows);
        let mut rates = PARTS.map(|part| (part, Vec::new()));
        for _ in 0..rounds {
            for (part, rates) in &mut rates {
                rates.push(run(trial, &mut sender, *part)?);
            }
        }
        let rates = rates.each_mut().map(|(part, rates)| format!("  {part:?} {:.2}", median(rates)));
        println!("{flows:>6} flows on a veth pair, M frames/s:{}", rates.concat());
    }
    Ok(())
}

/// Sends, and gives the million frames per second that were sent and received.
fn run(trial: &mut Trial, sender: &mut Sender, part: Part) -> Result<f64, Box<dyn std::error::Error>> {
    trial.attach(part, "far")?;
    let before = trial.counters();
    let start = Instant::now();
    for _ in 0..CALLS {
        sender.send("near", &template(), FRAMES_A_CALL)?;
    }
    let rate = f64::from(FRAMES_A_CALL * CALLS) / start.elapsed().as_secs_f64() / 1e6;
    let mut packets = 0;
    trial.table().drain(one_pane(), |flow| packets += flow.packets)?;
    let counted = trial.counters().since(&before);
    let accounted = packets + counted.lost_packets + counted.unwanted_packets;
    assert_eq!(counted.seen_packets, accounted, "every frame comes out or is left out");
    Ok(rate)
}
