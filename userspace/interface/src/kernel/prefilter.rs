//! The pre-filter, changed while the programs run.
//!
//! Rules live in maps that the programs look into; what kinds of rules there are at all stands in the programs'
//! configuration, so that a filter without rules costs nothing. A rule is written before its kind is switched on,
//! and switched off before it is taken away.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use aya::Ebpf;
use aya::maps::lpm_trie::{Key, LpmTrie};
use aya::maps::{Array, MapData};
use tapline_ebpf_common::{Config, Verdict, flags, names, rule};

use super::KernelError;
use super::mapped::Mapped;
use super::table::{switch, take};

/// The switches of all kinds of rules.
const KINDS: [u32; 4] =
    [flags::FILTER_PREFIXES, flags::FILTER_PORTS, flags::FILTER_PROTOCOLS, flags::FILTER_VLANS];

/// What a rule names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// Either address is within a prefix of so many bits; of several prefixes the longest counts.
    Prefix(IpAddr, u8),
    /// Either port.
    Port(u16),
    /// The IP protocol.
    Protocol(u8),
    /// The id of the outermost VLAN tag, or that there is none.
    Vlan(Option<u16>),
}

/// The rules.
pub struct PreFilter {
    config: Mapped<Config>,
    places: Array<MapData, u8>,
    prefixes_v4: LpmTrie<MapData, [u8; 4], u8>,
    prefixes_v6: LpmTrie<MapData, [u8; 16], u8>,
    rules: BTreeMap<Rule, Verdict>,
}

impl Rule {
    /// The switch of its kind.
    const fn kind(self) -> u32 {
        match self {
            Self::Prefix(..) => flags::FILTER_PREFIXES,
            Self::Port(_) => flags::FILTER_PORTS,
            Self::Protocol(_) => flags::FILTER_PROTOCOLS,
            Self::Vlan(_) => flags::FILTER_VLANS,
        }
    }
}

/// Why a text names no rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// It is of no kind.
    #[error("write a prefix such as 10.0.0.0/8, port:53, protocol:17, vlan:100 or vlan:none")]
    Form,
    /// There is no such VLAN.
    #[error("VLAN ids are 0 to 4095, or none")]
    Vlan,
}

impl FromStr for Rule {
    type Err = RuleError;

    /// An address, a prefix, or `port:`, `protocol:` or `vlan:` with a number.
    fn from_str(text: &str) -> Result<Self, RuleError> {
        let wrong = |_| RuleError::Form;
        match text.split_once(':') {
            Some(("port", port)) => port.parse().map(Self::Port).map_err(wrong),
            Some(("protocol", protocol)) => protocol.parse().map(Self::Protocol).map_err(wrong),
            Some(("vlan", "none")) => Ok(Self::Vlan(None)),
            Some(("vlan", vlan)) => match vlan.parse() {
                Ok(id @ 0..4096) => Ok(Self::Vlan(Some(id))),
                _ => Err(RuleError::Vlan),
            },
            _ => parse_prefix(text).ok_or(RuleError::Form),
        }
    }
}

impl fmt::Display for Rule {
    /// As it is read.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Prefix(network, bits) => write!(f, "{network}/{bits}"),
            Self::Port(port) => write!(f, "port:{port}"),
            Self::Protocol(protocol) => write!(f, "protocol:{protocol}"),
            Self::Vlan(Some(vlan)) => write!(f, "vlan:{vlan}"),
            Self::Vlan(None) => f.write_str("vlan:none"),
        }
    }
}

fn parse_prefix(text: &str) -> Option<Rule> {
    let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
    let address: IpAddr = address.parse().ok()?;
    let bits_max = if address.is_ipv4() { 32 } else { 128 };
    let bits = bits.map_or(Some(bits_max), |bits| bits.parse().ok())?;
    (bits <= bits_max).then(|| Rule::Prefix(first_of(address, bits), bits))
}

/// The first address of the network of so many bits that holds an address, so that each network is one rule.
fn first_of(address: IpAddr, bits: u8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let of_host = u32::MAX.checked_shr(bits.into()).unwrap_or_default();
            Ipv4Addr::from_bits(v4.to_bits() & !of_host).into()
        }
        IpAddr::V6(v6) => {
            let of_host = u128::MAX.checked_shr(bits.into()).unwrap_or_default();
            Ipv6Addr::from_bits(v6.to_bits() & !of_host).into()
        }
    }
}

impl PreFilter {
    pub(super) fn new(ebpf: &mut Ebpf) -> Result<Self, KernelError> {
        Ok(Self {
            config: Mapped::new(ebpf, names::CONFIG, 1)?,
            places: Array::try_from(take(ebpf, names::RULES)?)?,
            prefixes_v4: LpmTrie::try_from(take(ebpf, names::PREFIXES_V4)?)?,
            prefixes_v6: LpmTrie::try_from(take(ebpf, names::PREFIXES_V6)?)?,
            rules: BTreeMap::new(),
        })
    }

