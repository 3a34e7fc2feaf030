//! What is told of a live source while it runs: exporters whose rows are late or whose clocks are off, captures that
//! cannot be read, filters that the kernel does not take, what a program does not get from its card.

use std::collections::{HashMap, VecDeque};
use std::mem;
use tapline_decode::export::ExportAccount;
use tapline_record::EventTime;

/// What somebody should hear of at once.
#[derive(Clone, Debug)]
pub enum Notice {
    /// Rows of this exporter are too late, or its clock is off; told once, and again when its first rows are too late.
    Times(Box<ExportAccount>),
    /// Rows of further exporters are too late, or their clocks are off; they are not named.
    TimesOfMore,
    /// A sentence about captures that appear in a folder: what of them is not read, or is lost.
    Captures(String),
    /// A sentence about what a driver knows of frames, and a program does not get.
    Card(String),
    /// A sentence about a filter that is not in the kernel, though it could be.
    Filter(String),
}

/// Exporters that are named, of one source; spoofed ones may be any number.
const EXPORTERS_NAMED_MAX: usize = 16;
/// Between two looks at the accounts.
const LOOK_EVERY_NS: i64 = 1_000_000_000;

/// Looks for exporters that somebody should hear of.
#[derive(Debug, Default)]
pub(crate) struct Notices {
    next_look: EventTime,
    /// Exporters that were named, by the number of their account, and whether that was for late rows.
    named: HashMap<u64, bool>,
    has_told_of_more: bool,
    pending: VecDeque<Notice>,
}

impl Notices {
    /// Looks at the accounts, now and then.
    pub(crate) fn look<A: Iterator<Item = ExportAccount>>(
        &mut self,
        now: EventTime,
        accounts: impl FnOnce() -> A,
    ) {
        if now < self.next_look {
            return;
        }
        self.next_look = now.plus(LOOK_EVERY_NS);
        let is_off = |account: &ExportAccount| account.extract.rows_late + account.extract.rows_shifted > 0;
        accounts().filter(is_off).for_each(|account| self.note(account));
    }

    fn note(&mut self, account: ExportAccount) {
        let is_late = account.extract.rows_late > 0;
        let named_for = self.named.get(&account.id);
        if named_for.is_some_and(|&was_late| was_late || !is_late) {
            return;
        }
        if named_for.is_none() && self.named.len() >= EXPORTERS_NAMED_MAX {
            if !mem::replace(&mut self.has_told_of_more, true) {
                self.pending.push_back(Notice::TimesOfMore);
            }
            return;
        }
        self.named.insert(account.id, is_late);
        self.pending.push_back(Notice::Times(Box::new(account)));
    }

    /// The next one to tell.
    pub(crate) fn next(&mut self) -> Option<Notice> {
        self.pending.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{IpAddr, Ipv4Addr};
    use tapline_decode::export::{Datagram, ExportDecoder, ExportOptions, Sender};

    const NOW: EventTime = EventTime(1_750_000_000_000_000_000);
    const NOBODY: [u16; 0] = [];

    /// A message of NetFlow v5 with one flow, of a clock that is so far behind; the flow ended so long before.
    fn push(decoder: &mut ExportDecoder, port: u16, behind_s: i64, ended_s: i64) {
        let mut payload = vec![0; 72];
        (payload[1], payload[3]) = (5, 1);
        payload[4..8].copy_from_slice(&1_000_000_u32.to_be_bytes());
        payload[8..12].copy_from_slice(&((NOW.0 / 1_000_000_000 - behind_s) as u32).to_be_bytes());
        let end = (1_000_000 - 1000 * ended_s) as u32;
        payload[48..52].copy_from_slice(&end.to_be_bytes());
        payload[52..56].copy_from_slice(&end.to_be_bytes());
        let sender = Sender::udp(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), port);
        decoder.push(&Datagram { received: NOW, sender, payload: &payload });
    }

    /// Ports of the exporters that are named after a look, 0 for further ones.
    fn told(notices: &mut Notices, decoder: &ExportDecoder, second: i64) -> Vec<u16> {
        notices.look(NOW.plus(second * 1_000_000_000), || decoder.accounts());
        let port = |notice| match notice {
            Notice::Times(account) => account.port,
            Notice::TimesOfMore | Notice::Captures(_) | Notice::Card(_) | Notice::Filter(_) => 0,
        };
        std::iter::from_fn(|| notices.next()).map(port).collect()
    }

    fn decoder() -> ExportDecoder {
        let mut decoder = ExportDecoder::new(&[], 8, ExportOptions::default());
        decoder.note_closed(NOW.plus(-60_000_000_000));
        decoder
    }

    #[test]
    fn an_exporter_is_named_once_and_again_when_its_rows_are_late() {
        let (mut notices, mut decoder) = (Notices::default(), decoder());
        push(&mut decoder, 1, 0, 1);
        assert_eq!(told(&mut notices, &decoder, 0), NOBODY);
        push(&mut decoder, 2, 500, 1);
        assert_eq!(told(&mut notices, &decoder, 0), NOBODY, "too soon for another look");
        assert_eq!(told(&mut notices, &decoder, 1), [2]);
        push(&mut decoder, 2, 500, 1);
        assert_eq!(told(&mut notices, &decoder, 2), NOBODY);
        push(&mut decoder, 1, 0, 90);
        push(&mut decoder, 2, 500, 90);
        let mut late = told(&mut notices, &decoder, 3);
        late.sort_unstable();
        assert_eq!(late, [1, 2]);
        push(&mut decoder, 1, 0, 90);
        assert_eq!(told(&mut notices, &decoder, 4), NOBODY);
    }

    #[test]
    fn of_very_many_a_few_are_named() {
        let (mut notices, mut decoder) = (Notices::default(), decoder());
        (1..=40).for_each(|port| push(&mut decoder, port, 0, 90));
        let told_of = told(&mut notices, &decoder, 0);
        assert_eq!((told_of.len(), told_of.last()), (EXPORTERS_NAMED_MAX + 1, Some(&0)));
        (41..=50).for_each(|port| push(&mut decoder, port, 0, 90));
        assert_eq!(told(&mut notices, &decoder, 1), NOBODY);
    }
}
