//! Results in tables of a ClickHouse server, a table a query, over HTTP as streams of Arrow.
//!
//! A block of rows has a name, by which the server knows it when it comes again; so what was sent last, and of which
//! nobody knows whether it arrived, is sent again in the same blocks. Rows say besides which result they are of: where a
//! block is another one after all, as over a restart, rows that came twice are one for whoever reads with FINAL.

mod server;
mod table;

use crate::proof::ProofFiles;
use crate::sink::{Parcel, Refusal, ResultId, Sink};
use crate::table_names::TableNames;
use arrow_ipc::writer::StreamWriter;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::error::ArrowError;
use server::{Line, Place, pairs};
use std::collections::BTreeMap;
use std::slice;
use table::{Column, addition, columns_of, creation, list, literal, quoted, rows_of};
use tapline_record::EventTime;

/// Where results go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClickHouseOptions {
    place: Place,
    proof: ProofFiles,
    names: TableNames,
}

impl ClickHouseOptions {
    /// A server, user and database, as a URL names them; `{query}` in `table` stands for the name of the query.
    ///
    /// # Errors
    /// A sentence: what is wrong with these.
    pub fn new(url: &str, proof: ProofFiles, table: Option<&str>) -> Result<Self, String> {
        Ok(Self { names: TableNames::of(table)?, place: Place::of(url)?, proof })
    }
}

/// Writes results into tables.
pub struct ClickHouseSink {
    options: ClickHouseOptions,
    line: Option<Line>,
    /// Tables that have these columns.
    tables: BTreeMap<String, Vec<Column>>,
    /// Results that were sent without an answer.
    unanswered: Vec<ResultId>,
}

/// Rows for one table, and the results that they are of.
#[derive(Default)]
struct Block {
    batches: Vec<RecordBatch>,
    ids: Vec<ResultId>,
}

/// Tables with their columns, and the rows for each.
type Blocks = BTreeMap<(String, Vec<Column>), Block>;

impl ClickHouseSink {
    /// Writes where these options say; connects when there is something to write.
    #[must_use]
    pub const fn new(options: ClickHouseOptions) -> Self {
        Self { options, line: None, tables: BTreeMap::new(), unanswered: vec![] }
    }

    /// As many results as were sent before without an answer, or all.
    fn again<'a>(&self, parcels: &'a [Parcel]) -> &'a [Parcel] {
        let ids = &self.unanswered;
        match parcels.split_at_checked(ids.len()) {
            Some((before, _))
                if !ids.is_empty() && before.iter().map(|parcel| parcel.id).eq(ids.iter().copied()) =>
            {
                before
            }
            _ => parcels,
        }
    }

    /// The rows of results, up to the first one that has none; with the number of these results.
    fn blocks(&self, parcels: &[Parcel]) -> (usize, Blocks, Result<(), Refusal>) {
        let mut blocks = Blocks::new();
        for (number, parcel) in parcels.iter().enumerate() {
            match rows(parcel) {
                Ok(batches) => {
                    let Some(first) = batches.first() else { continue };
                    let table = self.options.names.of_query(&parcel.origin.name);
                    let block = blocks.entry((table, columns_of(first))).or_default();
                    block.batches.extend(batches);
                    block.ids.push(parcel.id);
                }
                Err(error) => return (number, blocks, Err(Refusal::Never(error.to_string()))),
            }
        }
        (parcels.len(), blocks, Ok(()))
    }

    fn send(&mut self, blocks: &Blocks) -> Result<(), String> {
        let ClickHouseOptions { place, proof, .. } = &self.options;
        let line = match self.line.take() {
            Some(line) => line,
            None => place.line(proof)?,
        };
        for ((name, columns), block) in blocks {
            let table = format!("{}.{}", quoted(&place.database), quoted(name));
            if self.tables.get(name) != Some(columns) {
                prepare(place, &line, name, &table, columns)?;
                self.tables.insert(name.clone(), columns.clone());
            }
            let statement = format!("INSERT INTO {table} ({}) FORMAT ArrowStream", list(columns));
            let body = block.body().map_err(|error| error.to_string())?;
            let token = block.token();
            // Blocks have names where they are written at once.
            let settings = [("insert_deduplication_token", token.as_str()), ("async_insert", "0")];
            place.ask(&line, &statement, &settings, &body)?;
        }
        self.line = Some(line);
        Ok(())
    }
}

