//! Which flags of `tapline query` mean something for which input.
//!
//! Takes the flags that were given and what is read; refuses every flag that would be ignored. The table below names
//! each flag that is for some kinds of input only; [`FOR_ALL`] those that are for all.

use crate::arguments::InputPlan;
use crate::failure::Failure;
use clap::ArgMatches;
use clap::parser::ValueSource;
use std::path::Path;
use tapline_exports::{ListenerAddress, ListenerUrl};

/// What can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Capture,
    CapturePipe,
    Exports,
    ExportsPipe,
    Udp,
    Tcp,
    Interface,
    /// Of stored results, which are asked in another way.
    Bucket,
}

impl Kind {
    /// How it is asked for.
    const fn text(self) -> &'static str {
        match self {
            Self::Capture => "--pcap FILE",
            Self::CapturePipe => "--pcap -",
            Self::Exports => "--exports FILE",
            Self::ExportsPipe => "--exports -",
            Self::Udp => "--listen udp://HOST:PORT",
            Self::Tcp => "--listen tcp://HOST:PORT",
            Self::Interface => "--interface IF",
            Self::Bucket => "--history s3://BUCKET/FOLDER",
        }
    }
}

use Kind::{Bucket, Capture, CapturePipe, Exports, ExportsPipe, Interface, Tcp, Udp};

/// A flag that is for some kinds of input only.
struct Flag {
    name: &'static str,
    kinds: &'static [Kind],
    /// What to do with other input.
    instead: &'static str,
}

const EXPORTERS: &[Kind] = &[Exports, ExportsPipe, Udp, Tcp];
const OF_FRAMES: &str = "write the condition into WHERE instead";

const FLAGS: [Flag; 20] = [
    Flag { name: "store-endpoint", kinds: &[Bucket], instead: "" },
    Flag { name: "store-region", kinds: &[Bucket], instead: "" },
    Flag { name: "store-credentials-file", kinds: &[Bucket], instead: "" },
    Flag { name: "store-ca-file", kinds: &[Bucket], instead: "" },
    Flag { name: "port", kinds: &[Exports, ExportsPipe], instead: "" },
    Flag { name: "filter", kinds: &[Capture, CapturePipe, Interface], instead: OF_FRAMES },
    Flag { name: "mirror", kinds: &[Interface], instead: "" },
    Flag { name: "readers", kinds: &[Interface], instead: "" },
    Flag { name: "direction", kinds: &[Interface], instead: "" },
    Flag { name: "allow", kinds: &[Interface], instead: OF_FRAMES },
    Flag { name: "deny", kinds: &[Interface], instead: OF_FRAMES },
    Flag { name: "rules", kinds: &[Interface], instead: OF_FRAMES },
    Flag { name: "log-kernel", kinds: &[Interface], instead: "" },
    Flag { name: "receive-buffer", kinds: &[Udp], instead: "" },
    Flag { name: "state", kinds: &[Udp], instead: "" },
    Flag { name: "exporter-identity", kinds: EXPORTERS, instead: "" },
    Flag { name: "sampling-rate", kinds: EXPORTERS, instead: "multiply in the query" },
    Flag { name: "event-time", kinds: EXPORTERS, instead: "" },
    Flag {
        name: "waiting-rows-max",
        kinds: &[Udp, Tcp, Interface],
        instead: "rows of files wait as long as it takes",
    },
    Flag {
        name: "allowed-lateness-ms",
        kinds: &[CapturePipe, ExportsPipe, Udp, Tcp, Interface],
        instead: "how far the records of files are out of order is measured, so that none is late",
    },
];

/// Flags that mean the same whatever is read.
const FOR_ALL: [&str; 20] = [
    "history",
    "pcap",
    "exports",
    "listen",
    "interface",
    "for",
    "windows",
    "early",
    "lookup",
    "query-file",
    "format",
    "output",
    "explain",
    "cores",
    "workers",
    "groups-max",
    "octets-max",
    "summary",
    "quiet",
    "help",
];

/// Flags that mean something where stored results are asked.
const FOR_HISTORY: [&str; 4] = ["history", "query-file", "format", "quiet"];

/// The flags that stand on the command line, without their dashes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Given(Vec<&'static str>);

