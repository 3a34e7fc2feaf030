//! Runs a plan over the records of a set, column by column, into the batch that is being filled.
//!
//! Times are worked out first, message by message, since several columns share them (`times.rs`); the columns
//! may be filled of several messages at once (`gather.rs`). Once warm, nothing is allocated, but where an exporter's
//! rates tell rows apart.

use super::append::{append_arrays, append_field, append_rows, extend_arrays};
use super::believed::NO_TIME;
use super::element_values::{append_element, application_id};
use super::extract_counts::ExtractCounts;
use super::message::{Message, Origin};
use super::plan::{IcmpOfPort, Operation, Part, RateSource, Side};
use super::rate_tables::RowFields;
use super::records::Records;
use super::sampling::Sampling;
use super::section::SectionRows;
use super::slot::Slot;
use super::template::Template;
use super::times::RowTimes;
use super::wire::{array_at, number, u16_at};
use crate::packet::protocol;
use tapline_record::address::{Address, mapped_v4};
use tapline_record::column::BURST_ROWS;
use tapline_record::{BatchBuilder, ColumnBuilder, ColumnType, EventTime};

/// What is worked out once for several columns of the same records.
#[derive(Debug, Default)]
pub(super) struct Extractor {
    numbers: Vec<u64>,
    /// Times of the rows that were found and are not yet in the columns.
    times: RowTimes,
    /// Sampling rates of the rows that were found and are not yet in the columns; 0 stands for an unknown one.
    rates: Vec<u64>,
    /// Rows of records that hold packets.
    sections: SectionRows,
    /// Families of records that may hold addresses of either one: 4, 6, or 0 where there are none.
    families: Vec<u8>,
    counts: ExtractCounts,
    /// The latest event time of any row since it was asked for.
    latest: Option<EventTime>,
}

impl Extractor {
    /// Finds what is shared by columns, of the rows that follow those found before.
    pub(super) fn find(
        &mut self,
        template: &Template,
        side: &Side,
        records: &Records<'_>,
        message: &Message<'_>,
    ) {
        self.find_times(side, records, message);
        let fields = RowFields { template, is_reverse: side.is_reverse };
        self.find_rates(&side.rate, fields, records, message.sampling);
    }

    /// Appends the rows of one direction, all that were found.
    pub(super) fn run(
        &mut self,
        side: &Side,
        records: &Records<'_>,
        origin: Origin,
        batch: &mut BatchBuilder,
    ) {
        let rows = records.len();
        if let Some(section) = side.section {
            self.sections.read(section, records, &self.rates);
        }
        match &side.families {
            Some(families) => families.read(records, &mut self.families),
            None => self.families.clear(),
        }
        let mut operations = side.operations.iter();
        batch.append(rows, |_, column| match operations.next() {
            Some(Operation::First(kind, place)) => {
                self.append_first(*kind, side.parts(*place), records, column);
            }
            Some(Operation::ScaledFirst(place)) => {
                self.load_first(side.parts(*place), records);
                self.append_scaled(column);
            }
            Some(operation) => self.fill(*operation, records, origin, column),
            None => column.append_absent(rows),
        });
        self.times.clear();
        self.rates.clear();
    }

    /// What was mended since the last call.
    pub(super) fn take_counts(&mut self) -> ExtractCounts {
        std::mem::take(&mut self.counts)
    }

    /// The latest event time of the rows since the last call.
    pub(super) fn take_latest(&mut self) -> Option<EventTime> {
        self.latest.take()
    }

    fn fill(
        &mut self,
        operation: Operation,
        records: &Records<'_>,
        origin: Origin,
        column: &mut ColumnBuilder,
    ) {
        let rows = records.len();
        match operation {
            // The last two were filled before, since they need more than their operation.
            Operation::Absent | Operation::First(..) | Operation::ScaledFirst(_) => {
                column.append_absent(rows);
            }
            Operation::Number(kind, slot) => self.append_numbers(kind, records, slot, column),
            Operation::Bits { kind, slot, shift, bits } => {
                self.load(records, slot);
                let mask = u64::MAX >> (64 - bits);
                self.numbers.iter_mut().for_each(|number| *number = (*number >> shift) & mask);
                append_loaded(kind, &self.numbers, records, slot, column);
            }
            Operation::Application(slot) => {
                append_field(column, records, slot, application_id);
            }
            Operation::V4(slot) => match records.arrays::<4>(slot) {
                Some(addresses) => append_arrays(column, addresses, mapped_v4),
                None => append_field(column, records, slot, |octets| array_at(octets, 0).map(mapped_v4)),
            },
            Operation::V6(slot) => match records.arrays::<16>(slot) {
                Some(addresses) => append_arrays(column, addresses, |address| address),
                None => append_field(column, records, slot, |octets| array_at::<16>(octets, 0)),
            },
            Operation::Either(v4, v6) => append_either(column, records, &self.families, [v4, v6]),
            Operation::Mac(slot) => append_field(column, records, slot, |octets| array_at::<6>(octets, 0)),
            Operation::Ts => column.append_present(self.times.events().iter().copied()),
            Operation::StartTime => append_times(column, self.times.starts(), self.times.has_gaps()),
            Operation::EndTime => append_times(column, self.times.ends(), self.times.has_gaps()),
            Operation::Source => column.append_present(same(origin.source, rows)),
            Operation::Exporter => column.append_present(same(origin.exporter, rows)),
            Operation::ObservationDomain => column.append_present(same(origin.domain, rows)),
            Operation::Octet(octet) => column.append_present(same(octet, rows)),
            Operation::Dscp(slot) => {
                append_field(column, records, slot, |octets| octets.last().map(|dscp| (dscp & 0x3f) << 2));
            }
            Operation::IcmpOfPort(place) => append_icmp(column, records, place),
            Operation::SamplingRate => append_rates(column, &self.rates),
            Operation::Scaled(slot) => {
                self.load(records, slot);
                self.append_scaled(column);
            }
            Operation::OfFamily(v4, v6) => append_of_family(column, records, &self.families, [v4, v6]),
            Operation::Family => {
                append_rows(column, rows, |row| self.families.get(row).copied().filter(|&family| family > 0));
            }
            Operation::OfPacket(position) => self.sections.append(position, column),
            Operation::Element(form, slot) => append_element(form, records, slot, column),
        }
    }

