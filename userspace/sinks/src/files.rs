//! Results in files of a folder, a series a query, rotated by size and age.
//!
//! Lines of JSON and CSV are appended to `NAME.jsonl` and `NAME.csv` as results come; what is full or old enough gets the
//! time of its first result into its name. A result is in a file as a whole or not at all: what a full disk or a crash
//! left half is cut off. Parquet files have their ends last, so that results are held until a file of them is due, and
//! then written with the time in its name.

use crate::hidden_file::{HiddenFile, ParquetFailure};
use crate::json::lines;
use crate::plain::plain;
use crate::printable::{flat, time_text};
use crate::sink::{Parcel, Refusal, Sink};
use arrow_csv::WriterBuilder;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::compute::concat_batches;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::error::ArrowError;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, ErrorKind, Read, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tapline_record::EventTime;

/// Octets of rows that are held for files of Parquet, of all queries together; beyond, the largest file is written.
const HELD_OCTETS_MAX: u64 = 256 << 20;

/// How results stand in files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileFormat {
    /// An object a line.
    Json,
    /// Comma-separated values, with a header line.
    Csv,
    /// Parquet, in types that every engine reads.
    Parquet,
}

impl FileFormat {
    const fn extension(self) -> &'static str {
        match self {
            Self::Json => "jsonl",
            Self::Csv => "csv",
            Self::Parquet => "parquet",
        }
    }
}

/// Where results are written, and when a file is full.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileOptions {
    /// The folder; it is made.
    pub folder: PathBuf,
    /// How they stand there.
    pub format: FileFormat,
    /// Octets of a file; of rows in memory, for Parquet.
    pub octets_max: u64,
    /// How long results come into one file.
    pub rotate_after: Duration,
}

/// Writes results into files.
pub struct FileSink {
    options: FileOptions,
    series: BTreeMap<String, Series>,
    lost: BTreeMap<String, u64>,
}

/// The file of a query that is not full yet.
enum Series {
    Text(TextFile),
    Parquet(Rows),
}

/// A file that grows.
struct TextFile {
    path: PathBuf,
    file: File,
    /// Those of whole results.
    octets: u64,
    /// Whether there is more behind them.
    is_torn: bool,
    /// Its first line, where it has one; empty for formats without.
    header: Vec<u8>,
    begun: EventTime,
}

/// Rows for a file that is to be written.
struct Rows {
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
    octets: u64,
    results: u64,
    begun: EventTime,
}

impl FileSink {
    /// Writes into this folder.
    #[must_use]
    pub const fn new(options: FileOptions) -> Self {
        Self { options, series: BTreeMap::new(), lost: BTreeMap::new() }
    }

    fn is_due(&self, octets: u64, begun: EventTime, now: EventTime) -> bool {
        let age = u64::try_from(now.0.saturating_sub(begun.0)).unwrap_or_default();
        let is_old = u128::from(age) >= self.options.rotate_after.as_nanos();
        octets > 0 && (is_old || octets >= self.options.octets_max)
    }

    fn take_text(&mut self, parcel: &Parcel, batches: &[RecordBatch]) -> Result<(), Refusal> {
        let name = &parcel.origin.name;
        let never = |error: ArrowError| Refusal::Never(error.to_string());
        let (header, text) = match self.options.format {
            FileFormat::Csv => csv(parcel.origin.columns.schema(), batches).map_err(never)?,
            FileFormat::Json | FileFormat::Parquet => (vec![], lines(batches).map_err(never)?),
        };
        // Another query has this name by now.
        let is_other = |series: &Series| match series {
            Series::Text(file) => file.has_other(&header),
            Series::Parquet(_) => false,
        };
        if self.series.get(name).is_some_and(is_other) {
            self.rotate(name).map_err(Refusal::Later)?;
        }
        let series = match self.series.entry(name.clone()) {
            Entry::Occupied(series) => series.into_mut(),
            Entry::Vacant(free) => {
                let FileOptions { folder, format, .. } = &self.options;
                let path = folder.join(format!("{name}.{}", format.extension()));
                let file = TextFile::open(folder, path, &header, parcel.given);
                free.insert(Series::Text(file.map_err(|error| Refusal::Later(said(folder, &error)))?))
            }
        };
        let Series::Text(file) = series else { return Ok(()) };
        file.append(&header, &text).map_err(|error| Refusal::Later(said(&file.path, &error)))
    }

