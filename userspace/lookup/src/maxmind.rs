//! Tables in MaxMind's format (.mmdb): networks, and what is known of each.
//!
//! Its records are maps within maps; here each scalar in them is a column, named by its path, `country.iso_code`. Of
//! names in several languages the English one is taken. Networks that share a record share a row.

use crate::keys::Keys;
use crate::prefixes::{PrefixList, Prefixes};
use crate::table::{Column, Table};
use arrow_array::builder::StringViewBuilder;
use arrow_array::{ArrayRef, BooleanArray, Float64Array, Int64Array};
use maxminddb::{LookupResult, MaxMindDbError, Reader, WithinOptions};
use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

/// Networks of one file; the largest ones that are sold have some ten million.
const NETWORKS_MAX: usize = 1 << 27;

/// Columns of one table; files that are sold have less than a hundred.
const COLUMNS_MAX: usize = 1024;

/// Bits before an IPv4 address in the tree.
const V4_DEPTH: u8 = 96;

/// Maps within maps of a record; those that are sold have three.
const DEPTH_MAX: usize = 16;

/// What stands for a language within names.
const NAMES: &str = "names";
const LANGUAGE: &str = "en";

/// Reads a table; columns that `before` has stay where they are, NULL where this file has none of them.
pub(crate) fn load(octets: Vec<u8>, before: Option<&Table>) -> Result<Table, String> {
    let reader = Reader::from_source(octets).map_err(|error| unreadable(&error))?;
    // A tree in which two branches part at each node has one leaf more than it has nodes.
    let leaves_max = reader.metadata().node_count as usize + 1;
    let (mut networks, mut leaves) = (Networks::default(), 0);
    for leaf in reader.networks(all_leaves(&reader)?).map_err(|error| unreadable(&error))? {
        leaves += 1;
        if leaves > leaves_max {
            return Err(": its tree has circles or shared branches; fetch it anew".to_owned());
        }
        networks.add(&leaf.map_err(|error| unreadable(&error))?)?;
    }
    networks.finish(before)
}

fn unreadable(error: &MaxMindDbError) -> String {
    format!(": it cannot be read as a MaxMind database: {error}; fetch it anew")
}

/// Leaves without a record are among them, so that they can be counted. Other branches that lead to IPv4 addresses are
/// passed over, unless all of those have one record: what shares it would be passed over, too.
fn all_leaves(reader: &Reader<Vec<u8>>) -> Result<WithinOptions, String> {
    let first_v4 = reader.lookup(IpAddr::V4(Ipv4Addr::UNSPECIFIED)).and_then(|found| found.network());
    let leaves = WithinOptions::default().include_networks_without_data();
    let has_v4_branch = first_v4.map_err(|error| unreadable(&error))?.is_ipv4();
    Ok(if has_v4_branch { leaves } else { leaves.include_aliased_networks() })
}

/// The networks of a file, and their records.
#[derive(Default)]
struct Networks {
    prefixes: PrefixList,
    entries: usize,
    /// By where a record is; empty ones have none.
    rows: HashMap<usize, Option<u32>>,
    records: Records,
}

impl Networks {
    /// Adds a leaf, if it has a record.
    fn add(&mut self, leaf: &LookupResult<'_, Vec<u8>>) -> Result<(), String> {
        let Some(row) = self.row(leaf)? else { return Ok(()) };
        let network = leaf.network().map_err(|error| unreadable(&error))?;
        let (address, bits) = (network.ip(), network.prefix());
        // The tree has IPv4 in `::/96`, and what holds for all of that comes as IPv6.
        let has_all_v4 = address == IpAddr::V6(Ipv6Addr::UNSPECIFIED) && bits <= V4_DEPTH;
        if has_all_v4 {
            self.prefixes.push_network(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0, row);
        }
        if !has_all_v4 || bits < V4_DEPTH {
            self.prefixes.push_network(address, bits, row);
        }
        self.entries += 1;
        if self.entries > NETWORKS_MAX {
            return Err(format!(": it has more than {NETWORKS_MAX} networks"));
        }
        Ok(())
    }

