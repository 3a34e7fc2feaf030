//! Where the results of a sink go, as `[[sink]]` of a file says it.
//!
//! Takes the table, gives what the sink is made of.

use super::alarms;
use super::keys::{self, CLICKHOUSE, COMMAND, FILE, IPFIX, KAFKA, POSTGRESQL, SYSLOG, WEBHOOK};
use crate::config::SinkTable;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tapline_catalog::{nearest, parse_duration};
#[cfg(feature = "kafka")]
use tapline_kafka::{KafkaOptions, KafkaSink, MessageFormat, MessageKey};
use tapline_sinks::{
    AlertMemory, AlertSink, AlertSinkOptions, ClickHouseOptions, ClickHouseSink, FileFormat, FileOptions,
    FileSink, IpfixOptions, IpfixSink, PostgresqlOptions, PostgresqlSink, ProofFiles, Sink, SpoolOptions,
    SyslogOptions, SyslogSink, SyslogTarget, Teller, Told, is_place,
};

/// A file of a sink, where nothing is said of it.
const ROTATE_OCTETS: u64 = 64 << 20;
const ROTATE_AFTER: Duration = Duration::from_secs(3600);
/// Octets of a spool, where nothing is said of it, and the fewest.
const SPOOL_OCTETS: u64 = 256 << 20;
const SPOOL_OCTETS_MIN: u64 = 1 << 20;
/// Messages, likewise.
const SEVERITY: &str = "notice";
const FACILITY: &str = "daemon";
/// Flows, likewise.
const OBSERVATION_DOMAIN: u32 = 1;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// Those that send results to a server.
const SERVERS: &[&str] = &[POSTGRESQL, CLICKHOUSE, KAFKA];

/// Where results go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Destination {
    Files(FileOptions),
    Postgresql(Box<PostgresqlOptions>),
    ClickHouse(ClickHouseOptions),
    #[cfg(feature = "kafka")]
    Kafka(KafkaOptions),
    /// Somebody is told of alarms, with so many rows at a time.
    Alerts(usize, Teller),
    Syslog(SyslogOptions),
    Ipfix(IpfixOptions),
}

impl Destination {
    /// The one of a table.
    pub(crate) fn of(table: &SinkTable) -> Result<Self, String> {
        match keys::kind_of(table)? {
            POSTGRESQL => Self::postgresql(table),
            CLICKHOUSE => Self::clickhouse(table),
            KAFKA => Self::kafka(table),
            WEBHOOK => Ok(Self::Alerts(alarms::rows_max(table)?, Teller::Webhook(alarms::webhook(table)?))),
            COMMAND => Ok(Self::Alerts(alarms::rows_max(table)?, Teller::Command(alarms::command(table)?))),
            SYSLOG => Self::syslog(table),
            IPFIX => Self::ipfix(table),
            _ => Self::files(table),
        }
    }

