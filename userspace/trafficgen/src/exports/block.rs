//! The datagrams of a plan, encoded once.
//!
//! Takes a plan, draws its flows and encodes them, datagram by datagram, all of one length. What depends on the
//! exporter and on the time stays open and is filled in when a datagram is emitted.

use std::collections::BTreeMap;

use super::flow::{Flow, FlowSource};
use super::layout::Layout;
use super::plan::{ExportPlan, Protocol};
use super::protocols::{self, encode, records_per_datagram};
use super::truth::{Amount, PairAmount};

/// All datagrams with records.
#[derive(Debug)]
pub(super) struct Block {
    protocol: Protocol,
    flows: Vec<Flow>,
    amounts: Vec<Amount>,
    /// In the order of fields, and in its reverse when the plan redefines templates.
    encodings: Vec<Encoding>,
}

/// The datagrams in one order of fields.
#[derive(Debug)]
struct Encoding {
    layout: Layout,
    octets: Vec<u8>,
    datagram_octets: usize,
}

impl Block {
    pub(super) fn new(plan: &ExportPlan) -> Self {
        let protocol = plan.protocol;
        let wide = !matches!(protocol, Protocol::NetflowV5 | Protocol::NetflowV7);
        let mut source = FlowSource::new(plan.seed, plan.autonomous_systems, wide);
        let records = (plan.block_records as usize).next_multiple_of(records_per_datagram(protocol));
        let flows: Vec<_> = (0..records).map(|_| source.draw()).collect();
        let layouts: &[bool] =
            if plan.faults.redefine_every_datagrams > 0 { &[false, true] } else { &[false] };
        Self {
            protocol,
            amounts: datagrams(protocol, &flows).map(|flows| amount(protocol, flows)).collect(),
            encodings: layouts
                .iter()
                .map(|&is_reversed| Encoding::new(protocol, &flows, is_reversed))
                .collect(),
            flows,
        }
    }

    /// Number of datagrams.
    pub(super) fn datagrams(&self) -> usize {
        self.amounts.len()
    }

    /// What a datagram carries.
    pub(super) fn amount(&self, index: usize) -> Amount {
        self.amounts[index]
    }

    /// An order of fields; `redefinitions` counts how often it was turned round.
    pub(super) fn layout(&self, redefinitions: u64) -> &Layout {
        &self.encoding(redefinitions).layout
    }

    /// A datagram, as far as it is known.
    pub(super) fn datagram(&self, index: usize, redefinitions: u64) -> &[u8] {
        let Encoding { octets, datagram_octets, .. } = self.encoding(redefinitions);
        &octets[index * datagram_octets..][..*datagram_octets]
    }

    /// What comes together by pair of autonomous systems when each datagram is sent so many times.
    pub(super) fn pairs(&self, times: &[u64]) -> BTreeMap<(u32, u32), PairAmount> {
        let mut pairs = BTreeMap::new();
        for (flows, &times) in
            datagrams(self.protocol, &self.flows).zip(times).filter(|(_, times)| **times > 0)
        {
            for flow in flows {
                let (packets, octets) = protocols::size(self.protocol, flow);
                let pair: &mut PairAmount = pairs.entry((flow.src_as, flow.dst_as)).or_default();
                *pair += PairAmount { records: times, packets: packets * times, octets: octets * times };
            }
        }
        pairs
    }

    fn encoding(&self, redefinitions: u64) -> &Encoding {
        &self.encodings[redefinitions as usize % self.encodings.len()]
    }
}

impl Encoding {
    fn new(protocol: Protocol, flows: &[Flow], is_reversed: bool) -> Self {
        let layout = protocols::layout(protocol, is_reversed);
        let (mut octets, mut datagram_octets) = (Vec::new(), 0);
        for flows in datagrams(protocol, flows) {
            let start = octets.len();
            encode(protocol, flows, &layout, &mut octets);
            datagram_octets = octets.len() - start;
        }
        Self { layout, octets, datagram_octets }
    }
}

/// The flows of each datagram.
fn datagrams(protocol: Protocol, flows: &[Flow]) -> impl Iterator<Item = &[Flow]> {
    flows.chunks(records_per_datagram(protocol))
}

fn amount(protocol: Protocol, flows: &[Flow]) -> Amount {
    let sizes = flows.iter().map(|flow| protocols::size(protocol, flow));
    let (packets, octets) = sizes.fold((0, 0), |sum, size| (sum.0 + size.0, sum.1 + size.1));
    Amount { datagrams: 1, records: flows.len() as u64, packets, octets }
}