    /// Sets a rule, or takes it away; frames that come in meanwhile see either.
    ///
    /// # Errors
    /// When a map is full or cannot be written; then the rule is as it was.
    pub fn set(&mut self, rule: Rule, verdict: Option<Verdict>) -> Result<(), KernelError> {
        match verdict {
            Some(verdict) => {
                self.write(rule, verdict as u8)?;
                self.rules.insert(rule, verdict);
                self.switch(rule.kind());
            }
            None if self.rules.remove(&rule).is_some() => {
                self.switch(rule.kind());
                self.write(rule, 0)?;
            }
            None => {}
        }
        Ok(())
    }

    /// Lets these rules hold and no others: new ones are written before their kinds are switched, all at once, and old ones
    /// taken away behind that. So no frame is refused meanwhile that both keep.
    ///
    /// # Errors
    /// When a map is full or cannot be written; then some rules are as they were.
    pub fn replace(&mut self, rules: &BTreeMap<Rule, Verdict>) -> Result<(), KernelError> {
        let written = self.write_new(rules);
        let old: Vec<_> = self.rules.keys().filter(|rule| !rules.contains_key(rule)).copied().collect();
        if written.is_ok() {
            self.rules.retain(|rule, _| rules.contains_key(rule));
        }
        KINDS.into_iter().for_each(|kind| self.switch(kind));
        written?;
        old.into_iter().try_for_each(|rule| self.write(rule, 0))
    }

    /// Writes those of these rules that do not hold yet; their kinds are to be switched behind that.
    fn write_new(&mut self, rules: &BTreeMap<Rule, Verdict>) -> Result<(), KernelError> {
        for (&rule, &verdict) in rules {
            if self.rules.get(&rule) != Some(&verdict) {
                self.write(rule, verdict as u8)?;
                self.rules.insert(rule, verdict);
            }
        }
        Ok(())
    }

    /// Switches a kind on or off, as the rules want it.
    fn switch(&self, kind: u32) {
        let of_kind = || self.rules.iter().filter(|(rule, _)| rule.kind() == kind);
        let allows = of_kind().any(|(_, verdict)| *verdict == Verdict::Allow);
        switch(&self.config, kind << 4, allows);
        switch(&self.config, kind, of_kind().next().is_some());
    }

    fn write(&mut self, rule: Rule, verdict: u8) -> Result<(), KernelError> {
        match rule {
            Rule::Prefix(IpAddr::V4(v4), bits) => write(&mut self.prefixes_v4, bits, v4.octets(), verdict),
            Rule::Prefix(IpAddr::V6(v6), bits) => write(&mut self.prefixes_v6, bits, v6.octets(), verdict),
            Rule::Port(port) => self.place(rule::port(port), verdict),
            Rule::Protocol(protocol) => self.place(rule::protocol(protocol), verdict),
            Rule::Vlan(vlan) => self.place(rule::vlan(vlan), verdict),
        }
    }

    fn place(&mut self, place: u32, verdict: u8) -> Result<(), KernelError> {
        Ok(self.places.set(place, verdict, 0)?)
    }
}

/// Writes a prefix into its trie; a verdict of zero takes it out.
fn write<const N: usize>(
    trie: &mut LpmTrie<MapData, [u8; N], u8>,
    bits: u8,
    address: [u8; N],
    verdict: u8,
) -> Result<(), KernelError>
where
    [u8; N]: aya::Pod,
{
    let key = Key::new(bits.into(), address);
    if verdict == 0 { Ok(trie.remove(&key)?) } else { Ok(trie.insert(&key, verdict, 0)?) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_is_one_rule_by_whatever_address_it_is_named() {
        for (text, network) in [
            ("10.1.2.3/8", "10.0.0.0/8"),
            ("10.1.2.3/31", "10.1.2.2/31"),
            ("255.1.2.3/0", "0.0.0.0/0"),
            ("2001:db8::1/32", "2001:db8::/32"),
            ("ffff::1/0", "::/0"),
        ] {
            assert_eq!(Rule::from_str(text).unwrap().to_string(), network);
        }
    }

    #[test]
    fn rules_name_prefixes_ports_protocols_and_vlans() {
        let prefix = |address: &str, bits| Ok(Rule::Prefix(address.parse().unwrap(), bits));
        assert_eq!(Rule::from_str("10.0.0.0/8"), prefix("10.0.0.0", 8));
        assert_eq!(Rule::from_str("2001:db8::/32"), prefix("2001:db8::", 32));
        assert_eq!(Rule::from_str("::1"), prefix("::1", 128));
        assert_eq!(Rule::from_str("10.9.8.7"), prefix("10.9.8.7", 32));
        assert_eq!(Rule::from_str("port:53"), Ok(Rule::Port(53)));
        assert_eq!(Rule::from_str("protocol:6"), Ok(Rule::Protocol(6)));
        assert_eq!(
            [Rule::from_str("vlan:none"), Rule::from_str("vlan:7")].map(Result::ok),
            [Some(Rule::Vlan(None)), Some(Rule::Vlan(Some(7)))]
        );
        for text in ["10.0.0.0/8", "2001:db8::/32", "port:53", "protocol:6", "vlan:7", "vlan:none"] {
            assert_eq!(Rule::from_str(text).unwrap().to_string(), text);
        }
        for wrong in ["10.0.0.0/33", "port:70000", "protocol:tcp", "vlan:4096", "x", "", "2001:db8::/129"] {
            assert!(Rule::from_str(wrong).is_err(), "{wrong}");
        }
    }
}
