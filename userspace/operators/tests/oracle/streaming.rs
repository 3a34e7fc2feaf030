//! The answer of the operators.

use super::Case;
use super::generate::packet_row;
use datafusion::arrow::array::{AsArray as _, RecordBatch};
use datafusion::arrow::datatypes::Int64Type;
use std::sync::Arc;
use tapline_operators::{
    Commons, Finisher, LowerOperator, LowerOutput, OperatorLimits, QueryId, ResultColumns, SourceId,
    StreamBatch, Windows, WorkerId,
};
use tapline_query::ContinuousQuery;
use tapline_record::column::BURST_ROWS;
use tapline_record::{
    BatchBuilder, Epoch, EventTime, Layout, PACKETS, PacketColumn, PacketRow, Reach, StreamId, Watermarks,
};
use tapline_trafficgen::random::Random;

/// Batches of the rows, each with watermarks that no later row is behind.
pub(crate) fn batches_of(
    rows: &[PacketRow],
    columns: &[usize],
    batch_rows: usize,
) -> Vec<(StreamBatch, Watermarks)> {
    let mut earliest_after = vec![EventTime::MAX; rows.len() + 1];
    for row in (0..rows.len()).rev() {
        earliest_after[row] = earliest_after[row + 1].min(EventTime(rows[row].ts));
    }
    let layout = Arc::new(layout_of(columns));
    let mut read = 0;
    rows.chunks(batch_rows)
        .zip(0..)
        .map(|(chunk, sequence)| {
            read += chunk.len();
            let batch = build(chunk, columns);
            let mut watermarks = Watermarks::END;
            watermarks.set(StreamId::Packets, earliest_after[read]);
            let (source, layout) = (SourceId(0), Arc::clone(&layout));
            (StreamBatch { source, stream: &PACKETS, layout, batch, sequence }, watermarks)
        })
        .collect()
}

/// The layout of batches of packets with these columns.
fn layout_of(columns: &[usize]) -> Layout {
    let mut of_streams = [const { None }; StreamId::COUNT];
    of_streams[StreamId::Packets as usize] = Some(columns.to_vec());
    Layout::new(Epoch(1), of_streams)
}

/// One batch of these rows.
pub(crate) fn build(rows: &[PacketRow], columns: &[usize]) -> RecordBatch {
    let mut builder = BatchBuilder::new(&PACKETS, columns, rows.len());
    for burst in rows.chunks(BURST_ROWS) {
        builder.append(burst.len(), |position, column| PacketRow::append(burst, position, column));
    }
    builder.finish()
}

/// Result rows as sorted text.
pub(crate) fn streaming_answer(query: &Arc<ContinuousQuery>, case: &Case) -> Vec<String> {
    let rows: Vec<PacketRow> = case.rows.iter().map(packet_row).collect();
    let columns = query.columns_of(&PACKETS).unwrap_or_default();
    let limits = OperatorLimits { groups_max: 1 << 20, is_only_worker: case.workers == 1 };
    let mut workers: Vec<Vec<LowerOperator>> =
        (0..case.workers).map(|_| LowerOperator::all(query, limits)).collect();
    let mut random = Random::new(case.shuffle, "shuffle");
    let mut outputs = vec![];
    for (batch, watermarks) in batches_of(&rows, &columns, case.batch_rows) {
        let worker = random.below(case.workers as u64) as usize;
        for operator in &mut workers[worker] {
            operator.process(&batch, &mut outputs).unwrap();
            operator.advance(&watermarks.into(), &mut outputs).unwrap();
        }
    }
    for operator in workers.iter_mut().flatten() {
        operator.finish(&mut outputs).unwrap();
        assert!(operator.ledger().adds_up(), "{:?}", operator.ledger());
        assert_eq!(operator.ledger().late, 0);
    }
    let delivered: u64 = workers.iter().flatten().map(|operator| operator.ledger().delivered).sum();
    let is_asked = query.columns_of(&PACKETS).is_some();
    assert_eq!(delivered, if is_asked { rows.len() as u64 } else { 0 }, "each row counts once");
    super::batch::lines(&merge(query, case.workers, limits, outputs, &mut random))
}

/// The lower halves of several queries on one worker, which computes once what several of them need.
struct Together {
    commons: Commons,
    operators: Vec<Vec<LowerOperator>>,
    turn: Vec<(StreamBatch, Watermarks)>,
}

impl Together {
    fn new(queries: &[Arc<ContinuousQuery>], limits: OperatorLimits) -> Self {
        let operators = queries.iter().map(|query| LowerOperator::all(query, limits)).collect();
        let mut together = Self { commons: Commons::default(), operators, turn: vec![] };
        (0..queries.len()).for_each(|query| together.join(query));
        together
    }

    fn join(&mut self, query: usize) {
        self.operators[query].iter_mut().for_each(|operator| operator.join(&mut self.commons));
    }

    fn process(&mut self, outputs: &mut [Vec<LowerOutput>]) {
        self.commons.begin(self.turn.iter().map(|(batch, _)| Some(batch)));
        for (operators, outputs) in self.operators.iter_mut().zip(outputs) {
            for operator in operators {
                for (task, (batch, watermarks)) in self.turn.iter().enumerate() {
                    operator.process_with(batch, self.commons.of(task), outputs).unwrap();
                    operator.advance(&(*watermarks).into(), outputs).unwrap();
                }
            }
        }
        self.commons.end();
        self.turn.clear();
    }
}

