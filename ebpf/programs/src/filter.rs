//! Whether the pre-filter keeps a frame.
//!
//! Takes a key and the rules as they stand in maps; see `tapline_ebpf_common::Verdict` for what they mean.

use tapline_ebpf_common::{FlowKey, Network, Verdict, flags, rule};

/// The rules of the pre-filter, by what they name; zero where there is none.
pub trait Rules {
    /// Of the longest prefix that holds an address, given as 16 octets.
    fn of_prefix(&self, address: &[u8; 16], is_v4: bool) -> u8;

    /// Of a place that `rule` names.
    fn of_place(&self, place: u32) -> u8;
}

/// Whether all kinds of rules keep a flow.
#[inline(always)]
pub fn keeps(rules: &impl Rules, key: &FlowKey, config: u32) -> bool {
    keeps_vlan(rules, key, config)
        && keeps_protocol(rules, key, config)
        && keeps_ports(rules, key, config)
        && keeps_prefixes(rules, key, config)
}

#[inline(always)]
fn keeps_vlan(rules: &impl Rules, key: &FlowKey, config: u32) -> bool {
    if config & flags::FILTER_VLANS == 0 {
        return true;
    }
    agrees([rules.of_place(rule::vlan(key.vlan())), 0], config & flags::ALLOW_VLANS != 0)
}

#[inline(always)]
fn keeps_protocol(rules: &impl Rules, key: &FlowKey, config: u32) -> bool {
    if config & flags::FILTER_PROTOCOLS == 0 {
        return true;
    }
    let verdict = key.protocol().map_or(0, |protocol| rules.of_place(rule::protocol(protocol)));
    agrees([verdict, 0], config & flags::ALLOW_PROTOCOLS != 0)
}

#[inline(always)]
fn keeps_ports(rules: &impl Rules, key: &FlowKey, config: u32) -> bool {
    if config & flags::FILTER_PORTS == 0 {
        return true;
    }
    let verdicts = match key.ports() {
        Some([src, dst]) => [rules.of_place(rule::port(src)), rules.of_place(rule::port(dst))],
        None => [0; 2],
    };
    agrees(verdicts, config & flags::ALLOW_PORTS != 0)
}

#[inline(always)]
fn keeps_prefixes(rules: &impl Rules, key: &FlowKey, config: u32) -> bool {
    if config & flags::FILTER_PREFIXES == 0 {
        return true;
    }
    let is_v4 = matches!(key.shape().network, Network::V4 | Network::V4Source);
    let src = key.src_ip().map_or(0, |address| rules.of_prefix(&address, is_v4));
    let dst = key.dst_ip().map_or(0, |address| rules.of_prefix(&address, is_v4));
    agrees([src, dst], config & flags::ALLOW_PREFIXES != 0)
}

/// Nothing denies, and something allows if that is wanted.
#[inline(always)]
const fn agrees([a, b]: [u8; 2], must_be_allowed: bool) -> bool {
    let (allow, deny) = (Verdict::Allow as u8, Verdict::Deny as u8);
    a != deny && b != deny && (!must_be_allowed || a == allow || b == allow)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use tapline_ebpf_common::{Shape, Transport};

    /// Rules of places, and one prefix of IPv4: its first octet.
    #[derive(Default)]
    struct Table(HashMap<u32, u8>, Option<(u8, u8)>);

    impl Rules for Table {
        fn of_prefix(&self, address: &[u8; 16], is_v4: bool) -> u8 {
            self.1.filter(|(first, _)| is_v4 && address[12] == *first).map_or(0, |(_, verdict)| verdict)
        }

        fn of_place(&self, place: u32) -> u8 {
            self.0.get(&place).copied().unwrap_or(0)
        }
    }

    fn key(src: u8, ports: [u16; 2], protocol: u8, vlan: Option<u16>) -> FlowKey {
        let words = [0, u64::from_ne_bytes([0, 0, 0xff, 0xff, src, 0, 0, 1])];
        let mut key = FlowKey::default();
        key.set_src_ip(words);
        key.set_dst_ip(words);
        let shape = Shape { network: Network::V4, transport: Transport::Ports, tcp_flags: 0 };
        key.set_rest(ports, protocol, vlan, shape);
        key
    }

    const ALLOW: u8 = Verdict::Allow as u8;
    const DENY: u8 = Verdict::Deny as u8;

    #[test]
    fn without_rules_everything_is_kept() {
        assert!(keeps(&Table::default(), &key(10, [1, 2], 6, None), 0));
    }

    #[test]
    fn one_denial_is_enough_and_either_port_allows() {
        let rules = Table(HashMap::from([(rule::port(53), ALLOW), (rule::port(9), DENY)]), None);
        let config = flags::FILTER_PORTS | flags::ALLOW_PORTS;
        let keeps = |ports| keeps(&rules, &key(10, ports, 17, None), config);
        assert!(keeps([53, 1000]) && keeps([1000, 53]));
        assert!(!keeps([53, 9]) && !keeps([1000, 1001]));
    }

    #[test]
    fn frames_without_a_tag_have_a_rule_of_their_own() {
        let rules = Table(HashMap::from([(rule::vlan(None), DENY)]), None);
        let keeps = |vlan| keeps(&rules, &key(10, [1, 2], 17, vlan), flags::FILTER_VLANS);
        assert!(keeps(Some(0)) && keeps(Some(4095)) && !keeps(None));
    }

    #[test]
    fn kinds_of_rules_must_agree() {
        let rules = Table(HashMap::from([(rule::protocol(6), ALLOW)]), Some((10, DENY)));
        let config = flags::FILTER_PROTOCOLS | flags::ALLOW_PROTOCOLS | flags::FILTER_PREFIXES;
        let keeps = |src, protocol| keeps(&rules, &key(src, [1, 2], protocol, None), config);
        assert!(keeps(11, 6) && !keeps(10, 6) && !keeps(11, 17));
    }
}
