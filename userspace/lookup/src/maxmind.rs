//! Tables in MaxMind's format (.mmdb): networks, and what is known of each.
//!
//! Its records are maps within maps; here each scalar in them is a column, named by its path, `country.iso_code`. Of
//! names in several languages the English one is taken. Networks that share a record share a row.

use crate::keys::Keys;
use crate::prefixes::{PrefixList, Prefixes};
use crate::table::{Column, Table};
use arrow_array::builder::StringViewBuilder;
use arrow_array::{ArrayRef, BooleanArray, Float64Array, Int64Array};
use maxminddb::{Reader, WithinOptions};
use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

/// Networks of one file; the largest ones that are sold have some ten million.
const NETWORKS_MAX: usize = 1 << 27;

/// Maps within maps of a record; those that are sold have three.
const DEPTH_MAX: usize = 16;

/// What stands for a language within names.
const NAMES: &str = "names";
const LANGUAGE: &str = "en";

/// Reads a table; columns that `before` has stay where they are, NULL where this file has none of them.
pub(crate) fn load(octets: Vec<u8>, before: Option<&Table>) -> Result<Table, String> {
    let unreadable = |error: maxminddb::MaxMindDbError| {
        format!(": it cannot be read as a MaxMind database: {error}; fetch it anew")
    };
    let reader = Reader::from_source(octets).map_err(unreadable)?;
    let (mut prefixes, mut entries) = (PrefixList::default(), 0);
    let (mut rows, mut records) = (HashMap::new(), Records::default());
    let networks = reader.networks(WithinOptions::default().skip_empty_values()).map_err(unreadable)?;
    for network in networks {
        let found = network.map_err(unreadable)?;
        let Some(offset) = found.offset() else { continue };
        let row = if let Some(row) = rows.get(&offset) {
            *row
        } else {
            let record: Option<Record> = found.decode().map_err(unreadable)?;
            let row = records.add(record.unwrap_or_default());
            rows.insert(offset, row);
            row
        };
        let network = found.network().map_err(unreadable)?;
        prefixes.push_network(network.ip(), network.prefix(), row);
        entries += 1;
        if entries > NETWORKS_MAX {
            return Err(format!(": it has more than {NETWORKS_MAX} networks"));
        }
    }
    let columns = records.finish(before.map(Table::columns).unwrap_or_default())?;
    Ok(Table::new(Keys::Prefixes(Box::new(Prefixes::new(prefixes))), columns, entries))
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
struct Record(Vec<(String, Scalar)>);

/// The records of a file, column by column.
#[derive(Default)]
struct Records {
    rows: u32,
    /// In the order in which paths came.
    columns: Vec<(String, Vec<(u32, Scalar)>)>,
    places: HashMap<String, usize>,
}

impl Records {
    fn add(&mut self, record: Record) -> u32 {
        for (path, scalar) in record.0 {
            let next = self.columns.len();
            let place = *self.places.entry(path.clone()).or_insert(next);
            if place == next {
                self.columns.push((path, vec![]));
            }
            self.columns[place].1.push((self.rows, scalar));
        }
        self.rows += 1;
        self.rows - 1
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
        Ok(columns)
    }
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
}

impl<'de> Deserialize<'de> for Record {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut record = Self::default();
        record.add("", PartVisitor { depth: 0 }.deserialize(deserializer)?);
        Ok(record)
    }
}

impl Record {
    fn add(&mut self, path: &str, part: Part) {
        match part {
            Part::Scalar(scalar) => self.0.push((path.to_owned(), scalar)),
            Part::Map(parts) => {
                let is_names = path == NAMES || path.ends_with(&format!(".{NAMES}"));
                let dot = if path.is_empty() { "" } else { "." };
                let read = parts.into_iter().filter(|(key, _)| !is_names || key == LANGUAGE);
                read.for_each(|(key, part)| self.add(&format!("{path}{dot}{key}"), part));
            }
            Part::Other => {}
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
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Part::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Part, A::Error> {
        let mut parts = vec![];
        while let Some(name) = map.next_key()? {
            parts.push((name, map.next_value_seed(Self { depth: self.depth + 1 })?));
        }
        Ok(Part::Map(parts))
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
