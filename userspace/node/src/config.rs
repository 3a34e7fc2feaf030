//! The configuration of a node, from a file.
//!
//! Takes TOML, gives what the command line gives. Nothing that is mistyped is passed over: the key, the line and what
//! would be right are named.

use crate::access::MayText;
use crate::direction::DirectionText;
use crate::failure::Failure;
use crate::identity;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use tapline_catalog::nearest;
use tapline_exports::ListenerUrl;
use tapline_interface::kernel::Rule;
use tapline_lookup::TableFile;

/// Readers of an interface: as many as it may have queues.
pub(crate) const READERS_MAX: u16 = 256;

/// What a file says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ConfigFile {
    pub(crate) node: NodeTable,
    #[serde(rename = "source")]
    pub(crate) sources: Vec<SourceTable>,
    #[serde(rename = "lookup")]
    pub(crate) lookups: Vec<LookupTable>,
    #[serde(rename = "token")]
    pub(crate) tokens: Vec<TokenTable>,
    pub(crate) limits: LimitsTable,
    pub(crate) queries: QueriesTable,
    pub(crate) history: HistoryTable,
    #[serde(rename = "sink")]
    pub(crate) sinks: Vec<SinkTable>,
    pub(crate) forward: ForwardTable,
    pub(crate) aggregator: AggregatorTable,
}

/// `[node]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct NodeTable {
    /// Where queries and templates are kept.
    pub(crate) state: Option<PathBuf>,
    /// Where the API listens.
    pub(crate) api: Option<SocketAddr>,
    /// A socket by which users of this machine reach it besides.
    pub(crate) socket: Option<PathBuf>,
    /// Where clients of PostgreSQL's protocol are answered.
    pub(crate) psql: Option<SocketAddr>,
    pub(crate) psql_password_file: Option<PathBuf>,
    pub(crate) psql_certificate: Option<PathBuf>,
    pub(crate) psql_key: Option<PathBuf>,
    /// By what it proves that it is the one, over TLS.
    pub(crate) tls_certificate: Option<PathBuf>,
    pub(crate) tls_key: Option<PathBuf>,
    /// What it is called, and where it stands: the columns `sensor` and `site` of all that it sees.
    pub(crate) name: Option<String>,
    pub(crate) site: Option<String>,
    /// What else is said of it.
    pub(crate) tags: BTreeMap<String, String>,
}

/// `[[token]]`: whoever brings it may ask the API.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct TokenTable {
    pub(crate) name: Option<String>,
    /// Where it is; or its digest, in hexadecimal digits.
    pub(crate) file: Option<PathBuf>,
    pub(crate) sha256: Option<String>,
    pub(crate) may: Option<MayText>,
}

/// `[[source]]`: an interface, a listener or a folder of captures.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct SourceTable {
    /// What the rows of a listener or of captures name as their source; interfaces are called by their own names.
    pub(crate) name: Option<String>,
    pub(crate) interface: Option<String>,
    /// Whether the interface only receives copies.
    pub(crate) mirror: bool,
    /// How many threads share its queues out, at most.
    pub(crate) readers: Option<u16>,
    /// Which of its frames are read.
    pub(crate) direction: Option<DirectionText>,
    pub(crate) listen: Option<Listen>,
    /// A folder in which captures appear.
    pub(crate) captures: Option<PathBuf>,
    /// Which frames are looked at, in pcap syntax; and by rules, of an interface.
    pub(crate) filter: Option<String>,
    pub(crate) allow: Vec<RuleText>,
    pub(crate) deny: Vec<RuleText>,
    pub(crate) rules: Option<PathBuf>,
    /// Octets of the kernel's queue of a listener.
    pub(crate) receive_buffer: Option<usize>,
    pub(crate) allowed_lateness_ms: Option<u32>,
    pub(crate) event_time: Option<String>,
    pub(crate) exporter_identity: Option<String>,
    pub(crate) sampling_rate: Option<u64>,
}

/// A URL to listen on.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Listen(pub(crate) ListenerUrl);

impl TryFrom<String> for Listen {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse().map(Self)
    }
}

/// What a rule about frames names.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct RuleText(pub(crate) Rule);

impl TryFrom<String> for RuleText {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse().map(Self).map_err(|error| format!("{text}: {error}"))
    }
}

/// `[[lookup]]`: a table that queries may name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct LookupTable {
    pub(crate) name: Option<String>,
    pub(crate) file: Option<PathBuf>,
    /// The column of keys, in place of the first one.
    pub(crate) key: Option<String>,
}

