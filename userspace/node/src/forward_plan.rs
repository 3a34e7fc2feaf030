//! Whom a sensor forwards to, and where an aggregator listens for sensors, as the command line or a file says it.

use crate::config::{AggregatorTable, ForwardTable};
use crate::outlets::parse_age;
use crate::proof::is_of_this_machine;
use clap::{Args, ValueHint};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tapline_engine::RowLimits;
use tapline_tls::TlsFiles;

/// The variable that holds a sensor's token where no file does.
pub(crate) const TOKEN_VARIABLE: &str = "TAPLINE_FORWARD_TOKEN";
/// Octets of what a sensor keeps until a checkpoint has it, and how long, unless something is said.
const SPOOL_OCTETS: u64 = 4 << 30;
const SPOOL_OCTETS_MIN: u64 = 64 << 20;
const KEEP: Duration = Duration::from_secs(24 * 3600);
/// Where a node listens for sensors.
const LISTEN_HINT: &str = "0.0.0.0:8793";

/// Whom to forward to, on the command line.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct ForwardArguments {
    /// Be a sensor of the aggregator at https://HOST:PORT: run the queries that it asks, and send it their partial
    /// aggregates, which are kept in the state folder until it has them.
    #[arg(long, value_name = "URL")]
    pub(crate) forward: Option<String>,
    /// What this sensor is called there [default: the name of the node].
    #[arg(long, value_name = "NAME")]
    pub(crate) forward_name: Option<String>,
    /// The file whose only line is the token by which it proves that [default: the variable TAPLINE_FORWARD_TOKEN].
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) forward_token_file: Option<PathBuf>,
    /// Trust an aggregator by these certificates (PEM) in place of those that this machine trusts.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) forward_ca: Option<PathBuf>,
}

/// Whom a sensor forwards to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ForwardPlan {
    pub(crate) to: String,
    pub(crate) name: String,
    /// Where its token is; without it, in the environment, or a certificate stands for it.
    pub(crate) token_file: Option<PathBuf>,
    /// Whose word is taken on who the aggregator is.
    pub(crate) ca_file: Option<PathBuf>,
    /// By what the sensor proves over TLS that it is the one.
    pub(crate) own: Option<TlsFiles>,
    pub(crate) spool: PathBuf,
    pub(crate) octets_max: u64,
    pub(crate) keep: Duration,
    /// What a query without an aggregate sends of each second.
    pub(crate) rows: RowLimits,
    /// Where it is kept what the aggregator asked last.
    pub(crate) assigned: PathBuf,
}

/// Where an aggregator listens, and for whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AggregatorPlan {
    pub(crate) listen: SocketAddr,
    pub(crate) tls: Option<TlsFiles>,
    /// Whoever signed the certificates of sensors that prove by these who they are.
    pub(crate) ca_file: Option<PathBuf>,
    /// What tokens of sensors are known by; a file of the state folder is written by the node itself.
    pub(crate) tokens: PathBuf,
    pub(crate) owns_tokens: bool,
    /// Where it is all kept: checkpoints, what sensors run, tokens of those that joined.
    pub(crate) folder: PathBuf,
    pub(crate) idle_after: Duration,
    pub(crate) stragglers: Duration,
    pub(crate) revisable: Duration,
    pub(crate) sensors_max: usize,
    /// What sensors are told to connect to, where that is not the address.
    pub(crate) url: Option<String>,
}

impl ForwardPlan {
    /// What these say, or else a file; `None` where the node forwards to nobody. It is called `node` unless something
    /// else is said.
    pub(crate) fn of(
        arguments: &ForwardArguments,
        table: Option<&ForwardTable>,
        state: Option<&Path>,
        node: &str,
    ) -> Result<Option<Self>, String> {
        let said = table.cloned().unwrap_or_default();
        let Some(to) = arguments.forward.clone().or_else(|| said.to.clone()) else {
            return match said == ForwardTable::default() && arguments.is_silent() {
                true => Ok(None),
                false => Err("[forward] needs where to: to = \"https://central.example:8793\"".to_owned()),
            };
        };
        check_url(&to)?;
        let Some(state) = state else {
            return Err("[forward] needs a state folder, in which parts wait until they have arrived: --state DIR, or \
                        state = \"/var/lib/tapline\" in [node]"
                .to_owned());
        };
        let own = pair("[forward]", said.certificate, said.key)?;
        let octets_max = said.octets_max.unwrap_or(SPOOL_OCTETS);
        if octets_max < SPOOL_OCTETS_MIN {
            return Err(format!(
                "[forward] octets_max: {octets_max} octets are too few; give {SPOOL_OCTETS_MIN} or more"
            ));
        }
        let name = arguments.forward_name.clone().or(said.name).unwrap_or_else(|| node.to_owned());
        check_name(&name).map_err(|wrong| format!("[forward] name: {wrong}"))?;
        Ok(Some(Self {
            to,
            name,
            token_file: arguments.forward_token_file.clone().or(said.token_file),
            ca_file: arguments.forward_ca.clone().or(said.ca_file),
            own,
            spool: said.spool.unwrap_or_else(|| state.join("forward")),
            octets_max,
            keep: time("[forward] keep", said.keep.as_deref(), KEEP)?,
            rows: rows([said.rows_per_second_max, said.row_octets_per_second_max])?,
            assigned: state.join("assigned.json"),
        }))
    }