    fn take_rows(&mut self, parcel: &Parcel, batches: &[RecordBatch]) -> Result<(), Refusal> {
        let never = |error: ArrowError| Refusal::Never(error.to_string());
        let Some(schema) = batches.first().map(RecordBatch::schema) else { return Ok(()) };
        // At once, since types go by values: a result is in one file, whose columns are all of one type.
        let batch = concat_batches(&schema, batches).and_then(|batch| plain(&batch)).map_err(never)?;
        let schema = batch.schema();
        let name = &parcel.origin.name;
        let is_other = |series: &Series| matches!(series, Series::Parquet(rows) if rows.schema != schema);
        if self.series.get(name).is_some_and(is_other) {
            self.rotate(name).map_err(Refusal::Later)?;
        }
        let new = || Rows {
            schema: SchemaRef::clone(&schema),
            batches: vec![],
            octets: 0,
            results: 0,
            begun: parcel.given,
        };
        let series = self.series.entry(name.clone()).or_insert_with(|| Series::Parquet(new()));
        let Series::Parquet(rows) = series else { return Ok(()) };
        rows.octets += batch.get_array_memory_size() as u64;
        rows.batches.push(batch);
        rows.results += 1;
        Ok(())
    }

    /// The query of which most is held, where there is no room for more.
    fn largest(&self) -> Option<String> {
        let held = |series: &Series| if series.results_held() > 0 { series.octets() } else { 0 };
        let all: u64 = self.series.values().map(held).sum();
        let largest = self.series.iter().max_by_key(|(_, series)| held(series));
        largest.filter(|_| all >= HELD_OCTETS_MAX).map(|(name, _)| name.clone())
    }

    /// Ends the file of a query: it gets the time into its name.
    fn rotate(&mut self, name: &str) -> Result<(), String> {
        let Some(series) = self.series.get(name) else { return Ok(()) };
        let (begun, extension) = (series.begun(), self.options.format.extension());
        let path = free_path(&self.options.folder, name, begun, extension);
        match series {
            Series::Text(file) => match fs::rename(&file.path, &path) {
                // Whoever took it away has its results.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                renamed => renamed.map_err(|error| said(&path, &error))?,
            },
            Series::Parquet(rows) => match rows.write(&self.options.folder, &path) {
                Err(failure @ ParquetFailure::Disk(..)) => return Err(failure.to_string()),
                // They would stand in the way of all that comes after them.
                Err(ParquetFailure::Rows(..)) => {
                    *self.lost.entry(name.to_owned()).or_default() += rows.results;
                }
                Ok(()) => {}
            },
        }
        self.series.remove(name);
        Ok(())
    }
}

impl Sink for FileSink {
    fn take(&mut self, parcel: &Parcel) -> Result<(), Refusal> {
        let name = &parcel.origin.name;
        let series = self.series.get(name);
        if series.is_some_and(|series| self.is_due(series.octets(), series.begun(), parcel.given)) {
            self.rotate(name).map_err(Refusal::Later)?;
        }
        if let Some(largest) = self.largest() {
            self.rotate(&largest).map_err(Refusal::Later)?;
        }
        let batches = parcel.origin.columns.batches(&parcel.result);
        let batches = batches.map_err(|error| Refusal::Never(error.to_string()))?;
        match self.options.format {
            FileFormat::Parquet => self.take_rows(parcel, &batches),
            FileFormat::Json | FileFormat::Csv => self.take_text(parcel, &batches),
        }
    }

    fn tend(&mut self, now: EventTime) -> Result<(), String> {
        let is_due = |series: &Series| self.is_due(series.octets(), series.begun(), now);
        let due: Vec<String> =
            self.series.iter().filter(|(_, series)| is_due(series)).map(|(name, _)| name.clone()).collect();
        due.iter().try_for_each(|name| self.rotate(name))
    }