/// `[limits]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct LimitsTable {
    pub(crate) cores: Option<String>,
    pub(crate) workers: Option<u16>,
    pub(crate) groups_max: Option<u32>,
    pub(crate) waiting_rows_max: Option<u32>,
    pub(crate) queries_max: Option<u32>,
    /// Octets that all queries together may hold.
    pub(crate) octets_max: Option<u64>,
    /// Octets that each of them may hold.
    pub(crate) query_octets_max: Option<u64>,
    pub(crate) rows_per_second_max: Option<u64>,
    pub(crate) work_max_ns: Option<u64>,
    pub(crate) beyond: Option<String>,
}

/// `[queries]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct QueriesTable {
    /// Where queries are, in place of the state folder's.
    pub(crate) folder: Option<PathBuf>,
}

/// `[history]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct HistoryTable {
    /// Where results are stored.
    pub(crate) folder: Option<PathBuf>,
    /// How long, such as `30d`.
    pub(crate) keep: Option<String>,
    /// Octets of all files.
    pub(crate) octets_max: Option<u64>,
    /// A bucket, as a URL, that files go to which do not change any more.
    pub(crate) store: Option<String>,
    /// The server of that; AWS's where it is not said.
    pub(crate) store_endpoint: Option<String>,
    pub(crate) store_region: Option<String>,
    /// Who asks it, in a file as AWS's programs have it.
    pub(crate) store_credentials_file: Option<PathBuf>,
    /// Certificates of whoever signed the server's.
    pub(crate) store_ca_file: Option<PathBuf>,
    /// How long files are kept there, such as `730d`.
    pub(crate) store_keep: Option<String>,
    /// Wider windows for older results.
    pub(crate) rollup: Vec<RollupTable>,
    /// How long a result waits for others to be in a file with.
    pub(crate) flush_after: Option<String>,
}

/// One of `rollup` of `[history]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RollupTable {
    /// The age from which on.
    pub(crate) after: String,
    pub(crate) window: String,
}

/// `[[sink]]`: where results go besides.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct SinkTable {
    pub(crate) name: Option<String>,
    pub(crate) kind: Option<String>,
    /// Patterns of queries' names.
    pub(crate) queries: Option<Vec<String>>,
    /// The folder of files.
    pub(crate) folder: Option<PathBuf>,
    /// How results stand in files, or messages.
    pub(crate) format: Option<String>,
    /// Octets of a file.
    pub(crate) rotate_octets: Option<u64>,
    /// How long results come into one file.
    pub(crate) rotate_after: Option<String>,
    /// A server, who asks it, and a database of it; or where notices of alarms are posted.
    pub(crate) url: Option<String>,
    pub(crate) password_file: Option<PathBuf>,
    /// Certificates of whoever signed the server's.
    pub(crate) ca_file: Option<PathBuf>,
    /// Where in the database tables are.
    pub(crate) schema: Option<String>,
    /// What the table of a query is called.
    pub(crate) table: Option<String>,
    /// What the topic of a query is called.
    pub(crate) topic: Option<String>,
    /// By what messages are keyed.
    pub(crate) key: Option<String>,
    /// Where results wait while the server is away.
    pub(crate) spool: Option<PathBuf>,
    /// Octets that wait there.
    pub(crate) spool_octets_max: Option<u64>,
    /// What stands in the head of a notice.
    pub(crate) headers: Option<BTreeMap<String, String>>,
    pub(crate) token_file: Option<PathBuf>,
    /// A program that is given notices of alarms, and its arguments.
    pub(crate) command: Option<Vec<String>>,
    /// How long one notice may take.
    pub(crate) time_limit: Option<String>,
    /// What is one alarm: `whole` or `key`.
    pub(crate) by: Option<String>,
    pub(crate) cool_down: Option<String>,
    /// Windows without rows after which an alarm is over.
    pub(crate) resolve_after: Option<u32>,
    /// Rows of one notice.
    pub(crate) rows_max: Option<u32>,
    /// Where messages and flows are sent.
    pub(crate) to: Option<String>,
    pub(crate) severity: Option<String>,
    pub(crate) facility: Option<String>,
    /// The observation domain of flows.
    pub(crate) observation_domain: Option<u32>,
}