    /// Files that are read, also while the node runs.
    pub(crate) fn files(&self) -> impl Iterator<Item = PathBuf> {
        let own = self.own.iter().flat_map(|own| [own.certificate.clone(), own.key.clone()]);
        self.token_file.clone().into_iter().chain(self.ca_file.clone()).chain(own)
    }
}

impl ForwardArguments {
    const fn is_silent(&self) -> bool {
        self.forward_name.is_none() && self.forward_token_file.is_none() && self.forward_ca.is_none()
    }
}

impl AggregatorPlan {
    /// What a file says; `None` where the node has no sensors.
    pub(crate) fn of(table: &AggregatorTable, state: Option<&Path>) -> Result<Option<Self>, String> {
        if *table == AggregatorTable::default() {
            return Ok(None);
        }
        let said = table.clone();
        let listen = said
            .listen
            .ok_or_else(|| format!("[aggregator] needs an address: listen = \"{LISTEN_HINT}\""))?;
        let Some(state) = state else {
            return Err(
                "[aggregator] needs a state folder, in which its checkpoints are: --state DIR, or state = \
                        \"/var/lib/tapline\" in [node]"
                    .to_owned(),
            );
        };
        let tls = pair("[aggregator]", said.certificate, said.key)?;
        if tls.is_none() && !listen.ip().to_canonical().is_loopback() {
            return Err(format!(
                "[aggregator] listen = \"{listen}\": others than this machine reach it, so that it needs a certificate \
                 and a key, too: certificate = \"/etc/tapline/node.pem\" and key = \"/etc/tapline/node.key\""
            ));
        }
        let folder = state.join("aggregator");
        let patience = |key: &str, text: &Option<String>, otherwise| {
            time(&format!("[aggregator] {key}"), text.as_deref(), Duration::from_secs(otherwise))
        };
        Ok(Some(Self {
            listen,
            tls,
            ca_file: said.ca_file,
            owns_tokens: said.tokens.is_none(),
            tokens: said.tokens.unwrap_or_else(|| folder.join("tokens")),
            folder,
            idle_after: patience("idle_after", &said.idle_after, 10)?,
            stragglers: patience("stragglers", &said.stragglers, 5)?,
            revisable: patience("revisable", &said.revisable, 2 * 3600)?,
            sensors_max: said.sensors_max.map_or(4096, |most| most as usize),
            url: said.url,
        }))
    }

    /// Files that are read, also while the node runs.
    pub(crate) fn files(&self) -> impl Iterator<Item = PathBuf> {
        let tls = self.tls.iter().flat_map(|tls| [tls.certificate.clone(), tls.key.clone()]);
        let tokens = Some(self.tokens.clone()).filter(|_| !self.owns_tokens);
        tls.chain(self.ca_file.clone()).chain(tokens)
    }

    /// Where sensors are told to connect to; it listens at `bound`, once it does.
    pub(crate) fn url_for_sensors(&self, bound: Option<SocketAddr>) -> String {
        let (scheme, address) =
            (if self.tls.is_some() { "https" } else { "http" }, bound.unwrap_or(self.listen));
        let host = if address.ip().is_unspecified() {
            format!("HOST:{}", address.port())
        } else {
            address.to_string()
        };
        self.url.clone().unwrap_or_else(|| format!("{scheme}://{host}"))
    }
}

/// Refuses what is no name of a sensor: it stands in patterns, files and tables.
pub(crate) fn check_name(name: &str) -> Result<(), String> {
    let is_fine = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '_' | '-');
    if !name.is_empty() && name.len() <= 64 && name.chars().all(is_fine) {
        return Ok(());
    }
    Err(format!("{name:?} cannot be a sensor's name; take up to 64 letters, digits, ., _ and -"))
}

/// Refuses what is no address of an aggregator, or would send a token in plain text.
fn check_url(url: &str) -> Result<(), String> {
    if url.starts_with("https://") || url.starts_with("http://") && is_of_this_machine(url) {
        return Ok(());
    }
    let why = if url.starts_with("http://") {
        "over http, others than this machine are not spoken to"
    } else {
        "it is no address"
    };
    Err(format!(
        "[forward] to = \"{url}\": {why}; write https://HOST:PORT, such as https://central.example:8793"
    ))
}