    fn held(&self) -> u64 {
        self.series.values().map(Series::results_held).sum()
    }

    fn unsafe_since(&self) -> BTreeMap<String, EventTime> {
        let held = self.series.iter().filter(|(_, series)| series.results_held() > 0);
        held.map(|(name, series)| (name.clone(), series.begun())).collect()
    }

    fn lost(&mut self) -> BTreeMap<String, u64> {
        std::mem::take(&mut self.lost)
    }

    fn finish(&mut self, _: EventTime) -> Result<(), String> {
        let mut outcome = Ok(());
        // Files of text go on where they were.
        let held = self.series.iter().map(|(name, series)| (name.clone(), series.results_held()));
        let held: Vec<_> = held.filter(|(_, results)| *results > 0).collect();
        for (name, results) in held {
            if let Err(why) = self.rotate(&name) {
                *self.lost.entry(name).or_default() += results;
                outcome = Err(why);
            }
        }
        outcome
    }
}

impl Series {
    const fn octets(&self) -> u64 {
        match self {
            Self::Text(file) => file.octets,
            Self::Parquet(rows) => rows.octets,
        }
    }

    const fn begun(&self) -> EventTime {
        match self {
            Self::Text(file) => file.begun,
            Self::Parquet(rows) => rows.begun,
        }
    }

    const fn results_held(&self) -> u64 {
        match self {
            Self::Text(_) => 0,
            Self::Parquet(rows) => rows.results,
        }
    }
}

impl TextFile {
    /// Opens the file to go on with, or a new one: one with another header is put aside.
    fn open(folder: &Path, path: PathBuf, header: &[u8], now: EventTime) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        if path.exists() && !begins_with(&path, header)? {
            let (name, extension) = (stem(&path), path.extension().unwrap_or_default().to_string_lossy());
            fs::rename(&path, free_path(folder, &name, now, &extension))?;
        }
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path)?;
        let octets = whole_lines(&mut file)?;
        file.set_len(octets)?;
        file.seek(SeekFrom::Start(octets))?;
        Ok(Self { path, file, octets, is_torn: false, header: header.to_vec(), begun: now })
    }

    /// Whether it holds results of other columns than this header's.
    fn has_other(&self, header: &[u8]) -> bool {
        self.octets > 0 && self.header != header
    }

    /// Appends a result, behind a header where it is the first; all of it or nothing.
    fn append(&mut self, header: &[u8], text: &[u8]) -> io::Result<()> {
        if self.is_torn {
            self.cut()?;
        }
        let first = if self.octets == 0 { header } else { &[] };
        if let Err(error) = self.file.write_all(first).and_then(|()| self.file.write_all(text)) {
            // What cannot be cut off now is before anything else is written.
            self.is_torn = true;
            let _ = self.cut();
            return Err(error);
        }
        if self.octets == 0 {
            self.header = header.to_vec();
        }
        self.octets += (first.len() + text.len()) as u64;
        Ok(())
    }

    /// Leaves whole results only.
    fn cut(&mut self) -> io::Result<()> {
        self.file.set_len(self.octets)?;
        self.file.seek(SeekFrom::Start(self.octets))?;
        self.is_torn = false;
        Ok(())
    }
}

impl Rows {
    fn write(&self, folder: &Path, path: &Path) -> Result<(), ParquetFailure> {
        let on_disk = |error: io::Error| ParquetFailure::Disk(folder.to_owned(), error.to_string());
        fs::create_dir_all(folder).map_err(on_disk)?;
        let hidden = path.with_file_name(format!(".{}.new", stem(path)));
        HiddenFile::write(hidden, &self.schema, self.batches.iter().cloned().map(Ok))?.publish(path)
    }
}

/// The header line of these columns, and the lines of the rows.
fn csv(schema: &SchemaRef, batches: &[RecordBatch]) -> Result<(Vec<u8>, Vec<u8>), ArrowError> {
    let mut header = WriterBuilder::new().with_header(true).build(vec![]);
    header.write(&flat(&RecordBatch::new_empty(SchemaRef::clone(schema)))?)?;
    let mut rows = WriterBuilder::new().with_header(false).build(vec![]);
    for batch in batches {
        rows.write(&flat(batch)?)?;
    }
    Ok((header.into_inner(), rows.into_inner()))
}

