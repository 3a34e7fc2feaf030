//! What messages of syslog matter, and what they are about (RFC 5424 §6.2.1).

use std::str::FromStr;

const SEVERITIES: [&str; 8] = ["emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"];
const FACILITIES: [&str; 24] = [
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp",
    "ntp", "audit", "console", "cron2", "local0", "local1", "local2", "local3", "local4", "local5", "local6",
    "local7",
];

/// How much a message matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Severity(u8);

/// What a message is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facility(u8);

impl FromStr for Severity {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        number("severity", text, &SEVERITIES).map(Self)
    }
}

impl FromStr for Facility {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        number("facility", text, &FACILITIES).map(Self)
    }
}

/// The number that a message begins with.
pub(super) const fn priority(facility: Facility, severity: Severity) -> u8 {
    facility.0 * 8 + severity.0
}

fn number(what: &str, text: &str, names: &[&str]) -> Result<u8, String> {
    let place = (0..).zip(names).find(|(_, name)| **name == text);
    place
        .map(|(number, _)| number)
        .ok_or_else(|| format!("there is no {what} `{text}`; write one of {}", names.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn priorities_are_those_of_the_standard() {
        let of =
            |facility: &str, severity: &str| priority(facility.parse().unwrap(), severity.parse().unwrap());
        assert_eq!((of("kern", "emerg"), of("mail", "crit"), of("local4", "notice")), (0, 18, 165));
        assert_eq!(of("local7", "debug"), 191);
        assert!(
            "loud"
                .parse::<Severity>()
                .unwrap_err()
                .starts_with("there is no severity `loud`; write one of emerg")
        );
    }
}
