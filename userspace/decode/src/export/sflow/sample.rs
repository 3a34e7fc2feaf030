//! The heads of samples, compact or expanded, as far as their rows and their account need them.

use super::numbers;
use super::xdr::Xdr;
use std::fmt;
use std::str::FromStr;

/// What was sampled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    /// A packet.
    Flow,
    /// The counters of an interface.
    Counters,
    /// A packet that was discarded (sflow.org, "sFlow Dropped Packet Notification Structures").
    Drops,
}

/// How a sample is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Form {
    pub(super) kind: Kind,
    /// Types and indices stand apart, so that indices have 32 bits.
    is_expanded: bool,
}

/// What numbers its samples: an interface, most often.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Source {
    class: u32,
    index: u32,
}

/// What numbers samples of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::export) struct SampleSource {
    pub(super) kind: Kind,
    pub(super) source: Source,
}

impl fmt::Display for SampleSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, source: Source { class, index } } = self;
        write!(f, "{}:{class}:{index}", *kind as u8)
    }
}

impl FromStr for SampleSource {
    type Err = ();

    /// Reads what was written, such as `0:0:17`.
    fn from_str(text: &str) -> Result<Self, ()> {
        let parse = || {
            let mut numbers = text.split(':').map(|number| number.parse::<u32>().ok());
            let mut next = || numbers.next().flatten();
            let (kind, class, index) = (next()?, next()?, next()?);
            let kind =
                [Kind::Flow, Kind::Counters, Kind::Drops].into_iter().find(|known| *known as u32 == kind)?;
            Some(Self { kind, source: Source { class, index } })
        };
        parse().ok_or(())
    }
}

/// The head of a flow sample behind its source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FlowHead {
    /// One packet in so many; 0 when the agent does not know.
    pub(super) sampling_rate: u32,
    pub(super) input: Option<u32>,
    pub(super) output: Option<u32>,
    /// Records that follow.
    pub(super) records: u32,
}

impl Form {
    /// The form of a sample of this format; `None` when it is not known.
    pub(super) const fn of(format: u32) -> Option<Self> {
        let (kind, is_expanded) = match format {
            numbers::FLOW_SAMPLE => (Kind::Flow, false),
            numbers::COUNTERS_SAMPLE => (Kind::Counters, false),
            numbers::FLOW_SAMPLE_EXPANDED => (Kind::Flow, true),
            numbers::COUNTERS_SAMPLE_EXPANDED => (Kind::Counters, true),
            numbers::DISCARDED_PACKET => (Kind::Drops, true),
            _ => return None,
        };
        Some(Self { kind, is_expanded })
    }

    /// The sample's number and its source.
    pub(super) fn numbering(self, xdr: &mut Xdr<'_>) -> Option<(u32, Source)> {
        if self.is_expanded {
            let [sequence, class, index] = xdr.numbers()?;
            return Some((sequence, Source { class, index }));
        }
        let [sequence, source] = xdr.numbers()?;
        Some((sequence, Source { class: source >> 24, index: source & 0xff_ffff }))
    }

    /// The rest of a flow sample's head.
    pub(super) fn flow_head(self, xdr: &mut Xdr<'_>) -> Option<FlowHead> {
        let [sampling_rate, _pool, _drops] = xdr.numbers()?;
        let [input, output] = if self.is_expanded {
            let [input_form, input, output_form, output] = xdr.numbers()?;
            [interface(input_form, input), interface(output_form, output)]
        } else {
            xdr.numbers()?.map(|port| interface(port >> 30, port & 0x3fff_ffff))
        };
        Some(FlowHead { sampling_rate, input, output, records: xdr.u32()? })
    }
}

/// The index of an interface. Other forms say why a packet was discarded, or to how many interfaces it went;
/// some values stand for none, or for the device itself.
fn interface(form: u32, value: u32) -> Option<u32> {
    const INTERNAL: u32 = 0x3fff_ffff;
    (form == 0 && !matches!(value, 0 | INTERNAL | u32::MAX)).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_be_bytes()).collect()
    }

    #[test]
    fn both_forms_say_the_same() {
        let compact = words(&[7, 2 << 24 | 9, 100, 1, 2, 5, 1 << 30 | 6, 3]);
        let expanded = words(&[7, 2, 9, 100, 1, 2, 0, 5, 1, 6, 3]);
        let read = |format, octets: &[u8]| {
            let (form, mut xdr) = (Form::of(format).unwrap(), Xdr(octets));
            (form.numbering(&mut xdr).unwrap(), form.flow_head(&mut xdr).unwrap(), xdr.0.len())
        };
        assert_eq!(read(1, &compact), read(3, &expanded));
        let (numbering, head, _) = read(1, &compact);
        assert_eq!(numbering, (7, Source { class: 2, index: 9 }));
        assert_eq!(head, FlowHead { sampling_rate: 100, input: Some(5), output: None, records: 3 });
    }

    #[test]
    fn only_indices_are_interfaces() {
        for (form, value) in [(0, 0), (0, 0x3fff_ffff), (0, u32::MAX), (1, 258), (2, 4)] {
            assert_eq!(interface(form, value), None, "{form} {value}");
        }
        assert_eq!(interface(0, 1_000_000_000), Some(1_000_000_000));
    }
}