/// Octets of the lines of a file that have their ends.
fn whole_lines(file: &mut File) -> io::Result<u64> {
    const BLOCK: u64 = 1 << 16;
    let mut end = file.metadata()?.len();
    while end > 0 {
        let start = end.saturating_sub(BLOCK);
        let mut block = vec![];
        file.seek(SeekFrom::Start(start))?;
        Read::take(&mut *file, end - start).read_to_end(&mut block)?;
        if let Some(place) = block.iter().rposition(|octet| *octet == b'\n') {
            return Ok(start + place as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

/// Whether a file has this header, or is empty.
fn begins_with(path: &Path, header: &[u8]) -> io::Result<bool> {
    let mut line = vec![];
    if !header.is_empty() {
        BufReader::new(File::open(path)?).read_until(b'\n', &mut line)?;
    }
    Ok(line.is_empty() || line == header)
}

/// A path that no file has yet, with a time in its name.
fn free_path(folder: &Path, name: &str, time: EventTime, extension: &str) -> PathBuf {
    let second = EventTime(time.0.div_euclid(1_000_000_000) * 1_000_000_000);
    let time = time_text(second).replace([':', '-'], "");
    let numbered = (2..).map(|number| format!("{name}-{time}-{number}.{extension}"));
    let mut names = std::iter::once(format!("{name}-{time}.{extension}")).chain(numbered);
    let free = names.find_map(|name| Some(folder.join(name)).filter(|path| !path.exists()));
    free.unwrap_or_else(|| folder.join(name))
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

fn said(path: &Path, error: &io::Error) -> String {
    format!("{} cannot be written: {error}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_results::{origin_of, parcel, result};
    use datafusion::arrow::array::{ArrayRef, Int64Array, UInt64Array};
    use std::sync::Arc;
    use tapline_operators::{Status, WindowResult};

    const SECOND: i64 = 1_000_000_000;

    fn sink(folder: &Path, format: FileFormat, octets_max: u64) -> FileSink {
        let (folder, rotate_after) = (folder.to_owned(), Duration::from_secs(60));
        FileSink::new(FileOptions { folder, format, octets_max, rotate_after })
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn lines_are_appended_until_a_file_is_full_or_old() {
        let folder = tempfile::tempdir().unwrap();
        let mut sink = sink(folder.path(), FileFormat::Json, 300);
        for second in [0, 1, 2, 3] {
            sink.take(&parcel("a", second)).unwrap();
        }
        assert_eq!(names(folder.path()), ["a-19700101T000000Z.jsonl", "a.jsonl"]);
        let full = fs::read_to_string(folder.path().join("a-19700101T000000Z.jsonl")).unwrap();
        assert!(full.len() >= 300 && full.lines().count() < 4, "{full}");
        assert!(full.starts_with(r#"{"window_start":"1970-01-01T00:00:00Z","#), "{full}");
        sink.tend(EventTime(100 * SECOND)).unwrap();
        assert_eq!(names(folder.path()).len(), 2);
        assert!(!names(folder.path()).contains(&"a.jsonl".to_owned()), "it is old");
    }

    #[test]
    fn what_a_crash_left_half_is_cut_off_and_another_header_begins_another_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv");
        sink(folder.path(), FileFormat::Csv, 1 << 20).take(&parcel("a", 0)).unwrap();
        let whole = fs::read_to_string(&path).unwrap();
        assert!(whole.starts_with("window_start,window_end,src_ip,n,completeness,status\n"), "{whole}");
        fs::write(&path, format!("{whole}1970-01-0")).unwrap();
        sink(folder.path(), FileFormat::Csv, 1 << 20).take(&parcel("a", 1)).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!((text.lines().count(), text.starts_with(&whole)), (3, true), "{text}");
        fs::write(&path, "another,header\n1,2\n").unwrap();
        sink(folder.path(), FileFormat::Csv, 1 << 20).take(&parcel("a", 2)).unwrap();
        assert_eq!(names(folder.path()), ["a-19700101T000002Z.csv", "a.csv"]);
        assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 2);
    }

    #[test]
    fn another_query_of_the_name_has_another_file() {
        let folder = tempfile::tempdir().unwrap();
        let mut sink = sink(folder.path(), FileFormat::Csv, 1 << 20);
        sink.take(&parcel("a", 0)).unwrap();
        let sql = "SELECT src_ip, count(*) AS m FROM packets GROUP BY src_ip, tumble('1 second')";
        sink.take(&Parcel { origin: origin_of("a", sql), ..parcel("a", 1) }).unwrap();
        sink.take(&Parcel { origin: origin_of("a", sql), ..parcel("a", 2) }).unwrap();
        assert_eq!(names(folder.path()), ["a-19700101T000000Z.csv", "a.csv"]);
        let text = fs::read_to_string(folder.path().join("a.csv")).unwrap();
        assert!(text.starts_with("window_start,window_end,src_ip,m,") && text.lines().count() == 3, "{text}");
    }

    #[test]
    fn a_file_that_somebody_took_away_is_none_of_ours() {
        let folder = tempfile::tempdir().unwrap();
        let mut sink = sink(folder.path(), FileFormat::Json, 1 << 20);
        sink.take(&parcel("a", 0)).unwrap();
        fs::remove_file(folder.path().join("a.jsonl")).unwrap();
        assert_eq!(sink.tend(EventTime(60 * SECOND)), Ok(()));
        sink.take(&parcel("a", 61)).unwrap();
        assert_eq!(names(folder.path()), ["a.jsonl"]);
    }

    #[test]
    fn a_result_in_parts_is_of_one_type() {
        let folder = tempfile::tempdir().unwrap();
        let mut sink = sink(folder.path(), FileFormat::Parquet, 1 << 20);
        let sql =
            "SELECT application_id, count(*) AS n FROM flows GROUP BY application_id, tumble('1 second')";
        let origin = origin_of("a", sql);
        let schema = Arc::new(origin.columns.schema().project(&[2, 3]).unwrap());
        let rows = [1, u64::MAX].map(|id| {
            let columns: Vec<ArrayRef> =
                vec![Arc::new(UInt64Array::from(vec![id])), Arc::new(Int64Array::from(vec![7]))];
            RecordBatch::try_new(Arc::clone(&schema), columns).unwrap()
        });
        let whole = WindowResult::clone(&result(0, Status::Final));
        let result = Arc::new(WindowResult { rows: rows.into(), ..whole });
        sink.take(&Parcel { origin, result, ..parcel("a", 0) }).unwrap();
        assert_eq!((sink.finish(EventTime(SECOND)), sink.lost()), (Ok(()), BTreeMap::new()));
        assert_eq!(names(folder.path()).len(), 1);
    }

    #[test]
    fn parquet_files_come_when_they_are_due() {
        let folder = tempfile::tempdir().unwrap();
        let mut sink = sink(folder.path(), FileFormat::Parquet, 1 << 20);
        (0..3).for_each(|second| sink.take(&parcel("a", second)).unwrap());
        assert_eq!((names(folder.path()).len(), sink.held()), (0, 3));
        sink.tend(EventTime(60 * SECOND)).unwrap();
        assert_eq!((names(folder.path()), sink.held()), (vec!["a-19700101T000000Z.parquet".to_owned()], 0));
        sink.take(&parcel("a", 61)).unwrap();
        assert_eq!((sink.finish(EventTime(62 * SECOND)), sink.lost()), (Ok(()), BTreeMap::new()));
        assert_eq!(names(folder.path()).len(), 2);
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_told_and_tried_again() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("place");
        fs::write(&place, "a file").unwrap();
        let mut sink = sink(&place, FileFormat::Json, 1 << 20);
        let refused = sink.take(&parcel("a", 0)).unwrap_err();
        assert!(matches!(&refused, Refusal::Later(why) if why.contains("cannot be written")), "{refused}");
        fs::remove_file(&place).unwrap();
        sink.take(&parcel("a", 0)).unwrap();
        assert_eq!(names(&place), ["a.jsonl"]);
    }
}
