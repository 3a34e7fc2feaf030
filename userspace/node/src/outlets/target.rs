//! The kinds of places that results go to, as a file of a node says what they are.

use super::parse_age;
use crate::config::SinkTable;
use crate::proof::is_of_this_machine;
use std::path::Path;
use std::time::Duration;
use tapline_catalog::nearest;
use tapline_sinks::{
    AlertBy, AlertRules, AlertSink, CommandOptions, FileFormat, FileOptions, FileSink, IpfixOptions, IpfixSink,
    Sink, SyslogOptions, SyslogSink, SyslogTarget, Teller, Told, WebhookOptions, is_place,
};

/// A file of a sink, where nothing is said of it.
const ROTATE_OCTETS: u64 = 64 << 20;
const ROTATE_AFTER: Duration = Duration::from_secs(3600);
/// Alarms, likewise.
const COOL_DOWN: Duration = Duration::from_secs(300);
const RESOLVE_AFTER: u32 = 3;
const ROWS_MAX: u32 = 20;
const TIME_LIMIT: Duration = Duration::from_secs(10);
/// Messages, likewise.
const SEVERITY: &str = "notice";
const FACILITY: &str = "daemon";
/// Flows, likewise.
const OBSERVATION_DOMAIN: u32 = 1;

/// The kinds, and the keys that each of them takes besides `name`, `kind` and `queries`.
const KINDS: [(&str, &[&str]); 5] = [
    ("file", &["folder", "format", "rotate_octets", "rotate_after"]),
    (
        "webhook",
        &["url", "headers", "token_file", "ca", "time_limit", "by", "cool_down", "resolve_after", "rows_max"],
    ),
    ("command", &["command", "time_limit", "by", "cool_down", "resolve_after", "rows_max"]),
    ("syslog", &["to", "severity", "facility"]),
    ("ipfix", &["to", "observation_domain"]),
];

/// Where results go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Files(FileOptions),
    Alerts(AlertRules, Teller),
    Syslog(SyslogOptions),
    Ipfix(IpfixOptions),
}

impl Target {
    /// What a table says of it.
    pub(super) fn of(table: &SinkTable) -> Result<Self, String> {
        let names = || KINDS.map(|(name, _)| name).join(", ");
        let kind = table.kind.as_deref().ok_or_else(|| format!("it needs a kind, which is one of {}", names()))?;
        let Some((kind, keys)) = KINDS.into_iter().find(|(known, _)| *known == kind) else {
            return Err(format!("there is no kind `{kind}`; write one of {}", names()));
        };
        if let Some(key) = given(table).into_iter().find(|key| !keys.contains(key)) {
            let of = KINDS.into_iter().filter(|(_, keys)| keys.contains(&key)).map(|(name, _)| name);
            let of = of.collect::<Vec<_>>().join(", ");
            return Err(format!("{key} is for the kind {of}; leave it out"));
        }
        match kind {
            "file" => files(table).map(Self::Files),
            "webhook" => Ok(Self::Alerts(rules(table)?, Teller::Webhook(webhook(table)?))),
            "command" => Ok(Self::Alerts(rules(table)?, Teller::Command(command(table)?))),
            "syslog" => syslog(table).map(Self::Syslog),
            _ => ipfix(table).map(Self::Ipfix),
        }
    }

    /// What it is, in a word.
    pub(super) const fn kind(&self) -> &'static str {
        match self {
            Self::Files(_) => "file",
            Self::Alerts(_, Teller::Webhook(_)) => "webhook",
            Self::Alerts(_, Teller::Command(_)) => "command",
            Self::Syslog(_) => "syslog",
            Self::Ipfix(_) => "ipfix",
        }
    }

    /// Whether it takes results of all queries, unless some are named.
    pub(super) const fn takes_all(&self) -> bool {
        matches!(self, Self::Files(_))
    }

    /// Why both cannot be.
    pub(super) fn collides_with(&self, other: &Self) -> Option<String> {
        match (self, other) {
            (Self::Files(files), Self::Files(others)) if files.folder == others.folder => {
                let folder = files.folder.display();
                Some(format!("two sinks write into {folder}; give each a folder of its own"))
            }
            (Self::Ipfix(flows), Self::Ipfix(others)) if flows == others => {
                let IpfixOptions { place, domain } = flows;
                Some(format!(
                    "two sinks send flows of observation domain {domain} to {place}; give each observation_domain of its own"
                ))
            }
            _ => None,
        }
    }

    /// Opens it; `told` hears how it goes. What it has to know in the next run, it keeps in the folder of the state.
    pub(super) fn open(self, name: &str, state: Option<&Path>, told: Told) -> Result<Box<dyn Sink>, String> {
        Ok(match self {
            Self::Files(options) => Box::new(FileSink::new(options)),
            Self::Alerts(rules, teller) => {
                let file = state.map(|state| state.join(file_name(name)));
                Box::new(AlertSink::open(rules, teller, file, told)?)
            }
            Self::Syslog(options) => Box::new(SyslogSink::new(options)),
            Self::Ipfix(options) => Box::new(IpfixSink::new(options)),
        })
    }
}