    fn append_numbers(
        &mut self,
        kind: ColumnType,
        records: &Records<'_>,
        slot: Slot,
        column: &mut ColumnBuilder,
    ) {
        if !append_fixed(kind, records, slot, column) {
            self.load(records, slot);
            append_loaded(kind, &self.numbers, records, slot, column);
        }
    }

    /// Appends the first of several numbers that is not zero; absent where no field of it has octets.
    fn append_first(
        &mut self,
        kind: ColumnType,
        parts: &[Part],
        records: &Records<'_>,
        column: &mut ColumnBuilder,
    ) {
        self.load_first(parts, records);
        let is_there = |row| parts.iter().any(|part: &Part| !records.field_of(row, part.slot).is_empty());
        append_present(kind, &self.numbers, is_there, column);
    }

    fn load_first(&mut self, parts: &[Part], records: &Records<'_>) {
        self.numbers.clear();
        self.numbers.resize(records.len(), 0);
        for part in parts {
            let zeros = self.numbers.iter_mut().enumerate().filter(|(_, number)| **number == 0);
            zeros.for_each(|(row, number)| *number = part.of_record(records, row));
        }
    }

    /// Appends the numbers that were loaded, times the sampling rate.
    fn append_scaled(&self, column: &mut ColumnBuilder) {
        let numbers = self.numbers.iter().zip(&self.rates);
        column.append_present(numbers.map(|(number, rate)| number.saturating_mul(*rate.max(&1))));
    }

    /// The numbers in a field of every record.
    fn load(&mut self, records: &Records<'_>, slot: Slot) {
        load_into(&mut self.numbers, records, slot);
    }

    fn find_times(&mut self, side: &Side, records: &Records<'_>, message: &Message<'_>) {
        let found = self.times.find(&side.times, records, message);
        self.counts.times_mended += found.mended;
        self.counts.rows_shifted += if message.shift_ns == 0 { 0 } else { records.len() as u64 };
        let Some((earliest, latest)) = found.span else { return };
        self.latest = self.latest.max(Some(EventTime(latest)));
        self.counts.note_late(found.late, EventTime(earliest), message.closed_until);
    }

    /// Finds the sampling rate of every row.
    fn find_rates(
        &mut self,
        source: &RateSource,
        fields: RowFields<'_>,
        records: &Records<'_>,
        sampling: &Sampling,
    ) {
        let RateSource::Told(own) = source else { return };
        let (first, rows) = (self.rates.len(), records.len());
        let is_same = own.is_none() && sampling.is_same_for_all();
        match own.as_deref().map(|own| (own, own.plain())) {
            None => {
                let overall = sampling.overall().filter(|_| is_same);
                self.rates.resize(first + rows, overall.unwrap_or(0));
            }
            Some((_, Some(plain))) => {
                load_into(&mut self.numbers, records, plain);
                self.rates.extend_from_slice(&self.numbers);
            }
            Some((own, None)) => {
                self.rates.extend((0..rows).map(|row| own.rate(records, row).unwrap_or(0)));
            }
        }
        let rates = &mut self.rates[first..];
        if !is_same {
            sampling.fill(fields, records, rates);
        }
        self.counts.rates_unknown += rates.iter().filter(|&&rate| rate == 0).count() as u64;
    }
}

fn load_into(numbers: &mut Vec<u64>, records: &Records<'_>, slot: Slot) {
    numbers.clear();
    match slot.length {
        1 if let Some(values) = records.arrays::<1>(slot) => {
            extend_arrays(numbers, values, |[octet]| octet.into());
        }
        2 if let Some(values) = records.arrays(slot) => {
            extend_arrays(numbers, values, |value| u16::from_be_bytes(value).into());
        }
        4 if let Some(values) = records.arrays(slot) => {
            extend_arrays(numbers, values, |value| u32::from_be_bytes(value).into());
        }
        8 if let Some(values) = records.arrays(slot) => extend_arrays(numbers, values, u64::from_be_bytes),
        _ => numbers.extend(records.field(slot).map(number)),
    }
}

