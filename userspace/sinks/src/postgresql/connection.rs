//! A connection to a PostgreSQL server, and what a transaction of it does.
//!
//! A transaction begins with the row of `tapline_sent` that says how far results of a sender have arrived. It is locked
//! until the end, so that of two connections, one of them given up and the other one new, only one writes, and what has
//! arrived already is left out.

use super::failure::Failure;
use super::table::{Column, Table, list};
use super::tls::Tls;
use crate::place;
use crate::proof::ProofFiles;
use crate::sink::ResultId;
use bytes::Bytes;
use futures::SinkExt as _;
use std::collections::BTreeMap;
use std::pin::pin;
use tokio::task::JoinHandle;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::{Client, Config, Error, NoTls, SimpleQueryMessage, Transaction};

/// The table that says how far results of each sender have arrived.
pub(super) const SENT: &str = "tapline_sent";
const DEFAULT_PORT: u16 = 5432;
/// Octets of rows in one message; the server takes no more than a gigabyte.
const PART_OCTETS_MAX: usize = 1 << 20;

/// The rows of a result.
pub(super) struct Piece {
    pub(super) id: ResultId,
    pub(super) table: Table,
    pub(super) columns: Vec<Column>,
    /// As `COPY` reads them.
    pub(super) text: Bytes,
}

/// A connection, and what is known of the tables that it has written to.
pub(super) struct Connection {
    client: Client,
    /// What moves its octets.
    task: JoinHandle<()>,
    tables: BTreeMap<Table, Vec<Column>>,
    has_sent: bool,
}

impl Connection {
    pub(super) async fn open(config: &Config, proof: &ProofFiles) -> Result<Self, Failure> {
        let mut config = config.clone();
        if let Some(password) = proof.password().map_err(Failure::Said)? {
            config.password(password);
        }
        if is_encrypted(&config, proof) {
            let tls = proof.roots().and_then(Tls::new).map_err(Failure::Said)?;
            let (client, connection) = config.ssl_mode(SslMode::Require).connect(tls).await?;
            Ok(Self::of(client, connection))
        } else {
            let (client, connection) = config.ssl_mode(SslMode::Disable).connect(NoTls).await?;
            Ok(Self::of(client, connection))
        }
    }

    fn of(client: Client, connection: impl Future<Output = Result<(), Error>> + Send + 'static) -> Self {
        // What ends a connection, its client is told, too.
        let task = tokio::spawn(async move { drop(connection.await) });
        Self { client, task, tables: BTreeMap::new(), has_sent: false }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// Closes it at once, and with it what it has not committed: whoever mends a table need not wait for its locks.
    pub(super) async fn close(mut self) {
        self.task.abort();
        let _ = (&mut self.task).await;
    }

    /// Writes results, all of them or none; those that have arrived already are left out.
    pub(super) async fn send(&mut self, schema: &str, pieces: &[Piece]) -> Result<(), Failure> {
        let transaction = self.client.transaction().await?;
        let sent = Table { schema: schema.to_owned(), name: SENT.to_owned() };
        if !self.has_sent {
            prepare(&sent, &transaction).await?;
        }
        let mut marks: BTreeMap<i64, i64> = BTreeMap::new();
        let mut loads: BTreeMap<(&Table, &[Column]), Vec<&Bytes>> = BTreeMap::new();
        for Piece { id, table, columns, text } in pieces {
            let mark = match marks.get(&id.sender) {
                Some(mark) => *mark,
                None => mark(&sent, &transaction, id.sender).await?,
            };
            marks.insert(id.sender, mark.max(id.number));
            if id.number > mark {
                loads.entry((table, columns.as_slice())).or_default().push(text);
            }
        }
        for ((table, columns), texts) in loads {
            if self.tables.get(table).is_none_or(|known| known != columns) {
                table.prepare(&transaction, columns).await?;
                self.tables.insert(table.clone(), columns.to_vec());
            }
            copy(&transaction, table, columns, texts).await?;
        }
        for (sender, number) in marks {
            let table = sent.quoted();
            let statement = format!("UPDATE {table} SET number = {number} WHERE sender = {sender}");
            transaction.batch_execute(&statement).await?;
        }
        transaction.commit().await?;
        self.has_sent = true;
        Ok(())
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Makes the table of what has arrived, and takes out what nobody asks for any more.
async fn prepare(sent: &Table, transaction: &Transaction<'_>) -> Result<(), Failure> {
    let table = sent.quoted();
    let statement = if sent.columns(transaction).await?.is_empty() {
        sent.make_schema(transaction).await?;
        format!(
            "CREATE TABLE {table} (sender bigint PRIMARY KEY, number bigint NOT NULL, at timestamptz NOT NULL)"
        )
    } else {
        format!("DELETE FROM {table} WHERE at < now() - interval '30 days'")
    };
    Ok(transaction.batch_execute(&statement).await?)
}

/// The last result of a sender that has arrived; nobody else writes results of it until the transaction ends.
async fn mark(sent: &Table, transaction: &Transaction<'_>, sender: i64) -> Result<i64, Failure> {
    let statement = format!(
        "INSERT INTO {} AS sent (sender, number, at) VALUES ({sender}, 0, now()) \
         ON CONFLICT (sender) DO UPDATE SET at = now() RETURNING number",
        sent.quoted()
    );
    let answer = transaction.simple_query(&statement).await?;
    let number = answer.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0)?.parse().ok(),
        _ => None,
    });
    number.ok_or_else(|| Failure::Said(format!("{} has no column `number` of ours", sent.quoted())))
}

