//! Exporters that number something else than their protocol says.
//!
//! IPFIX numbers data records (RFC 7011 §3.1), NetFlow v9 datagrams (RFC 3954 §5.1); some exporters have it the
//! other way round. Takes the number of each message and how many records it holds, and says when the numbers can
//! only be understood the other way. What is missing by it is known from the first message on.

use super::sequence::SequenceTracker;
use super::unit::Unit;

/// Messages that must follow as one way has it, and as the other has not.
const STEPS: u8 = 4;

/// Datagrams that must follow each other as if they numbered records: losses might look so as long as all are alike.
const STEPS_OF_RECORDS: u8 = 8;

/// Watches how an exporter counts.
#[derive(Debug)]
pub(super) struct Counting {
    /// The numbers as the other way has them; `None` once it is clear.
    other: Option<Box<SequenceTracker>>,
    last: Option<Numbered>,
    /// Messages that followed as the protocol has it, and as it has not, since the last one of the other kind.
    steps: (u8, u8),
    /// The records of the first message that followed in the other way, and whether another one had more or fewer.
    sizes: (u32, bool),
}

/// The number of a message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Numbered {
    pub(super) sequence: u32,
    /// Records of the message, options too, as far as they are known.
    pub(super) records: u32,
    /// Whether `records` is all of the message's records.
    pub(super) is_known: bool,
}

impl Numbered {
    /// How far the number moves behind this message.
    pub(super) const fn units(&self, unit: Unit) -> u32 {
        match unit {
            Unit::Records => self.records,
            _ => 1,
        }
    }
}

impl Counting {
    /// Nothing is known yet of an exporter of this protocol.
    pub(super) fn new(unit: Unit) -> Self {
        let may_differ = matches!(unit, Unit::Records | Unit::Datagrams);
        let other = may_differ.then(Box::default);
        Self { other, last: None, steps: (0, 0), sizes: (0, false) }
    }

    /// Notes a message of an exporter that should count in this unit; gives the numbers as the other way has them
    /// once that is the right one.
    pub(super) fn note(
        &mut self,
        unit: Unit,
        message: Numbered,
        restarted: bool,
    ) -> Option<(Unit, SequenceTracker)> {
        let other_unit = if unit == Unit::Records { Unit::Messages } else { Unit::Records };
        let other = self.other.as_mut()?;
        other.observe(message.sequence, message.units(other_unit), restarted);
        if other_unit == Unit::Records && !message.is_known {
            other.lose_track(false);
        }
        if let Some(last) = self.last.replace(message) {
            self.step(unit, &last, message.sequence);
        }
        if self.steps.0 >= STEPS {
            self.other = None;
        }
        let is_clear = match unit {
            Unit::Records => self.steps.1 >= STEPS,
            _ => self.steps.1 >= STEPS_OF_RECORDS && self.sizes.1,
        };
        let other = self.other.take_if(|_| is_clear)?;
        Some((other_unit, *other))
    }

    /// Notes that the sender is gone: the next message begins anew.
    pub(super) fn end_run(&mut self) {
        self.last = None;
        if let Some(other) = &mut self.other {
            other.end_run();
        }
    }

    /// Notes which way a number follows the last one, where they differ.
    fn step(&mut self, unit: Unit, last: &Numbered, sequence: u32) {
        let step = sequence.wrapping_sub(last.sequence);
        if !last.is_known || last.records < 2 || step != 1 && step != last.records {
            return;
        }
        if step == last.units(unit) {
            self.steps = (self.steps.0.saturating_add(1), 0);
            return;
        }
        if self.steps.1 == 0 {
            self.sizes = (last.records, false);
        }
        self.sizes.1 |= self.sizes.0 != last.records;
        self.steps = (0, self.steps.1.saturating_add(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many messages it takes, of these sizes over and over, until an exporter is known to count otherwise.
    fn recognised(unit: Unit, sizes: &[u32], step: impl Fn(u32) -> u32) -> Option<usize> {
        let (mut counting, mut sequence) = (Counting::new(unit), u32::MAX - 5);
        sizes.iter().cycle().take(100).position(|&records| {
            let message = Numbered { sequence, records, is_known: true };
            sequence = sequence.wrapping_add(step(records));
            counting.note(unit, message, false).is_some()
        })
    }

    #[test]
    fn numbers_that_fit_one_way_only_tell_the_way() {
        assert_eq!(recognised(Unit::Records, &[20, 30], |_| 1), Some(4));
        assert_eq!(recognised(Unit::Records, &[20, 30], |records| records), None);
        assert_eq!(recognised(Unit::Records, &[20], |_| 0), None, "it does not count");
        assert_eq!(recognised(Unit::Records, &[1], |_| 1), None, "both ways are one");
        assert_eq!(recognised(Unit::Records, &[1, 0, 9], |_| 1), Some(12));
        assert_eq!(recognised(Unit::Datagrams, &[20, 30], |_| 1), None);
        assert_eq!(recognised(Unit::Datagrams, &[20, 30], |records| records), Some(8));
        assert_eq!(recognised(Unit::Datagrams, &[20], |records| records), None, "19 of 20 may be lost");
        assert_eq!(recognised(Unit::Flows, &[20, 30], |_| 1), None);
    }

    #[test]
    fn what_was_lost_before_is_known() {
        let mut counting = Counting::new(Unit::Records);
        let numbers = [0, 1, 2, 5, 6, 7, 8];
        let messages = numbers.map(|sequence| Numbered { sequence, records: 10, is_known: true });
        let clear = messages.into_iter().find_map(|message| counting.note(Unit::Records, message, false));
        let (unit, tracker) = clear.unwrap();
        assert_eq!((unit, tracker.counts().lost), (Unit::Messages, 2));
    }
}
