//! Groups of one state, by keys that have numbers which several lower halves share.
//!
//! Takes the numbers of keys, or keys as any other table, gives a group number for each row: the same that a table of its
//! own would give, with the same cap, since groups are numbered as their keys come, and a key that no row of this state
//! has is no group. What its groups take is charged as if it had looked their keys up by itself, or more.

use crate::group::{FOLDED, GroupTable, group_table, next_group};
use crate::key_numbers::{CommonKeys, KeyNumbers, NumberedKeys};
use datafusion::arrow::array::{Array, ArrayRef, BooleanArray, UInt32Array};
use datafusion::arrow::compute::{concat, take};
use datafusion::common::{Result, internal_err};
use std::sync::Arc;

/// Pieces of keys that stand beside each other before they are put together.
const PIECES_MAX: usize = 64;

/// The rows of a piece of a batch that are folded, by the keys of all of the batch.
pub(crate) struct NumberedRows<'a> {
    pub(crate) keys: &'a NumberedKeys,
    /// The first row of the piece, and how many it has.
    pub(crate) first: usize,
    pub(crate) rows: usize,
    /// Which of these are folded, without NULL; `None` where all are.
    pub(crate) mask: Option<&'a BooleanArray>,
}

/// By what rows are looked up.
#[derive(Clone, Copy)]
pub(crate) enum Keys<'a> {
    /// Their own key columns.
    Columns(&'a [ArrayRef]),
    /// The keys of their batch.
    Numbers(&'a NumberedRows<'a>),
}

/// The groups of a state.
pub(crate) enum Groups {
    /// In a table of its own.
    Own(Box<dyn GroupTable>),
    /// By numbers.
    Numbered(NumberedGroups),
}

impl Groups {
    /// The group of each of so many rows.
    ///
    /// # Errors
    /// Only when the keys are not of the groups' types, or numbers come to a table of its own.
    pub(crate) fn intern(&mut self, keys: Keys<'_>, rows: usize, groups: &mut Vec<usize>) -> Result<()> {
        match (self, keys) {
            (Self::Own(table), Keys::Columns(keys)) => table.intern(keys, rows, groups),
            (Self::Numbered(numbered), Keys::Columns(keys)) => numbered.intern_columns(keys, rows, groups),
            (Self::Numbered(numbered), Keys::Numbers(rows)) => numbered.intern_numbers(rows, groups),
            (Self::Own(_), Keys::Numbers(_)) => internal_err!("a table of keys knows no numbers of them"),
        }
    }

    /// Groups without the folded one.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Own(table) => table.len(),
            Self::Numbered(numbered) => numbered.numbers.len(),
        }
    }

    /// Takes no more than so many groups from now on.
    pub(crate) fn limit(&mut self, groups_max: usize) {
        match self {
            Self::Own(table) => table.limit(groups_max),
            Self::Numbered(numbered) => numbered.groups_max = groups_max,
        }
    }

    /// Octets that they will take when there are so many.
    pub(crate) fn octets_with(&self, groups: usize) -> usize {
        match self {
            Self::Own(table) => table.octets_with(groups),
            Self::Numbered(numbered) => numbered.octets_with(groups),
        }
    }

    /// The keys of groups 1, 2, …; there are none afterwards.
    ///
    /// # Errors
    /// Only when Arrow refuses the table's own octets.
    pub(crate) fn take_keys(&mut self) -> Result<Vec<ArrayRef>> {
        match self {
            Self::Own(table) => table.take_keys(),
            Self::Numbered(numbered) => numbered.take_keys(),
        }
    }
}

/// Groups by the numbers of their keys.
pub(crate) struct NumberedGroups {
    common: Arc<CommonKeys>,
    /// How often numbers had been given anew when these were.
    generation: u64,
    /// Group by the number of its key, 0 where there is none.
    places: Vec<u32>,
    /// The number of each group's key, in the order of groups.
    numbers: Vec<u32>,
    /// Their keys, one piece after the other.
    pieces: Vec<Vec<ArrayRef>>,
    key_octets: usize,
    /// Rows with which new groups came.
    new_rows: Vec<u32>,
    groups_max: usize,
    /// A table that stays empty: what its groups would take.
    own: Box<dyn GroupTable>,
}

