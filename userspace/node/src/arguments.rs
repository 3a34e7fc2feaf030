//! The command line: parsed here, resolved into what the commands work with.

use crate::failure::Failure;
use crate::output::Format;
use clap::{Args, Parser, Subcommand, ValueHint};
use clap_complete::Shell;
use std::path::{Path, PathBuf};
use tapline_pipeline::RunOptions;
use tapline_query::split_statements;

/// SQL at line rate on live network traffic.
#[derive(Debug, Parser)]
#[command(name = "tapline", version, about, max_term_width = 100)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Ask a capture file: one shot, no root, no configuration.
    Query(QueryArguments),
    /// Print the tables, or the columns of one, with their types, units and sources.
    Schema {
        /// The table.
        table: Option<String>,
    },
    /// Print a completion script for a shell.
    Completions {
        /// The shell.
        shell: Shell,
    },
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  tapline query --pcap a.pcap \"SELECT protocol, count(*) FROM packets GROUP BY protocol\"
  tapline query --pcap a.pcap \"SELECT src_ip, sum(octets) AS octets FROM packets
      GROUP BY src_ip, hop('1 second', '10 seconds') ORDER BY octets DESC LIMIT 10\"
  tcpdump -w - | tapline query --pcap - \"SELECT * FROM flows\"")]
pub(crate) struct QueryArguments {
    /// A capture file: pcap or pcapng, also .gz and .zst; - reads standard input. Several are merged by time.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pcap: Vec<PathBuf>,
    /// Read queries from a file, separated by semicolons.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    query_file: Vec<PathBuf>,
    /// How results are printed.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Write each query's results to a file of its name in this folder.
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    output: Option<PathBuf>,
    /// Print both halves of each query, its panes and the columns that are built, and run nothing.
    #[arg(long)]
    explain: bool,
    /// Operator threads [default: cores but one, at most 4].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    workers: Option<u16>,
    /// Groups of one aggregate in one pane; rows beyond go into one folded row.
    #[arg(long, value_name = "N", default_value_t = 1 << 20, value_parser = clap::value_parser!(u32).range(1..))]
    groups_max: u32,
    /// How far packets from standard input may be out of order.
    #[arg(long, value_name = "MS", default_value_t = 2_000)]
    allowed_lateness_ms: u32,
    /// No progress bar and no summary.
    #[arg(long, short)]
    quiet: bool,
    /// The queries.
    #[arg(value_name = "SQL")]
    sql: Vec<String>,
}

/// What `tapline query` is to do.
#[derive(Debug)]
pub(crate) struct QueryPlan {
    pub(crate) files: Vec<PathBuf>,
    /// Names and texts.
    pub(crate) queries: Vec<(String, String)>,
    pub(crate) format: Format,
    pub(crate) output: Option<PathBuf>,
    pub(crate) explain: bool,
    pub(crate) quiet: bool,
    pub(crate) options: RunOptions,
}

impl QueryArguments {
    /// Reads query files and checks what belongs together.
    pub(crate) fn resolve(self) -> Result<QueryPlan, Failure> {
        let queries = self.queries()?;
        if queries.is_empty() {
            let help =
                "no query; give one, e.g. \"SELECT protocol, count(*) FROM packets GROUP BY protocol\"";
            return Err(Failure::Usage(help.to_owned()));
        }
        if queries.len() > 1 && self.output.is_none() && self.format.is_one_table_a_file() && !self.explain {
            let message =
                "several queries in csv or arrow need a file each; add --output DIR, or take --format json";
            return Err(Failure::Usage(message.to_owned()));
        }
        let mut options = RunOptions {
            groups_max: self.groups_max as usize,
            allowed_lateness_ms: self.allowed_lateness_ms,
            ..RunOptions::default()
        };
        options.workers = self.workers.map_or(options.workers, usize::from);
        Ok(QueryPlan {
            queries,
            files: self.pcap,
            format: self.format,
            output: self.output,
            explain: self.explain,
            quiet: self.quiet,
            options,
        })
    }

    /// Every query with its name: the file's, or its place on the command line.
    fn queries(&self) -> Result<Vec<(String, String)>, Failure> {
        let mut queries = vec![];
        for file in &self.query_file {
            let text = std::fs::read_to_string(file)
                .map_err(|error| Failure::Usage(format!("--query-file {}: {error}", file.display())))?;
            name_all(&stem(file), split_statements(&text), &mut queries);
        }
        let statements = self.sql.iter().flat_map(|sql| split_statements(sql)).collect();
        name_all("query", statements, &mut queries);
        Ok(queries)
    }
}

/// One query keeps the name, several get numbers.
fn name_all(name: &str, texts: Vec<String>, queries: &mut Vec<(String, String)>) {
    let is_one = texts.len() == 1;
    for (number, text) in texts.into_iter().enumerate() {
        let name = if is_one { name.to_owned() } else { format!("{name}_{}", number + 1) };
        queries.push((name, text));
    }
}

fn stem(path: &Path) -> String {
    path.file_stem().map_or_else(|| "query".to_owned(), |stem| stem.to_string_lossy().into_owned())
}
