//! The pre-filter, changed while the programs run.
//!
//! Rules live in maps that the programs look into; what kinds of rules there are at all stands in the programs'
//! configuration, so that a filter without rules costs nothing. A rule is written before its kind is switched on,
//! and switched off before it is taken away.

use std::collections::BTreeMap;
use std::net::IpAddr;

use aya::Ebpf;
use aya::maps::lpm_trie::{Key, LpmTrie};
use aya::maps::{Array, MapData};
use tapline_ebpf_common::{Verdict, flags, names, rule};

use super::table::take;
use super::{FlowTable, KernelError};

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
    places: Array<MapData, u8>,
    prefixes_v4: LpmTrie<MapData, [u8; 4], u8>,
    prefixes_v6: LpmTrie<MapData, [u8; 16], u8>,
    rules: BTreeMap<Rule, u8>,
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

impl PreFilter {
    pub(super) fn new(ebpf: &mut Ebpf) -> Result<Self, KernelError> {
        Ok(Self {
            places: Array::try_from(take(ebpf, names::RULES)?)?,
            prefixes_v4: LpmTrie::try_from(take(ebpf, names::PREFIXES_V4)?)?,
            prefixes_v6: LpmTrie::try_from(take(ebpf, names::PREFIXES_V6)?)?,
            rules: BTreeMap::new(),
        })
    }

    /// Sets a rule, or takes it away.
    ///
    /// # Errors
    /// When a map is full or cannot be written; then the rule is as it was.
    pub(super) fn set(
        &mut self,
        table: &FlowTable,
        rule: Rule,
        verdict: Option<Verdict>,
    ) -> Result<(), KernelError> {
        match verdict {
            Some(verdict) => {
                self.write(rule, verdict as u8)?;
                self.rules.insert(rule, verdict as u8);
                self.switch(table, rule);
            }
            None if self.rules.remove(&rule).is_some() => {
                self.switch(table, rule);
                self.write(rule, 0)?;
            }
            None => {}
        }
        Ok(())
    }

    /// Switches a rule's kind on or off, as the rules want it.
    fn switch(&self, table: &FlowTable, rule: Rule) {
        let kind = rule.kind();
        let of_kind = || self.rules.iter().filter(|(rule, _)| rule.kind() == kind);
        let allows = of_kind().any(|(_, verdict)| *verdict == Verdict::Allow as u8);
        table.switch(kind << 4, allows);
        table.switch(kind, of_kind().next().is_some());
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
