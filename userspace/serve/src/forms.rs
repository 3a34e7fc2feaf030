//! What results are written as, once for all who read them.
//!
//! Takes a result and a format, gives octets. Whoever asks first makes them, the others wait for that, and nobody works
//! on the thread of connections for long. They are kept as long as the catalog keeps the result, within a bound over all
//! queries, or alone where one is larger than that; what falls out of it is made again.

use arrow_ipc::writer::StreamWriter;
use arrow_schema::ArrowError;
use axum::body::Bytes;
use std::collections::VecDeque;
use std::mem::take;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use tapline_engine::{ResultColumns, WindowResult};
use tapline_sinks::{lines, window};
use tokio::sync::OnceCell;
use tokio::task::spawn_blocking;

/// What is kept, in number and in octets.
const FORMS_MAX: usize = 2048;
const OCTETS_MAX: usize = 64 << 20;
/// Values, rows times columns, that are written in less time than another thread is woken.
const FEW_VALUES: usize = 64;
/// What stands before and behind a window that is an event.
const EVENT: &str = "event: window\ndata: ";
const EVENT_END: &str = "\n\n";

/// How results are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StreamFormat {
    /// Server-Sent Events: a window an event.
    Events,
    /// A row a line, as JSON.
    Lines,
    /// Arrow's stream.
    Arrow,
}

/// A result as octets; none where a value cannot be written.
type Form = Option<Bytes>;

static KEPT: Mutex<Forms> = Mutex::new(Forms { made: VecDeque::new() });

/// Those that are kept, the newest last.
#[derive(Debug)]
struct Forms {
    made: VecDeque<Made>,
}

/// What one result is written as in one format, once that is known.
#[derive(Debug)]
struct Made {
    of: Weak<WindowResult>,
    format: StreamFormat,
    form: Arc<OnceCell<Form>>,
}

/// A result in a format; none where a value cannot be written.
pub(crate) async fn form(
    result: &Arc<WindowResult>,
    format: StreamFormat,
    columns: &ResultColumns,
) -> Option<Bytes> {
    let form = kept().of(result, format);
    let made = form.get_or_init(|| async {
        if values_of(result) <= FEW_VALUES {
            return make(result, format, columns);
        }
        let (result, columns) = (Arc::clone(result), columns.clone());
        spawn_blocking(move || make(&result, format, &columns)).await.unwrap_or_default()
    });
    made.await.clone()
}

/// A result as JSON, which the calling thread makes where nobody has made it.
pub(crate) fn json(result: &Arc<WindowResult>, columns: &ResultColumns) -> Option<Bytes> {
    let form = kept().of(result, StreamFormat::Events);
    let event = form.get().cloned().unwrap_or_else(|| {
        let event = make(result, StreamFormat::Events, columns);
        // Fails where somebody else makes it, too.
        let _ = form.set(event.clone());
        event
    })?;
    Some(event.slice(EVENT.len()..event.len() - EVENT_END.len()))
}

/// What Arrow's stream of these columns begins with, and what it ends with.
pub(crate) fn arrow_frame(columns: &ResultColumns) -> Result<[Bytes; 2], ArrowError> {
    let mut writer = StreamWriter::try_new(vec![], columns.schema())?;
    let head = take(writer.get_mut());
    writer.finish()?;
    Ok([head, take(writer.get_mut())].map(Bytes::from))
}

fn kept() -> MutexGuard<'static, Forms> {
    KEPT.lock().unwrap_or_else(PoisonError::into_inner)
}

fn values_of(result: &WindowResult) -> usize {
    result.rows.iter().map(|rows| rows.num_rows() * rows.num_columns()).sum()
}

/// Writes a result, for which there is room then.
fn make(result: &WindowResult, format: StreamFormat, columns: &ResultColumns) -> Form {
    let mut octets = octets(result, format, columns).ok()?;
    octets.shrink_to_fit();
    kept().make_room(FORMS_MAX, OCTETS_MAX.saturating_sub(octets.len()));
    Some(Bytes::from(octets))
}

fn octets(
    result: &WindowResult,
    format: StreamFormat,
    columns: &ResultColumns,
) -> Result<Vec<u8>, ArrowError> {
    match format {
        StreamFormat::Events => Ok([EVENT, &window(result)?, EVENT_END].concat().into_bytes()),
        StreamFormat::Lines => lines(&columns.batches(result)?),
        StreamFormat::Arrow => {
            let mut writer = StreamWriter::try_new(vec![], columns.schema())?;
            // The columns are told once, where the stream begins.
            writer.get_mut().clear();
            for batch in columns.batches(result)? {
                writer.write(&batch)?;
            }
            Ok(take(writer.get_mut()))
        }
    }
}

