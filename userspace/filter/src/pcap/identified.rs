//! Addresses, ports and numbers, with all that is said of them.

use super::cursor::Parser;
use super::error::FilterError;
use super::lexer::Kind;
use super::names::{self, Layer};
use super::primitive::{is, is_true, of_layer};
use super::qualifiers::{Id, Qualifiers, Way};
use super::relation::number;
use crate::condition::{Comparison, Condition, prefix};
use crate::field::Field;
use crate::ranges::Ranges;
use std::net::{IpAddr, Ipv4Addr};
use tapline_record::address::{from_ip, parse_mac, to_ip};

const ADDRESSES: [Field; 2] = [Field::SrcIp, Field::DstIp];
const MACS: [Field; 2] = [Field::SrcMac, Field::DstMac];
const PORTS: [Field; 2] = [Field::SrcPort, Field::DstPort];
/// A lower number in the place of an EtherType is a length.
const ETHERTYPE_MIN: u64 = 0x0600;

/// A port, and the protocols that its name means.
type Port = (u16, &'static [u8]);

impl<'a> Parser<'a> {
    pub(super) fn host(&self, id: Id<'a>) -> Result<Condition, FilterError> {
        let Id { word, qualifiers, .. } = id;
        if qualifiers.layer == Some(Layer::Ether) {
            let help = "write six numbers of two digits, such as 00:11:22:33:44:55";
            let mac = parse_mac(word).ok_or_else(|| self.refuse_id(id, "is no MAC address", help))?;
            let [a, b, c, d, e, f] = mac;
            let number = u64::from_be_bytes([0, 0, a, b, c, d, e, f]);
            return Ok(is_true(vec![qualifiers.way.holds(MACS, &Ranges::of([number.into()]))]));
        }
        let ip: IpAddr = word.parse().map_err(|_| {
            let help = "write an address such as 10.0.0.1 or 2001:db8::1, since names are not looked up; ether host for a \
                        MAC address, net for a network";
            self.refuse_id(id, "is no address", help)
        })?;
        self.addresses(id, ip, &Ranges::of([u128::from_be_bytes(from_ip(ip))]))
    }

    pub(super) fn net(&mut self, id: Id<'a>) -> Result<Condition, FilterError> {
        let (ip, said_bits) = network(id.word).ok_or_else(|| {
            self.refuse_id(id, "is no network", "write e.g. 10.0.0.0/8, 192.168.1 or 2001:db8::/32")
        })?;
        let width = if ip.is_ipv4() { 32 } else { 128 };
        let bits = if self.take("/") {
            self.number_up_to(width)?
        } else if self.take_word("mask") {
            self.mask(ip)?
        } else {
            said_bits
        };
        let first = u128::from_be_bytes(from_ip(ip));
        let host_bits = u32::from(width - bits);
        if first.trailing_zeros() < host_bits {
            let network = to_ip((first & u128::MAX.checked_shl(host_bits).unwrap_or(0)).to_be_bytes());
            let what = format!("has bits set behind the {bits} of its network");
            return Err(self.refuse_id(id, &what, &format!("write {network}/{bits}, or host {ip}")));
        }
        self.addresses(id, ip, &prefix(ip, bits))
    }

    /// Addresses of one family.
    fn addresses(&self, id: Id<'a>, ip: IpAddr, ranges: &Ranges) -> Result<Condition, FilterError> {
        let Qualifiers { layer, way, .. } = id.qualifiers;
        match layer {
            None => {}
            Some(Layer::Ip(version)) if (version == 4) == ip.is_ipv4() => {}
            Some(Layer::Ip(version)) => {
                let help = format!("write {} or leave it out", if version == 4 { "ip6" } else { "ip" });
                return Err(self.refuse_id(id, &format!("is no address of IPv{version}"), &help));
            }
            Some(Layer::Type(_)) => {
                let help = "write arp alone; what ARP packets ask for is in no column";
                return Err(self.refuse_id(id, "cannot be looked for in ARP packets", help));
            }
            Some(Layer::Ether) => {
                return Err(self.refuse_id(id, "is no MAC address", "write ip or nothing before it"));
            }
            Some(Layer::Protocol(..)) => {
                let name = self.text_of(id.tokens[0]);
                let help = format!("write {name} and host {ip}, or {name} and net");
                return Err(self.refuse_id(id, &format!("is an address, and {name} has none"), &help));
            }
        }
        Ok(is_true(vec![way.holds(ADDRESSES, ranges)]))
    }

    pub(super) fn port(&self, id: Id<'a>) -> Result<Condition, FilterError> {
        let (port, protocols) = self.known_port(id, id.word)?;
        self.ports(id, protocols, &Ranges::of([port.into()]))
    }

    pub(super) fn port_range(&self, id: Id<'a>) -> Result<Condition, FilterError> {
        // A name may have dashes, too; so the whole is tried first.
        let (first, last) = match id.word.split_once('-') {
            Some(ends) if self.known_port(id, id.word).is_err() => ends,
            _ => (id.word, id.word),
        };
        let (first, last) = (self.known_port(id, first)?.0, self.known_port(id, last)?.0);
        let ranges = Ranges::between(first.min(last).into(), first.max(last).into());
        self.ports(id, names::WITH_PORTS, &ranges)
    }

    /// A port by its number or name.
    fn known_port(&self, id: Id<'a>, word: &str) -> Result<Port, FilterError> {
        let by_number = number(word).and_then(|number| u16::try_from(number).ok());
        let port = by_number.map(|number| (number, names::WITH_PORTS)).or_else(|| names::service(word));
        port.ok_or_else(|| {
            let help =
                "write a number from 0 to 65535, or a name such as http, https, domain, ssh, smtp, ntp";
            self.refuse_id(id, "is no port", help)
        })
    }

    fn ports(&self, id: Id<'a>, named: &[u8], ranges: &Ranges) -> Result<Condition, FilterError> {
        let Qualifiers { layer, way, .. } = id.qualifiers;
        let protocols: Vec<u8> = match layer {
            None => named.to_vec(),
            Some(Layer::Protocol(protocol, _)) if named.contains(&protocol) => vec![protocol],
            Some(Layer::Protocol(protocol, _)) if names::WITH_PORTS.contains(&protocol) => {
                let name = self.text_of(id.tokens[0]);
                return Err(self.refuse_id(id, &format!("is no service of {name}"), "write its number"));
            }
            Some(_) => {
                let name = self.text_of(id.tokens[0]);
                let help = format!("write tcp, udp or sctp before port, or {name} and port {}", id.word);
                return Err(self.refuse_id(id, &format!("is a port, and {name} has none"), &help));
            }
        };
        let protocol = Condition::is_in(Field::Protocol, protocols.into_iter().map(u128::from));
        Ok(is_true(vec![protocol, way.holds(PORTS, ranges)]))
    }

    pub(super) fn proto(&self, id: Id<'a>) -> Result<Condition, FilterError> {
        let Id { word, qualifiers: Qualifiers { layer, way, .. }, .. } = id;
        if way != Way::Either {
            return Err(self.refuse_id(id, "is a protocol, which has no way", "leave src and dst out"));
        }
        if layer == Some(Layer::Ether) {
            let ethertype = names::ethertype(word).map(u64::from).or_else(|| number(word));
            let is_type = |number: &u64| (ETHERTYPE_MIN..=0xffff).contains(number);
            let ethertype = ethertype.filter(is_type).ok_or_else(|| {
                let help = "write a number from 0x0600 to 0xffff, or ip, ip6, arp or rarp; frames of LLC have no column";
                self.refuse_id(id, "is no EtherType", help)
            })?;
            return Ok(is(Field::Ethertype, Comparison::Equal, ethertype));
        }
        let protocol =
            names::protocol(word).map(u64::from).or_else(|| number(word).filter(|number| *number <= 0xff));
        let protocol = protocol.ok_or_else(|| {
            let help = "write a number from 0 to 255, or tcp, udp, icmp, icmp6, sctp, igmp, gre, esp, ospf, pim, vrrp";
            self.refuse_id(id, "is no protocol", help)
        })?;
        let equal = Condition::compare(Field::Protocol, Comparison::Equal, protocol.into());
        match layer {
            None => Ok(is_true(vec![equal])),
            Some(layer @ Layer::Ip(_)) => Ok(is_true(vec![of_layer(layer), equal])),
            Some(_) => {
                let help = "write ip proto, ip6 proto, ether proto or proto";
                Err(self.refuse_id(id, "is a protocol over IP", help))
            }
        }
    }

    /// A number of bits.
    fn number_up_to(&mut self, max: u8) -> Result<u8, FilterError> {
        let token = self.next();
        let bits = match token.kind {
            Kind::Word(word) => word.parse::<u8>().ok().filter(|bits| *bits <= max),
            Kind::Symbol(_) | Kind::End => None,
        };
        let help = format!("write a number from 0 to {max}");
        bits.ok_or_else(|| self.refuse(token, "here a number of bits is missing", help))
    }

    /// The bits of a mask of IPv4.
    fn mask(&mut self, ip: IpAddr) -> Result<u8, FilterError> {
        let token = self.next();
        let mask = match token.kind {
            Kind::Word(word) if ip.is_ipv4() => word.parse::<Ipv4Addr>().ok().map(u32::from),
            Kind::Word(_) | Kind::Symbol(_) | Kind::End => None,
        };
        let bits = mask.filter(|mask| mask.leading_ones() + mask.trailing_zeros() >= 32);
        let bits = bits.and_then(|mask| u8::try_from(mask.leading_ones()).ok());
        bits.ok_or_else(|| {
            let help = "write the number of bits instead, such as 10.0.0.0/8";
            self.refuse(token, "a mask has its bits in a row, and is one of IPv4", help)
        })
    }

    fn refuse_id(&self, id: Id<'a>, what: &str, help: &str) -> FilterError {
        let [_, token] = id.tokens;
        self.refuse(token, format!("`{}` {what}", id.word), help)
    }
}

/// A network's address and how many bits of it are said: `10`, `10.1`, `10.1.2` say 8, 16 and 24.
fn network(word: &str) -> Option<(IpAddr, u8)> {
    if let Ok(ip) = word.parse::<IpAddr>() {
        return Some((ip, if ip.is_ipv4() { 32 } else { 128 }));
    }
    let parts: Vec<u8> = word.split('.').map(|part| part.parse().ok()).collect::<Option<_>>()?;
    let mut octets = [0; 4];
    octets.get_mut(..parts.len())?.copy_from_slice(&parts);
    Some((Ipv4Addr::from(octets).into(), u8::try_from(parts.len() * 8).ok()?))
}
