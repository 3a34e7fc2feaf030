//! Results in tables of a PostgreSQL server, a table a query.
//!
//! ```text
//! results ──► rows as text ──► one transaction: what has arrived already is left out · COPY · how far it got now
//! ```
//! A result is in its table once, however often it is sent: what is written, and that it is written, become true in the
//! same moment. Tables are made of the columns of results; columns that come later are added, none is changed or dropped.

mod connection;
mod failure;
mod table;
mod text;
mod tls;

use crate::proof::ProofFiles;
use crate::sink::{Parcel, Refusal, Sink};
use crate::table_names::TableNames;
use bytes::Bytes;
use connection::{Connection, Piece, SENT};
use failure::Failure;
use std::error::Error as _;
use std::slice;
use std::time::Duration;
use table::{Column, Table, table_name};
use tapline_record::EventTime;
use tokio::runtime::{Builder, Runtime};
use tokio::time::error::Elapsed;
use tokio::time::timeout;
use tokio_postgres::Config;

/// How long a server may take to let us in; where it has several addresses, each has a part of that.
const CONNECTED_WITHIN: Duration = Duration::from_secs(10);
/// How long it may take for what is sent at once; a second more for each mebibyte.
const SENT_WITHIN: Duration = Duration::from_secs(60);
/// How long what is sent may stay without an answer of the other machine.
const ACKNOWLEDGED_WITHIN: Duration = Duration::from_secs(30);
/// Where tables are, where nothing is said.
const SCHEMA: &str = "public";

/// Where results go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostgresqlOptions {
    config: Config,
    user: String,
    proof: ProofFiles,
    schema: String,
    tables: TableNames,
}

impl PostgresqlOptions {
    /// A server, user and database, as a URL names them; `{query}` in `table` stands for the name of the query.
    ///
    /// # Errors
    /// A sentence: what is wrong with these.
    pub fn new(
        url: &str,
        proof: ProofFiles,
        schema: Option<&str>,
        table: Option<&str>,
    ) -> Result<Self, String> {
        const RIGHT: &str = "write postgresql://USER@HOST:5432/DATABASE";
        if !url.starts_with("postgresql://") && !url.starts_with("postgres://") {
            return Err(format!("url: it does not begin with postgresql://; {RIGHT}"));
        }
        // What is wrong is said without the URL, which may have a password in it.
        let mut config: Config = url.parse().map_err(|error: tokio_postgres::Error| {
            let cause = error.source().map_or_else(|| error.to_string(), ToString::to_string);
            format!("url: {cause}; {RIGHT}")
        })?;
        if config.get_password().is_some() {
            return Err(
                "url: it has a password in it; put that into a file, and give password_file".to_owned()
            );
        }
        let user = config.get_user().ok_or_else(|| format!("url: it names no user; {RIGHT}"))?.to_owned();
        if config.get_hosts().is_empty() {
            return Err(format!("url: it names no server; {RIGHT}"));
        }
        let tables = TableNames::of(table)?;
        config.application_name("tapline");
        config.tcp_user_timeout(ACKNOWLEDGED_WITHIN);
        if config.get_connect_timeout().is_none() {
            let hosts = u32::try_from(config.get_hosts().len()).unwrap_or(u32::MAX);
            config.connect_timeout(CONNECTED_WITHIN / hosts.saturating_add(1));
        }
        let schema = schema.unwrap_or(SCHEMA).to_owned();
        Ok(Self { config, user, proof, schema, tables })
    }
}

/// Writes results into tables.
pub struct PostgresqlSink {
    options: PostgresqlOptions,
    runtime: Runtime,
    connection: Option<Connection>,
}

