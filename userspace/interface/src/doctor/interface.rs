//! What an interface can do: its driver, queues, XDP, offloads, interrupts.

use std::collections::BTreeSet;
use std::thread;

use super::interrupts::{Interrupts, affinity_path};
use super::{Finding, drivers};
use crate::directions::{NO_TCX, has_tcx};
use crate::link::{
    self, AttachedXdp, Carries, Channels, Driver, Link, ReceiveRing, Tampering, XdpAttachment, XdpFeatures,
};
use crate::live::{self, LiveError};

/// What is known of an interface.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts {
    link: Link,
    driver: Option<Driver>,
    channels: Option<Channels>,
    ring: Option<ReceiveRing>,
    features: Option<XdpFeatures>,
    /// What happens to received frames before they are seen.
    tampering: Vec<Tampering>,
    /// What this host sends is cut to packets after a capture has seen it.
    cuts_late: bool,
    /// The kernel has what counts them all the same.
    has_tcx: bool,
    interrupts: Interrupts,
    processors: usize,
}

impl Facts {
    /// Asks the kernel and the driver.
    pub(super) fn gather(name: &str) -> Result<Self, LiveError> {
        let link = live::find(name)?;
        let driver = link::driver(name);
        let known = || drivers::features(&driver.as_ref()?.name);
        Ok(Self {
            channels: link::channels(name),
            ring: link::receive_ring(name),
            features: link::xdp_features(link.index).ok().or_else(known),
            driver,
            tampering: tampering(&link),
            cuts_late: link::offloads(name).is_some_and(|offloads| offloads.cuts_late),
            has_tcx: has_tcx(),
            interrupts: Interrupts::of(&link),
            processors: thread::available_parallelism().map_or(1, usize::from),
            link,
        })
    }

    fn name(&self) -> &str {
        &self.link.name
    }

    fn queues(&self) -> u32 {
        self.channels.map_or(self.link.receive_queues, |channels| channels.receive)
    }
}

fn tampering(link: &Link) -> Vec<Tampering> {
    let joined = link::joined_packets(link, link.xdp.is_some());
    let hidden = link::hidden_tags(link).filter(|_| !link::tells_tags(link));
    joined.into_iter().chain(hidden).collect()
}

/// What that means.
pub(super) fn findings(facts: &Facts) -> Vec<Finding> {
    let mut findings = vec![driver(facts), state(facts), native(facts), zero_copy(facts)];
    findings.extend(attached(facts));
    findings.extend(mtu(facts));
    findings.push(queues(facts));
    findings.extend(ring(facts));
    findings.extend(offloads(facts));
    findings.push(tags(facts));
    findings.push(times(facts));
    findings.extend(interrupts(facts));
    findings.push(sent(facts));
    findings
}

/// By what is counted what this host sends.
fn sent(facts: &Facts) -> Finding {
    let what = "XDP sees what the interface receives, and nothing that this host sends";
    if facts.link.is_loopback() {
        return Finding::fine(format!("{what}, which it receives, too"));
    }
    if facts.has_tcx {
        return Finding::fine(format!("{what}: with --direction both the kernel counts that by tcx"));
    }
    Finding::note(
        format!("{what}: {NO_TCX}"),
        "install Linux 6.6 or newer, and say --direction both; or let a switch mirror both directions to a port, and read that",
    )
}

fn driver(facts: &Facts) -> Finding {
    Finding::fine(match &facts.driver {
        Some(Driver { name, bus, .. }) if bus.is_empty() => format!("driver `{name}`"),
        Some(Driver { name, bus, .. }) => format!("driver `{name}` at {bus}"),
        None => "no driver that says its name".to_owned(),
    })
}

fn state(facts: &Facts) -> Finding {
    let name = facts.name();
    if !facts.link.is_up() {
        return Finding::problem("switched off", format!("ip link set dev {name} up"));
    }
    match facts.link.promiscuity {
        0 => Finding::note(
            "switched on; takes frames to this host alone, and to everybody while a mirror is read",
            format!("ip link set dev {name} promisc on, if a switch mirrors traffic to it"),
        ),
        _ => Finding::fine("switched on; takes frames to everybody"),
    }
}