    /// What it is, in a word.
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::Files(_) => FILE,
            Self::Postgresql(_) => POSTGRESQL,
            Self::ClickHouse(_) => CLICKHOUSE,
            #[cfg(feature = "kafka")]
            Self::Kafka(_) => KAFKA,
            Self::Alerts(_, Teller::Webhook(_)) => WEBHOOK,
            Self::Alerts(_, Teller::Command(_)) => COMMAND,
            Self::Syslog(_) | Self::Alerts(_, Teller::Syslog(_)) => SYSLOG,
            Self::Ipfix(_) => IPFIX,
        }
    }

    /// Whether it takes results of all queries, unless some are named.
    pub(crate) const fn takes_all(&self) -> bool {
        !matches!(self, Self::Alerts(..) | Self::Syslog(_) | Self::Ipfix(_))
    }

    /// Whether somebody is told of alarms by it, those of alerts that name it.
    pub(crate) const fn is_told_alarms(&self) -> bool {
        matches!(self, Self::Alerts(..))
    }

    /// The folder that it writes into.
    pub(crate) fn folder(&self) -> Option<&Path> {
        match self {
            Self::Files(files) => Some(&files.folder),
            _ => None,
        }
    }

    /// Why both cannot be.
    pub(crate) fn collides_with(&self, other: &Self) -> Option<String> {
        match (self, other) {
            (Self::Ipfix(flows), Self::Ipfix(others)) if flows == others => {
                let IpfixOptions { place, domain } = flows;
                Some(format!(
                    "two sinks send flows of observation domain {domain} to {place}; give each observation_domain of its own"
                ))
            }
            _ => None,
        }
    }

    /// What writes there; `told` hears how it goes. What it has to know in the next run, it keeps in the folder of the
    /// state.
    pub(crate) fn sink(
        self,
        name: &str,
        (state, comes_again): (Option<&Path>, bool),
        told: Told,
    ) -> Result<Box<dyn Sink>, String> {
        let sink: Box<dyn Sink> = match self {
            Self::Files(options) => Box::new(FileSink::new(options)),
            Self::Postgresql(options) => Box::new(PostgresqlSink::new(*options)?),
            Self::ClickHouse(options) => Box::new(ClickHouseSink::new(options)),
            #[cfg(feature = "kafka")]
            Self::Kafka(options) => Box::new(KafkaSink::new(options)),
            Self::Alerts(rows_max, teller) => {
                let file = state.map(|state| state.join(file_name(name)));
                let options = AlertSinkOptions { name: name.to_owned(), teller, rows_max };
                Box::new(AlertSink::open(options, AlertMemory { file, comes_again }, told)?)
            }
            Self::Syslog(options) => Box::new(SyslogSink::new(options)),
            Self::Ipfix(options) => Box::new(IpfixSink::new(options)),
        };
        Ok(sink)
    }

    fn files(table: &SinkTable) -> Result<Self, String> {
        let Some(folder) = table.folder.clone() else {
            return Err("it needs a folder: folder = \"/var/log/tapline\"".to_owned());
        };
        let format = table.format.as_deref().unwrap_or("json");
        let formats =
            [("json", FileFormat::Json), ("csv", FileFormat::Csv), ("parquet", FileFormat::Parquet)];
        Ok(Self::Files(FileOptions {
            folder,
            format: one_of("format", format, &formats)?,
            octets_max: table.rotate_octets.unwrap_or(ROTATE_OCTETS),
            rotate_after: time("rotate_after", table.rotate_after.as_ref(), ROTATE_AFTER)?,
        }))
    }

    fn postgresql(table: &SinkTable) -> Result<Self, String> {
        let url = url(table, "postgresql://USER@HOST:5432/DATABASE")?;
        let (schema, name) = (table.schema.as_deref(), table.table.as_deref());
        PostgresqlOptions::new(url, proof(table), schema, name)
            .map(|options| Self::Postgresql(Box::new(options)))
    }

    fn clickhouse(table: &SinkTable) -> Result<Self, String> {
        let url = url(table, "http://USER@HOST:8123/DATABASE")?;
        ClickHouseOptions::new(url, proof(table), table.table.as_deref()).map(Self::ClickHouse)
    }

    #[cfg(feature = "kafka")]
    fn kafka(table: &SinkTable) -> Result<Self, String> {
        let url = url(table, "kafka://HOST:9092,HOST:9092")?;
        let format = table.format.as_deref().unwrap_or("json");
        let formats = [("json", MessageFormat::Json), ("arrow", MessageFormat::Arrow)];
        let key = table.key.as_deref().unwrap_or("keys");
        let keys = [("keys", MessageKey::Keys), ("window", MessageKey::Window)];
        let (format, key) = (one_of("format", format, &formats)?, one_of("key", key, &keys)?);
        KafkaOptions::new(url, table.topic.as_deref(), format, key).map(Self::Kafka)
    }

    #[cfg(not(feature = "kafka"))]
    fn kafka(_: &SinkTable) -> Result<Self, String> {
        Err("this binary was built without Kafka; build it with `--features kafka`, or take the Debian package"
            .to_owned())
    }

    fn syslog(table: &SinkTable) -> Result<Self, String> {
        let to =
            table.to.as_deref().ok_or("it needs a place: to = \"udp://HOST:514\" or \"unix:/dev/log\"")?;
        let (severity, facility) =
            (table.severity.as_deref().unwrap_or(SEVERITY), table.facility.as_deref().unwrap_or(FACILITY));
        let options = SyslogOptions {
            target: to.parse::<SyslogTarget>().map_err(|wrong| format!("to: {wrong}"))?,
            severity: severity.parse()?,
            facility: facility.parse()?,
        };
        // Without queries whose rows are messages, it is there for alerts that name it.
        Ok(match table.queries {
            Some(_) => Self::Syslog(options),
            None => Self::Alerts(alarms::rows_max(table)?, Teller::Syslog(options)),
        })
    }

    fn ipfix(table: &SinkTable) -> Result<Self, String> {
        let to = table.to.as_deref().ok_or("it needs a place: to = \"udp://HOST:4739\"")?;
        let place = to.strip_prefix("udp://").filter(|place| is_place(place));
        let place =
            place.ok_or_else(|| format!("to: `{to}` is no place for flows; write udp://HOST:PORT"))?;
        let domain = table.observation_domain.unwrap_or(OBSERVATION_DOMAIN);
        Ok(Self::Ipfix(IpfixOptions { place: place.to_owned(), domain }))
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

pub(super) fn time(key: &str, text: Option<&String>, otherwise: Duration) -> Result<Duration, String> {
    let time = text.map(|text| parse_age(text)).transpose();
    time.map(|time| time.unwrap_or(otherwise)).map_err(|wrong| format!("{key}: {wrong}"))
}

/// Files that prove who is who.
fn proof(table: &SinkTable) -> ProofFiles {
    ProofFiles { password: table.password_file.clone(), ca: table.ca_file.clone() }
}

/// Where results of a sink wait for its server; in the state folder, unless something is said.
pub(super) fn spool(
    table: &SinkTable,
    name: &str,
    state: Option<&Path>,
) -> Result<Option<SpoolOptions>, String> {
    let is_server = table.kind.as_deref().is_some_and(|kind| SERVERS.contains(&kind));
    let octets_max = table.spool_octets_max.unwrap_or(SPOOL_OCTETS);
    if octets_max < SPOOL_OCTETS_MIN {
        return Err(format!(
            "spool_octets_max: {octets_max} octets are too few; give {SPOOL_OCTETS_MIN} or more"
        ));
    }
    let unsaid = state.filter(|_| is_server).map(|state| state.join("spool").join(name));
    let is_of_state = table.spool.is_none() && unsaid.is_some();
    if is_of_state && (name.contains('/') || name.starts_with('.')) {
        return Err(format!(
            "the name `{name}` is none of a folder; give another name, or spool = \"/var/…\""
        ));
    }
    let folder: Option<PathBuf> = table.spool.clone().or(unsaid);
    if folder.is_none() && table.spool_octets_max.is_some() {
        return Err(
            "spool_octets_max: there is no spool; give spool = \"/var/lib/tapline/spool/NAME\"".to_owned()
        );
    }
    Ok(folder.map(|folder| SpoolOptions { folder, octets_max }))
}

fn url<'a>(table: &'a SinkTable, right: &str) -> Result<&'a str, String> {
    table.url.as_deref().ok_or_else(|| format!("it needs a url: url = \"{right}\""))
}