async fn copy(
    transaction: &Transaction<'_>,
    table: &Table,
    columns: &[Column],
    texts: Vec<&Bytes>,
) -> Result<(), Failure> {
    let statement = format!("COPY {} ({}) FROM STDIN", table.quoted(), list(columns));
    let mut rows = pin!(transaction.copy_in::<str, Bytes>(&statement).await?);
    for text in texts {
        for start in (0..text.len()).step_by(PART_OCTETS_MAX) {
            let end = text.len().min(start + PART_OCTETS_MAX);
            rows.send(text.slice(start..end)).await?;
        }
    }
    rows.finish().await?;
    Ok(())
}

/// Whether TLS is spoken: with other machines, unless the url says that it is not; with this one, where somebody asks
/// for it.
fn is_encrypted(config: &Config, proof: &ProofFiles) -> bool {
    match config.get_ssl_mode() {
        SslMode::Disable => false,
        SslMode::Require => true,
        _ => proof.ca.is_some() || !is_this_machine(config),
    }
}

fn is_this_machine(config: &Config) -> bool {
    let is_here = |host: &Host| match host {
        Host::Tcp(name) => place::is_this_machine(name),
        Host::Unix(_) => true,
    };
    let addresses = config.get_hostaddrs();
    config.get_hosts().iter().all(is_here) && addresses.iter().all(|address| place::is_loopback(*address))
}

/// The server, for people.
pub(super) fn place(config: &Config) -> String {
    let ports = config.get_ports();
    let host = |(number, host): (usize, &Host)| {
        let port = ports.get(number).or_else(|| ports.first()).unwrap_or(&DEFAULT_PORT);
        match host {
            Host::Tcp(name) => format!("{name}:{port}"),
            Host::Unix(path) => format!("{}:{port}", path.display()),
        }
    };
    config.get_hosts().iter().enumerate().map(host).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_machines_are_spoken_to_over_tls() {
        let ca = ProofFiles { ca: Some("/etc/ca.pem".into()), ..ProofFiles::default() };
        let none = ProofFiles::default();
        for (url, proof, expected) in [
            ("postgresql://a@127.0.0.1/b", &none, false),
            ("postgresql://a@localhost/b", &none, false),
            ("postgresql://a@%2Frun%2Fpostgresql/b", &none, false),
            ("postgresql://a@127.0.0.1/b", &ca, true),
            ("postgresql://a@127.0.0.1/b?sslmode=require", &none, true),
            ("postgresql://a@db.example/b", &none, true),
            ("postgresql://a@localhost,db.example/b", &none, true),
            ("postgresql://a@db.example/b?sslmode=disable", &none, false),
        ] {
            assert_eq!(is_encrypted(&url.parse().unwrap(), proof), expected, "{url}");
        }
        let config = "postgresql://a@h1:5433,h2/b".parse().unwrap();
        assert_eq!(place(&config), "h1:5433, h2:5432");
    }
}
