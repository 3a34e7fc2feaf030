//! Columns of `flows` as information elements.
//!
//! A column of a result is known by its name, so that `scaled_octets AS octets` exports that. What is NULL, or does not
//! fit, is no field of its record; whether an address, a prefix or a message of ICMP is of IPv4 or IPv6 decides its
//! element. Times are whole milliseconds, which collectors read everywhere.

use super::message::{Field, SELECTOR};
use crate::origin::Origin;
use datafusion::arrow::array::{
    Array as _, ArrayRef, AsArray as _, FixedSizeBinaryArray, RecordBatch, UInt64Array,
};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, TimeUnit, UInt64Type};
use datafusion::arrow::error::ArrowError;
use std::net::IpAddr;
use tapline_record::StreamId;
use tapline_record::address::to_ip;

const MILLISECOND_NS: u64 = 1_000_000;
/// Protocols whose messages have types and codes.
const ICMP: u64 = 1;
const ICMPV6: u64 = 58;
/// An application id of four octets has a selector of three; longer ones have seven.
const SHORT_SELECTOR_BITS: u32 = 24;
const SELECTOR_BITS: u32 = 56;

/// What a column is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A number of so many octets.
    Number(u16, u16),
    /// A time.
    Time(u16),
    /// An address: the elements of IPv4 and IPv6.
    Address([u16; 2]),
    Mac(u16),
    /// A number of one octet that goes with addresses, likewise.
    OfFamily([u16; 2]),
    IcmpType,
    IcmpCode,
    Application(u16),
    /// One packet in so many: a selector, of which that is announced.
    Rate,
}

/// Type and code of a message of ICMP in one number: `icmpTypeCodeIPv4`, `icmpTypeCodeIPv6`.
const ICMP_TYPE_CODE: [u16; 2] = [32, 139];
/// The same apart: `icmpTypeIPv4` and so on.
const ICMP_TYPE: [u16; 2] = [176, 178];
const ICMP_CODE: [u16; 2] = [177, 179];

/// Columns by name, with the numbers of IANA's registry of information elements.
const KINDS: &[(&str, Kind)] = &[
    ("start_time", Kind::Time(152)),
    ("end_time", Kind::Time(153)),
    ("exporter", Kind::Address([403, 404])),
    ("observation_domain", Kind::Number(405, 4)),
    ("src_ip", Kind::Address([8, 27])),
    ("dst_ip", Kind::Address([12, 28])),
    ("src_port", Kind::Number(7, 2)),
    ("dst_port", Kind::Number(11, 2)),
    ("protocol", Kind::Number(4, 1)),
    ("tcp_flags", Kind::Number(6, 2)),
    ("tos", Kind::Number(5, 1)),
    ("packets", Kind::Number(2, 8)),
    ("octets", Kind::Number(1, 8)),
    ("sampling_rate", Kind::Rate),
    ("src_as", Kind::Number(16, 4)),
    ("dst_as", Kind::Number(17, 4)),
    ("src_mask", Kind::OfFamily([9, 29])),
    ("dst_mask", Kind::OfFamily([13, 30])),
    ("next_hop", Kind::Address([15, 62])),
    ("bgp_next_hop", Kind::Address([18, 63])),
    ("input_interface", Kind::Number(10, 4)),
    ("output_interface", Kind::Number(14, 4)),
    ("vlan", Kind::Number(58, 2)),
    ("post_vlan", Kind::Number(59, 2)),
    ("src_mac", Kind::Mac(56)),
    ("dst_mac", Kind::Mac(80)),
    ("icmp_type", Kind::IcmpType),
    ("icmp_code", Kind::IcmpCode),
    ("flow_end_reason", Kind::Number(136, 1)),
    ("direction", Kind::Number(61, 1)),
    ("ip_version", Kind::Number(60, 1)),
    ("nat_src_ip", Kind::Address([225, 281])),
    ("nat_dst_ip", Kind::Address([226, 282])),
    ("nat_src_port", Kind::Number(227, 2)),
    ("nat_dst_port", Kind::Number(228, 2)),
    ("application_id", Kind::Application(95)),
];