impl Forms {
    /// The place for what a result is written as.
    fn of(&mut self, result: &Arc<WindowResult>, format: StreamFormat) -> Arc<OnceCell<Form>> {
        // The newest ones are asked for most.
        let is_it = |made: &&Made| made.format == format && made.of.as_ptr() == Arc::as_ptr(result);
        if let Some(made) = self.made.iter().rev().find(is_it) {
            return Arc::clone(&made.form);
        }
        self.make_room(FORMS_MAX - 1, OCTETS_MAX);
        let form = Arc::default();
        self.made.push_back(Made { of: Arc::downgrade(result), format, form: Arc::clone(&form) });
        form
    }

    /// Leaves no more than so many, without those whose results nobody has. What is being made takes no octets yet.
    fn make_room(&mut self, forms_max: usize, octets_max: usize) {
        self.made.retain(|made| made.of.strong_count() > 0);
        let mut octets: usize = self.made.iter().map(Made::octets).sum();
        while self.made.len() > forms_max || octets > octets_max {
            let Some(oldest) = self.made.pop_front() else { return };
            octets -= oldest.octets();
        }
    }
}

impl Made {
    fn octets(&self) -> usize {
        self.form.get().map_or(0, |form| form.as_ref().map_or(0, Bytes::len))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::{Int64Array, RecordBatch};
    use arrow_ipc::reader::StreamReader;
    use std::io::Cursor;
    use tapline_engine::{QueryId, Status};
    use tapline_query::Planner;

    fn columns() -> ResultColumns {
        let query = Planner::new().plan("SELECT octets FROM flows").unwrap();
        ResultColumns::of(&query, true)
    }

    /// A result with so many rows.
    fn result(rows: i64) -> Arc<WindowResult> {
        let values = Int64Array::from_iter_values(0..rows);
        let rows = RecordBatch::try_new(Arc::clone(columns().schema()), vec![Arc::new(values)]).unwrap();
        let (query, status) = (QueryId(0), Status::Final);
        Arc::new(WindowResult { query, window: None, status, completeness: None, rows: vec![rows] })
    }

    fn asked(result: &Arc<WindowResult>, format: StreamFormat) -> Bytes {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(form(result, format, &columns())).unwrap()
    }

    #[test]
    fn all_who_ask_have_the_same_octets() {
        for rows in [2, 1000] {
            let result = result(rows);
            let [first, second] = [(); 2].map(|()| asked(&result, StreamFormat::Events));
            assert_eq!(first.as_ptr(), second.as_ptr());
            let text = json(&result, &columns()).unwrap();
            assert!(first.as_ptr_range().contains(&text.as_ptr()), "what is there is not made again");
            let told: serde_json::Value = serde_json::from_slice(&text).unwrap();
            assert_eq!(told["rows"].as_array().unwrap().len(), rows as usize);
            assert_eq!(*first, *[EVENT.as_bytes(), &*text, EVENT_END.as_bytes()].concat());
            let lines = asked(&result, StreamFormat::Lines);
            assert!(lines.starts_with(b"{\"octets\":0}\n{\"octets\":1}\n"));
        }
    }

    #[test]
    fn what_is_asked_as_text_first_is_an_event_afterwards() {
        let result = result(3);
        let text = json(&result, &columns()).unwrap();
        assert!(asked(&result, StreamFormat::Events).as_ptr_range().contains(&text.as_ptr()));
    }

    #[test]
    fn windows_of_arrow_make_one_stream() {
        let [head, end] = arrow_frame(&columns()).unwrap();
        let [few, many] = [2, 1000].map(|rows| asked(&result(rows), StreamFormat::Arrow));
        let stream = [head, few, many, end].concat();
        let reader = StreamReader::try_new(Cursor::new(stream), None).unwrap();
        let rows: Vec<usize> = reader.map(|batch| batch.unwrap().num_rows()).collect();
        assert_eq!(rows, [2, 1000]);
    }

    #[test]
    fn what_is_kept_has_a_bound() {
        let mut forms = Forms { made: VecDeque::new() };
        let results: Vec<_> = (0..10).map(result).collect();
        for result in &results {
            let form = forms.of(result, StreamFormat::Lines);
            form.set(Some(Bytes::from_static(&[0; 100]))).unwrap();
        }
        assert_eq!(forms.made.len(), 10);
        let again = forms.of(&results[3], StreamFormat::Lines);
        assert!(again.initialized() && forms.made.len() == 10);
        forms.make_room(100, 700);
        assert_eq!(forms.made.len(), 7);
        assert!(!forms.of(&results[0], StreamFormat::Lines).initialized(), "the oldest one is made again");
        forms.make_room(4, 1000);
        assert_eq!(forms.made.len(), 4);
        let large = result(1);
        let form = forms.of(&large, StreamFormat::Arrow);
        forms.make_room(100, 0);
        assert_eq!(forms.made.len(), 2, "those that are being made");
        assert!(Arc::ptr_eq(&form, &forms.of(&large, StreamFormat::Arrow)), "it has all room");
        drop((results, large));
        forms.make_room(5, 1000);
        assert!(forms.made.is_empty(), "of what nobody keeps nothing is kept");
    }
}
