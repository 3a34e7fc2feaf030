//! What a state takes.

use super::*;
use datafusion::arrow::array::{FixedSizeBinaryArray, Int64Array, UInt16Array};
use tapline_query::{Fold, Planner};

/// So many rows of packets, each with another address and ports.
fn rows(schema: &Schema, first: u32, count: u32) -> RecordBatch {
    let numbers = first..first + count;
    let column = |field: &Arc<Field>| -> ArrayRef {
        match field.name().as_str() {
            "src_ip" => {
                let octets = |number: u32| [[0; 12].as_slice(), &number.to_be_bytes()].concat();
                Arc::new(FixedSizeBinaryArray::try_from_iter(numbers.clone().map(octets)).unwrap())
            }
            "octets" => Arc::new(Int64Array::from_iter_values(numbers.clone().map(i64::from))),
            _ => Arc::new(numbers.clone().map(|number| Some(number as u16)).collect::<UInt16Array>()),
        }
    };
    let columns = schema.fields().iter().map(|field| cast(&column(field), field.data_type()).unwrap());
    RecordBatch::try_new(Arc::new(schema.clone()), columns.collect()).unwrap()
}

#[test]
fn a_state_takes_no_more_than_it_has_room_for() {
    for select in [
        "src_port, count(*)",
        "src_port, dst_port, count(*)",
        "src_ip, count(*), sum(octets), min(octets), avg(octets)",
    ] {
        let keys = select.split(", ").filter(|part| !part.contains('(')).collect::<Vec<_>>().join(", ");
        let sql = format!("SELECT {select} FROM packets GROUP BY {keys}, tumble('1 second')");
        let query = Planner::new().plan(&sql).unwrap();
        let Fold::Aggregate(fold) = &query.lowers[0].fold else { panic!("it aggregates") };
        let mut state = GroupState::new(Arc::new(fold.clone()), 1 << 20).unwrap();
        for room in [1_000_000_usize, 3_000_000, 10_000_000] {
            let taken = |state: &GroupState| state.table.octets_with(0) + state.accumulated();
            let (before, charged) = (taken(&state), state.octets());
            for first in 0..40 {
                let left = room.saturating_sub(state.octets().saturating_sub(charged));
                let batch = rows(&fold_input(&query), first * 5_000, 5_000);
                state.update(&batch, None, left).unwrap();
                // What vectors have for more than they need is foreseen by and large.
                let now = taken(&state);
                assert!(
                    now.saturating_sub(before) <= room + room / 4,
                    "{select}: from {before} to {now} with {room}"
                );
                assert!(now <= state.octets(), "{select}: {now} octets, not {}", state.octets());
            }
            let (groups, uses) = (state.len(), state.octets() - charged);
            assert!(groups >= 65_536 || uses > room / 4, "{select}: {groups} groups, {uses} of {room}");
            state.take_states().unwrap();
        }
    }
}

/// What the fold's rows look like.
fn fold_input(query: &tapline_query::ContinuousQuery) -> Schema {
    let branch = &query.lowers[0].branches[0];
    let fields = branch.columns.iter().map(|&column| branch.stream.field(column).as_ref().clone());
    Schema::new(fields.collect::<Vec<_>>())
}
