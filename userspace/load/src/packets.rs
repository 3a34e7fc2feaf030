//! Synthetic flows out of an interface.
//!
//! Takes numbers of flows, octets, a rate and a time; sends UDP over IPv4 whose source addresses are the flows. By
//! live frames the kernel makes them itself; without the rights or the programs for that, each goes through
//! `AF_PACKET`. Either way a flow's share follows from the number of frames alone, which is the truth.

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};
use std::{io, thread};

use anyhow::{Context as _, Result, anyhow, bail};
use tapline_interface::kernel::{KernelError, Sender, flow_of};
use tapline_interface::live::PacketSender;
use tapline_load::pace::Rate;
use tapline_trafficgen::frame::{Body, Frame, Link, Mac, Packet, Transport, Udp};
use tapline_trafficgen::payload::Payload;

use crate::outlet::{Outlet, Target};
use crate::sender::send;

/// The source address of the first flow, and the destination of all.
const FIRST_SRC_IP: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 0);
const DST_IP: Ipv4Addr = Ipv4Addr::new(10, 255, 255, 254);
/// Octets of Ethernet's, IPv4's and UDP's headers, and where the source address stands.
const HEADERS_OCTETS: u32 = 42;
const IP_AT: usize = 14;
const SRC_IP_AT: usize = IP_AT + 12;
/// Frames that are sent at once, at the most: a call for live frames costs the kernel some 20 ms whatever their
/// number, since it makes the program the one that all of XDP expects, and back.
const LIVE_FRAMES_MAX: u64 = 1 << 17;
const PLAIN_FRAMES_MAX: u64 = 1 << 12;
/// Time between two looks at what is due.
const PAUSE: Duration = Duration::from_micros(200);

/// What the command's table is.
const AFTER_HELP: &str = "\
What was sent stands on standard output, as `tapline query --format csv` answers
    SELECT src_ip, count(*) AS packets, sum(frame_octets) AS frame_octets FROM packets GROUP BY src_ip
with the rows sorted by address. Headers' checksums are right in the first flow only.
Native XDP on veth takes frames only if a program runs on the other end.";

/// Synthetic flows.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Arguments {
    #[command(flatten)]
    target: Target,
    /// Flows; the next power of two is taken
    #[arg(long, value_name = "N", default_value_t = 1024, value_parser = clap::value_parser!(u32).range(1..=1 << 22))]
    flows: u32,
    /// Octets of a frame
    #[arg(long, value_name = "B", default_value_t = 64, value_parser = clap::value_parser!(u32).range(60..=1514))]
    size: u32,
    /// Frames in a second, or max
    #[arg(long, value_name = "N|max", default_value = "max")]
    rate: Rate,
    /// End after so many seconds
    #[arg(long, value_name = "S", default_value_t = 10)]
    seconds: u64,
    /// The processors that send, such as 0 or 0,1
    #[arg(long, value_name = "N", value_delimiter = ',', default_value = "0")]
    cpu: Vec<usize>,
    /// Send through AF_PACKET, even if live frames could be had
    #[arg(long)]
    plain: bool,
}

/// How frames leave.
enum Way {
    /// The kernel makes them.
    Live(Box<Sender>),
    /// This process makes them.
    Plain(PacketSender),
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let outlet = arguments.target.open()?;
    let flows = arguments.flows.next_power_of_two();
    let mut ways = vec![];
    for number in 0..arguments.cpu.len() {
        ways.push(open(arguments, &outlet, flows, number == 0)?);
    }
    let start = Instant::now();
    let sent = thread::scope(|scope| {
        let threads = ways.iter_mut().zip(&arguments.cpu).enumerate();
        let threads: Vec<_> = threads
            .map(|(number, (way, &cpu))| {
                let rate = arguments.rate.share(number, arguments.cpu.len());
                let outlet = &outlet;
                scope.spawn(move || send_on(cpu, way, rate, arguments, outlet))
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().map_err(|_| anyhow!("a thread that sends died"))?)
            .collect::<Result<Vec<_>>>()
    })?;
    report(&sent, flows, arguments.size, start.elapsed());
    Ok(())
}

/// Sends on a processor until the time is over; gives how many frames.
fn send_on(cpu: usize, way: &mut Way, rate: Rate, arguments: &Arguments, outlet: &Outlet) -> Result<u64> {
    // What was sent is kept by processor, so that it must stay the same.
    if !core_affinity::set_for_current(core_affinity::CoreId { id: cpu }) {
        bail!("there is no processor {cpu}, or this process may not run there");
    }
    let (flows, template) = (arguments.flows.next_power_of_two(), template(arguments.size));
    let (start, end) = (Instant::now(), Duration::from_secs(arguments.seconds));
    let mut sent = 0;
    while start.elapsed() < end && !outlet.is_over() {
        let due = rate.due(start.elapsed(), sent, way.frames_max());
        if due == 0 {
            thread::sleep(PAUSE);
            continue;
        }
        way.send(&outlet.interface, &template, sent..sent + due, flows)?;
        sent += due;
    }
    Ok(sent)
}

/// What sends from one processor; the first one lets the interface take frames.
fn open(arguments: &Arguments, outlet: &Outlet, flows: u32, is_first: bool) -> Result<Way> {
    let interface = outlet.interface.as_str();
    let plain = PacketSender::open(interface, true)?;
    if arguments.plain {
        return Ok(Way::Plain(plain));
    }
    if !outlet.takes_live_frames {
        if is_first {
            eprintln!(
                "AF_PACKET, as whoever watches runs no XDP program, without which live frames do not come in"
            );
        }
        return Ok(Way::Plain(plain));
    }
    let live = Sender::load(flows, FIRST_SRC_IP.to_bits()).and_then(|mut sender| {
        if is_first {
            sender.open(interface)?;
        }
        Ok(sender)
    });
    match live {
        Ok(sender) => Ok(Way::Live(Box::new(sender))),
        Err(error @ KernelError::Occupied(_)) => Err(error.into()),
        Err(error) => {
            if is_first {
                eprintln!("AF_PACKET, as live frames cannot be had: {error}");
            }
            Ok(Way::Plain(plain))
        }
    }
}

impl Way {
    /// Frames that are sent at once, at the most.
    const fn frames_max(&self) -> u64 {
        match self {
            Self::Live(_) => LIVE_FRAMES_MAX,
            Self::Plain(_) => PLAIN_FRAMES_MAX,
        }
    }