impl PostgresqlSink {
    /// Writes where these options say; connects when there is something to write.
    ///
    /// # Errors
    /// When the system has no room for what moves octets.
    pub fn new(options: PostgresqlOptions) -> Result<Self, String> {
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| format!("connections cannot be made: {error}"))?;
        Ok(Self { options, runtime, connection: None })
    }

    /// The rows of results, up to the first one that has none.
    fn pieces(&self, parcels: &[Parcel]) -> (Vec<Piece>, Result<(), Refusal>) {
        let mut pieces = vec![];
        for parcel in parcels {
            match self.piece(parcel) {
                Ok(piece) => pieces.push(piece),
                Err(why) => return (pieces, Err(Refusal::Never(why))),
            }
        }
        (pieces, Ok(()))
    }

    fn piece(&self, parcel: &Parcel) -> Result<Piece, String> {
        let Parcel { id, origin, result, .. } = parcel;
        let name = table_name(&self.options.tables.of_query(&origin.name));
        if name == SENT {
            return Err(format!("the table {SENT} is the sink's own; give it another template of tables"));
        }
        let batches = origin.columns.batches(result).map_err(|error| error.to_string())?;
        let mut rows = vec![];
        let appended = batches.iter().try_for_each(|batch| text::append_rows(&mut rows, batch));
        appended.map_err(|error| error.to_string())?;
        let table = Table { schema: self.options.schema.clone(), name };
        let columns = Column::all_of(origin.columns.schema());
        Ok(Piece { id: *id, table, columns, text: Bytes::from(rows) })
    }

    /// Sends over the connection that there is, or a new one.
    fn send(&mut self, pieces: &[Piece]) -> Result<(), String> {
        let was_open = self.connection.is_some();
        match self.try_to_send(pieces) {
            // It may have been closed long ago, and tables may be others by now.
            Err(_) if was_open => self.try_to_send(pieces),
            outcome => outcome,
        }
    }

    fn try_to_send(&mut self, pieces: &[Piece]) -> Result<(), String> {
        let PostgresqlOptions { config, user, proof, schema, .. } = &self.options;
        // One over which something went wrong is closed.
        let open = self.connection.take().filter(|connection| !connection.is_closed());
        let place = connection::place(config);
        let too_late = |within: Duration| {
            let said = format!("PostgreSQL at {place} gave no answer within {} s", within.as_secs());
            move |_: Elapsed| Failure::Said(said)
        };
        let sent = self.runtime.block_on(async {
            let mut connection = if let Some(connection) = open {
                connection
            } else {
                let opened = timeout(CONNECTED_WITHIN, Connection::open(config, proof)).await;
                opened.map_err(too_late(CONNECTED_WITHIN))??
            };
            let mebibytes = pieces.iter().map(|piece| piece.text.len() as u64).sum::<u64>() >> 20;
            let within = SENT_WITHIN + Duration::from_secs(mebibytes);
            let sent = timeout(within, connection.send(schema, pieces)).await;
            let sent = sent.map_err(too_late(within)).flatten();
            if let Err(failure) = sent {
                connection.close().await;
                return Err(failure);
            }
            Ok::<_, Failure>(connection)
        });
        let said = |failure: Failure| failure.said(&place, user);
        self.connection = Some(sent.map_err(said)?);
        Ok(())
    }
}

impl Sink for PostgresqlSink {
    fn take(&mut self, parcel: &Parcel) -> Result<(), Refusal> {
        self.take_all(slice::from_ref(parcel)).1
    }

    fn take_all(&mut self, parcels: &[Parcel]) -> (usize, Result<(), Refusal>) {
        let (pieces, next) = self.pieces(parcels);
        if pieces.is_empty() {
            return (0, next);
        }
        match self.send(&pieces) {
            Ok(()) => (pieces.len(), next),
            Err(why) => (0, Err(Refusal::Later(why))),
        }
    }

    fn finish(&mut self, _: EventTime) -> Result<(), String> {
        self.connection = None;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_results::parcel;
    use std::net::TcpListener;

    fn options(url: &str) -> Result<PostgresqlOptions, String> {
        PostgresqlOptions::new(url, ProofFiles::default(), None, None)
    }

    #[test]
    fn what_is_wrong_with_an_address_is_said_without_a_password() {
        for (url, expected) in [
            ("http://a", "url: it does not begin with postgresql://; write postgresql://USER@HOST"),
            ("postgresql://a:open-sesame@b/c", "url: it has a password in it; put that into a file"),
            ("postgresql://a:open-sesame@b:x/c", "url: "),
            ("postgresql://b/c", "url: it names no user"),
            ("postgresql:///c?user=a", "url: it names no server"),
            ("postgresql://a@b/c?sslmode=verify-full", "url: "),
        ] {
            let wrong = options(url).unwrap_err();
            assert!(wrong.starts_with(expected) && !wrong.contains("sesame"), "{url}: {wrong}");
        }
        let limits = ["a", "a,b,c,d", "a?connect_timeout=1"].map(|hosts| {
            let url = format!("postgresql://u@{}", hosts.replacen('?', "/d?", 1));
            options(&url).unwrap().config.get_connect_timeout().copied()
        });
        assert_eq!(limits, [5, 2, 1].map(|seconds| Some(Duration::from_secs(seconds))));
    }

    #[test]
    fn a_server_that_is_not_there_is_told_and_results_wait() {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut sink =
            PostgresqlSink::new(options(&format!("postgresql://a@127.0.0.1:{port}/b")).unwrap()).unwrap();
        let (taken, refused) = sink.take_all(&[parcel("a", 1), parcel("b", 2)]);
        let refused = refused.unwrap_err();
        let expected = format!("PostgreSQL at 127.0.0.1:{port} does not answer: Connection refused");
        assert!(matches!(&refused, Refusal::Later(why) if why.starts_with(&expected)), "{refused}");
        assert_eq!(taken, 0);
        let own = sink.take(&parcel(SENT, 3)).unwrap_err();
        assert!(matches!(&own, Refusal::Never(why) if why.contains("is the sink's own")), "{own}");
    }
}