/// What is sent of rows, as far as it is said.
fn rows([rows_max, octets_max]: [Option<u64>; 2]) -> Result<RowLimits, String> {
    for (key, said) in [("rows_per_second_max", rows_max), ("row_octets_per_second_max", octets_max)] {
        if said == Some(0) {
            return Err(format!("[forward] {key}: write a number from 1, such as 10_000"));
        }
    }
    let limits = RowLimits::default();
    let octets_max = octets_max.map(|octets| usize::try_from(octets).unwrap_or(usize::MAX));
    Ok(RowLimits {
        rows_max: rows_max.unwrap_or(limits.rows_max),
        octets_max: octets_max.unwrap_or(limits.octets_max),
    })
}

fn pair(what: &str, certificate: Option<PathBuf>, key: Option<PathBuf>) -> Result<Option<TlsFiles>, String> {
    match (certificate, key) {
        (Some(certificate), Some(key)) => Ok(Some(TlsFiles { certificate, key })),
        (None, None) => Ok(None),
        _ => Err(format!("{what} certificate and key belong together; give both")),
    }
}

fn time(key: &str, text: Option<&str>, otherwise: Duration) -> Result<Duration, String> {
    text.map_or(Ok(otherwise), |text| parse_age(text).map_err(|wrong| format!("{key}: {wrong}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forward(text: &str) -> Result<Option<ForwardPlan>, String> {
        let table: ForwardTable = toml_edit::de::from_str(text).unwrap();
        ForwardPlan::of(&ForwardArguments::default(), Some(&table), Some(Path::new("/s")), "host")
    }

    fn aggregator(text: &str) -> Result<Option<AggregatorPlan>, String> {
        AggregatorPlan::of(&toml_edit::de::from_str(text).unwrap(), Some(Path::new("/s")))
    }

    #[test]
    fn a_sensor_is_told_what_is_missing() {
        assert_eq!(forward(""), Ok(None));
        let plan = forward("to = \"http://127.0.0.1:8793\"").unwrap().unwrap();
        // A sink of any name has its spool in a folder that no part of this one is.
        assert_eq!((plan.name.as_str(), plan.spool.as_path()), ("host", Path::new("/s/forward")));
        assert!(!plan.spool.starts_with("/s/spool"));
        assert_eq!((plan.files().count(), plan.rows), (0, RowLimits::default()));
        let plan = forward("to = \"https://a:1\"\nrows_per_second_max = 7").unwrap().unwrap();
        assert_eq!(plan.rows, RowLimits { rows_max: 7, ..RowLimits::default() });
        let cases = [
            ("name = \"a\"", "[forward] needs where to"),
            ("to = \"http://central:8793\"", "over http, others than this machine are not spoken to"),
            ("to = \"central:8793\"", "it is no address; write https://HOST:PORT"),
            ("to = \"https://a:1\"\nkey = \"/k\"", "[forward] certificate and key belong together"),
            ("to = \"https://a:1\"\noctets_max = 1", "[forward] octets_max: 1 octets are too few"),
            (
                "to = \"https://a:1\"\nrow_octets_per_second_max = 0",
                "[forward] row_octets_per_second_max: write a number from 1",
            ),
            ("to = \"https://a:1\"\nkeep = \"long\"", "[forward] keep: write a number with s, m, h or d"),
            ("to = \"https://a:1\"\nname = \"a b\"", "[forward] name: \"a b\" cannot be a sensor's name"),
        ];
        for (text, part) in cases {
            let said = forward(text).unwrap_err();
            assert!(said.contains(part), "{text}: {said}");
        }
        let table = toml_edit::de::from_str("to = \"https://a:1\"").unwrap();
        let stateless = ForwardPlan::of(&ForwardArguments::default(), Some(&table), None, "host");
        assert!(stateless.unwrap_err().starts_with("[forward] needs a state folder"));
    }

    #[test]
    fn an_aggregator_is_told_what_is_missing() {
        assert_eq!(aggregator(""), Ok(None));
        let plan = aggregator("listen = \"127.0.0.1:8793\"").unwrap().unwrap();
        assert_eq!(plan.url_for_sensors(None), "http://127.0.0.1:8793");
        assert!(plan.owns_tokens && plan.tokens == Path::new("/s/aggregator/tokens"));
        let open = "listen = \"0.0.0.0:8793\"\ncertificate = \"/c\"\nkey = \"/k\"\ntokens = \"/t\"";
        let plan = aggregator(open).unwrap().unwrap();
        assert_eq!((plan.url_for_sensors(None), plan.files().count()), ("https://HOST:8793".to_owned(), 3));
        let cases = [
            ("idle_after = \"3s\"", "[aggregator] needs an address"),
            ("listen = \"0.0.0.0:8793\"", "needs a certificate and a key, too"),
            ("listen = \"127.0.0.1:1\"\nstragglers = \"x\"", "[aggregator] stragglers: write a number"),
        ];
        for (text, part) in cases {
            let said = aggregator(text).unwrap_err();
            assert!(said.contains(part), "{text}: {said}");
        }
    }
}