/// Columns of `flows` without an element, and what is done instead.
const INSTEAD: [(&str, &str); 6] = [
    ("ts", "write end_time"),
    ("source", "leave it out"),
    ("sender", "leave it out, or write sender AS exporter"),
    ("scaled_packets", "write scaled_packets AS packets, without sampling_rate"),
    ("scaled_octets", "write scaled_octets AS octets, without sampling_rate"),
    ("mpls_label", "leave it out: its element holds more than the label"),
];

impl Kind {
    fn of(name: &str) -> Option<Self> {
        KINDS.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind)
    }

    /// Whether values of this type can be of this kind.
    fn takes(self, data_type: &DataType) -> bool {
        match self {
            Self::Time(_) => matches!(data_type, DataType::Timestamp(..)),
            Self::Address(_) => *data_type == DataType::FixedSizeBinary(16),
            Self::Mac(_) => *data_type == DataType::FixedSizeBinary(6),
            _ => data_type.is_integer(),
        }
    }
}

/// Refuses a query that is none of flow records, or names what is no element.
///
/// # Errors
/// A sentence that says so, and what would be right.
pub(super) fn check(origin: &Origin) -> Result<(), String> {
    if origin.gives_rows && origin.columns.is_windowed() {
        let why = "rows that sensors send come by windows of a second, which are given again when more comes, and a collector \
             would count their flows twice; let each sensor ask by itself, with this sink in its own configuration";
        return Err(why.to_owned());
    }
    if origin.columns.is_windowed() || origin.streams != [StreamId::Flows] {
        return Err("flows are sent on one by one: write SELECT … FROM flows without an aggregate".to_owned());
    }
    let fields = origin.columns.schema().fields();
    for (place, field) in fields.iter().enumerate() {
        let name = field.name();
        let Some(kind) = Kind::of(name) else {
            let instead = INSTEAD.iter().find(|(known, _)| known == name).map(|(_, instead)| *instead);
            let instead = instead.unwrap_or(
                "name it as a column of `tapline schema flows` that says the same, such as octets, or leave it out",
            );
            return Err(format!("`{name}` has no information element of its own; {instead}"));
        };
        if !kind.takes(field.data_type()) {
            return Err(format!(
                "`{name}` is of type {}, which that column of flows is not",
                field.data_type()
            ));
        }
        if fields.iter().take(place).any(|before| before.name() == name) {
            return Err(format!("`{name}` is selected twice; leave one of them out"));
        }
    }
    Ok(())
}

/// The columns of a batch.
pub(super) struct Columns(Vec<Column>);

struct Column {
    kind: Kind,
    values: Values,
}

enum Values {
    Numbers(UInt64Array),
    Octets(FixedSizeBinaryArray),
}

/// A record that is made, row by row.
#[derive(Debug, Default)]
pub(super) struct Record {
    pub(super) fields: Vec<Field>,
    pub(super) octets: Vec<u8>,
}

impl Record {
    fn clear(&mut self) {
        self.fields.clear();
        self.octets.clear();
    }

    /// Appends the lowest octets of a number, if it has no more.
    fn put_number(&mut self, id: u16, octets: u16, number: u64) {
        let bytes = number.to_be_bytes();
        let (rest, lowest) = bytes.split_at(bytes.len().saturating_sub(octets.into()));
        if rest.iter().all(|octet| *octet == 0) {
            self.put(id, lowest);
        }
    }

    fn put(&mut self, id: u16, octets: &[u8]) {
        self.fields.push(Field { id, octets: u16::try_from(octets.len()).unwrap_or(u16::MAX) });
        self.octets.extend_from_slice(octets);
    }
}

impl Columns {
    /// # Errors
    /// When a value cannot be converted.
    pub(super) fn of(batch: &RecordBatch) -> Result<Self, ArrowError> {
        let schema = batch.schema();
        let mut columns = vec![];
        for (field, array) in schema.fields().iter().zip(batch.columns()) {
            // What was refused before is left out.
            let kind = Kind::of(field.name()).filter(|kind| kind.takes(field.data_type()));
            let Some(kind) = kind else { continue };
            columns.push(Column { kind, values: values(kind, array)? });
        }
        Ok(Self(columns))
    }