/// What each of these queries answers, as sorted text, when all run on the same workers, by turns of so many batches;
/// some work alone for a while.
pub(crate) fn answers_together(
    queries: &[Arc<ContinuousQuery>],
    case: &Case,
    (turn, groups_max): (usize, usize),
) -> Vec<Vec<String>> {
    let rows: Vec<PacketRow> = case.rows.iter().map(packet_row).collect();
    let mut columns: Vec<usize> =
        queries.iter().filter_map(|query| query.columns_of(&PACKETS)).flatten().collect();
    columns.sort_unstable();
    columns.dedup();
    let limits = OperatorLimits { groups_max, is_only_worker: case.workers == 1 };
    let mut workers: Vec<Together> = (0..case.workers).map(|_| Together::new(queries, limits)).collect();
    let (mut random, mut changes) =
        (Random::new(case.shuffle, "shuffle"), Random::new(case.shuffle, "changes"));
    let mut outputs = vec![vec![]; queries.len()];
    for batch in batches_of(&rows, &columns, case.batch_rows) {
        let worker = &mut workers[random.below(case.workers as u64) as usize];
        worker.turn.push(batch);
        if worker.turn.len() < turn {
            continue;
        }
        let query = changes.below(queries.len() as u64) as usize;
        match changes.below(6) {
            0 => worker.operators[query].iter_mut().for_each(LowerOperator::go_alone),
            1 => worker.join(query),
            _ => {}
        }
        worker.process(&mut outputs);
    }
    for worker in &mut workers {
        worker.process(&mut outputs);
        for (operators, outputs) in worker.operators.iter_mut().zip(&mut outputs) {
            for operator in operators {
                operator.finish(outputs).unwrap();
                assert!(operator.ledger().adds_up(), "{:?}", operator.ledger());
            }
        }
    }
    let answer = |(query, outputs): (&Arc<ContinuousQuery>, Vec<LowerOutput>)| {
        super::batch::lines(&merge(query, case.workers, limits, outputs, &mut random))
    };
    queries.iter().zip(outputs).map(answer).collect()
}

/// Merges the outputs in a random order, but for rows, whose order is their own.
fn merge(
    query: &ContinuousQuery,
    workers: usize,
    limits: OperatorLimits,
    mut outputs: Vec<LowerOutput>,
    random: &mut Random,
) -> Vec<RecordBatch> {
    let mut windows = Windows::new(query, workers, limits);
    let mut closed = vec![];
    windows.begin(SourceId(0), 0, &mut closed);
    while !outputs.is_empty() {
        let output = outputs.swap_remove(random.below(outputs.len() as u64) as usize);
        windows.accept(output, &mut closed).unwrap();
    }
    for worker in 0..workers {
        windows.advance(WorkerId(worker as u32), &Reach::END, &mut closed);
    }
    windows.finish(false, &mut closed);
    let (mut finisher, mut results) = (Finisher::new(QueryId(0), query, limits).unwrap(), vec![]);
    closed.into_iter().for_each(|closed| finisher.finish(closed, &mut results).unwrap());
    let columns = ResultColumns::of(query, false);
    results.iter().flat_map(|result| columns.batches(result).unwrap()).collect()
}

/// Counts and octets of each window, of so many rows of a hundred octets that are dealt out to so many panes of a
/// millisecond in turn, none of which can be closed before the end.
pub(crate) fn scattered_answer(
    query: &Arc<ContinuousQuery>,
    workers: usize,
    panes: i64,
    rows: i64,
) -> Vec<(i64, i64)> {
    let row = |number: i64| {
        let mut row =
            PacketRow { ts: number % panes * 1_000_000, protocol: 6, octets: 100, ..PacketRow::default() };
        row.present = PacketColumn::Ts.bit() | PacketColumn::Protocol.bit() | PacketColumn::Octets.bit();
        row
    };
    let rows: Vec<PacketRow> = (0..rows).map(row).collect();
    let columns = query.columns_of(&PACKETS).unwrap();
    let limits = OperatorLimits { groups_max: 1 << 20, is_only_worker: workers == 1 };
    let new = |_| LowerOperator::all(query, limits).swap_remove(0);
    let mut operators: Vec<LowerOperator> = (0..workers).map(new).collect();
    let (mut outputs, mut given_early) = (vec![], 0);
    for (batch, _) in batches_of(&rows, &columns, 100) {
        operators[batch.sequence as usize % workers].process(&batch, &mut outputs).unwrap();
        given_early = outputs.len();
    }
    assert!(given_early > 0, "some panes leave early");
    operators.iter_mut().for_each(|operator| operator.finish(&mut outputs).unwrap());
    let results = merge(query, workers, limits, outputs, &mut Random::new(7, "shuffle"));
    let column = |batch: &RecordBatch, place: usize| batch.column(place).as_primitive::<Int64Type>().value(0);
    results.iter().map(|batch| (column(batch, 3), column(batch, 4))).collect()
}