/// Appends numbers that are all of one width, the column's or less; says whether they are.
fn append_fixed(kind: ColumnType, records: &Records<'_>, slot: Slot, column: &mut ColumnBuilder) -> bool {
    macro_rules! append_as {
        ($wire:ty, $native:ty) => {{
            let native = |octets| <$native>::from(<$wire>::from_be_bytes(octets));
            records.arrays(slot).map(|values| append_arrays(column, values, native))
        }};
    }
    let appended = match (kind, slot.length) {
        (ColumnType::UInt8, 1) => append_as!(u8, u8),
        (ColumnType::UInt16, 1) => append_as!(u8, u16),
        (ColumnType::UInt16, 2) => append_as!(u16, u16),
        (ColumnType::UInt32, 1) => append_as!(u8, u32),
        (ColumnType::UInt32, 2) => append_as!(u16, u32),
        (ColumnType::UInt32, 4) => append_as!(u32, u32),
        (ColumnType::UInt64, 1) => append_as!(u8, u64),
        (ColumnType::UInt64, 2) => append_as!(u16, u64),
        (ColumnType::UInt64 | ColumnType::Counter, 4) => append_as!(u32, u64),
        (ColumnType::UInt64 | ColumnType::Counter, 8) => append_as!(u64, u64),
        _ => None,
    };
    appended.is_some()
}

/// Appends numbers of any width; those of no width, and those beyond the column's, are absent.
fn append_loaded(
    kind: ColumnType,
    numbers: &[u64],
    records: &Records<'_>,
    slot: Slot,
    column: &mut ColumnBuilder,
) {
    append_present(kind, numbers, |row| !records.field_of(row, slot).is_empty(), column);
}

/// Appends numbers; those that are not there, and those beyond the column's width, are absent.
fn append_present(
    kind: ColumnType,
    numbers: &[u64],
    is_there: impl Fn(usize) -> bool,
    column: &mut ColumnBuilder,
) {
    let bursts = numbers.chunks(BURST_ROWS).enumerate();
    for (burst, numbers) in bursts {
        let is_there = |row: usize| is_there(burst * BURST_ROWS + row);
        macro_rules! append_as {
            ($native:ty) => {
                column.append(numbers.iter().enumerate().map(|(row, &number)| {
                    let value = <$native>::try_from(number).ok().filter(|_| is_there(row));
                    (value.unwrap_or_default(), u64::from(value.is_some()))
                }))
            };
        }
        match kind {
            ColumnType::UInt8 => append_as!(u8),
            ColumnType::UInt16 => append_as!(u16),
            ColumnType::UInt32 => append_as!(u32),
            _ => append_as!(u64),
        }
    }
}

/// Appends whichever address is not all zero; where both are, that of the record's family.
fn append_either(column: &mut ColumnBuilder, records: &Records<'_>, families: &[u8], [v4, v6]: [Slot; 2]) {
    append_rows(column, records.len(), |row| {
        let short = array_at::<4>(records.field_of(row, v4), 0);
        let long = array_at::<16>(records.field_of(row, v6), 0);
        let is_told = long.is_some_and(|address| address != Address::default());
        let is_v6 = families.get(row) == Some(&6);
        match short {
            Some([0, 0, 0, 0]) if is_told || is_v6 => long.or(short.map(mapped_v4)),
            Some(address) => Some(mapped_v4(address)),
            None => long.filter(|_| is_told || is_v6),
        }
    });
}

/// As [`append_either`], by the family of each record.
fn append_of_family(column: &mut ColumnBuilder, records: &Records<'_>, families: &[u8], [v4, v6]: [Slot; 2]) {
    append_rows(column, records.len(), |row| {
        let short = || array_at::<4>(records.field_of(row, v4), 0).map(mapped_v4);
        let long = || array_at::<16>(records.field_of(row, v6), 0);
        if families.get(row) == Some(&6) { long() } else { short().or_else(long) }
    });
}

fn append_icmp(column: &mut ColumnBuilder, records: &Records<'_>, place: IcmpOfPort) {
    append_rows(column, records.len(), |row| {
        let is_icmp = matches!(records.field_of(row, place.protocol), [protocol::ICMP | protocol::ICMPV6]);
        let port = u16_at(records.field_of(row, place.port), 0).filter(|_| is_icmp)?;
        (port > 0 || place.is_always_told).then_some((port >> place.shift) as u8)
    });
}

fn append_times(column: &mut ColumnBuilder, times: &[i64], has_gaps: bool) {
    if has_gaps {
        append_rows(column, times.len(), |row| Some(times[row]).filter(|&time| time != NO_TIME));
    } else {
        column.append_present(times.iter().copied());
    }
}

fn append_rates(column: &mut ColumnBuilder, rates: &[u64]) {
    append_rows(column, rates.len(), |row| Some(rates[row]).filter(|&rate| rate > 0));
}

fn same<T: Copy>(value: T, rows: usize) -> impl ExactSizeIterator<Item = T> {
    std::iter::repeat_n(value, rows)
}