    /// Makes the record of a row; `selector_of` gives the number of a sampling rate, if it can be announced.
    pub(super) fn read(
        &self,
        row: usize,
        record: &mut Record,
        mut selector_of: impl FnMut(u64) -> Option<u64>,
    ) {
        record.clear();
        let family = self.family(row);
        for column in &self.0 {
            match (column.kind, column.octets(row), column.number(row)) {
                (Kind::Address(ids), Some(octets), _) => put_address(record, ids, octets),
                (Kind::Mac(id), Some(octets), _) => record.put(id, octets),
                (Kind::Number(id, octets), _, Some(number)) => record.put_number(id, octets, number),
                (Kind::Time(id), _, Some(ns)) => record.put_number(id, 8, ns / MILLISECOND_NS),
                (Kind::OfFamily(ids), _, Some(number)) => {
                    family.into_iter().for_each(|family| record.put_number(family.of(ids), 1, number));
                }
                (Kind::IcmpType, _, Some(kind)) => self.put_icmp_type(row, kind, record),
                (Kind::IcmpCode, _, Some(code)) => self.put_icmp_code(row, code, record),
                (Kind::Application(id), _, Some(number)) => put_application(record, id, number),
                (Kind::Rate, _, Some(rate)) => {
                    let selector = selector_of(rate).into_iter();
                    selector.for_each(|selector| record.put_number(SELECTOR.id, SELECTOR.octets, selector));
                }
                _ => {}
            }
        }
    }

    /// The number of a row in the column of this kind.
    fn number(&self, kind: Kind, row: usize) -> Option<u64> {
        self.0.iter().find(|column| column.kind == kind)?.number(row)
    }

    /// Whose addresses a row has.
    fn family(&self, row: usize) -> Option<Family> {
        let addresses = self.0.iter().filter(|column| matches!(column.kind, Kind::Address([8 | 12, _])));
        let told = addresses.filter_map(|column| column.octets(row)).find_map(|octets| {
            let address = <[u8; 16]>::try_from(octets).ok()?;
            Some(if to_ip(address).is_ipv4() { Family::V4 } else { Family::V6 })
        });
        told.or_else(|| match self.number(Kind::Number(60, 1), row)? {
            4 => Some(Family::V4),
            6 => Some(Family::V6),
            _ => None,
        })
    }

    /// Whose messages a row is about.
    fn icmp_family(&self, row: usize) -> Option<Family> {
        match self.number(Kind::Number(4, 1), row) {
            Some(ICMP) => Some(Family::V4),
            Some(ICMPV6) => Some(Family::V6),
            _ => self.family(row),
        }
    }

    /// With its code, where that is known: collectors read that everywhere.
    fn put_icmp_type(&self, row: usize, kind: u64, record: &mut Record) {
        let Some(family) = self.icmp_family(row) else { return };
        match self.number(Kind::IcmpCode, row) {
            Some(code) => record.put_number(family.of(ICMP_TYPE_CODE), 2, kind << 8 | code),
            None => record.put_number(family.of(ICMP_TYPE), 1, kind),
        }
    }

    fn put_icmp_code(&self, row: usize, code: u64, record: &mut Record) {
        let Some(family) = self.icmp_family(row) else { return };
        if self.number(Kind::IcmpType, row).is_none() {
            record.put_number(family.of(ICMP_CODE), 1, code);
        }
    }
}

/// Which protocol's element it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    V4,
    V6,
}

impl Family {
    const fn of(self, [v4, v6]: [u16; 2]) -> u16 {
        match self {
            Self::V4 => v4,
            Self::V6 => v6,
        }
    }
}

impl Column {
    fn number(&self, row: usize) -> Option<u64> {
        let Values::Numbers(numbers) = &self.values else { return None };
        numbers.is_valid(row).then(|| numbers.value(row))
    }