/// The rows of a result, as its table has them.
fn rows(parcel: &Parcel) -> Result<Vec<RecordBatch>, ArrowError> {
    let mut first_row = 0_u32;
    let batches = parcel.origin.columns.batches(&parcel.result)?;
    let rows = batches.iter().map(|batch| {
        let rows = rows_of(batch, parcel.id, first_row);
        first_row = first_row.saturating_add(u32::try_from(batch.num_rows()).unwrap_or(u32::MAX));
        rows
    });
    rows.collect()
}

/// Makes a table, or the columns that it lacks.
fn prepare(place: &Place, line: &Line, name: &str, table: &str, columns: &[Column]) -> Result<(), String> {
    let statement = format!(
        "SELECT name, type FROM system.columns WHERE database = {} AND table = {} FORMAT JSONCompact",
        literal(&place.database),
        literal(name)
    );
    let there = pairs(&place.ask(line, &statement, &[], &[])?);
    let there: Vec<Column> = there.into_iter().map(|(name, kind)| Column { name, kind }).collect();
    let statement =
        if there.is_empty() { Some(creation(table, columns)) } else { addition(table, columns, &there)? };
    statement.map_or(Ok(()), |statement| place.ask(line, &statement, &[], &[]).map(drop))
}

impl Block {
    /// The name by which the server knows it again.
    fn token(&self) -> String {
        let part =
            |id: Option<&ResultId>| id.map_or_else(String::new, |id| format!("{}-{}", id.sender, id.number));
        format!("{}-{}-{}", part(self.ids.first()), part(self.ids.last()), self.ids.len())
    }

    /// Its rows as a stream.
    fn body(&self) -> Result<Vec<u8>, ArrowError> {
        let Some(first) = self.batches.first() else { return Ok(vec![]) };
        let schema = first.schema();
        let mut writer = StreamWriter::try_new(vec![], &schema)?;
        for batch in &self.batches {
            writer.write(&RecordBatch::try_new(schema.clone(), batch.columns().to_vec())?)?;
        }
        writer.into_inner()
    }
}

impl Sink for ClickHouseSink {
    fn take(&mut self, parcel: &Parcel) -> Result<(), Refusal> {
        self.take_all(slice::from_ref(parcel)).1
    }

    fn take_all(&mut self, parcels: &[Parcel]) -> (usize, Result<(), Refusal>) {
        let parcels = self.again(parcels);
        let (count, blocks, next) = self.blocks(parcels);
        if let Err(why) = self.send(&blocks) {
            // Tables may be others by then.
            self.tables.clear();
            self.unanswered = parcels.iter().take(count).map(|parcel| parcel.id).collect();
            return (0, Err(Refusal::Later(why)));
        }
        self.unanswered.clear();
        (count, next)
    }

    fn finish(&mut self, _: EventTime) -> Result<(), String> {
        self.line = None;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_results::parcel;
    use std::net::TcpListener;

    fn sink(url: &str) -> ClickHouseSink {
        ClickHouseSink::new(ClickHouseOptions::new(url, ProofFiles::default(), None).unwrap())
    }

    #[test]
    fn what_nobody_answered_is_sent_again_in_the_same_blocks() {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut sink = sink(&format!("http://127.0.0.1:{port}/d"));
        let parcels: Vec<Parcel> = (1..=5).map(|number| parcel("a", number)).collect();
        let (taken, refused) = sink.take_all(&parcels[..2]);
        let refused = refused.unwrap_err();
        assert!(matches!(&refused, Refusal::Later(why) if why.contains("does not answer")), "{refused}");
        assert_eq!((taken, sink.again(&parcels).len()), (0, 2));
        assert_eq!((sink.again(&parcels[..1]).len(), sink.again(&parcels[1..]).len()), (1, 4));
        let (count, blocks, next) = sink.blocks(&parcels[..2]);
        assert!(count == 2 && next.is_ok());
        let (_, block) = blocks.first_key_value().unwrap();
        assert_eq!((blocks.len(), block.token().as_str(), block.batches.len()), (1, "1-1-1-2-2", 2));
        assert!(!block.body().unwrap().is_empty());
    }
}