impl Given {
    /// Of the command `query`; none of others.
    pub(crate) fn of(matches: &ArgMatches) -> Self {
        let Some(matches) = matches.subcommand_matches("query") else { return Self::default() };
        let is_given = |name: &&str| {
            let id = name.replace('-', "_");
            matches.try_contains_id(&id).is_ok()
                && matches.value_source(&id) == Some(ValueSource::CommandLine)
        };
        Self(FLAGS.iter().map(|flag| flag.name).chain(FOR_ALL).filter(is_given).collect())
    }

    /// Refuses the first flag that means nothing for stored results, in a bucket or in a folder.
    pub(crate) fn check_history(&self, is_bucket: bool) -> Result<(), Failure> {
        let is_for_bucket = |name: &str| FLAGS.iter().any(|flag| flag.name == name && flag.kinds == [Bucket]);
        let is_meant = |flag: &&str| FOR_HISTORY.contains(flag) || (is_bucket && is_for_bucket(flag));
        match self.0.iter().find(|flag| !is_meant(flag)) {
            None => Ok(()),
            Some(flag) if is_for_bucket(flag) => {
                let is_for = Bucket.text();
                Err(Failure::Usage(format!("--{flag} is for {is_for} and means nothing with a folder")))
            }
            Some(flag) => Err(Failure::Usage(format!(
                "--{flag} means nothing with --history, which asks stored results; leave it out"
            ))),
        }
    }

    /// Refuses the first flag that means nothing for what is read.
    pub(crate) fn check(&self, input: &InputPlan) -> Result<(), Failure> {
        let kinds = kinds(input);
        let is_ignored =
            |flag: &&Flag| self.0.contains(&flag.name) && !flag.kinds.iter().any(|kind| kinds.contains(kind));
        match FLAGS.iter().find(is_ignored) {
            None => Ok(()),
            Some(flag) => Err(Failure::Usage(refusal(flag, &kinds))),
        }
    }
}

fn refusal(flag: &Flag, kinds: &[Kind]) -> String {
    let for_what = list(flag.kinds);
    let not_for = if kinds.is_empty() { "no input".to_owned() } else { list(kinds) };
    let instead = if flag.instead.is_empty() { String::new() } else { format!("; {}", flag.instead) };
    format!("--{} is for {for_what} and means nothing with {not_for}{instead}", flag.name)
}

fn list(kinds: &[Kind]) -> String {
    let texts: Vec<_> = kinds.iter().map(|kind| kind.text()).collect();
    match texts[..] {
        [ref before @ .., last] if !before.is_empty() => format!("{} and {last}", before.join(", ")),
        _ => texts.concat(),
    }
}

/// The kinds of all that is read, each once.
fn kinds(input: &InputPlan) -> Vec<Kind> {
    let mut kinds: Vec<Kind> = match input {
        InputPlan::Nothing => vec![],
        InputPlan::Packets(files) => files.iter().map(|file| of_file(file, Capture, CapturePipe)).collect(),
        InputPlan::Exports { files, .. } => {
            files.iter().map(|file| of_file(file, Exports, ExportsPipe)).collect()
        }
        InputPlan::Live(live) => {
            let interfaces = live.interfaces.iter().map(|_| Interface);
            interfaces.chain(live.listeners.iter().map(of_listener)).collect()
        }
    };
    kinds.dedup();
    kinds
}

const fn of_listener(listener: &ListenerUrl) -> Kind {
    match listener.address {
        ListenerAddress::Udp(_) => Udp,
        ListenerAddress::Tcp(_) => Tcp,
    }
}

/// A file can be read twice; standard input, a pipe or a device cannot.
fn of_file(file: &Path, whole: Kind, piped: Kind) -> Kind {
    if is_pipe(file) { piped } else { whole }
}