    fn octets(&self, row: usize) -> Option<&[u8]> {
        let Values::Octets(octets) = &self.values else { return None };
        octets.is_valid(row).then(|| octets.value(row))
    }
}

/// Numbers without a sign, times in nanoseconds among them; what is negative is NULL then.
fn values(kind: Kind, array: &ArrayRef) -> Result<Values, ArrowError> {
    match kind {
        Kind::Address(_) | Kind::Mac(_) => Ok(Values::Octets(array.as_fixed_size_binary().clone())),
        Kind::Time(_) => {
            let zone = match array.data_type() {
                DataType::Timestamp(_, zone) => zone.clone(),
                _ => None,
            };
            let times = cast(array, &DataType::Timestamp(TimeUnit::Nanosecond, zone))?;
            numbers(&cast(&times, &DataType::Int64)?)
        }
        _ => numbers(array),
    }
}

fn numbers(array: &ArrayRef) -> Result<Values, ArrowError> {
    let numbers = cast(array, &DataType::UInt64)?;
    Ok(Values::Numbers(numbers.as_primitive::<UInt64Type>().clone()))
}

fn put_address(record: &mut Record, [v4, v6]: [u16; 2], octets: &[u8]) {
    let Ok(address) = <[u8; 16]>::try_from(octets) else { return };
    match to_ip(address) {
        IpAddr::V4(address) => record.put(v4, &address.octets()),
        IpAddr::V6(address) => record.put(v6, &address.octets()),
    }
}