/// The file of a sink's alarms: no two names have the same.
fn file_name(sink: &str) -> String {
    let written = |octet: u8| match octet {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => char::from(octet).to_string(),
        _ => format!("%{octet:02X}"),
    };
    format!("alerts-{}.json", sink.bytes().map(written).collect::<String>())
}

/// The keys that a table has, of those that are not of all kinds.
fn given(table: &SinkTable) -> Vec<&'static str> {
    let keys = [
        ("folder", table.folder.is_some()),
        ("format", table.format.is_some()),
        ("rotate_octets", table.rotate_octets.is_some()),
        ("rotate_after", table.rotate_after.is_some()),
        ("url", table.url.is_some()),
        ("headers", table.headers.is_some()),
        ("token_file", table.token_file.is_some()),
        ("ca", table.ca.is_some()),
        ("command", table.command.is_some()),
        ("time_limit", table.time_limit.is_some()),
        ("by", table.by.is_some()),
        ("cool_down", table.cool_down.is_some()),
        ("resolve_after", table.resolve_after.is_some()),
        ("rows_max", table.rows_max.is_some()),
        ("to", table.to.is_some()),
        ("severity", table.severity.is_some()),
        ("facility", table.facility.is_some()),
        ("observation_domain", table.observation_domain.is_some()),
    ];
    keys.into_iter().filter(|(_, is_given)| *is_given).map(|(key, _)| key).collect()
}

fn time(key: &str, text: Option<&String>, otherwise: Duration) -> Result<Duration, String> {
    let time = text.map(|text| parse_age(text)).transpose();
    time.map(|time| time.unwrap_or(otherwise)).map_err(|wrong| format!("{key}: {wrong}"))
}

fn files(table: &SinkTable) -> Result<FileOptions, String> {
    let folder = table.folder.clone().ok_or("it needs a folder: folder = \"/var/log/tapline\"")?;
    Ok(FileOptions {
        folder,
        format: format_of(table.format.as_deref().unwrap_or("json"))?,
        octets_max: table.rotate_octets.unwrap_or(ROTATE_OCTETS),
        rotate_after: time("rotate_after", table.rotate_after.as_ref(), ROTATE_AFTER)?,
    })
}

fn format_of(text: &str) -> Result<FileFormat, String> {
    match text {
        "json" => Ok(FileFormat::Json),
        "csv" => Ok(FileFormat::Csv),
        "parquet" => Ok(FileFormat::Parquet),
        other => Err(match nearest(other, ["json", "csv", "parquet"].into_iter()) {
            Some(nearest) => format!("there is no format `{other}`; did you mean `{nearest}`?"),
            None => format!("there is no format `{other}`; write json, csv or parquet"),
        }),
    }
}

fn rules(table: &SinkTable) -> Result<AlertRules, String> {
    let by = match table.by.as_deref() {
        None | Some("whole") => AlertBy::Whole,
        Some("key") => AlertBy::Key,
        Some(other) => return Err(format!("by: there is no `{other}`; write whole or key")),
    };
    let resolve_after = table.resolve_after.unwrap_or(RESOLVE_AFTER);
    if resolve_after == 0 {
        return Err("resolve_after: write a number of windows, at least 1".to_owned());
    }
    let cool_down = time("cool_down", table.cool_down.as_ref(), COOL_DOWN)?;
    let rows_max = usize::try_from(table.rows_max.unwrap_or(ROWS_MAX)).unwrap_or(usize::MAX);
    Ok(AlertRules { by, cool_down, resolve_after, rows_max })
}

fn webhook(table: &SinkTable) -> Result<WebhookOptions, String> {
    let url = table.url.clone().ok_or("it needs a url: url = \"https://alerts.example/tapline\"")?;
    let is_secure = url.starts_with("https://");
    if !is_secure && !url.starts_with("http://") {
        return Err(format!("url: `{url}` is none; write https://HOST/PATH or http://HOST/PATH"));
    }
    if table.token_file.is_some() && !is_secure && !is_of_this_machine(&url) {
        return Err("token_file: a token goes to other machines over TLS only; write https:// in url".to_owned());
    }
    Ok(WebhookOptions {
        url,
        headers: table.headers.clone().unwrap_or_default().into_iter().collect(),
        token_file: table.token_file.clone(),
        ca: table.ca.clone(),
        time_limit: time("time_limit", table.time_limit.as_ref(), TIME_LIMIT)?,
    })
}

fn command(table: &SinkTable) -> Result<CommandOptions, String> {
    let words = table.command.as_deref().unwrap_or_default();
    let Some((program, arguments)) = words.split_first().filter(|(program, _)| !program.is_empty()) else {
        return Err("it needs a command: command = [\"/usr/local/bin/page\", \"--loud\"]".to_owned());
    };
    Ok(CommandOptions {
        program: program.clone(),
        arguments: arguments.to_vec(),
        time_limit: time("time_limit", table.time_limit.as_ref(), TIME_LIMIT)?,
    })
}