fn native(facts: &Facts) -> Finding {
    match facts.features {
        _ if facts.link.carries() == Carries::RawIp => {
            Finding::fine("for bare IP packets: counted by XDP, read through AF_PACKET")
        }
        _ if !facts.link.is_ethernet() => Finding::fine("not for Ethernet: read through AF_PACKET"),
        Some(XdpFeatures { native: true, redirect: true, .. }) => {
            Finding::fine("its driver runs XDP programs")
        }
        Some(_) => Finding::problem(
            "its driver does not run XDP programs: frames are read through AF_PACKET, which costs more",
            "use an interface whose driver has native XDP, such as ice, i40e, ixgbe, igc, mlx5 or virtio_net",
        ),
        None => Finding::fine("whether its driver runs XDP programs shows when one is attached"),
    }
}

fn zero_copy(facts: &Facts) -> Finding {
    match facts.features {
        Some(XdpFeatures { zero_copy: true, .. }) => Finding::fine("AF_XDP without copying"),
        Some(XdpFeatures { native: true, .. }) => Finding::note(
            "AF_XDP with copying",
            "an interface whose driver has zero-copy is faster, such as ice, i40e, ixgbe, igc or mlx5",
        ),
        _ => Finding::fine("AF_XDP without copying: unknown"),
    }
}

fn attached(facts: &Facts) -> Option<Finding> {
    let AttachedXdp { attachment, program } = facts.link.xdp?;
    let how = match attachment {
        XdpAttachment::Native => "by its driver",
        XdpAttachment::Generic => "by the kernel",
        XdpAttachment::Hardware => "by itself",
        XdpAttachment::Several => "in several ways",
    };
    let name = facts.name();
    Some(Finding::problem(
        format!("has an XDP program already, number {program}, run {how}"),
        format!("end what attached it (bpftool link names it), or: ip link set dev {name} xdp off"),
    ))
}

fn mtu(facts: &Facts) -> Option<Finding> {
    let mtu_octets = facts.link.mtu_octets;
    if live::xdp_takes(mtu_octets) {
        return Some(Finding::fine(format!("MTU {mtu_octets}")));
    }
    facts.link.is_ethernet().then(|| {
        Finding::problem(
            format!("an MTU of {mtu_octets} octets is more than AF_XDP takes: read through AF_PACKET"),
            format!("ip link set dev {} mtu 1500, if no longer packets come in", facts.name()),
        )
    })
}

fn queues(facts: &Facts) -> Finding {
    let queues = facts.queues();
    let what = format!("{queues} receive {}", if queues == 1 { "queue" } else { "queues" });
    let possible = facts.channels.map_or(queues, |channels| channels.receive_max);
    let useful = possible.min(facts.processors as u32);
    if queues < useful {
        let mend = format!("ethtool -L {} combined {useful}", facts.name());
        return Finding::note(format!("{what} of {possible}, for {} processors", facts.processors), mend);
    }
    Finding::fine(what)
}

fn ring(facts: &Facts) -> Option<Finding> {
    let ReceiveRing { frames, frames_max } = facts.ring?;
    let what = format!("{frames} of {frames_max} frames wait in a queue; {} were missed", facts.link.missed);
    if frames >= frames_max {
        return Some(Finding::fine(what));
    }
    let mend = format!("ethtool -G {} rx {frames_max}", facts.name());
    Some(Finding { what, is_problem: facts.link.missed > 0, mend: Some(mend) })
}

fn offloads(facts: &Facts) -> Vec<Finding> {
    let problem = |found: &Tampering| Finding::problem(found.what.clone(), found.mend.clone());
    let mut found: Vec<_> = facts.tampering.iter().map(problem).collect();
    if found.is_empty() {
        found.push(Finding::fine("no offload hides received packets or their tags"));
    }
    if facts.cuts_late {
        found.push(Finding::note(
            "what this host sends is read before it is cut to packets (TSO, GSO), and counted by tcx as what it is cut into",
            format!("ethtool -K {} tso off gso off, if these packets are to be read", facts.name()),
        ));
    }
    found
}

fn tags(facts: &Facts) -> Finding {
    Finding::fine(match facts.features {
        Some(XdpFeatures { tells_tags: true, .. }) => "VLAN tags beside frames are read from its driver",
        _ => {
            "VLAN tags are read within frames: its driver tells of none beside them (some do since Linux 6.8)"
        }
    })
}

/// Whose clock says when a frame came; a card stamps frames when it is told to, by a clock that somebody has to set.
fn times(facts: &Facts) -> Finding {
    if !facts.features.is_some_and(|features| features.tells_times) {
        let what =
            "frames have our clock's time: its driver tells no times of the card (some do since Linux 6.3)";
        return Finding::fine(what);
    }
    let name = facts.name();
    Finding::note(
        "frames have the card's time where that is within 10 ms of our clock, else our clock's",
        format!(
            "hwstamp_ctl -i {name} -r 1; phc2sys -s CLOCK_REALTIME -c {name} -O 0, where neither runs yet"
        ),
    )
}