/// `[forward]`: whose sensor the node is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ForwardTable {
    /// Where the aggregator listens.
    pub(crate) to: Option<String>,
    /// What this sensor is called there.
    pub(crate) name: Option<String>,
    pub(crate) token_file: Option<PathBuf>,
    pub(crate) ca_file: Option<PathBuf>,
    pub(crate) certificate: Option<PathBuf>,
    pub(crate) key: Option<PathBuf>,
    /// Where parts wait until a checkpoint has them; so many octets, so long.
    pub(crate) spool: Option<PathBuf>,
    pub(crate) octets_max: Option<u64>,
    pub(crate) keep: Option<String>,
    /// What a query without an aggregate sends of each second.
    pub(crate) rows_per_second_max: Option<u64>,
    pub(crate) row_octets_per_second_max: Option<u64>,
}

/// `[aggregator]`: the node takes parts from sensors.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct AggregatorTable {
    pub(crate) listen: Option<SocketAddr>,
    pub(crate) certificate: Option<PathBuf>,
    pub(crate) key: Option<PathBuf>,
    /// Of whoever signed the certificates of sensors.
    pub(crate) ca_file: Option<PathBuf>,
    /// Where sensors find it, where that is not where it listens.
    pub(crate) url: Option<String>,
    /// Names of sensors, and what their tokens are known by, a line each.
    pub(crate) tokens: Option<PathBuf>,
    pub(crate) idle_after: Option<String>,
    pub(crate) stragglers: Option<String>,
    pub(crate) revisable: Option<String>,
    pub(crate) sensors_max: Option<u32>,
}

impl ConfigFile {
    /// Reads a file.
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        let said = |what: String| Failure::Usage(format!("--config {}: {what}", path.display()));
        let text = std::fs::read_to_string(path).map_err(|error| said(error.to_string()))?;
        Self::parse(&text).map_err(said)
    }

    fn parse(text: &str) -> Result<Self, String> {
        let config: Self = toml_edit::de::from_str(text).map_err(|error| of_error(&error, text))?;
        for (number, source) in (1..).zip(&config.sources) {
            source.check().map_err(|wrong| format!("[[source]] {number}: {wrong}"))?;
        }
        config.tables()?;
        identity::check(&config.node)?;
        if config.node.tls_certificate.is_some() != config.node.tls_key.is_some() {
            return Err("[node] tls_certificate and tls_key belong together; give both".to_owned());
        }
        for (number, token) in (1..).zip(&config.tokens) {
            token.plan().map_err(|wrong| format!("[[token]] {number}: {wrong}"))?;
        }
        Ok(config)
    }
}

impl ConfigFile {
    /// The files of lookup tables.
    pub(crate) fn tables(&self) -> Result<Vec<TableFile>, String> {
        let file = |(number, table): (u32, &LookupTable)| {
            table.file().map_err(|wrong| format!("[[lookup]] {number}: {wrong}"))
        };
        (1..).zip(&self.lookups).map(file).collect()
    }
}

impl LookupTable {
    fn file(&self) -> Result<TableFile, String> {
        match (&self.name, &self.file) {
            (Some(name), Some(file)) => TableFile::new(name, file.clone(), self.key.clone()),
            _ => Err("it needs a name and a file: name = \"nets\" and file = \"/etc/nets.csv\"".to_owned()),
        }
    }
}

impl SourceTable {
    /// Refuses what belongs to another kind of source, and would be passed over.
    fn check(&self) -> Result<(), String> {
        let kind = match (&self.interface, &self.listen, &self.captures) {
            (Some(_), None, None) => SourceKind::Interface,
            (None, Some(_), None) => SourceKind::Listener,
            (None, None, Some(_)) => SourceKind::Captures,
            (None, None, None) => {
                return Err("it reads nothing; give it interface = \"eth0\", listen = \"udp://0.0.0.0:2055\" or captures = \"/var/captures\""
                    .to_owned());
            }
            _ => {
                return Err("it is an interface, a listener or a folder of captures; give each a [[source]] of its own"
                    .to_owned());
            }
        };
        let is_interface = kind == SourceKind::Interface;
        let of_one_kind = [
            ("name", self.name.is_some(), "listeners and captures", !is_interface),
            ("mirror", self.mirror, "interfaces", is_interface),
            ("readers", self.readers.is_some(), "interfaces that are mirror ports", self.mirror),
            ("direction", self.direction.is_some(), "interfaces", is_interface),
            ("filter", self.filter.is_some(), "interfaces and captures", kind != SourceKind::Listener),
            ("allow", !self.allow.is_empty(), "interfaces", is_interface),
            ("deny", !self.deny.is_empty(), "interfaces", is_interface),
            ("rules", self.rules.is_some(), "interfaces", is_interface),
            ("receive_buffer", self.receive_buffer.is_some(), "listeners", kind == SourceKind::Listener),
            ("event_time", self.event_time.is_some(), "listeners", kind == SourceKind::Listener),
            (
                "exporter_identity",
                self.exporter_identity.is_some(),
                "listeners",
                kind == SourceKind::Listener,
            ),
            ("sampling_rate", self.sampling_rate.is_some(), "listeners", kind == SourceKind::Listener),
        ];
        if self.readers.is_some_and(|readers| !(1..=READERS_MAX).contains(&readers)) {
            return Err(format!("readers: write a number from 1 to {READERS_MAX}"));
        }
        if self.mirror && self.direction.is_some() {
            return Err("a mirror port only receives; leave out direction, or mirror".to_owned());
        }
        match of_one_kind.into_iter().find(|(_, is_given, _, is_right)| *is_given && !is_right) {
            Some((key, _, kinds, _)) => Err(format!("{key} is for {kinds}; leave it out")),
            None => Ok(()),
        }
    }
}

