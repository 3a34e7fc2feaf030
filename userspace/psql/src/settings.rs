//! What PostgreSQL calls settings: what clients ask for, and what they set.
//!
//! Nothing here depends on one but how long a statement may take. What a client sets it is told again, so that it goes
//! on; times are always UTC, and texts UTF-8.

use crate::said::Said;
use std::collections::HashMap;
use std::time::Duration;

/// Settings that a connection may set, and octets of each.
const SET_MAX: usize = 100;
const OCTETS_MAX: usize = 1000;

/// The setting that says how long a statement may take.
const STATEMENT_TIMEOUT: &str = "statement_timeout";

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

/// What is what it is, whatever a client would like.
const FIXED: [&str; 2] = ["client_encoding", "timezone"];

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
pub(crate) struct Settings {
    /// Until it is set otherwise.
    set: HashMap<String, String>,
    /// Until the end of the transaction, in the place of it.
    local: HashMap<String, String>,
}

impl Settings {
    /// What a client says when it begins: settings by their names, and others in `options`, as on a command line.
    ///
    /// # Errors
    /// When one cannot be set so.
    pub(crate) fn of(parameters: &[(String, String)]) -> Result<Self, Said> {
        let mut settings = Self::default();
        for (name, value) in parameters {
            match name.as_str() {
                "user" | "database" | "replication" => {}
                "options" => {
                    for (name, value) in options(value) {
                        settings.set(&name, &value)?;
                    }
                }
                name if name.starts_with("_pq_.") => {}
                name => settings.set(name, value)?,
            }
        }
        Ok(settings)
    }

    /// Keeps what was set, where that can be asked for.
    ///
    /// # Errors
    /// When it cannot be set so.
    pub(crate) fn set(&mut self, name: &str, value: &str) -> Result<(), Said> {
        self.local.remove(&name.to_ascii_lowercase());
        keep(&mut self.set, name, value)
    }

    /// The same, until the end of the transaction.
    ///
    /// # Errors
    /// As above.
    pub(crate) fn set_local(&mut self, name: &str, value: &str) -> Result<(), Said> {
        keep(&mut self.local, name, value)
    }

    /// Forgets what was set for a transaction.
    pub(crate) fn end_transaction(&mut self) {
        self.local.clear();
    }

    /// How long a statement may take, where a client has set it.
    pub(crate) fn statement_timeout(&self) -> Option<Duration> {
        let milliseconds = self.own(STATEMENT_TIMEOUT).and_then(milliseconds);
        milliseconds.filter(|time| *time > 0).map(Duration::from_millis)
    }

    /// What a setting is.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.own(&name.to_ascii_lowercase()).or_else(|| default_of(name))
    }

    fn own(&self, name: &str) -> Option<&str> {
        self.local.get(name).or_else(|| self.set.get(name)).map(String::as_str)
    }
}

fn keep(settings: &mut HashMap<String, String>, name: &str, value: &str) -> Result<(), Said> {
    let name = name.to_ascii_lowercase();
    if value.eq_ignore_ascii_case("default") {
        settings.remove(&name);
        return Ok(());
    }
    if name == STATEMENT_TIMEOUT && milliseconds(value).is_none() {
        let sentence =
            format!("{STATEMENT_TIMEOUT} cannot be {value:?}; write milliseconds, or such as '5s'");
        return Err(Said::new("22023", sentence));
    }
    let is_kept = !FIXED.contains(&name.as_str()) && name.len() + value.len() <= OCTETS_MAX;
    if is_kept && (settings.len() < SET_MAX || settings.contains_key(&name)) {
        settings.insert(name, value.to_owned());
    }
    Ok(())
}

/// Settings as on a command line: `-c name=value` or `--name=value`; what is none is passed over.
fn options(text: &str) -> Vec<(String, String)> {
    let mut words = text.split_whitespace();
    let mut settings = vec![];
    while let Some(word) = words.next() {
        let setting = match word.strip_prefix("-c") {
            Some("") => words.next(),
            Some(setting) => Some(setting),
            None => word.strip_prefix("--"),
        };
        let setting = setting.and_then(|setting| setting.split_once('='));
        settings.extend(setting.map(|(name, value)| (name.replace('-', "_"), value.to_owned())));
    }
    settings
}

/// A time as PostgreSQL reads it: milliseconds, or a number with a unit.
fn milliseconds(text: &str) -> Option<u64> {
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
        settings.set("Statement_Timeout", "5s").unwrap();
        assert_eq!(settings.statement_timeout(), Some(Duration::from_secs(5)));
        settings.set("statement_timeout", "0").unwrap();
        assert_eq!(settings.statement_timeout(), None);
        settings.set("statement_timeout", "DEFAULT").unwrap();
        assert_eq!(settings.get("statement_timeout"), Some("1min"));
        assert!(settings.set("statement_timeout", "soon").is_err());
    }

    #[test]
    fn what_is_set_is_told_again() {
        let mut settings = Settings::default();
        assert_eq!(settings.get("DATESTYLE"), Some("ISO, MDY"));
        assert_eq!(settings.get("nonsense"), None);
        for (name, value) in [("Application_Name", "x"), ("TimeZone", "Europe/Berlin")] {
            settings.set(name, value).unwrap();
        }
        assert_eq!((settings.get("application_name"), settings.get("timezone")), (Some("x"), Some("UTC")));
        (0..1000).for_each(|number| settings.set(&number.to_string(), "").unwrap());
        assert!(settings.set.len() <= SET_MAX);
        assert!(TOLD.iter().all(|name| default_of(name).is_some()));
    }

    #[test]
    fn what_is_set_for_a_transaction_ends_with_it() {
        let mut settings = Settings::default();
        settings.set("statement_timeout", "1s").unwrap();
        settings.set_local("statement_timeout", "2s").unwrap();
        assert_eq!(settings.statement_timeout(), Some(Duration::from_secs(2)));
        settings.end_transaction();
        assert_eq!(settings.statement_timeout(), Some(Duration::from_secs(1)));
    }

    #[test]
    fn a_client_sets_what_it_begins_with() {
        let said = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let parameters = [
            said("user", "tapline"),
            said("application_name", "x"),
            said("client_encoding", "LATIN1"),
            said("options", "-c statement_timeout=7s -cDateStyle=ISO --extra-float-digits=3 -B 5 -c"),
        ];
        let settings = Settings::of(&parameters).unwrap();
        assert_eq!(settings.statement_timeout(), Some(Duration::from_secs(7)));
        let told = ["application_name", "datestyle", "extra_float_digits", "client_encoding", "user"];
        let told = told.map(|name| settings.get(name));
        assert_eq!(told, [Some("x"), Some("ISO"), Some("3"), Some("UTF8"), None]);
        assert!(Settings::of(&[said("statement_timeout", "soon")]).is_err());
    }
}
