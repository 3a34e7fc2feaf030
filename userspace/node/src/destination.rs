//! Where the results of a sink go, as `[[sink]]` of a file says it.
//!
//! Takes the table, gives what the sink is made of. A key that the kind of the sink has no use for is named, so that
//! nothing is passed over.

use crate::config::SinkTable;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tapline_catalog::{nearest, parse_duration};
#[cfg(feature = "kafka")]
use tapline_kafka::{KafkaOptions, KafkaSink, MessageFormat, MessageKey};
use tapline_sinks::{
    ClickHouseOptions, ClickHouseSink, FileFormat, FileOptions, FileSink, PostgresqlOptions, PostgresqlSink,
    ProofFiles, Sink, SpoolOptions,
};

/// A file of a sink, where nothing is said of it.
const ROTATE_OCTETS: u64 = 64 << 20;
const ROTATE_AFTER: Duration = Duration::from_secs(3600);
/// Octets of a spool, where nothing is said of it, and the fewest.
const SPOOL_OCTETS: u64 = 256 << 20;
const SPOOL_OCTETS_MIN: u64 = 1 << 20;

const DAY: Duration = Duration::from_secs(24 * 3600);

const FILE: &str = "file";
const POSTGRESQL: &str = "postgresql";
const CLICKHOUSE: &str = "clickhouse";
const KAFKA: &str = "kafka";
const KINDS: [&str; 4] = [FILE, POSTGRESQL, CLICKHOUSE, KAFKA];
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
}

impl Destination {
    /// The one of a table.
    pub(crate) fn of(table: &SinkTable) -> Result<Self, String> {
        let kind = match table.kind.as_deref() {
            Some(kind) => KINDS.into_iter().find(|known| *known == kind).ok_or_else(|| unknown(kind))?,
            None => return Err("it needs a kind: kind = \"file\"".to_owned()),
        };
        check(table, kind)?;
        match kind {
            POSTGRESQL => Self::postgresql(table),
            CLICKHOUSE => Self::clickhouse(table),
            KAFKA => Self::kafka(table),
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
        }
    }

    /// The folder that it writes into.
    pub(crate) fn folder(&self) -> Option<&Path> {
        match self {
            Self::Files(files) => Some(&files.folder),
            _ => None,
        }
    }

    /// What writes there.
    pub(crate) fn sink(&self) -> Result<Box<dyn Sink>, String> {
        let sink: Box<dyn Sink> = match self {
            Self::Files(options) => Box::new(FileSink::new(options.clone())),
            Self::Postgresql(options) => Box::new(PostgresqlSink::new(PostgresqlOptions::clone(options))?),
            Self::ClickHouse(options) => Box::new(ClickHouseSink::new(options.clone())),
            #[cfg(feature = "kafka")]
            Self::Kafka(options) => Box::new(KafkaSink::new(options.clone())),
        };
        Ok(sink)
    }

    fn files(table: &SinkTable) -> Result<Self, String> {
        let Some(folder) = table.folder.clone() else {
            return Err("it needs a folder: folder = \"/var/log/tapline\"".to_owned());
        };
        let time = table.rotate_after.as_deref().map(parse_age).transpose();
        let format = table.format.as_deref().unwrap_or("json");
        let formats =
            [("json", FileFormat::Json), ("csv", FileFormat::Csv), ("parquet", FileFormat::Parquet)];
        Ok(Self::Files(FileOptions {
            folder,
            format: one_of("format", format, &formats)?,
            octets_max: table.rotate_octets.unwrap_or(ROTATE_OCTETS),
            rotate_after: time.map_err(|wrong| format!("rotate_after: {wrong}"))?.unwrap_or(ROTATE_AFTER),
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
}

/// Files that prove who is who.
pub(crate) fn proof(table: &SinkTable) -> ProofFiles {
    ProofFiles { password: table.password_file.clone(), ca: table.ca_file.clone() }
}

/// Where results of a sink wait for its server; in the state folder, unless something is said.
pub(crate) fn spool(
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

/// Refuses what belongs to another kind of sink, and would be passed over.
fn check(table: &SinkTable, kind: &str) -> Result<(), String> {
    const TABLES: &[&str] = &[POSTGRESQL, CLICKHOUSE];
    let of_kinds: [(&str, bool, &[&str]); 13] = [
        ("folder", table.folder.is_some(), &[FILE]),
        ("rotate_octets", table.rotate_octets.is_some(), &[FILE]),
        ("rotate_after", table.rotate_after.is_some(), &[FILE]),
        ("format", table.format.is_some(), &[FILE, KAFKA]),
        ("url", table.url.is_some(), SERVERS),
        ("spool", table.spool.is_some(), SERVERS),
        ("spool_octets_max", table.spool_octets_max.is_some(), SERVERS),
        ("password_file", table.password_file.is_some(), TABLES),
        ("ca_file", table.ca_file.is_some(), TABLES),
        ("table", table.table.is_some(), TABLES),
        ("schema", table.schema.is_some(), &[POSTGRESQL]),
        ("topic", table.topic.is_some(), &[KAFKA]),
        ("key", table.key.is_some(), &[KAFKA]),
    ];
    match of_kinds.into_iter().find(|(_, is_given, kinds)| *is_given && !kinds.contains(&kind)) {
        Some((key, _, kinds)) => Err(format!("{key} is for {}; leave it out", kinds.join(", "))),
        None => Ok(()),
    }
}

fn url<'a>(table: &'a SinkTable, right: &str) -> Result<&'a str, String> {
    table.url.as_deref().ok_or_else(|| format!("it needs a url: url = \"{right}\""))
}

fn unknown(kind: &str) -> String {
    match nearest(kind, KINDS.into_iter()) {
        Some(nearest) => format!("there is no kind `{kind}`; did you mean `{nearest}`?"),
        None => format!("there is no kind `{kind}`; write {}", KINDS.join(", ")),
    }
}

/// The value of a word.
fn one_of<T: Copy>(key: &str, text: &str, known: &[(&str, T)]) -> Result<T, String> {
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
            ("kind = \"qqqqqqqq\"", "there is no kind `qqqqqqqq`; write file, postgresql, clickhouse, kafka"),
            ("kind = \"postgresql\"", "it needs a url: url = \"postgresql://USER@HOST"),
            ("kind = \"postgresql\"\nfolder = \"/a\"", "folder is for file; leave it out"),
            ("kind = \"clickhouse\"\nschema = \"a\"", "schema is for postgresql; leave it out"),
            ("kind = \"file\"\nurl = \"a\"", "url is for postgresql, clickhouse, kafka; leave it out"),
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
}
