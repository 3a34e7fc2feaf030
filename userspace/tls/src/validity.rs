//! From when to when a certificate holds.
//!
//! Takes the octets of a certificate (X.509, DER), gives two times; nothing where they cannot be found. Whether the
//! rest of it is right is the business of whoever checks it.

use crate::der::{SEQUENCE, any, behind_issuer, element};
use std::time::{SystemTime, UNIX_EPOCH};

const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const DAY_S: i64 = 86_400;
/// So many days before its end somebody is to care.
const DAYS_LEFT_MIN: i64 = 14;

/// Two times in seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Validity {
    begins: i64,
    ends: i64,
}

impl Validity {
    /// That of a certificate.
    pub(crate) fn of(certificate: &[u8]) -> Option<Self> {
        let (validity, _) = element(behind_issuer(certificate)?, SEQUENCE)?;
        let (begins, rest) = time(validity)?;
        let (ends, _) = time(rest)?;
        Some(Self { begins, ends })
    }

    /// What somebody should know about it at a time.
    pub(crate) fn warning(self, now: SystemTime) -> Option<String> {
        let now =
            now.duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(0));
        if now < self.begins {
            return Some(format!("holds only in {} days", days(self.begins - now)));
        }
        if now > self.ends {
            return Some(format!("expired {} days ago", days(now - self.ends)));
        }
        let left = self.ends - now;
        (left < DAYS_LEFT_MIN * DAY_S).then(|| format!("expires in {} days", days(left)))
    }
}

const fn days(seconds: i64) -> i64 {
    seconds / DAY_S
}

/// The time at the beginning, and what is behind it.
fn time(octets: &[u8]) -> Option<(i64, &[u8])> {
    let (kind, text, behind) = any(octets)?;
    let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    let digits = match kind {
        UTC_TIME => 2,
        GENERALIZED_TIME => 4,
        _ => return None,
    };
    let year = number(text.get(..digits)?)?;
    let year = match (kind, year) {
        (UTC_TIME, 50..) => 1900 + year,
        (UTC_TIME, _) => 2000 + year,
        _ => year,
    };
    let part = |place: usize| number(text.get(digits + 2 * place..digits + 2 * place + 2)?);
    let (month, day) = (part(0)?, part(1)?);
    let (hour, minute, second) = (part(2)?, part(3)?, part(4)?);
    let seconds = (hour * 60 + minute) * 60 + second;
    Some((days_of(year, month, day) * DAY_S + seconds, behind))
}

fn number(text: &str) -> Option<i64> {
    text.bytes().all(|digit| digit.is_ascii_digit()).then(|| text.parse().ok())?
}

/// Days from 1970 to a date; years begin in March here, so that a leap day is the last one.
const fn days_of(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::der::VERSION;
    use std::time::Duration;

    /// An element of at most 127 octets.
    fn of(kind: u8, content: &[u8]) -> Vec<u8> {
        [&[kind, u8::try_from(content.len()).unwrap()][..], content].concat()
    }

    /// As far as it is looked at; the name of whoever signed it has the longer form of a length.
    fn certificate(begins: &[u8], ends: &[u8], version: &[u8]) -> Vec<u8> {
        let name = [&[SEQUENCE, 0x81, 3][..], b"abc"].concat();
        let validity = of(SEQUENCE, &[of(UTC_TIME, begins), of(UTC_TIME, ends)].concat());
        let parts = [version, &of(2, &[1]), &of(SEQUENCE, &[]), &name, &validity];
        of(SEQUENCE, &of(SEQUENCE, &parts.concat()))
    }

    #[test]
    fn both_times_are_found() {
        for version in [vec![], of(VERSION, &of(2, &[2]))] {
            let certificate = certificate(b"700101000000Z", b"000301000001Z", &version);
            assert_eq!(Validity::of(&certificate), Some(Validity { begins: 0, ends: 951_868_801 }));
        }
        let long = of(GENERALIZED_TIME, b"20500101000000Z");
        assert_eq!(time(&long), Some((2_524_608_000, &[][..])));
        assert_eq!(time(&of(UTC_TIME, b"991231235959Z")), Some((946_684_799, &[][..])));
        for wrong in [&b""[..], b"Z", b"70010100000Z", b"7\xc3\xa9Z", b"700101+0000Z", b"700101000000"] {
            assert_eq!(time(&of(UTC_TIME, wrong)), None, "{wrong:?}");
        }
    }

    #[test]
    fn nothing_that_is_cut_off_is_read_beyond_its_end() {
        let whole = certificate(b"700101000000Z", b"700101000000Z", &[]);
        for length in 0..whole.len() {
            assert_eq!(Validity::of(&whole[..length]), None, "{length}");
        }
        assert_eq!(any(&[SEQUENCE, 0x80]), None);
        assert_eq!(any(&[SEQUENCE, 0x85, 0, 0, 0, 0, 0]), None);
    }

    #[test]
    fn somebody_is_told_in_time() {
        let validity = Validity { begins: 10 * DAY_S, ends: 100 * DAY_S };
        let on_day = |day: u64| validity.warning(UNIX_EPOCH + Duration::from_secs(day * 86_400));
        assert_eq!(on_day(7).as_deref(), Some("holds only in 3 days"));
        assert_eq!(on_day(50), None);
        assert_eq!(on_day(90).as_deref(), Some("expires in 10 days"));
        assert_eq!(on_day(102).as_deref(), Some("expired 2 days ago"));
    }
}
