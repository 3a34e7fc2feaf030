//! What PostgreSQL calls settings: what clients ask for, and what they set.
//!
//! Nothing here depends on one but how long a statement may take. What a client sets it is told again, so that it goes
//! on; times are always UTC.

use std::collections::HashMap;
use std::time::Duration;

/// Settings that a connection may set, and octets of each.
const SET_MAX: usize = 100;
const OCTETS_MAX: usize = 1000;

/// The setting that says how long a statement may take.
pub(crate) const STATEMENT_TIMEOUT: &str = "statement_timeout";

/// The version of PostgreSQL whose catalogs are shown.
pub(crate) const VERSION: &str = "16.6";
const VERSION_NUMBER: &str = "160006";

/// What a client is told when it is let in.
pub(crate) const TOLD: [&str; 12] = [
    "server_version",
    "server_encoding",
    "client_encoding",
    "DateStyle",
    "IntervalStyle",
    "TimeZone",
    "integer_datetimes",
    "standard_conforming_strings",
    "is_superuser",
    "session_authorization",
    "in_hot_standby",
    "default_transaction_read_only",
];

/// What clients ask for, and what they are told.
const DEFAULTS: [(&str, &str); 33] = [
    ("server_version", VERSION),
    ("server_version_num", VERSION_NUMBER),
    ("server_encoding", "UTF8"),
    ("client_encoding", "UTF8"),
    ("DateStyle", "ISO, MDY"),
    ("IntervalStyle", "postgres"),
    ("TimeZone", "UTC"),
    ("integer_datetimes", "on"),
    ("standard_conforming_strings", "on"),
    ("is_superuser", "off"),
    ("session_authorization", "tapline"),
    ("in_hot_standby", "off"),
    ("default_transaction_read_only", "on"),
    ("transaction_read_only", "on"),
    ("transaction_isolation", "read committed"),
    ("default_transaction_isolation", "read committed"),
    ("transaction_deferrable", "off"),
    ("search_path", "public"),
    ("application_name", ""),
    ("extra_float_digits", "1"),
    ("bytea_output", "hex"),
    ("statement_timeout", "1min"),
    ("lock_timeout", "0"),
    ("idle_in_transaction_session_timeout", "0"),
    ("client_min_messages", "notice"),
    ("max_identifier_length", "63"),
    ("max_index_keys", "32"),
    ("block_size", "8192"),
    ("lc_collate", "C"),
    ("lc_ctype", "C"),
    ("row_security", "off"),
    ("escape_string_warning", "on"),
    ("backslash_quote", "safe_encoding"),
];

/// What a setting is where nothing else was set.
pub(crate) fn default_of(name: &str) -> Option<&'static str> {
    DEFAULTS.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| *value)
}

/// What a connection has set.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings(HashMap<String, String>);

impl Settings {
    /// Keeps what was set, where that can be asked for.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        let name = name.to_ascii_lowercase();
        if value.eq_ignore_ascii_case("default") {
            self.0.remove(&name);
            return;
        }
        // Times are UTC, whatever a client would like.
        let is_kept = name != "timezone" && name.len() + value.len() <= OCTETS_MAX;
        if is_kept && (self.0.len() < SET_MAX || self.0.contains_key(&name)) {
            self.0.insert(name, value.to_owned());
        }
    }

    /// Forgets what was set.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// How long a statement may take, where a client has set it.
    pub(crate) fn statement_timeout(&self) -> Option<Duration> {
        let milliseconds = self.0.get(STATEMENT_TIMEOUT).and_then(|text| milliseconds(text));
        milliseconds.filter(|time| *time > 0).map(Duration::from_millis)
    }

    /// What a setting is.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(&name.to_ascii_lowercase()).map(String::as_str).or_else(|| default_of(name))
    }
}

/// A time as PostgreSQL reads it: milliseconds, or a number with a unit.
pub(crate) fn milliseconds(text: &str) -> Option<u64> {
    let text = text.trim();
    let end = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let number: u64 = number.parse().ok()?;
    match unit.trim() {
        "us" => Some(number.div_ceil(1000)),
        "" | "ms" => Some(number),
        "s" => number.checked_mul(1000),
        "min" => number.checked_mul(60_000),
        "h" => number.checked_mul(3_600_000),
        "d" => number.checked_mul(86_400_000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_postgresql_reads_them() {
        for (text, expected) in [
            ("5000", Some(5000)),
            (" 5s ", Some(5000)),
            ("2 min", Some(120_000)),
            ("1us", Some(1)),
            ("soon", None),
            ("-1", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(milliseconds(text), expected, "{text}");
        }
        let mut settings = Settings::default();
        assert_eq!(settings.statement_timeout(), None);
        settings.set("Statement_Timeout", "5s");
        assert_eq!(settings.statement_timeout(), Some(Duration::from_secs(5)));
        settings.set("statement_timeout", "0");
        assert_eq!(settings.statement_timeout(), None);
        settings.set("statement_timeout", "DEFAULT");
        assert_eq!(settings.get("statement_timeout"), Some("1min"));
    }

    #[test]
    fn what_is_set_is_told_again() {
        let mut settings = Settings::default();
        assert_eq!(settings.get("DATESTYLE"), Some("ISO, MDY"));
        assert_eq!(settings.get("nonsense"), None);
        settings.set("Application_Name", "x");
        settings.set("TimeZone", "Europe/Berlin");
        assert_eq!((settings.get("application_name"), settings.get("timezone")), (Some("x"), Some("UTC")));
        (0..1000).for_each(|number| settings.set(&number.to_string(), ""));
        assert!(settings.0.len() <= SET_MAX);
        assert!(TOLD.iter().all(|name| default_of(name).is_some()));
    }
}