/// What a source is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SourceKind {
    Interface,
    Listener,
    Captures,
}

/// What is wrong with a text, where, and what would be right.
fn of_error(error: &toml_edit::de::Error, text: &str) -> String {
    let place = error.span().map_or_else(String::new, |span| {
        let before = text.get(..span.start).unwrap_or(text);
        let column = before.chars().rev().take_while(|character| *character != '\n').count() + 1;
        format!("line {}, column {column}: ", before.matches('\n').count() + 1)
    });
    format!("{place}{}", said_better(error.message()))
}

/// What the parser says of an unknown key, in our words; else its own.
fn said_better(message: &str) -> String {
    // "unknown field `x`, expected one of `a`, `b`"
    let words: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    match (message.strip_prefix("unknown field"), words.split_first()) {
        (Some(_), Some((key, known))) => {
            let right = match nearest(key, known.iter().copied()) {
                Some(nearest) => format!("did you mean `{nearest}`?"),
                None => format!("here may be {}", known.join(", ")),
            };
            format!("there is no key `{key}`; {right}")
        }
        _ => message.trim_end().replace('\n', ", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_configuration_that_comes_with_us_loads() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs");
        let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let configs: Vec<PathBuf> =
            entries.filter(|path| path.extension().is_some_and(|of| of == "toml")).collect();
        assert!(configs.len() >= 2, "{configs:?}");
        for config in configs {
            let read = ConfigFile::read(&config).unwrap();
            let has_sensors = read.aggregator.listen.is_some();
            assert!(has_sensors == read.sources.is_empty(), "{}", config.display());
        }
    }

    #[test]
    fn the_schema_for_editors_has_the_keys_that_there_are() {
        let schema: serde_json::Value =
            serde_json::from_str(include_str!("../../../configs/node.schema.json")).unwrap();
        let tables = [
            ("", "/properties"),
            ("[node]", "/properties/node/properties"),
            ("[[source]]", "/properties/source/items/properties"),
            ("[[lookup]]", "/properties/lookup/items/properties"),
            ("[[token]]", "/properties/token/items/properties"),
            ("[limits]", "/properties/limits/properties"),
            ("[queries]", "/properties/queries/properties"),
            ("[history]", "/properties/history/properties"),
            ("[[sink]]", "/properties/sink/items/properties"),
            ("[forward]", "/properties/forward/properties"),
            ("[aggregator]", "/properties/aggregator/properties"),
        ];
        for (table, pointer) in tables {
            // What is near to no key is answered with all of them.
            let error = toml_edit::de::from_str::<ConfigFile>(&format!("{table}\nqqqqqqqqqqqqqqqq = 1"));
            let message = error.unwrap_err().message().to_owned();
            let mut known: Vec<&str> = message.split('`').skip(3).step_by(2).collect();
            let described = schema.pointer(pointer).unwrap().as_object().unwrap();
            let mut described: Vec<&str> = described.keys().map(String::as_str).collect();
            known.sort_unstable();
            described.sort_unstable();
            assert_eq!(known, described, "{table}: {message}");
        }
    }

    /// That each text is refused, in one line that begins so.
    fn check_refused(cases: &[(&str, &str)]) {
        for (text, expected) in cases {
            let said = ConfigFile::parse(text).unwrap_err();
            assert!(said.starts_with(expected) && !said.contains('\n'), "{text}: {said}");
        }
    }

    #[test]
    fn what_is_mistyped_is_named_with_its_place() {
        check_refused(&[
            ("[nod]\n", "line 1, column 2: there is no key `nod`; did you mean `node`?"),
            ("[node]\nstat = 1", "line 2, column 1: there is no key `stat`; did you mean `state`?"),
            ("[limits]\nworkers = \"x\"", "line 2, column 11: invalid type: string \"x\", expected u16"),
            ("[[lookup]]\nname = \"a\"", "[[lookup]] 1: it needs a name and a file"),
            (
                "[[lookup]]\nname = \"a\"\nfile = \"a.txt\"",
                "[[lookup]] 1: a.txt ends with none of .csv, .parquet and .mmdb",
            ),
            ("[[lookup]]\nnam = \"a\"", "line 2, column 1: there is no key `nam`; did you mean `name`?"),
            ("[node]\ntls_key = \"a\"", "[node] tls_certificate and tls_key belong together; give both"),
            ("[node]\nname = \"pop *\"", "[node] name = \"pop *\": a name is 1 to 64 letters, digits"),
            ("[node]\ntags = { a = 1 }", "line 2, column "),
            ("[[token]]\nname = \"a\"", "[[token]] 1: it needs a name and what it allows"),
            (
                "[[token]]\nname = \"a\"\nmay = \"read\"",
                "[[token]] 1: it is in a file or known by its digest",
            ),
            (
                "[[token]]\nmay = \"write\"",
                "line 2, column 7: unknown variant `write`, expected `read` or `change`",
            ),
            ("[node\n", "line 1, column 6: "),
        ]);
    }

    #[test]
    fn what_is_mistyped_of_a_source_is_named_with_its_place() {
        check_refused(&[
            (
                "[[source]]\nhost = true",
                "line 2, column 1: there is no key `host`; here may be name, interface",
            ),
            (
                "[[source]]\nlisten = \"0.0.0.0:2055\"",
                "line 2, column 10: write udp://HOST:PORT or tcp://HOST:PORT",
            ),
            ("[[source]]\n", "[[source]] 1: it reads nothing; give it interface = \"eth0\""),
            (
                "[[source]]\ninterface = \"a\"\nname = \"b\"",
                "[[source]] 1: name is for listeners and captures; leave it out",
            ),
            (
                "[[source]]\ncaptures = \"a\"\nsampling_rate = 1",
                "[[source]] 1: sampling_rate is for listeners; leave it out",
            ),
            (
                "[[source]]\ncaptures = \"a\"\nmirror = true",
                "[[source]] 1: mirror is for interfaces; leave it out",
            ),
            (
                "[[source]]\ninterface = \"a\"\nmirror = true\ndirection = \"both\"",
                "[[source]] 1: a mirror port only receives; leave out direction, or mirror",
            ),
            (
                "[[source]]\ninterface = \"a\"\nreaders = 2",
                "[[source]] 1: readers is for interfaces that are mirror ports; leave it out",
            ),
            (
                "[[source]]\ninterface = \"a\"\nmirror = true\nreaders = 0",
                "[[source]] 1: readers: write a number from 1 to 256",
            ),
            (
                "[[source]]\ncaptures = \"a\"\ndirection = \"in\"",
                "[[source]] 1: direction is for interfaces; leave it out",
            ),
            (
                "[[source]]\ninterface = \"a\"\ndirection = \"up\"",
                "line 3, column 13: unknown variant `up`, expected one of ",
            ),
            (
                "[[source]]\ncaptures = \"a\"\ninterface = \"b\"",
                "[[source]] 1: it is an interface, a listener or a folder of captures; give each",
            ),
            (
                "[[source]]\ncapture = \"a\"",
                "line 2, column 1: there is no key `capture`; did you mean `captures`?",
            ),
            ("[[source]]\ncaptures = 1", "line 2, column 12: "),
            (
                "[[source]]\ncaptures = \"a\"\ndeny = [\"port:53\"]",
                "[[source]] 1: deny is for interfaces; leave it out",
            ),
            (
                "[[source]]\nlisten = \"udp://[::]:2055\"\nfilter = \"tcp\"",
                "[[source]] 1: filter is for interfaces and captures; leave it out",
            ),
            ("[[source]]\ninterface = \"a\"\nallow = [\"prot:1\"]", "line 3, column "),
        ]);
    }
}