impl NumberedGroups {
    /// The groups of these keys, in their order; there may be so many.
    ///
    /// # Errors
    /// When there is no table for such keys.
    pub(crate) fn new(common: Arc<CommonKeys>, groups_max: usize, keys: Vec<ArrayRef>) -> Result<Self> {
        let own = group_table(common.schema(), groups_max)?;
        let groups = keys.first().map_or(0, Array::len);
        let key_octets = octets_of(&keys);
        Ok(Self {
            common,
            // Whatever numbers there are, these have none.
            generation: u64::MAX,
            places: vec![],
            numbers: vec![0; groups],
            pieces: if groups > 0 { vec![keys] } else { vec![] },
            key_octets,
            new_rows: vec![],
            groups_max,
            own,
        })
    }

    /// Whether these keys give the numbers: others that are equal give other ones.
    pub(crate) fn are_by(&self, common: &Arc<CommonKeys>) -> bool {
        Arc::ptr_eq(&self.common, common)
    }

    /// The groups of the rows that are folded. The numbers are those that are given now.
    fn intern_numbers(&mut self, rows: &NumberedRows<'_>, groups: &mut Vec<usize>) -> Result<()> {
        let common = Arc::clone(&self.common);
        self.follow(&mut common.numbers())?;
        groups.clear();
        let numbers = &rows.keys.numbers[rows.first..rows.first + rows.rows];
        match rows.mask {
            None => {
                let rows = (rows.first..).zip(numbers);
                groups.extend(rows.map(|(row, number)| self.group_of(*number, row)));
            }
            Some(mask) => {
                let kept = mask.values().set_indices();
                groups.extend(kept.map(|row| self.group_of(numbers[row], rows.first + row)));
            }
        }
        self.keep_keys(&rows.keys.columns)
    }

    /// The groups of rows with these keys, which nobody has looked up.
    fn intern_columns(&mut self, keys: &[ArrayRef], rows: usize, groups: &mut Vec<usize>) -> Result<()> {
        let common = Arc::clone(&self.common);
        let mut known = common.numbers();
        groups.clear();
        groups.extend(known.find(keys, rows)?.map(|number| number as usize));
        self.follow(&mut known)?;
        for (row, number) in groups.iter_mut().enumerate() {
            *number = self.group_of(*number as u32, row);
        }
        self.keep_keys(keys)
    }

    /// Has a place for each number, and those of its groups, if numbers were given anew.
    fn follow(&mut self, known: &mut KeyNumbers) -> Result<()> {
        if self.generation != known.generation() {
            self.generation = known.generation();
            self.put_together()?;
            self.places.clear();
            if let Some(keys) = self.pieces.first() {
                let groups = self.numbers.len();
                self.numbers.clear();
                self.numbers.extend(known.find_held(keys, groups)?);
            }
            self.places.resize(known.len() + 1, 0);
            for (group, number) in (1..).zip(&self.numbers) {
                self.places[*number as usize] = group;
            }
        }
        if self.places.len() <= known.len() {
            self.places.resize(known.len() + 1, 0);
        }
        Ok(())
    }

    #[inline]
    fn group_of(&mut self, number: u32, row: usize) -> usize {
        let known = self.places[number as usize] as usize;
        if known == FOLDED { self.add(number, row) } else { known }
    }

    #[cold]
    fn add(&mut self, number: u32, row: usize) -> usize {
        let group = next_group(self.numbers.len(), self.groups_max);
        if group != FOLDED {
            self.numbers.push(number);
            self.places[number as usize] = u32::try_from(group).expect("invariant: at most GROUPS_MAX");
            self.new_rows.push(u32::try_from(row).expect("invariant: batches are short"));
        }
        group
    }

    /// Keeps the keys of new groups, which came with rows of these.
    fn keep_keys(&mut self, keys: &[ArrayRef]) -> Result<()> {
        if self.new_rows.is_empty() {
            return Ok(());
        }
        let rows = UInt32Array::from(std::mem::take(&mut self.new_rows));
        let piece = keys.iter().map(|key| take(key, &rows, None)).collect::<Result<Vec<_>, _>>()?;
        self.key_octets += octets_of(&piece);
        self.pieces.push(piece);
        if self.pieces.len() > PIECES_MAX { self.put_together() } else { Ok(()) }
    }

