//! The node that is asked, and what it says of its records.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tapline_load::exports::socket;
use tapline_programs::usage::{self, Running};

use super::clients::Connection;

/// What it is asked by SQL: few groups, many, and many with an order.
const QUERIES: [(&str, &str); 3] = [
    ("all", "SELECT count(*) AS records, sum(octets) AS octets FROM flows GROUP BY tumble('1 second')"),
    (
        "matrix",
        "SELECT src_as, dst_as, sum(octets) AS octets FROM flows GROUP BY src_as, dst_as, tumble('10 seconds') ORDER BY octets DESC LIMIT 20",
    ),
    (
        "talkers",
        "SELECT src_ip, count(*) AS records FROM flows GROUP BY src_ip, tumble('10 seconds') ORDER BY records DESC LIMIT 20",
    ),
];

/// A node that collects flow exports.
pub(super) struct Node {
    pub(super) running: Running,
    /// The names of its queries.
    queries: Vec<String>,
    /// Where exports are sent.
    pub(super) listens: SocketAddr,
    /// Where it is asked.
    pub(super) api: SocketAddr,
}

/// What became of records so far.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fates {
    pub(super) delivered: u64,
    /// Dropped, or gone before it.
    pub(super) lost: u64,
}

impl Node {
    /// Starts it with its queries.
    pub(super) fn start(tapline: &Path) -> Result<Self> {
        let queries = QUERIES.map(|(name, sql)| (name.to_owned(), sql.to_owned()));
        Self::start_with(tapline, &queries, &["--allowed-lateness-ms", "2000"])
    }

    /// Starts it with these queries, by name, and more arguments.
    pub(super) fn start_with(
        tapline: &Path,
        queries: &[(String, String)],
        arguments: &[&str],
    ) -> Result<Self> {
        let (listens, api) = (socket::free_address()?, free_address()?);
        let mut command = Command::new(tapline);
        command.args(["run", "--bare", "--listen", &format!("udp://{listens}"), "--api", &api.to_string()]);
        command.args(["--event-time", "receive"]).args(arguments);
        let running = usage::start(&mut command)?;
        running.wait_until_it_answers(|| Connection::open(api)?.get("/healthz"))?;
        let mut connection = Connection::open(api)?;
        for (name, sql) in queries {
            let query = json!({ "name": name, "sql": sql });
            connection.ask("POST", "/api/v1/queries", Some(&query)).with_context(|| sql.clone())?;
        }
        socket::wait_for_listener(listens, &running)?;
        let queries = queries.iter().map(|(name, _)| name.clone()).collect();
        Ok(Self { running, queries, listens, api })
    }

    pub(super) fn fates(&self) -> Result<Fates> {
        let answer: Value = serde_json::from_slice(&Connection::open(self.api)?.get("/api/v1/sources")?)?;
        let source = &answer["sources"][0];
        let number = |name: &str| source[name].as_u64().with_context(|| format!("no {name}: {answer}"));
        Ok(Fates { delivered: number("delivered")?, lost: number("lost")? + number("dropped")? })
    }

    /// Whether the account of each of its queries adds up, and each had every record that was delivered.
    pub(super) fn check_accounts(&self) -> Result<()> {
        let delivered = self.fates()?.delivered;
        for name in &self.queries {
            let told = self.query(name)?;
            check_account(&told)?;
            ensure!(
                told["delivered"] == delivered,
                "{delivered} records were delivered, but to {name}: {told}"
            );
        }
        Ok(())
    }

    /// Rows and results that its queries lost.
    pub(super) fn lost_by_queries(&self) -> Result<u64> {
        let lost = |name: &String| {
            let told = self.query(name)?;
            let number = |key: &str| told[key].as_u64().with_context(|| format!("no {key}: {told}"));
            ["late", "dropped", "results_lost"].map(number).into_iter().sum::<Result<u64>>()
        };
        self.queries.iter().map(lost).sum()
    }

    /// What it says of a query.
    fn query(&self, name: &str) -> Result<Value> {
        let told = Connection::open(self.api)?.get(&format!("/api/v1/queries/{name}"))?;
        Ok(serde_json::from_slice(&told)?)
    }

    pub(super) fn end(self) -> Result<()> {
        self.running.signal("TERM")?;
        let measured = self.running.finish()?;
        ensure!(measured.output.status.success(), "the node ended badly: {}", measured.said());
        Ok(())
    }
}

/// Whether each row that came to a query has one fate.
pub(super) fn check_account(told: &Value) -> Result<()> {
    let number = |name: &str| told[name].as_u64().with_context(|| format!("no {name}: {told}"));
    let fates = ["used", "filtered", "late", "dropped"].map(number).into_iter().sum::<Result<u64>>()?;
    ensure!(number("delivered")? == fates, "an account does not add up: {told}");
    ensure!(told["state"] == "running", "it does not run: {told}");
    Ok(())
}

/// An address at which nobody listens.
pub(super) fn free_address() -> Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no TCP port is free")?;
    Ok(listener.local_addr()?)
}
