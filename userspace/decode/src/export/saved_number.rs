//! Where exporters' numbers were when a process ended: a line of text each.
//!
//! A line names the exporter and domain as they are told apart, what is numbered, the number that comes next, and when
//! the last message came, in nanoseconds since the epoch; where it is not known what records became of since some time
//! before that, also this time:
//!
//! ```text
//! 192.0.2.1 2055 udp 5 7 messages 51234 1764440000000000000
//! 192.0.2.1 2055 udp 9 7 messages 234 1764440000000000000 unsure:1764439999000000000
//! 192.0.2.9 0 udp 105 0 samples:0:0:17 812 1764440000000000000
//! ```

use super::domain_key::DomainKey;
use super::sflow::sample::SampleSource;
use std::fmt;
use std::str::FromStr;
use tapline_record::EventTime;

/// What stands before the time since when something is not known.
const UNSURE: &str = "unsure:";

/// Which number comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SavedNumber {
    pub(super) key: DomainKey,
    pub(super) of: Numbering,
    pub(super) next: u32,
    pub(super) received: EventTime,
    /// Since when there are records of which it was not known yet how many they are, though their numbers have passed.
    pub(super) unsure_since: Option<EventTime>,
}

/// What is numbered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Numbering {
    /// Messages, or what they hold.
    Messages,
    /// The samples of one of sFlow's sources.
    Samples(SampleSource),
}

/// A line that is no number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotANumber;

impl fmt::Display for NotANumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "not a number of messages: address, port, transport, version, domain, what, next, received",
        )
    }
}

impl std::error::Error for NotANumber {}

impl fmt::Display for SavedNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, of, next, received, unsure_since } = self;
        match of {
            Numbering::Messages => write!(f, "{key} messages {next} {}", received.0)?,
            Numbering::Samples(source) => write!(f, "{key} samples:{source} {next} {}", received.0)?,
        }
        unsure_since.map_or(Ok(()), |since| write!(f, " {UNSURE}{}", since.0))
    }
}

impl FromStr for SavedNumber {
    type Err = NotANumber;

    fn from_str(line: &str) -> Result<Self, NotANumber> {
        parse(line).ok_or(NotANumber)
    }
}

fn parse(line: &str) -> Option<SavedNumber> {
    let mut words = line.split_ascii_whitespace();
    let key = DomainKey::of_words(&mut words)?;
    let of = match words.next()? {
        "messages" => Numbering::Messages,
        samples => Numbering::Samples(samples.strip_prefix("samples:")?.parse().ok()?),
    };
    let next = words.next()?.parse().ok()?;
    let received = EventTime(words.next()?.parse().ok()?);
    let unsure_since = match words.next() {
        Some(word) => Some(EventTime(word.strip_prefix(UNSURE)?.parse().ok()?)),
        None => None,
    };
    words.next().is_none().then_some(SavedNumber { key, of, next, received, unsure_since })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_as_it_was_written() {
        for line in [
            "192.0.2.1 2055 udp 5 7 messages 51234 1764440000000000000",
            "2001:db8::1 0 udp 105 0 samples:2:255:4294967295 4294967295 -5",
            "192.0.2.1 2055 udp 9 7 messages 51234 1764440000000000000 unsure:1764439999000000000",
        ] {
            assert_eq!(line.parse::<SavedNumber>().unwrap().to_string(), line);
        }
        for line in [
            "",
            "192.0.2.1 2055 udp 5 7 messages 51234",
            "192.0.2.1 2055 udp 5 7 messages 51234 5 5",
            "192.0.2.1 2055 udp 5 7 messages 51234 5 unsure:",
            "192.0.2.1 2055 udp 5 7 messages 51234 5 unsure:5 5",
            "192.0.2.1 2055 udp 5 7 records 51234 5",
            "192.0.2.1 2055 udp 5 7 samples:3:0:1 51234 5",
            "192.0.2.1 2055 udp 5 7 samples:0:1 51234 5",
        ] {
            assert_eq!(line.parse::<SavedNumber>(), Err(NotANumber), "{line}");
        }
    }
}