fn syslog(table: &SinkTable) -> Result<SyslogOptions, String> {
    let to = table.to.as_deref().ok_or("it needs a place: to = \"udp://HOST:514\" or \"unix:/dev/log\"")?;
    let (severity, facility) =
        (table.severity.as_deref().unwrap_or(SEVERITY), table.facility.as_deref().unwrap_or(FACILITY));
    Ok(SyslogOptions {
        target: to.parse::<SyslogTarget>().map_err(|wrong| format!("to: {wrong}"))?,
        severity: severity.parse()?,
        facility: facility.parse()?,
    })
}

fn ipfix(table: &SinkTable) -> Result<IpfixOptions, String> {
    let to = table.to.as_deref().ok_or("it needs a place: to = \"udp://HOST:4739\"")?;
    let place = to.strip_prefix("udp://").filter(|place| is_place(place));
    let place = place.ok_or_else(|| format!("to: `{to}` is no place for flows; write udp://HOST:PORT"))?;
    let domain = table.observation_domain.unwrap_or(OBSERVATION_DOMAIN);
    Ok(IpfixOptions { place: place.to_owned(), domain })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(text: &str) -> Result<Target, String> {
        Target::of(&toml_edit::de::from_str(text).unwrap())
    }

    #[test]
    fn each_kind_has_what_is_said_of_it() {
        let files = table("kind = 'file'\nfolder = '/a'").unwrap();
        let Target::Files(options) = files.clone() else { panic!("{files:?}") };
        assert_eq!((options.format, options.rotate_after), (FileFormat::Json, ROTATE_AFTER));
        let hook = "kind = 'webhook'\nurl = 'https://a/b'\nheaders = { x = 'y' }\nby = 'key'\ncool_down = '1m'";
        let Ok(Target::Alerts(rules, Teller::Webhook(hook))) = table(hook) else { panic!("it is a webhook") };
        assert_eq!((rules.by, rules.cool_down), (AlertBy::Key, Duration::from_secs(60)));
        assert_eq!(hook.headers, [("x".to_owned(), "y".to_owned())]);
        let Ok(Target::Alerts(rules, Teller::Command(command))) = table("kind = 'command'\ncommand = ['a', 'b']")
        else {
            panic!("it is a command")
        };
        assert_eq!((rules.by, rules.resolve_after), (AlertBy::Whole, RESOLVE_AFTER));
        assert_eq!((command.program, command.arguments), ("a".to_owned(), vec!["b".to_owned()]));
        let kinds = ["kind = 'syslog'\nto = 'unix:/dev/log'", "kind = 'ipfix'\nto = 'udp://a:4739'"];
        assert_eq!(kinds.map(|text| table(text).unwrap().kind()), ["syslog", "ipfix"]);
        let flows = table(kinds[1]).unwrap();
        assert!(flows.collides_with(&flows).unwrap().starts_with("two sinks send flows of observation domain 1"));
        assert_eq!(flows.collides_with(&files), None);
        assert_ne!(file_name("a/b"), file_name("a%2Fb"));
    }

    #[test]
    fn what_is_wrong_is_said() {
        let cases = [
            ("", "it needs a kind, which is one of file, webhook, command, syslog, ipfix"),
            ("kind = 'kafkaa'", "there is no kind `kafkaa`; write one of file, webhook"),
            ("kind = 'file'", "it needs a folder"),
            ("kind = 'file'\nfolder = '/a'\nformat = 'cvs'", "there is no format `cvs`; did you mean `csv`?"),
            ("kind = 'file'\nfolder = '/a'\nurl = 'b'", "url is for the kind webhook; leave it out"),
            ("kind = 'ipfix'\nrows_max = 1", "rows_max is for the kind webhook, command; leave it out"),
            ("kind = 'webhook'", "it needs a url"),
            ("kind = 'webhook'\nurl = 'ftp://a'", "url: `ftp://a` is none"),
            ("kind = 'webhook'\nurl = 'http://a/'\ntoken_file = '/t'", "token_file: a token goes to other machines"),
            ("kind = 'webhook'\nurl = 'http://a/'\nby = 'row'", "by: there is no `row`; write whole or key"),
            ("kind = 'webhook'\nurl = 'http://a/'\nresolve_after = 0", "resolve_after: write a number"),
            ("kind = 'webhook'\nurl = 'http://a/'\ncool_down = 'x'", "cool_down: write a number with s, m, h or d"),
            ("kind = 'command'\ncommand = []", "it needs a command"),
            ("kind = 'syslog'", "it needs a place"),
            ("kind = 'syslog'\nto = 'http://a'", "to: `http://a` is no place; write udp://HOST:PORT"),
            ("kind = 'syslog'\nto = 'udp://a:1'\nseverity = 'loud'", "there is no severity `loud`"),
            ("kind = 'ipfix'\nto = 'tcp://a:4739'", "to: `tcp://a:4739` is no place for flows"),
        ];
        for (text, expected) in cases {
            let wrong = table(text).unwrap_err();
            assert!(wrong.starts_with(expected), "{text}: {wrong}");
        }
    }
}
