//! Windows that are given before they close, row by row: what each result has seen, and what it may not have.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use datafusion::arrow::array::{AsArray as _, RecordBatch};
use datafusion::arrow::datatypes::Int64Type;
use std::sync::Arc;
use tapline_operators::{
    Closed, Finisher, LowerOperator, OperatorLimits, QueryId, SourceId, Status, StreamBatch, Windows,
    WorkerId,
};
use tapline_query::Planner;
use tapline_record::{
    BatchBuilder, Epoch, EventTime, Layout, PACKETS, PacketColumn, PacketRow, Reach, StreamId,
};

const SECOND_NS: i64 = 1_000_000_000;
/// More groups than there are.
const ALL_GROUPS: usize = 100;

/// Start of the window in seconds, what it is, how many rows it has.
type Result = (i64, &'static str, i64);

/// What a query gives after each of these rows, which are at so many seconds each, of protocols of these numbers, and may
/// be late by `lateness`.
fn results(
    sql: &str,
    every: i64,
    lateness: i64,
    seconds: &[i64],
    groups_max: usize,
) -> (Vec<Vec<Result>>, u64) {
    let limits = OperatorLimits { groups_max, is_only_worker: true };
    let query = Planner::new().plan(sql).unwrap().with_early(every * SECOND_NS).unwrap();
    let query = Arc::new(query);
    let columns = query.columns_of(&PACKETS).unwrap();
    let mut of_streams = [const { None }; StreamId::COUNT];
    of_streams[StreamId::Packets as usize] = Some(columns.clone());
    let layout = Arc::new(Layout::new(Epoch(1), of_streams));
    let mut lower = LowerOperator::all(&query, limits).swap_remove(0);
    let mut windows = Windows::new(&query, 1, limits);
    let mut finisher = Finisher::new(QueryId(0), &query, limits).unwrap();
    let (mut latest, mut all) = (i64::MIN, vec![]);
    for (sequence, &second) in (0..).zip(seconds) {
        latest = latest.max(second);
        let (ts, protocol) = (second * SECOND_NS, second as u8);
        let present = PacketColumn::Ts.bit() | PacketColumn::Protocol.bit();
        let row = PacketRow { ts, protocol, present, ..PacketRow::default() };
        let mut builder = BatchBuilder::new(&PACKETS, &columns, 1);
        builder.append(1, |position, column| PacketRow::append(&[row], position, column));
        let (source, layout, batch) = (SourceId(0), Arc::clone(&layout), builder.finish());
        let input = StreamBatch { source, stream: &PACKETS, layout, batch, sequence };
        let mut reach = Reach::END;
        reach.heads.set(StreamId::Packets, EventTime(latest * SECOND_NS));
        reach.watermarks.set(StreamId::Packets, EventTime((latest - lateness) * SECOND_NS));
        let (mut outputs, mut closed, mut given) = (vec![], vec![], vec![]);
        lower.process(&input, &mut outputs).unwrap();
        lower.advance(&reach, &mut outputs).unwrap();
        outputs.into_iter().for_each(|output| windows.accept(output, &mut closed).unwrap());
        windows.advance(WorkerId(0), &reach, &mut closed);
        closed.into_iter().for_each(|closed: Closed| finisher.finish(closed, &mut given).unwrap());
        all.push(
            given
                .iter()
                .map(|result| {
                    let count: i64 = result.rows.iter().map(sum).sum();
                    (result.window.unwrap().start.0 / SECOND_NS, result.status.name(), count)
                })
                .collect(),
        );
    }
    (all, lower.ledger().late)
}

/// The sum of the first column.
fn sum(rows: &RecordBatch) -> i64 {
    rows.column(0).as_primitive::<Int64Type>().values().iter().sum()
}

#[test]
fn what_comes_late_for_a_pane_is_in_the_next_result() {
    let sql = "SELECT count(*) AS n FROM packets GROUP BY tumble('10 seconds')";
    let seconds = [0, 1, 2, 1, 3, 4, 0, 9, 10, 7, 14, 3, 15, 8];
    let (given, late) = results(sql, 2, 5, &seconds, ALL_GROUPS);
    let none = Vec::<Result>::new;
    let expected = [
        none(),
        none(),
        vec![(0, "early", 2)],
        // One second is behind: its pane was given, it waits for the next one.
        none(),
        none(),
        vec![(0, "early", 5)],
        none(),
        // Nothing is given where nothing came since: at 6 s there is what came for the panes before, at 8 s nothing.
        vec![(0, "early", 7)],
        none(),
        none(),
        vec![(10, "early", 1)],
        none(),
        // Five seconds may still come in, so that the window closes now.
        vec![(0, "final", 10)],
        // It is late, and was counted as such.
        none(),
    ];
    assert_eq!(given, expected);
    assert_eq!(late, 1);
}

#[test]
fn windows_that_slide_are_given_early_each() {
    let sql = "SELECT count(*) AS n FROM packets GROUP BY hop('4 seconds', '8 seconds')";
    let (given, late) = results(sql, 3, 0, &[0, 1, 2, 3, 4, 5, 6, 7, 8], ALL_GROUPS);
    let none = Vec::<Result>::new;
    let expected = [
        none(),
        none(),
        // Three and six seconds of the window that begins at -4 s, and so on.
        vec![(-4, "early", 2)],
        vec![(0, "early", 3)],
        vec![(-4, "final", 4)],
        none(),
        vec![(0, "early", 6)],
        vec![(4, "early", 3)],
        vec![(0, "final", 8)],
    ];
    assert_eq!(given, expected);
    assert_eq!(late, 0);
    assert!(Status::Early.name() == "early");
}

#[test]
fn groups_beyond_the_cap_are_in_the_same_early_result() {
    let sql = "SELECT count(*) AS n, protocol FROM packets GROUP BY protocol, tumble('4 seconds')";
    let (given, _) = results(sql, 2, 0, &[0, 1, 2, 3, 4], 1);
    let (early, last): (Vec<Result>, Vec<Result>) =
        given.into_iter().flatten().partition(|(_, status, _)| *status == Status::Early.name());
    assert_eq!(early, [(0, "early", 2)], "one takes the place of another as a whole");
    assert_eq!(last.iter().map(|(.., count)| count).sum::<i64>(), 4, "{last:?}");
    assert_eq!(last.last().map(|(_, status, _)| *status), Some("folded"));
}