fn interrupts(facts: &Facts) -> Option<Finding> {
    let Interrupts { receiving, node } = &facts.interrupts;
    let (first, _) = receiving.first()?;
    let processors: BTreeSet<u32> =
        receiving.iter().flat_map(|(_, processors)| processors).copied().collect();
    let listed: Vec<_> = processors.iter().map(u32::to_string).collect();
    let place = node.map(|node| format!(", memory node {node}")).unwrap_or_default();
    let interrupts = if receiving.len() == 1 { "interrupt" } else { "interrupts" };
    let listed = listed.join(",");
    let what = format!("{} receive {interrupts}, on processors {listed}{place}", receiving.len());
    if receiving.len() > 1 && processors.len() == 1 && facts.processors > 1 {
        let path = affinity_path(*first);
        return Some(Finding::problem(
            what,
            format!("echo N > {}, and so on, one processor N for each; or run irqbalance", path.display()),
        ));
    }
    Some(Finding::fine(what))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> Facts {
        Facts {
            link: Link {
                name: "eth0".to_owned(),
                hardware: 1,
                flags: 1,
                mtu_octets: 1500,
                receive_queues: 4,
                promiscuity: 1,
                ..Link::default()
            },
            driver: Some(Driver { name: "ice".to_owned(), ..Driver::default() }),
            channels: Some(Channels { receive: 4, receive_max: 8 }),
            ring: Some(ReceiveRing { frames: 512, frames_max: 4096 }),
            features: Some(XdpFeatures {
                native: true,
                redirect: true,
                zero_copy: true,
                ..XdpFeatures::default()
            }),
            tampering: vec![],
            cuts_late: false,
            has_tcx: true,
            interrupts: Interrupts { receiving: vec![(40, vec![0]), (41, vec![1])], node: Some(0) },
            processors: 4,
        }
    }

    fn problems(facts: &Facts) -> Vec<Finding> {
        findings(facts).into_iter().filter(|found| found.is_problem).collect()
    }

    #[test]
    fn an_interface_in_order_has_no_problems() {
        assert_eq!(problems(&facts()), []);
    }

    #[test]
    fn each_problem_is_found_and_has_a_mend() {
        let link = |change: fn(&mut Link)| {
            let mut facts = facts();
            change(&mut facts.link);
            facts
        };
        let tampered = Tampering { what: "joins".to_owned(), mend: "ethtool -K eth0 gro off".to_owned() };
        let attached = AttachedXdp { attachment: XdpAttachment::Native, program: 7 };
        let mut occupied = facts();
        occupied.link.xdp = Some(attached);
        let cases = [
            (link(|link| link.flags = 0), "ip link set dev eth0 up"),
            (link(|link| link.mtu_octets = 9000), "ip link set dev eth0 mtu 1500"),
            (link(|link| link.missed = 3), "ethtool -G eth0 rx 4096"),
            (occupied, "end what attached it (bpftool link"),
            (Facts { tampering: vec![tampered], ..facts() }, "ethtool -K eth0 gro off"),
            (Facts { features: Some(XdpFeatures::default()), ..facts() }, "use an interface whose driver"),
            (
                Facts {
                    interrupts: Interrupts { receiving: vec![(40, vec![1]), (41, vec![1])], node: None },
                    ..facts()
                },
                "echo N > /proc/irq/40/smp_affinity_list",
            ),
        ];
        for (facts, start) in cases {
            let problems = problems(&facts);
            let mend = problems.first().and_then(|found| found.mend.clone()).unwrap_or_default();
            assert!(problems.len() == 1 && mend.starts_with(start), "{problems:?}");
        }
    }

    #[test]
    fn by_what_sent_frames_are_counted_is_told() {
        let told = |has_tcx| sent(&Facts { has_tcx, ..facts() });
        assert!(told(true).what.ends_with("with --direction both the kernel counts that by tcx"));
        assert_eq!((told(true).mend, told(true).is_problem), (None, false));
        let older = told(false);
        assert!(
            older.what.contains("since Linux 6.6: until then AF_PACKET reads it") && older.mend.is_some()
        );
    }

    #[test]
    fn fewer_queues_than_processors_are_noted() {
        let facts = Facts { channels: Some(Channels { receive: 1, receive_max: 8 }), ..facts() };
        let expected = Finding::note("1 receive queue of 8, for 4 processors", "ethtool -L eth0 combined 4");
        assert!(findings(&facts).contains(&expected));
    }
}
