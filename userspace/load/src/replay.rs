//! Plays a capture file out of an interface.
//!
//! Takes a file and a speed, sends its Ethernet frames in the file's order as they were captured. What could not
//! be sent is counted by the reason: another link, longer than the interface takes.

use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use tapline_capture::{CaptureFile, End};
use tapline_decode::{Frame, LinkType};
use tapline_interface::live::PacketSender;
use tapline_load::pace::Speed;

use crate::outlet::Target;
use crate::sender::send;

/// Frames that are read at once.
const FRAMES_A_READ: usize = 256;
/// Waits shorter than this are not slept: sleeping takes as long.
const SLEEP_MIN: Duration = Duration::from_micros(100);
/// The kernel's answer to a frame that is too long (`EMSGSIZE`).
const TOO_LONG: i32 = 90;

/// A capture file, and how to play it.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The capture: pcap or pcapng, also .gz and .zst; - reads standard input
    file: PathBuf,
    #[command(flatten)]
    target: Target,
    /// How many times as fast as it was captured, or max
    #[arg(long, value_name = "X|max", default_value = "1")]
    speed: Speed,
}

/// What was sent, and what was not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Played {
    packets: u64,
    octets: u64,
    /// Sent as far as they were captured.
    cut: u64,
    other_links: u64,
    too_long: u64,
}

/// The player, and when it began.
struct Player {
    sender: PacketSender,
    speed: Speed,
    start: Instant,
    first_ns: Option<i64>,
    played: Played,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let mut file = CaptureFile::open(&arguments.file)?;
    let outlet = arguments.target.open()?;
    let sender = PacketSender::open(&outlet.interface, true)?;
    let start = Instant::now();
    let mut player =
        Player { sender, speed: arguments.speed, start, first_ns: None, played: Played::default() };
    while file.end().is_none() && !outlet.is_over() {
        let mut outcome = Ok(());
        file.read(FRAMES_A_READ, &mut |frame| {
            if outcome.is_ok() && !outlet.is_over() {
                outcome = player.play(frame);
            }
        });
        outcome.with_context(|| format!("sending on {}", outlet.interface))?;
    }
    report(&player.played, player.start.elapsed());
    match file.end() {
        Some(End::Complete) | None => Ok(()),
        Some(end) => bail!("{}: {end:?}", file.name()),
    }
}

impl Player {
    /// Sends a frame when it is due.
    fn play(&mut self, frame: &Frame<'_>) -> Result<()> {
        if !matches!(frame.link, LinkType::Ethernet | LinkType::EthernetWithFcs) {
            self.played.other_links += 1;
            return Ok(());
        }
        let first_ns = *self.first_ns.get_or_insert(frame.ts.0);
        self.wait_until(self.speed.due(frame.ts.0.saturating_sub(first_ns)));
        match send(&self.sender, frame.bytes) {
            Ok(()) => self.played.count(frame),
            Err(error) if error.raw_os_error() == Some(TOO_LONG) => self.played.too_long += 1,
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    fn wait_until(&self, due: Duration) {
        while let Some(left) = due.checked_sub(self.start.elapsed()) {
            match left.checked_sub(SLEEP_MIN) {
                Some(left) => thread::sleep(left),
                None if left.is_zero() => return,
                None => thread::yield_now(),
            }
        }
    }
}

impl Played {
    fn count(&mut self, frame: &Frame<'_>) {
        self.packets += 1;
        self.octets += frame.bytes.len() as u64;
        self.cut += u64::from(frame.bytes.len() < frame.original_octets as usize);
    }
}

/// The truth on standard output, how it went on standard error.
fn report(played: &Played, wall: Duration) {
    let Played { packets, octets, cut, other_links, too_long } = *played;
    println!("packets,octets\n{packets},{octets}");
    let seconds = wall.as_secs_f64();
    eprintln!("sent {packets} packets in {seconds:.3} s, {:.0} packets/s", packets as f64 / seconds);
    for (count, what) in [
        (cut, "of them were sent as far as they were captured"),
        (other_links, "others are not of Ethernet and were not sent"),
        (too_long, "others are longer than the interface takes and were not sent"),
    ] {
        if count > 0 {
            eprintln!("{count} {what}");
        }
    }
}
