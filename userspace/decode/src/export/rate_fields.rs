//! The sampling rate that the fields of a record tell, be it one of flows or one about the exporter.
//!
//! Takes a template, finds which of its fields say of how many packets one was taken, in any of the ways that
//! IANA's registry and RFC 5477 have for it. Gives the rate of each record; one of zero tells nothing.

use super::information_element as ie;
use super::records::Records;
use super::selector_algorithm;
use super::slot::{Slot, find};
use super::template::{Element, Template};
use super::wire::{array_at, number};

/// Where records of a template tell a rate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct RateFields {
    /// One packet in so many: `samplingInterval`, and `samplerRandomInterval`.
    intervals: [Option<Slot>; 2],
    /// Which way of sampling holds where fields tell of several (`selectorAlgorithm`).
    algorithm: Option<Slot>,
    /// So many packets in a row are taken, and so many are left out then.
    counted: Option<(Slot, Slot)>,
    /// For so many microseconds packets are taken, and for so many they are left out then.
    timed: Option<(Slot, Slot)>,
    /// Of a population, so many are taken.
    drawn: Option<(Slot, Slot)>,
    /// Each packet is taken with this probability.
    probability: Option<Slot>,
}

impl RateFields {
    /// The fields of a template that tell a rate, if it has any.
    pub(super) fn of(template: &Template) -> Option<Self> {
        let slot = |id| find(template, Element::iana(id));
        let pair = |first, second| Some((slot(first)?, slot(second)?));
        let fields = Self {
            intervals: [slot(ie::SAMPLING_INTERVAL), slot(ie::SAMPLER_RANDOM_INTERVAL)],
            algorithm: slot(ie::SELECTOR_ALGORITHM),
            counted: pair(ie::SAMPLING_PACKET_INTERVAL, ie::SAMPLING_PACKET_SPACE),
            timed: pair(ie::SAMPLING_TIME_INTERVAL, ie::SAMPLING_TIME_SPACE),
            drawn: pair(ie::SAMPLING_POPULATION, ie::SAMPLING_SIZE),
            probability: slot(ie::SAMPLING_PROBABILITY),
        };
        (fields != Self { algorithm: fields.algorithm, ..Self::default() }).then_some(fields)
    }

    /// The field that tells the rate, where it is one and says it outright.
    pub(super) fn plain(&self) -> Option<Slot> {
        let [first, second] = self.intervals;
        let plain = first.xor(second)?;
        (*self == Self { intervals: self.intervals, algorithm: self.algorithm, ..Self::default() })
            .then_some(plain)
    }

    /// The rate that a record tells. An algorithm that is told decides where several ways are.
    pub(super) fn rate(&self, records: &Records<'_>, row: usize) -> Option<u64> {
        let told = |slot| Some(records.field_of(row, slot)).filter(|octets| !octets.is_empty()).map(number);
        let pair =
            |pair: Option<(Slot, Slot)>| pair.and_then(|(one, other)| Some((told(one)?, told(other)?)));
        let spaced = |pair: (u64, u64)| ratio(pair.0.saturating_add(pair.1), pair.0);
        let outright = || self.intervals.into_iter().flatten().filter_map(told).find(|&rate| rate > 0);
        let counted = || pair(self.counted).and_then(spaced);
        let timed = || pair(self.timed).and_then(spaced);
        let drawn = || pair(self.drawn).and_then(|(population, size)| ratio(population, size));
        let probable = || self.probability.and_then(|slot| of_probability(records.field_of(row, slot)));
        let chosen = match self.algorithm.and_then(told) {
            Some(selector_algorithm::SYSTEMATIC_COUNT_BASED_SAMPLING) => counted(),
            Some(selector_algorithm::SYSTEMATIC_TIME_BASED_SAMPLING) => timed(),
            Some(selector_algorithm::RANDOM_N_OUT_OF_N_SAMPLING) => drawn(),
            Some(selector_algorithm::UNIFORM_PROBABILISTIC_SAMPLING) => probable(),
            _ => None,
        };
        chosen.or_else(outright).or_else(counted).or_else(drawn).or_else(probable).or_else(timed)
    }
}

/// The nearest whole number to one in `all / part`.
fn ratio(all: u64, part: u64) -> Option<u64> {
    let rate = all.checked_div(part)?;
    let is_nearer_to_next = all % part >= part.div_ceil(2);
    Some((rate + u64::from(is_nearer_to_next)).max(1))
}

fn of_probability(octets: &[u8]) -> Option<u64> {
    let probability = match octets.len() {
        4 => f64::from(f32::from_be_bytes(array_at(octets, 0)?)),
        8 => f64::from_be_bytes(array_at(octets, 0)?),
        _ => return None,
    };
    let is_one = probability > 0.0 && probability <= 1.0;
    is_one.then(|| (1.0 / probability).round() as u64)
}

#[cfg(test)]
mod tests {
    use super::super::template::{Field, TemplateKind};
    use super::*;

    /// The rate that fields of eight octets with these numbers tell.
    fn rate(fields: &[(u16, u64)]) -> Option<u64> {
        let body: Vec<u8> = fields.iter().flat_map(|(_, value)| value.to_be_bytes()).collect();
        let fields = fields.iter().map(|&(id, _)| Field { element: Element::iana(id), length: 8 }).collect();
        let template = Template { id: 256, kind: TemplateKind::Data, fields };
        RateFields::of(&template)?.rate(&Records::fixed(&body, body.len()), 0)
    }

    #[test]
    fn every_way_of_saying_it() {
        assert_eq!([rate(&[(34, 100)]), rate(&[(50, 7)])], [Some(100), Some(7)]);
        assert_eq!(rate(&[(305, 1), (306, 999)]), Some(1000));
        assert_eq!(rate(&[(305, 10), (306, 0)]), Some(1), "nothing is left out");
        assert_eq!(rate(&[(307, 100), (308, 900)]), Some(10), "microseconds");
        assert_eq!(rate(&[(309, 10), (310, 5000)]), Some(500));
        assert_eq!(rate(&[(311, 0.01_f64.to_bits())]), Some(100));
        assert_eq!(rate(&[(305, 2), (306, 3)]), Some(3), "the nearest whole number");
        assert_eq!(rate(&[(305, 3), (306, 4)]), Some(2));
    }

    #[test]
    fn what_tells_nothing() {
        assert_eq!([rate(&[(34, 0)]), rate(&[(305, 1)]), rate(&[(306, 999)])], [None; 3]);
        assert_eq!([rate(&[(305, 0), (306, 5)]), rate(&[(309, 0), (310, 5)])], [None; 2]);
        assert_eq!([rate(&[(311, 0)]), rate(&[(311, 2.0_f64.to_bits())]), rate(&[(304, 1)])], [None; 3]);
        assert_eq!(rate(&[(1, 100)]), None);
    }

    #[test]
    fn the_algorithm_decides() {
        let fields = [(305, 1), (306, 0), (309, 1), (310, 50), (311, 0.001_f64.to_bits())];
        let rates = [1, 3, 4].map(|algorithm| rate(&[&[(304, algorithm)], &fields[..]].concat()));
        assert_eq!(rates, [Some(1), Some(50), Some(1000)]);
        assert_eq!(rate(&[(304, 3), (34, 200)]), Some(200), "what is there counts all the same");
        assert_eq!(rate(&[(34, 0), (305, 1), (306, 9)]), Some(10));
    }
}