    /// Sends the frames of these numbers, at most as many as at once.
    fn send(
        &mut self,
        interface: &str,
        template: &[u8],
        numbers: std::ops::Range<u64>,
        flows: u32,
    ) -> Result<()> {
        debug_assert!(numbers.end - numbers.start <= self.frames_max());
        let sent = match self {
            Self::Live(sender) => {
                let frames = (numbers.end - numbers.start) as u32;
                sender.send(interface, template, frames).map_err(anyhow::Error::from)
            }
            Self::Plain(sender) => send_plain(sender, template, numbers, flows).map_err(Into::into),
        };
        sent.with_context(|| format!("sending on {interface}"))
    }
}

fn send_plain(
    sender: &PacketSender,
    template: &[u8],
    numbers: std::ops::Range<u64>,
    flows: u32,
) -> io::Result<()> {
    let mut frame = template.to_vec();
    for number in numbers {
        let src_ip = FIRST_SRC_IP.to_bits() + flow_of(number, flows);
        frame[SRC_IP_AT..SRC_IP_AT + 4].copy_from_slice(&src_ip.to_be_bytes());
        send(sender, &frame)?;
    }
    Ok(())
}

/// A frame of so many octets of the first flow.
fn template(octets: u32) -> Vec<u8> {
    let packet = Packet {
        src_ip: IpAddr::V4(FIRST_SRC_IP),
        dst_ip: IpAddr::V4(DST_IP),
        ttl: 64,
        transport: Transport::Udp(Udp { src_port: 1024, dst_port: 9 }),
        payload: Payload::filler((octets - HEADERS_OCTETS) as usize),
    };
    let link = Link { src_mac: Mac::local(1), dst_mac: Mac::local(2), vlan: None };
    let mut frame = Vec::new();
    Frame { link, body: Body::Ip(packet) }.write(&mut frame);
    frame
}

/// The truth about what each processor sent on standard output, how it went on standard error.
fn report(sent: &[u64], flows: u32, octets: u32, wall: Duration) {
    let mut packets = vec![0; flows as usize];
    for &sent in sent {
        packets.iter_mut().for_each(|packets| *packets += sent / u64::from(flows));
        for number in 0..sent % u64::from(flows) {
            packets[flow_of(number, flows) as usize] += 1;
        }
    }
    let sent: u64 = sent.iter().sum();
    let mut table = String::from("src_ip,packets,frame_octets\n");
    for (src_ip, packets) in (FIRST_SRC_IP.to_bits()..).zip(&packets).filter(|(_, packets)| **packets > 0) {
        let address = Ipv4Addr::from_bits(src_ip);
        table += &format!("{address},{packets},{}\n", packets * u64::from(octets));
    }
    print!("{table}");
    let seconds = wall.as_secs_f64();
    eprintln!(
        "sent {sent} packets of {flows} flows in {seconds:.3} s, {:.0} packets/s",
        sent as f64 / seconds
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_has_its_length_and_addresses() {
        for octets in [60, 64, 1514] {
            let frame = template(octets);
            assert_eq!(frame.len(), octets as usize);
            assert_eq!(frame[SRC_IP_AT..SRC_IP_AT + 4], FIRST_SRC_IP.octets());
            assert_ne!(frame[IP_AT + 10..SRC_IP_AT], [0, 0]);
        }
    }

    #[test]
    fn every_flow_comes_once_in_a_round() {
        let mut flows: Vec<_> = (0..1024).map(|number| flow_of(number, 1024)).collect();
        flows.sort_unstable();
        assert!(flows.into_iter().eq(0..1024));
    }
}