    /// Makes one piece of all.
    fn put_together(&mut self) -> Result<()> {
        let [first, _, ..] = &self.pieces[..] else { return Ok(()) };
        let column = |place: usize| {
            let of_pieces: Vec<&dyn Array> = self.pieces.iter().map(|piece| piece[place].as_ref()).collect();
            concat(&of_pieces)
        };
        let whole = (0..first.len()).map(column).collect::<Result<Vec<_>, _>>()?;
        self.key_octets = octets_of(&whole);
        self.pieces = vec![whole];
        Ok(())
    }

    fn octets_with(&self, groups: usize) -> usize {
        let known = self.numbers.len() * size_of::<u32>() + self.key_octets;
        let a_group = known.div_ceil(self.numbers.len() + 1);
        let held = self.places.capacity() * size_of::<u32>() + known.max(a_group * (groups + 1));
        self.own.octets_with(groups.max(self.numbers.len())).max(held)
    }

    fn take_keys(&mut self) -> Result<Vec<ArrayRef>> {
        self.put_together()?;
        for number in self.numbers.drain(..) {
            // Groups that came with keys have no places before rows do.
            if let Some(place) = self.places.get_mut(number as usize) {
                *place = 0;
            }
        }
        self.key_octets = 0;
        match self.pieces.pop() {
            Some(keys) => Ok(keys),
            None => self.own.take_keys(),
        }
    }
}

