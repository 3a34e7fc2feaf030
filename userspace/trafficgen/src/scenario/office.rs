//! Who is at the office and what they can reach.
//!
//! Takes a seed, gives hosts and sites. Private addresses are inside, documentation addresses (RFC 5737,
//! RFC 3849) outside. Guests are on a tagged VLAN.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::MILLISECOND_NS;
use crate::frame::{Link, Mac};
use crate::random::{Random, Zipf};

const STAFF: u8 = 60;
const GUESTS: u8 = 30;
const GUEST_VLAN: u16 = 40;

/// A computer inside.
#[derive(Clone, Debug)]
pub(super) struct Host {
    pub(super) mac: Mac,
    pub(super) v4: Ipv4Addr,
    pub(super) v6: Ipv6Addr,
    pub(super) vlan: Option<u16>,
}

/// A service outside.
#[derive(Clone, Debug)]
pub(super) struct Site {
    pub(super) name: String,
    pub(super) v4: Ipv4Addr,
    pub(super) v6: Option<Ipv6Addr>,
    pub(super) round_trip_ns: u64,
}

/// Everything that has an address.
#[derive(Clone, Debug)]
pub(super) struct Office {
    pub(super) staff: Vec<Host>,
    pub(super) guests: Vec<Host>,
    pub(super) gateway: Host,
    pub(super) resolver: Host,
    pub(super) monitor: Host,
    pub(super) file_server: Host,
    pub(super) sites: Vec<Site>,
    pub(super) video_sites: Vec<Site>,
    popularity: Zipf,
}

impl Office {
    pub(super) fn new(seed: u64) -> Self {
        let mut random = Random::new(seed, "office");
        let sites: Vec<_> = (1..=48).map(|number| site(number, &mut random)).collect();
        Self {
            staff: (1..=STAFF).map(|number| host([10, 20, 1, number], None)).collect(),
            guests: (1..=GUESTS).map(|number| host([10, 20, 40, number], Some(GUEST_VLAN))).collect(),
            gateway: host([10, 20, 0, 1], None),
            resolver: host([10, 20, 0, 53], None),
            monitor: host([10, 20, 0, 9], None),
            file_server: host([10, 20, 0, 40], None),
            popularity: Zipf::new(sites.len() as u32),
            sites,
            video_sites: (1..=4).map(|number| video_site(number, &mut random)).collect(),
        }
    }

    /// Someone who uses the network, staff more often than guests.
    pub(super) fn someone(&self, random: &mut Random) -> &Host {
        let people = if random.percent(70) { &self.staff } else { &self.guests };
        random.choose(people)
    }

    /// A site, popular ones more often.
    pub(super) fn some_site(&self, random: &mut Random) -> &Site {
        &self.sites[self.popularity.draw(random)]
    }

    /// The link from a host to the gateway.
    pub(super) fn uplink(&self, host: &Host) -> Link {
        host.link_to(&self.gateway)
    }
}

impl Host {
    /// The link to another host; on the sender's VLAN, as the gateway is on all.
    pub(super) fn link_to(&self, other: &Self) -> Link {
        Link { src_mac: self.mac, dst_mac: other.mac, vlan: self.vlan }
    }

    /// The addresses with which the host talks to a site: IPv6 in most cases when the site has it.
    pub(super) fn addresses_to(&self, site: &Site, random: &mut Random) -> (IpAddr, IpAddr) {
        match site.v6 {
            Some(v6) if random.percent(75) => (self.v6.into(), v6.into()),
            _ => (self.v4.into(), site.v4.into()),
        }
    }
}

fn host(v4: [u8; 4], vlan: Option<u16>) -> Host {
    let [_, _, network, number] = v4.map(u16::from);
    Host {
        mac: Mac::local(u32::from_be_bytes(v4)),
        v4: v4.into(),
        v6: Ipv6Addr::new(0x2001, 0xdb8, 0x20, network, 0, 0, 0, number),
        vlan,
    }
}

fn site(number: u8, random: &mut Random) -> Site {
    const DOMAINS: [&str; 3] = ["example.com", "example.net", "example.org"];
    const LABELS: [&str; 6] = ["www", "cdn", "api", "mail", "news", "shop"];
    let has_v6 = random.percent(40);
    let domain = DOMAINS[usize::from(number) % 3];
    Site {
        name: format!("{}{number}.{domain}", random.choose(&LABELS)),
        v4: Ipv4Addr::new(198, 51, 100, number),
        v6: has_v6.then(|| Ipv6Addr::new(0x2001, 0xdb8, 0x5100, 0, 0, 0, 0, number.into())),
        round_trip_ns: random.within(4..60) * MILLISECOND_NS,
    }
}

fn video_site(number: u8, random: &mut Random) -> Site {
    Site {
        name: format!("video{number}.example.net"),
        v4: Ipv4Addr::new(203, 0, 113, number),
        v6: number.is_multiple_of(2).then(|| Ipv6Addr::new(0x2001, 0xdb8, 0x5200, 0, 0, 0, 0, number.into())),
        round_trip_ns: random.within(4..20) * MILLISECOND_NS,
    }
}