/// Whether a file can be read once only.
pub(crate) fn is_pipe(file: &Path) -> bool {
    file == Path::new("-") || file.metadata().is_ok_and(|found| !found.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::{Arguments, Command};
    use clap::{CommandFactory as _, FromArgMatches as _};

    /// Each kind of input with the arguments that ask for it.
    const INPUTS: [(&[Kind], &[&str]); 11] = [
        (&[], &["--explain"]),
        (&[Capture], &["--pcap", "no-such.pcap"]),
        (&[CapturePipe], &["--pcap", "-"]),
        (&[Exports], &["--exports", "no-such.pcap"]),
        (&[ExportsPipe], &["--exports", "-"]),
        (&[Udp], &["--listen", "udp://127.0.0.1:2055"]),
        (&[Tcp], &["--listen", "tcp://127.0.0.1:4739"]),
        (&[Udp, Tcp], &["--listen", "udp://127.0.0.1:2055", "--listen", "tcp://127.0.0.1:4739"]),
        (&[Interface], &["--interface", "lo"]),
        (&[Interface], &["--interface", "lo", "--interface", "lo0"]),
        (&[Interface, Udp], &["--interface", "lo", "--listen", "udp://127.0.0.1:2055"]),
    ];

    /// A value that a flag takes.
    fn value(name: &str) -> Option<String> {
        let value = match name {
            "mirror" | "explain" | "quiet" => return None,
            "allow" | "deny" => "port:53",
            "filter" => "port 53",
            "direction" => "both",
            "exporter-identity" => "address",
            "event-time" => "receive",
            "log-kernel" => "warn",
            "format" | "summary" => "json",
            "cores" => return Some(core_affinity::get_core_ids().unwrap()[0].id.to_string()),
            "for" => "1s",
            _ => "1",
        };
        Some(value.to_owned())
    }

    fn refused(arguments: &[&str]) -> Option<String> {
        let line = [&["tapline", "query", "SELECT count(*) FROM flows"], arguments].concat();
        let matches = Arguments::command().try_get_matches_from(line).unwrap();
        let Command::Query(query) = Arguments::from_arg_matches(&matches).unwrap().command else {
            panic!("it is a query");
        };
        query.resolve(&Given::of(&matches)).err().map(|failure| failure.to_string())
    }

    fn names() -> Vec<&'static str> {
        let files = ["pcap", "exports", "listen", "interface", "history", "lookup", "query-file", "help"];
        let names = FLAGS.iter().map(|flag| flag.name).chain(FOR_ALL);
        names.filter(|name| !files.contains(name)).collect()
    }

    #[test]
    fn every_flag_means_something_or_is_refused() {
        for (kinds, input) in INPUTS {
            for name in names() {
                let (flag, value) = (format!("--{name}"), value(name));
                let given: Vec<&str> = std::iter::once(flag.as_str()).chain(value.as_deref()).collect();
                if input == given {
                    continue;
                }
                let found = refused(&[input, &given].concat());
                let entry = FLAGS.iter().find(|flag| flag.name == name);
                let is_meant = entry.is_none_or(|flag| flag.kinds.iter().any(|kind| kinds.contains(kind)));
                assert_eq!(found.is_none(), is_meant, "{name} with {input:?}: {found:?}");
                if let (Some(found), Some(flag)) = (found, entry) {
                    assert!(found.starts_with(&format!("--{name} is for {}", list(flag.kinds))), "{found}");
                }
            }
        }
    }

    #[test]
    fn every_flag_is_in_one_of_the_tables() {
        let command = Arguments::command();
        let query = command.find_subcommand("query").unwrap();
        for argument in query.get_arguments().filter(|argument| !argument.is_positional()) {
            let name = argument.get_long().unwrap();
            assert_eq!(argument.get_id().as_str().replace('_', "-"), name, "ids are names");
            let entries = FLAGS.iter().map(|flag| flag.name).chain(FOR_ALL).filter(|entry| *entry == name);
            assert_eq!(entries.count(), 1, "{name}: say for which input it is");
        }
    }

    #[test]
    fn flags_of_a_bucket_mean_nothing_for_a_folder() {
        let given = Given(vec!["history", "store-endpoint", "format"]);
        assert!(given.check_history(true).is_ok());
        let refused = given.check_history(false).unwrap_err().to_string();
        let expected = "--store-endpoint is for --history s3://BUCKET/FOLDER and means nothing with a folder";
        assert_eq!(refused, expected);
        let refused = Given(vec!["history", "pcap"]).check_history(true).unwrap_err().to_string();
        assert!(refused.starts_with("--pcap means nothing with --history"), "{refused}");
    }

    #[test]
    fn a_refusal_names_the_flag_and_its_input() {
        let found = refused(&["--pcap", "no-such.pcap", "--allow", "port:53"]).unwrap();
        let expected = "--allow is for --interface IF and means nothing with --pcap FILE; write the condition into \
                        WHERE instead";
        assert_eq!(found, expected);
        let found = refused(&["--explain", "--sampling-rate", "7"]).unwrap();
        let expected = "--sampling-rate is for --exports FILE, --exports -, --listen udp://HOST:PORT and --listen \
                        tcp://HOST:PORT and means nothing with no input; multiply in the query";
        assert_eq!(found, expected);
    }
}