fn octets_of(keys: &[ArrayRef]) -> usize {
    keys.iter().map(Array::get_array_memory_size).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::SourceId;
    use crate::stream_batch::StreamBatch;
    use datafusion::arrow::array::{RecordBatch, UInt8Array, UInt16Array};
    use datafusion::arrow::datatypes::{DataType, Field, Schema};
    use datafusion::physical_expr::PhysicalExpr;
    use datafusion::physical_expr::expressions::Column;
    use tapline_query::StreamExpression;
    use tapline_record::{Epoch, Layout, PACKETS, PacketColumn, StreamId};

    const ROWS: usize = 300;
    const COLUMNS: [PacketColumn; 3] = [PacketColumn::Protocol, PacketColumn::SrcPort, PacketColumn::DstPort];

    /// The same numbers for the same seed.
    fn number(seed: &mut u64, below: u64) -> u64 {
        *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (*seed >> 33) % below
    }

    fn keys() -> CommonKeys {
        let field = |column: &PacketColumn| {
            let field = PACKETS.field(*column as usize);
            Field::new(field.name(), field.data_type().clone(), true)
        };
        let schema = Arc::new(Schema::new(COLUMNS.iter().map(field).collect::<Vec<_>>()));
        let key = |column: &PacketColumn| {
            let name = PACKETS.columns[*column as usize].name;
            let expression = Arc::new(Column::new(name, 0)) as Arc<dyn PhysicalExpr>;
            StreamExpression { columns: vec![*column as usize], expression }
        };
        CommonKeys::new(StreamId::Packets, COLUMNS.iter().map(key).collect(), schema).unwrap()
    }

    /// Rows with about so many keys, some NULL, of which later batches have others.
    fn batch(seed: &mut u64, sequence: u64, distinct: u64) -> StreamBatch {
        let first = sequence / 4 * distinct;
        let mut port = || {
            let values =
                (0..ROWS).map(|_| (number(seed, 9) > 0).then(|| (first + number(seed, distinct)) as u16));
            values.collect::<UInt16Array>()
        };
        let ports: [ArrayRef; 2] = [Arc::new(port()), Arc::new(port())];
        let protocols: ArrayRef = Arc::new((0..ROWS).map(|row| Some(row as u8 % 2)).collect::<UInt8Array>());
        let columns = COLUMNS.map(|column| column as usize);
        let mut of_streams = [const { None }; StreamId::COUNT];
        of_streams[StreamId::Packets as usize] = Some(columns.to_vec());
        let fields = columns.map(|column| {
            let field = PACKETS.field(column);
            Field::new(field.name(), field.data_type().clone(), true)
        });
        assert_eq!(fields[0].data_type(), &DataType::UInt8);
        let [src, dst] = ports;
        let batch = RecordBatch::try_new(Arc::new(Schema::new(fields.to_vec())), vec![protocols, src, dst]);
        let layout = Arc::new(Layout::new(Epoch(1), of_streams));
        StreamBatch { source: SourceId(0), stream: &PACKETS, layout, batch: batch.unwrap(), sequence }
    }

    fn filtered(batch: &StreamBatch, mask: &BooleanArray) -> Vec<ArrayRef> {
        let kept = datafusion::arrow::compute::filter_record_batch(&batch.batch, mask).unwrap();
        kept.columns().to_vec()
    }

    /// Looks some rows of a batch up in both, by numbers or by keys, and now and then takes their groups out.
    fn compare(
        (numbered, own): (&mut NumberedGroups, &mut dyn GroupTable),
        common: &Arc<CommonKeys>,
        (batch, whole): (&StreamBatch, &NumberedKeys),
        groups_max: usize,
        seed: &mut u64,
    ) {
        let first = number(seed, 50) as usize;
        let share = number(seed, 4);
        let kept = (0..ROWS).map(|row| Some(row >= first && number(seed, 4) >= share));
        let mask: BooleanArray = kept.collect();
        let columns = filtered(batch, &mask);
        let (mut groups, mut expected) = (vec![], vec![]);
        own.intern(&columns, columns[0].len(), &mut expected).unwrap();
        if number(seed, 2) == 0 && common.are_current(whole) {
            let mask = mask.slice(first, ROWS - first);
            let rows = NumberedRows { keys: whole, first, rows: ROWS - first, mask: Some(&mask) };
            numbered.intern_numbers(&rows, &mut groups).unwrap();
        } else {
            numbered.intern_columns(&columns, columns[0].len(), &mut groups).unwrap();
        }
        assert_eq!(groups, expected, "at most {groups_max} groups");
        if number(seed, 6) == 0 {
            let keys = numbered.take_keys().unwrap();
            *numbered = NumberedGroups::new(Arc::clone(common), groups_max, keys).unwrap();
        }
        if number(seed, 6) == 0 {
            assert_eq!(numbered.take_keys().unwrap(), own.take_keys().unwrap());
        }
    }

    /// Several states over one stream of rows, each with its own rows and cap, beside tables of their own: the same groups,
    /// however rows are looked up, while numbers are given anew again and again.
    #[test]
    fn groups_are_those_of_a_table_of_its_own() {
        for (seed, groups_max) in [(1, 1000), (2, 40), (3, 1)] {
            let mut seed: u64 = seed;
            let common = Arc::new(keys());
            let mut states: Vec<(NumberedGroups, Box<dyn GroupTable>)> = (0..3)
                .map(|_| {
                    let numbered = NumberedGroups::new(Arc::clone(&common), groups_max, vec![]).unwrap();
                    (numbered, group_table(common.schema(), groups_max).unwrap())
                })
                .collect();
            let mut generations = 0;
            for sequence in 0..40 {
                common.numbers().give_anew_beyond(if number(&mut seed, 3) == 0 { 10 } else { 1 << 20 });
                let batch = batch(&mut seed, sequence, 12);
                let whole = common.number(&batch, &mut vec![]).unwrap();
                for (numbered, own) in &mut states {
                    compare((numbered, own.as_mut()), &common, (&batch, &whole), groups_max, &mut seed);
                }
                generations = common.numbers().generation();
            }
            assert!(generations > 5, "numbers were given anew {generations} times");
        }
    }

    #[test]
    fn what_groups_take_is_charged_at_least_as_alone() {
        let common = Arc::new(keys());
        let mut numbered = NumberedGroups::new(Arc::clone(&common), 1 << 20, vec![]).unwrap();
        let mut own = group_table(common.schema(), 1 << 20).unwrap();
        let (mut seed, mut groups) = (7, vec![]);
        for sequence in 0..20 {
            let batch = batch(&mut seed, sequence, 3000);
            let columns = batch.batch.columns();
            numbered.intern_columns(columns, ROWS, &mut groups).unwrap();
            own.intern(columns, ROWS, &mut groups).unwrap();
        }
        let groups = own.len();
        assert_eq!(numbered.numbers.len(), groups);
        // What a table keeps of the batch at hand is no group's.
        let batch = ROWS.next_power_of_two() * size_of::<u64>();
        assert!(numbered.octets_with(2 * groups) + batch >= own.octets_with(2 * groups));
        assert!(numbered.octets_with(groups) >= numbered.key_octets);
    }
}
