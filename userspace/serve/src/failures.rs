//! Who brought a wrong token, and how often.
//!
//! Takes addresses and the time, says how long whoever brought it waits for his answer, and whether somebody is to be
//! told. What is kept has a cap, whoever asks from how many addresses.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

/// Addresses that are told apart; beyond, they count as one.
const ADDRESSES_MAX: usize = 1024;
/// Whoever brings nothing wrong for so long begins anew.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(60);
/// Of one address somebody is told no more often.
const TOLD_EVERY: Duration = Duration::from_secs(1);
/// How long the first wrong answer takes; each one after it takes twice as long as the one before, up to the longest.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// All that was wrong lately.
#[derive(Debug, Default)]
pub(crate) struct Failures {
    all: u64,
    of_addresses: HashMap<IpAddr, OfAddress>,
}

#[derive(Clone, Copy, Debug)]
struct OfAddress {
    last: Instant,
    told: Option<Instant>,
    /// Since somebody was told.
    untold: u64,
    wait: Duration,
}

/// What is done about a wrong token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Consequence {
    /// How long the answer waits.
    pub(crate) wait: Duration,
    /// So many wrong ones are to be told, this one included.
    pub(crate) tell: Option<u64>,
}

impl Failures {
    /// Somebody brought a wrong one.
    pub(crate) fn note(&mut self, address: IpAddr, now: Instant) -> Consequence {
        self.all += 1;
        let place = self.place(address, now);
        let begun = OfAddress { last: now, told: None, untold: 0, wait: Duration::ZERO };
        let known = self.of_addresses.entry(place).or_insert(begun);
        let goes_on = now.saturating_duration_since(known.last) < FORGOTTEN_AFTER;
        known.wait = if goes_on { (known.wait * 2).clamp(FIRST_WAIT, LONGEST_WAIT) } else { FIRST_WAIT };
        known.last = now;
        known.untold += 1;
        let is_due = known.told.is_none_or(|told| now.saturating_duration_since(told) >= TOLD_EVERY);
        let tell = is_due.then(|| std::mem::take(&mut known.untold));
        known.told = if is_due { Some(now) } else { known.told };
        Consequence { wait: known.wait, tell }
    }

    /// How many there were.
    pub(crate) const fn all(&self) -> u64 {
        self.all
    }

    /// Where an address is counted: a network of IPv6 has as many as it likes.
    fn place(&mut self, address: IpAddr, now: Instant) -> IpAddr {
        let place = match address.to_canonical() {
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
            }
            address => address,
        };
        if self.of_addresses.contains_key(&place) || self.of_addresses.len() < ADDRESSES_MAX {
            return place;
        }
        self.of_addresses.retain(|_, known| now.saturating_duration_since(known.last) < FORGOTTEN_AFTER);
        // Nobody has this address.
        if self.of_addresses.len() < ADDRESSES_MAX { place } else { Ipv6Addr::UNSPECIFIED.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    const GUESSER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

    #[test]
    fn guessing_takes_longer_each_time_and_is_told_once_a_second() {
        let (mut failures, start) = (Failures::default(), Instant::now());
        let mut note = |ms: u64| {
            let Consequence { wait, tell } = failures.note(GUESSER, start + Duration::from_millis(ms));
            (wait.as_millis(), tell)
        };
        assert_eq!(note(0), (100, Some(1)));
        assert_eq!(note(10), (200, None));
        assert_eq!(note(20), (400, None));
        assert_eq!(note(1000), (800, Some(3)));
        assert_eq!([note(1001), note(1002), note(1003)], [(1600, None), (2000, None), (2000, None)]);
        assert_eq!(note(70_000), (100, Some(4)));
        assert_eq!(failures.all(), 8);
    }

    #[test]
    fn addresses_are_told_apart_up_to_a_cap() {
        let (mut failures, start) = (Failures::default(), Instant::now());
        let of_number = |number: u32| IpAddr::from(Ipv4Addr::from_bits(number));
        for number in 0..5000 {
            failures.note(of_number(number), start);
        }
        assert!(failures.of_addresses.len() <= ADDRESSES_MAX + 1, "{}", failures.of_addresses.len());
        let one = failures.note("2001:db8::1".parse().unwrap(), start + FORGOTTEN_AFTER);
        let same_network = failures.note("2001:db8::2".parse().unwrap(), start + FORGOTTEN_AFTER);
        assert_eq!((one.wait, same_network.wait), (FIRST_WAIT, FIRST_WAIT * 2));
        assert_eq!(failures.of_addresses.len(), 1, "what is long ago is forgotten");
    }
}