    /// The row of a leaf's record; `None` where it has none, or an empty one.
    fn row(&mut self, leaf: &LookupResult<'_, Vec<u8>>) -> Result<Option<u32>, String> {
        let Some(offset) = leaf.offset() else { return Ok(None) };
        if let Some(row) = self.rows.get(&offset) {
            return Ok(*row);
        }
        let record: Option<Record> = leaf.decode().map_err(|error| unreadable(&error))?;
        let record = record.filter(|record| !record.is_empty);
        let row = record.map(|record| self.records.add(record)).transpose()?;
        self.rows.insert(offset, row);
        Ok(row)
    }

    fn finish(self, before: Option<&Table>) -> Result<Table, String> {
        let columns = self.records.finish(before.map(Table::columns).unwrap_or_default())?;
        let keys = Keys::Prefixes(Box::new(Prefixes::new(self.prefixes)));
        Ok(Table::new(keys, columns, self.entries))
    }
}

/// A value of a record.
#[derive(Clone, Debug, PartialEq)]
enum Scalar {
    Text(String),
    Integer(i64),
    Float(f64),
    Boolean(bool),
}

/// The scalars of a record, each with its path.
#[derive(Debug, Default)]
struct Record {
    scalars: Vec<(String, Scalar)>,
    /// Whether there is nothing in it, not even what has no column.
    is_empty: bool,
}

/// The records of a file, column by column.
#[derive(Default)]
struct Records {
    rows: u32,
    /// In the order in which paths came.
    columns: Vec<(String, Vec<(u32, Scalar)>)>,
    places: HashMap<String, usize>,
}

impl Records {
    fn add(&mut self, record: Record) -> Result<u32, String> {
        for (path, scalar) in record.scalars {
            let next = self.columns.len();
            let place = *self.places.entry(path.clone()).or_insert(next);
            if place == next {
                self.columns.push((path, vec![]));
                check_width(self.columns.len())?;
            }
            self.columns[place].1.push((self.rows, scalar));
        }
        self.rows += 1;
        Ok(self.rows - 1)
    }

    /// The columns by name, so that their order does not depend on which record comes first.
    fn finish(mut self, before: &[Column]) -> Result<Vec<Column>, String> {
        if self.columns.is_empty() {
            return Err(": it has no records with values".to_owned());
        }
        if !before.is_empty() && !before.iter().any(|column| self.places.contains_key(&column.name)) {
            return Err(
                ": it has other columns than the file before; was it meant for another table?".to_owned()
            );
        }
        self.columns.sort_by(|a, b| a.0.cmp(&b.0));
        let rows = self.rows;
        let mut columns: Vec<Column> = before.iter().map(|column| column.nulls(rows as usize)).collect();
        for (name, values) in self.columns {
            let column = Column { values: column_of(rows, values), name };
            match columns.iter_mut().find(|known| known.name == column.name) {
                Some(known) => *known = column,
                None => columns.push(column),
            }
        }
        check_width(columns.len())?;
        Ok(columns)
    }
}

fn check_width(columns: usize) -> Result<(), String> {
    if columns > COLUMNS_MAX {
        return Err(format!(
            ": its records have values by more than {COLUMNS_MAX} names, each of which is a column; take a file with fewer"
        ));
    }
    Ok(())
}