/// The value of a word.
pub(super) fn one_of<T: Copy>(key: &str, text: &str, known: &[(&str, T)]) -> Result<T, String> {
    let found = known.iter().find(|(word, _)| *word == text);
    found.map(|(_, value)| *value).ok_or_else(|| {
        let words: Vec<&str> = known.iter().map(|(word, _)| *word).collect();
        match nearest(text, words.iter().copied()) {
            Some(nearest) => format!("there is no {key} `{text}`; did you mean `{nearest}`?"),
            None => format!("there is no {key} `{text}`; write {}", words.join(" or ")),
        }
    })
}

/// A time that may have days.
pub(crate) fn parse_age(text: &str) -> Result<Duration, String> {
    let days = text.strip_suffix('d').and_then(|days| days.parse::<u32>().ok());
    let time = days.map_or_else(|| parse_duration(text), |days| Ok(DAY.saturating_mul(days)));
    match time {
        Ok(time) if time > Duration::ZERO => Ok(time),
        _ => Err("write a number with s, m, h or d, such as 30d".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tapline_sinks::AlertBy;

    fn of(text: &str) -> Result<Destination, String> {
        Destination::of(&toml_edit::de::from_str::<SinkTable>(text).unwrap())
    }

    #[test]
    fn what_is_said_of_servers_is_checked() {
        for (text, kind) in [
            ("kind = \"file\"\nfolder = \"/a\"", "file"),
            ("kind = \"postgresql\"\nurl = \"postgresql://a@b/c\"\nschema = \"s\"", "postgresql"),
            ("kind = \"clickhouse\"\nurl = \"http://a@b/c\"\ntable = \"t_{query}\"", "clickhouse"),
        ] {
            assert_eq!(of(text).unwrap().kind(), kind, "{text}");
        }
        for (text, expected) in [
            ("kind = \"postgres\"", "there is no kind `postgres`; did you mean `postgresql`?"),
            ("kind = \"qqqqqqqq\"", "there is no kind `qqqqqqqq`; write one of file, postgresql, clickhouse"),
            ("kind = \"postgresql\"", "it needs a url: url = \"postgresql://USER@HOST"),
            ("kind = \"postgresql\"\nfolder = \"/a\"", "folder is for file; leave it out"),
            ("kind = \"clickhouse\"\nschema = \"a\"", "schema is for postgresql; leave it out"),
            (
                "kind = \"file\"\nurl = \"a\"",
                "url is for postgresql, clickhouse, kafka, webhook; leave it out",
            ),
            ("kind = \"postgresql\"\nurl = \"postgresql://a:b@c/d\"", "url: it has a password in it"),
            ("kind = \"clickhouse\"\nurl = \"http://a:b@c/d\"", "url: it has a password in it"),
        ] {
            let wrong = of(text).unwrap_err();
            assert!(wrong.starts_with(expected), "{text}: {wrong}");
        }
    }

    #[test]
    fn results_for_servers_wait_in_the_state_folder_unless_something_is_said() {
        let table = |text: &str| toml_edit::de::from_str::<SinkTable>(text).unwrap();
        let state = Some(Path::new("/state"));
        let folder = |text: &str, state| spool(&table(text), "a", state).unwrap().map(|spool| spool.folder);
        assert_eq!(folder("kind = \"postgresql\"", state), Some("/state/spool/a".into()));
        assert_eq!(folder("kind = \"postgresql\"\nspool = \"/b\"", state), Some("/b".into()));
        assert_eq!(folder("kind = \"postgresql\"", None), None);
        assert_eq!(folder("kind = \"file\"", state), None);
        let wrong = |text: &str, name: &str, state| spool(&table(text), name, state).unwrap_err();
        assert!(wrong("kind = \"kafka\"", "../a", state).contains("is none of a folder"));
        assert!(wrong("kind = \"kafka\"\nspool_octets_max = 9", "a", state).contains("are too few"));
        let alone = "kind = \"kafka\"\nspool_octets_max = 9000000";
        assert!(wrong(alone, "a", None).contains("there is no spool"));
    }

    #[test]
    #[cfg(not(feature = "kafka"))]
    fn a_binary_without_kafka_says_so() {
        let wrong = of("kind = \"kafka\"\nurl = \"kafka://a:9092\"").unwrap_err();
        assert!(wrong.contains("built without Kafka"), "{wrong}");
    }

    #[test]
    #[cfg(feature = "kafka")]
    fn what_is_said_of_kafka_is_checked() {
        assert_eq!(of("kind = \"kafka\"\nurl = \"kafka://a:9092\"").unwrap().kind(), "kafka");
        let wrong = of("kind = \"kafka\"\nurl = \"kafka://a:9092\"\nkey = \"windows\"").unwrap_err();
        assert_eq!(wrong, "there is no key `windows`; did you mean `window`?");
    }

    #[test]
    fn each_kind_has_what_is_said_of_it() {
        let files = of("kind = 'file'\nfolder = '/a'").unwrap();
        let Destination::Files(options) = files.clone() else { panic!("{files:?}") };
        assert_eq!((options.format, options.rotate_after), (FileFormat::Json, ROTATE_AFTER));
        let hook =
            "kind = 'webhook'\nurl = 'https://a/b'\nheaders = { x = 'y' }\nby = 'key'\ncool_down = '1m'";
        let Ok(Destination::Alerts(20, Teller::Webhook(hook))) = of(hook) else { panic!("it is a webhook") };
        assert_eq!(hook.headers, [("x".to_owned(), "y".to_owned())]);
        let Ok(Destination::Alerts(_, Teller::Command(command))) =
            of("kind = 'command'\ncommand = ['a', 'b']")
        else {
            panic!("it is a command")
        };
        assert_eq!((command.program, command.arguments), ("a".to_owned(), vec!["b".to_owned()]));
        let kinds = ["kind = 'syslog'\nto = 'unix:/dev/log'", "kind = 'ipfix'\nto = 'udp://a:4739'"];
        assert_eq!(kinds.map(|text| of(text).unwrap().kind()), ["syslog", "ipfix"]);
        assert!(matches!(of(kinds[0]).unwrap(), Destination::Alerts(_, Teller::Syslog(_))));
        let rows = of(&format!("{}\nqueries = ['sweep']", kinds[0])).unwrap();
        assert!(matches!(rows, Destination::Syslog(_)), "its rows are messages");
        let flows = of(kinds[1]).unwrap();
        assert!(
            flows.collides_with(&flows).unwrap().starts_with("two sinks send flows of observation domain 1")
        );
        assert_eq!(flows.collides_with(&files), None);
        assert_ne!(file_name("a/b"), file_name("a%2Fb"));
    }

    #[test]
    fn what_is_told_of_queries_that_are_named_is_an_alert() {
        let alert = |text: &str| alarms::alert(&toml_edit::de::from_str::<SinkTable>(text).unwrap(), "pager");
        let by_key = alert("queries = ['sw*']\nby = 'key'\ncool_down = '1m'").unwrap().unwrap();
        assert_eq!(by_key.queries, ["sw*"]);
        assert_eq!(by_key.alert.to_string(), "rows, cool_down 1m, to pager");
        let usual = alert("queries = ['sweep']").unwrap().unwrap().alert;
        assert_eq!((usual.by, usual.resolve_after), (AlertBy::Whole, 3));
        assert!(alert("").unwrap().is_none());
        let wrong = |text: &str| alert(text).unwrap_err();
        assert!(wrong("by = 'key'").starts_with("by is for the queries that a sink names"));
        assert!(wrong("queries = []\nby = 'row'").starts_with("there is no by `row`; write whole or key"));
        assert!(wrong("queries = []\nresolve_after = 0").starts_with("resolve_after: write a number"));
        assert!(
            wrong("queries = []\ncool_down = 'x'").starts_with("cool_down: write a number with s, m, h or d")
        );
    }

    fn check_wrong(cases: &[(&str, &str)]) {
        for (text, expected) in cases {
            let wrong = of(text).unwrap_err();
            assert!(wrong.starts_with(expected), "{text}: {wrong}");
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        check_wrong(&[
            ("", "it needs a kind, which is one of file, postgresql, clickhouse, kafka, webhook"),
            ("kind = 'kafkaa'", "there is no kind `kafkaa`; did you mean `kafka`?"),
            ("kind = 'file'", "it needs a folder"),
            ("kind = 'file'\nfolder = '/a'\nformat = 'cvs'", "there is no format `cvs`; did you mean `csv`?"),
            (
                "kind = 'file'\nfolder = '/a'\nurl = 'b'",
                "url is for postgresql, clickhouse, kafka, webhook; leave it out",
            ),
            ("kind = 'ipfix'\nrows_max = 1", "rows_max is for webhook, command; leave it out"),
        ]);
    }

    #[test]
    fn what_is_wrong_with_alarms_and_messages_is_said() {
        check_wrong(&[
            ("kind = 'webhook'", "it needs a url"),
            ("kind = 'webhook'\nurl = 'ftp://a'", "url: it is none of HTTP; write https://HOST/PATH"),
            (
                "kind = 'webhook'\nurl = 'http://a/'\ntoken_file = '/t'",
                "token_file: a token goes to other machines",
            ),
            (
                "kind = 'webhook'\nurl = 'http://a/'\nrows_max = 1001",
                "rows_max: a notice has 1000 rows at the most",
            ),
            ("kind = 'command'\ncommand = []", "it needs a command"),
            ("kind = 'syslog'", "it needs a place"),
            ("kind = 'syslog'\nto = 'http://a'", "to: `http://a` is no place; write udp://HOST:PORT"),
            ("kind = 'syslog'\nto = 'udp://a:1'\nseverity = 'loud'", "there is no severity `loud`"),
            ("kind = 'ipfix'\nto = 'tcp://a:4739'", "to: `tcp://a:4739` is no place for flows"),
        ]);
    }
}