/// The engine in the first octet, the selector in as many as it takes.
fn put_application(record: &mut Record, id: u16, number: u64) {
    let (engine, selector) = (number >> SELECTOR_BITS, number & ((1 << SELECTOR_BITS) - 1));
    if selector >> SHORT_SELECTOR_BITS == 0 {
        record.put_number(id, 4, engine << SHORT_SELECTOR_BITS | selector);
    } else {
        record.put_number(id, 8, number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::arrow::array::{
        Int64Array, TimestampNanosecondArray, UInt8Array, UInt16Array, UInt32Array,
    };
    use datafusion::arrow::datatypes::{Field as ArrowField, Schema};
    use std::sync::Arc;
    use tapline_query::Planner;
    use tapline_record::FLOWS;
    use tapline_record::address::parse_ip;

    fn checked(sql: &str) -> Result<(), String> {
        check(&Origin::of("q", &Planner::new().plan(sql).unwrap()))
    }

    #[test]
    fn every_column_of_flows_has_an_element_or_a_sentence() {
        for column in FLOWS.columns {
            let instead = INSTEAD.iter().any(|(name, _)| *name == column.name);
            assert_ne!(Kind::of(column.name).is_some(), instead, "{}", column.name);
            if let Some(kind) = Kind::of(column.name) {
                assert!(kind.takes(&column.kind.data_type()), "{}", column.name);
            }
        }
    }

    #[test]
    fn queries_that_are_no_flows_are_refused() {
        let all: Vec<&str> = KINDS.iter().map(|(name, _)| *name).collect();
        assert_eq!(checked(&format!("SELECT {} FROM flows", all.join(", "))), Ok(()));
        assert_eq!(checked("SELECT src_ip, scaled_octets AS octets FROM flows WHERE protocol = 6"), Ok(()));
        let cases = [
            ("SELECT src_ip FROM packets", "flows are sent on one by one"),
            ("SELECT src_ip FROM flows GROUP BY src_ip, tumble('1 second')", "flows are sent on one by one"),
            (
                "SELECT scaled_octets FROM flows",
                "`scaled_octets` has no information element of its own; write",
            ),
            ("SELECT octets * 8 AS bits FROM flows", "`bits` has no information element of its own; name it"),
            ("SELECT ts FROM flows", "`ts` has no information element of its own; write end_time"),
            ("SELECT source AS octets FROM flows", "`octets` is of type Utf8"),
        ];
        for (sql, expected) in cases {
            let why = checked(sql).unwrap_err();
            assert!(why.starts_with(expected), "{sql}: {why}");
        }
        let of_sensors = Planner::new().plan("SELECT src_ip FROM flows").unwrap().of_sensors().unwrap();
        let why = check(&Origin::of("q", &of_sensors)).unwrap_err();
        assert!(why.starts_with("rows that sensors send come by windows of a second"), "{why}");
    }

    fn columns(columns: Vec<(&str, ArrayRef)>) -> Columns {
        let fields =
            columns.iter().map(|(name, column)| ArrowField::new(*name, column.data_type().clone(), true));
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let columns = columns.into_iter().map(|(_, column)| column).collect();
        Columns::of(&RecordBatch::try_new(schema, columns).unwrap()).unwrap()
    }

    fn address(text: Option<&str>) -> ArrayRef {
        let address = text.map(|text| parse_ip(text).unwrap());
        Arc::new(FixedSizeBinaryArray::try_from_sparse_iter_with_size([address].into_iter(), 16).unwrap())
    }

    /// Elements and octets of the only record.
    fn read(of: Vec<(&str, ArrayRef)>) -> (Vec<(u16, u16)>, Vec<u8>) {
        let mut record = Record::default();
        columns(of).read(0, &mut record, |rate| (rate < 1000).then_some(rate));
        (record.fields.iter().map(|field| (field.id, field.octets)).collect(), record.octets)
    }

    #[test]
    fn what_is_not_known_is_no_field() {
        let end = TimestampNanosecondArray::from(vec![1_234_567_890]).with_timezone("UTC");
        let (fields, octets) = read(vec![
            ("src_ip", address(Some("192.0.2.7"))),
            ("dst_ip", address(None)),
            ("src_mask", Arc::new(UInt8Array::from(vec![24]))),
            ("end_time", Arc::new(end)),
            ("octets", Arc::new(Int64Array::from(vec![None]))),
            ("src_port", Arc::new(Int64Array::from(vec![70_000]))),
            ("dst_port", Arc::new(UInt16Array::from(vec![443]))),
        ]);
        assert_eq!(fields, [(8, 4), (9, 1), (153, 8), (11, 2)]);
        assert_eq!(octets, [&[192, 0, 2, 7, 24][..], &1234_u64.to_be_bytes(), &[1, 187]].concat());
        let of: [(&str, ArrayRef); 2] = [
            ("src_mask", Arc::new(UInt8Array::from(vec![24]))),
            ("sampling_rate", Arc::new(Int64Array::from(vec![2000]))),
        ];
        assert!(read(of.to_vec()).0.is_empty(), "neither whose prefix it is nor the rate can be told");
    }

    #[test]
    fn elements_are_those_of_the_family() {
        let number = |value: u8| Arc::new(UInt8Array::from(vec![value])) as ArrayRef;
        let (fields, octets) = read(vec![
            ("dst_ip", address(Some("2001:db8::1"))),
            ("dst_mask", number(48)),
            ("icmp_type", number(128)),
            ("icmp_code", number(1)),
            ("sampling_rate", Arc::new(Int64Array::from(vec![100]))),
        ]);
        assert_eq!(fields, [(28, 16), (30, 1), (139, 2), (302, 8)]);
        assert_eq!(octets[16..19], [48, 128, 1]);
        let of_icmp = vec![("protocol", number(1)), ("icmp_type", number(8))];
        assert_eq!(read(of_icmp).0, [(4, 1), (176, 1)]);
        assert_eq!(read(vec![("ip_version", number(6)), ("icmp_code", number(3))]).0, [(60, 1), (179, 1)]);
        let application = |number: u64| {
            let array: ArrayRef = Arc::new(UInt64Array::from(vec![number]));
            read(vec![("application_id", array)])
        };
        assert_eq!(application(3 << 56 | 443), (vec![(95, 4)], vec![3, 0, 1, 187]));
        assert_eq!(application(3 << 56 | 1 << 24).1.len(), 8);
        let array: ArrayRef = Arc::new(UInt32Array::from(vec![65_001]));
        assert_eq!(read(vec![("src_as", array)]), (vec![(16, 4)], vec![0, 0, 253, 233]));
    }
}