/// The values of a path, of which most rows may have none.
fn column_of(rows: u32, values: Vec<(u32, Scalar)>) -> ArrayRef {
    let is_all = |is: fn(&Scalar) -> bool| values.iter().all(|(_, scalar)| is(scalar));
    if is_all(|scalar| matches!(scalar, Scalar::Integer(_))) {
        let integer = |scalar| if let Scalar::Integer(value) = scalar { Some(value) } else { None };
        Arc::new(Int64Array::from(spread(rows, values, integer)))
    } else if is_all(|scalar| matches!(scalar, Scalar::Integer(_) | Scalar::Float(_))) {
        let float = |scalar| match scalar {
            Scalar::Integer(value) => Some(value as f64),
            Scalar::Float(value) => Some(value),
            _ => None,
        };
        Arc::new(Float64Array::from(spread(rows, values, float)))
    } else if is_all(|scalar| matches!(scalar, Scalar::Boolean(_))) {
        let boolean = |scalar| if let Scalar::Boolean(value) = scalar { Some(value) } else { None };
        Arc::new(BooleanArray::from(spread(rows, values, boolean)))
    } else {
        let mut texts = StringViewBuilder::new().with_deduplicate_strings();
        spread(rows, values, |scalar| Some(scalar.into_text()))
            .iter()
            .for_each(|text| texts.append_option(text.as_ref()));
        Arc::new(texts.finish())
    }
}

fn spread<T: Clone>(
    rows: u32,
    values: Vec<(u32, Scalar)>,
    of: impl Fn(Scalar) -> Option<T>,
) -> Vec<Option<T>> {
    let mut all = vec![None; rows as usize];
    values.into_iter().for_each(|(row, scalar)| all[row as usize] = of(scalar));
    all
}

impl Scalar {
    fn into_text(self) -> String {
        match self {
            Self::Text(text) => text,
            Self::Integer(value) => value.to_string(),
            Self::Float(value) => value.to_string(),
            Self::Boolean(value) => value.to_string(),
        }
    }
}

/// What a part of a record is.
enum Part {
    Scalar(Scalar),
    Map(Vec<(String, Part)>),
    /// Lists have no columns.
    Other,
    /// A map or a list with nothing in it.
    Nothing,
}

impl<'de> Deserialize<'de> for Record {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let part = PartVisitor { depth: 0 }.deserialize(deserializer)?;
        let mut record = Self { scalars: vec![], is_empty: matches!(part, Part::Nothing) };
        record.add("", part);
        Ok(record)
    }
}

impl Record {
    fn add(&mut self, path: &str, part: Part) {
        match part {
            Part::Scalar(scalar) => self.scalars.push((path.to_owned(), scalar)),
            Part::Map(parts) => {
                let is_names = path == NAMES || path.ends_with(&format!(".{NAMES}"));
                let dot = if path.is_empty() { "" } else { "." };
                let read = parts.into_iter().filter(|(key, _)| !is_names || key == LANGUAGE);
                read.for_each(|(key, part)| self.add(&format!("{path}{dot}{key}"), part));
            }
            Part::Other | Part::Nothing => {}
        }
    }
}

/// Reads a part that lies so deep within its record.
struct PartVisitor {
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for PartVisitor {
    type Value = Part;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Part, D::Error> {
        if self.depth > DEPTH_MAX {
            return Err(Error::custom("its records are nested too deeply"));
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for PartVisitor {
    type Value = Part;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a record")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Part, E> {
        Ok(Part::Scalar(Scalar::Boolean(value)))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Part, E> {
        Ok(Part::Scalar(Scalar::Integer(value)))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Part, E> {
        Ok(i64::try_from(value).map_or(Part::Other, |value| Part::Scalar(Scalar::Integer(value))))
    }

    fn visit_u128<E>(self, value: u128) -> Result<Part, E> {
        Ok(i64::try_from(value).map_or(Part::Other, |value| Part::Scalar(Scalar::Integer(value))))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Part, E> {
        Ok(Part::Scalar(Scalar::Float(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Part, E> {
        Ok(Part::Scalar(Scalar::Text(value.to_owned())))
    }

    fn visit_bytes<E>(self, _: &[u8]) -> Result<Part, E> {
        Ok(Part::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Part, A::Error> {
        let mut part = Part::Nothing;
        while list.next_element::<IgnoredAny>()?.is_some() {
            part = Part::Other;
        }
        Ok(part)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Part, A::Error> {
        let mut parts = vec![];
        while let Some(name) = map.next_key()? {
            parts.push((name, map.next_value_seed(Self { depth: self.depth + 1 })?));
        }
        Ok(if parts.is_empty() { Part::Nothing } else { Part::Map(parts) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::StringArray;
    use arrow_array::cast::AsArray as _;
    use arrow_array::types::Int64Type;
    use arrow_schema::DataType;
    use tapline_trafficgen::mmdb::{Value, database};

    fn text(text: &str) -> Value {
        Value::Text(text.to_owned())
    }

    fn country(code: &str) -> Value {
        let names = Value::Map(vec![("de", text("Land")), ("en", text(&format!("country {code}")))]);
        Value::Map(vec![
            ("country", Value::Map(vec![("iso_code", text(code)), ("names", names)])),
            (
                "location",
                Value::Map(vec![("latitude", Value::Double(1.5)), ("is_guess", Value::Boolean(true))]),
            ),
        ])
    }

    fn asn(number: u32, name: &str) -> Value {
        Value::Map(vec![
            ("autonomous_system_number", Value::Number(number)),
            ("autonomous_system_organization", text(name)),
        ])
    }

    fn addresses(texts: &[&str]) -> ArrayRef {
        Arc::new(StringArray::from(texts.to_vec()))
    }

    #[test]
    fn networks_have_the_scalars_of_their_records() {
        let (de, fr) = (country("DE"), country("FR"));
        let v6 = "2001:db8::".parse().unwrap();
        let networks =
            [("10.0.0.0".parse().unwrap(), 8, &de), ("10.1.0.0".parse().unwrap(), 16, &fr), (v6, 32, &fr)];
        let table = load(database("GeoLite2-Country", &networks), None).unwrap();
        let names: Vec<_> = table.column_names().collect();
        assert_eq!(names, ["country.iso_code", "country.names.en", "location.is_guess", "location.latitude"]);
        assert_eq!(*table.column_type("location.latitude").unwrap(), DataType::Float64);
        assert_eq!(*table.column_type("location.is_guess").unwrap(), DataType::Boolean);
        let sought =
            addresses(&["10.2.0.1", "10.1.255.255", "11.0.0.0", "2001:db8::1", "2001:db9::1", "::a00:1"]);
        let codes = table.values(&sought, "country.iso_code").unwrap();
        let expected = [Some("DE"), Some("FR"), None, Some("FR"), None, None];
        assert_eq!(codes.as_string_view().iter().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn another_file_keeps_the_columns() {
        let (one, other) =
            (asn(64_500, "one"), Value::Map(vec![("autonomous_system_number", Value::Number(64_501))]));
        let before = load(database("ASN", &[("10.0.0.0".parse().unwrap(), 8, &one)]), None).unwrap();
        let after =
            load(database("ASN", &[("10.0.0.0".parse().unwrap(), 8, &other)]), Some(&before)).unwrap();
        assert_eq!(before.refuses(&after), None);
        let numbers = after.values(&addresses(&["10.0.0.1"]), "autonomous_system_number").unwrap();
        assert_eq!(numbers.as_primitive::<Int64Type>().value(0), 64_501);
        let wrong =
            load(database("Country", &[("10.0.0.0".parse().unwrap(), 8, &country("DE"))]), Some(&before));
        assert!(wrong.unwrap_err().starts_with(": it has other columns than the file before"));
    }

    #[test]
    fn a_record_for_all_of_ipv4_holds_for_its_addresses() {
        let (one, two) = (asn(64_500, "one"), asn(64_501, "two"));
        let (v4, v6) = ("0.0.0.0".parse().unwrap(), "2001:db8::".parse().unwrap());
        let sought = addresses(&["0.0.0.0", "255.255.255.255", "2001:db8::1", "::1"]);
        for (of_v6, expected) in [(&one, "one"), (&two, "two")] {
            let table = load(database("ASN", &[(v4, 0, &one), (v6, 32, of_v6)]), None).unwrap();
            assert_eq!(table.entries(), 2);
            let names = table.values(&sought, "autonomous_system_organization").unwrap();
            let names: Vec<_> = names.as_string_view().iter().collect();
            assert_eq!(names, [Some("one"), Some("one"), Some(expected), None]);
        }
    }

    #[test]
    fn ipv4_networks_lie_within_those_of_ipv6_around_them() {
        let (one, two) = (asn(64_500, "one"), asn(64_501, "two"));
        let networks = [("10.0.0.0".parse().unwrap(), 8, &one), ("::".parse().unwrap(), 64, &two)];
        let table = load(database("ASN", &networks), None).unwrap();
        let sought = addresses(&["10.0.0.1", "11.0.0.1", "::1:0:0:1"]);
        let names = table.values(&sought, "autonomous_system_organization").unwrap();
        let expected = [Some("one"), Some("two"), Some("two")];
        assert_eq!(names.as_string_view().iter().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_record_with_nothing_in_it_is_none() {
        let (one, nothing, list) = (asn(64_500, "one"), Value::Map(vec![]), Value::List(vec![]));
        let networks = [
            ("10.0.0.0".parse().unwrap(), 8, &one),
            ("11.0.0.0".parse().unwrap(), 8, &nothing),
            ("12.0.0.0".parse().unwrap(), 8, &list),
        ];
        let table = load(database("ASN", &networks), None).unwrap();
        assert_eq!(table.entries(), 1);
        let rows = table.rows(&addresses(&["10.0.0.1", "11.0.0.1", "12.0.0.1", "13.0.0.1"])).unwrap();
        assert_eq!(rows.iter().collect::<Vec<_>>(), [Some(0), None, None, None]);
    }

    #[test]
    fn a_tree_with_circles_or_shared_branches_is_refused() {
        let one = asn(64_500, "one");
        // Two nodes, of two branches of four octets each: the first one leads to nothing and to the second.
        let whole = database("ASN", &[("8000::".parse().unwrap(), 2, &one)]);
        assert_eq!(load(whole.clone(), None).unwrap().entries(), 1);
        for (place, node) in [(0, 1), (4, 0)] {
            let mut damaged = whole.clone();
            damaged[place..place + 4].copy_from_slice(&u32::to_be_bytes(node));
            let wrong = load(damaged, None).unwrap_err();
            assert!(wrong.starts_with(": its tree has circles or shared branches"), "{wrong}");
        }
    }

    #[test]
    fn columns_are_no_more_than_there_may_be() {
        let scalars = (0..=COLUMNS_MAX).map(|number| (number.to_string(), Scalar::Boolean(true)));
        let record = Record { scalars: scalars.collect(), is_empty: false };
        let wrong = Records::default().add(record).unwrap_err();
        assert!(wrong.starts_with(": its records have values by more than 1024 names"), "{wrong}");
    }

    #[test]
    fn a_damaged_file_is_refused_or_read_and_never_more() {
        let (de, one) = (country("DE"), asn(64_500, "one"));
        let networks = [("10.0.0.0".parse().unwrap(), 8, &de), ("10.1.0.0".parse().unwrap(), 16, &one)];
        let whole = database("any", &networks);
        assert!(load(whole.clone(), None).is_ok());
        assert!(load(vec![], None).unwrap_err().starts_with(": it cannot be read as a MaxMind database"));
        for place in 0..whole.len() {
            for change in [0x00, 0xff, whole[place] ^ 1] {
                let mut damaged = whole.clone();
                damaged[place] = change;
                let _ = load(damaged, None);
            }
            let _ = load(whole[..place].to_vec(), None);
        }
    }
}
