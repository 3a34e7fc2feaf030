//! Tables in CSV files.
//!
//! The first line names the columns. What is mistyped is named with its line and a mend: a field too many, a quotation
//! mark that is not closed, a key that stands there twice, a text among numbers.

mod cells;
mod keys;
mod typed;

use crate::table::{Column, NO_LINES, Table};
use cells::{Cell, Rows};
use std::collections::HashSet;

/// Something wrong in a line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Wrong {
    /// From 1.
    line: u32,
    what: String,
}

impl Wrong {
    fn new(line: u32, what: impl Into<String>) -> Self {
        Self { line, what: what.into() }
    }
}

impl From<Wrong> for String {
    fn from(wrong: Wrong) -> Self {
        format!(", line {}: {}", wrong.line, wrong.what)
    }
}

/// What a file says, column by column.
#[derive(Debug, Default)]
struct Sheet<'a> {
    names: Vec<String>,
    columns: Vec<Vec<Cell<'a>>>,
    /// The line of each row.
    lines: Vec<u32>,
}

/// Reads a table; `key` names its column of keys, which is the first one without it. Keys and columns that `before` has
/// keep their types; without it, there must be a line.
pub(crate) fn load(octets: &[u8], key: Option<&str>, before: Option<&Table>) -> Result<Table, String> {
    let text = text_of(octets)?;
    let sheet = Sheet::read(text)?;
    let place = match key {
        None => 0,
        Some(key) => sheet.names.iter().position(|name| name == key).ok_or_else(|| {
            format!(": there is no column '{key}' of keys; the columns are {}", sheet.names.join(", "))
        })?,
    };
    if sheet.lines.is_empty() && before.is_none() {
        return Err(NO_LINES.to_owned());
    }
    let keys = keys::read(&sheet.names[place], &sheet.columns[place], &sheet.lines, before)?;
    let mut columns = vec![];
    let others = (0..sheet.names.len()).filter(|column| *column != place);
    // What a key is may be asked for, too: of prefixes, which one it was.
    for column in others.chain([place]) {
        let (name, cells) = (&sheet.names[column], &sheet.columns[column]);
        let known = before.and_then(|before| before.column_type(name)).cloned();
        let kind = if column == place { Some(keys.text_or_integer()) } else { known };
        let values = typed::read(name, cells, &sheet.lines, kind.as_ref())?;
        columns.push(Column { name: name.clone(), values });
    }
    Ok(Table::new(keys, columns, sheet.lines.len()))
}

/// The text of a file, without the mark of its encoding that editors put before it.
fn text_of(octets: &[u8]) -> Result<&str, Wrong> {
    let octets = octets.strip_prefix(b"\xef\xbb\xbf").unwrap_or(octets);
    std::str::from_utf8(octets).map_err(|error| {
        let before = octets.get(..error.valid_up_to()).unwrap_or_default();
        let line = 1 + before.iter().filter(|octet| **octet == b'\n').count();
        Wrong::new(line as u32, "it is no UTF-8; write the file in that encoding")
    })
}

impl<'a> Sheet<'a> {
    fn read(text: &'a str) -> Result<Self, Wrong> {
        let mut rows = Rows::new(text);
        let Some(header) = rows.next() else {
            return Err(Wrong::new(
                1,
                "it is empty; begin with the names of the columns, such as prefix,name",
            ));
        };
        let (line, header) = header?;
        check_header(line, &header)?;
        let width = header.len();
        let mut sheet = Self {
            names: header.iter().map(|cell| cell.text.trim().to_owned()).collect(),
            columns: (0..width).map(|_| vec![]).collect(),
            lines: vec![],
        };
        for row in rows {
            let (line, row) = row?;
            if row.len() != width {
                return Err(Wrong::new(line, of_width(row.len(), width)));
            }
            sheet.lines.push(line);
            sheet.columns.iter_mut().zip(row).for_each(|(column, cell)| column.push(cell));
        }
        Ok(sheet)
    }
}

fn check_header(line: u32, header: &[Cell<'_>]) -> Result<(), Wrong> {
    if let [only] = header
        && let Some(other) = [';', '\t', '|'].into_iter().find(|other| only.text.contains(*other))
    {
        let shown = if other == '\t' { "tabulators".to_owned() } else { format!("`{other}`") };
        return Err(Wrong::new(
            line,
            format!("its columns are separated by {shown}; separate them by commas"),
        ));
    }
    let mut seen = HashSet::new();
    for cell in header {
        let name = cell.text.trim();
        if name.is_empty() {
            return Err(Wrong::new(line, "a column has no name; the first line names all of them"));
        }
        if !seen.insert(name) {
            return Err(Wrong::new(line, format!("two columns are called '{name}'; rename one of them")));
        }
    }
    Ok(())
}

fn of_width(fields: usize, width: usize) -> String {
    let mend = if fields > width {
        "put what has a comma in it in quotes: \"a, b\""
    } else {
        "what is unknown is left empty, between its commas"
    };
    format!("it has {fields} fields, and the first line names {width} columns; {mend}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::cast::AsArray as _;
    use arrow_array::types::Int64Type;
    use arrow_array::{ArrayRef, Int64Array, StringArray};
    use arrow_schema::DataType;
    use std::sync::Arc;

    fn loaded(text: &str) -> Table {
        load(text.as_bytes(), None, None).unwrap_or_else(|wrong| panic!("{wrong}"))
    }

    fn texts(table: &Table, keys: &[&str], column: &str) -> Vec<Option<String>> {
        let keys: ArrayRef = Arc::new(StringArray::from(keys.to_vec()));
        let values = table.values(&keys, column).unwrap();
        values.as_string_view().iter().map(|value| value.map(str::to_owned)).collect()
    }

    #[test]
    fn the_longest_prefix_has_the_value() {
        let table = loaded(
            "prefix,name,weight\n10.0.0.0/8,all,1\n10.1.0.0/16,\"office, first floor\",2\n10.1.2.3,host,\n2001:db8::/32,six,4\n",
        );
        let found = texts(&table, &["10.9.9.9", "10.1.9.9", "10.1.2.3", "11.0.0.0", "2001:db8::1"], "name");
        let expected = ["all", "office, first floor", "host", "", "six"];
        assert_eq!(found, expected.map(|text| (!text.is_empty()).then(|| text.to_owned())));
        let keys: ArrayRef = Arc::new(StringArray::from(vec!["10.1.9.9", "10.1.2.3"]));
        let weights = table.values(&keys, "weight").unwrap();
        assert_eq!(weights.as_primitive::<Int64Type>().iter().collect::<Vec<_>>(), [Some(2), None]);
        assert_eq!((table.key_kind(), table.entries()), (crate::KeyKind::Prefix, 4));
    }

    #[test]
    fn keys_and_values_have_the_types_of_what_is_there() {
        let table = loaded(
            "port,name,share,is_open,code,note\r\n22,ssh,1.5,true,007,\r\n\r\n443,https,2,false,8,\"a \"\"b\"\"\"\r\n",
        );
        assert_eq!(table.column_names().last(), Some("port"));
        assert_eq!(*table.column_type("port").unwrap(), DataType::Int64);
        let types: Vec<_> =
            table.column_names().map(|name| table.column_type(name).unwrap().clone()).collect();
        let text = DataType::Utf8View;
        assert_eq!(types[..5], [text.clone(), DataType::Float64, DataType::Boolean, text.clone(), text]);
        let keys: ArrayRef = Arc::new(Int64Array::from(vec![Some(443), Some(1), None]));
        let notes = table.values(&keys, "note").unwrap();
        assert_eq!(notes.as_string_view().iter().collect::<Vec<_>>(), [Some("a \"b\""), None, None]);
        let macs = loaded("mac,owner\n00:11:22:33:44:55,alice\n00-11-22-33-44-66,bob\n");
        assert_eq!(texts(&macs, &["00:11:22:33:44:66"], "owner"), [Some("bob".to_owned())]);
        let names = loaded("interface,site\neth0,a\neth1,b\n");
        assert_eq!(texts(&names, &["eth1", "eth2"], "site"), [Some("b".to_owned()), None]);
        let by_name = load(b"id,name\n1,a\n2,b\n", Some("name"), None).unwrap();
        assert_eq!(by_name.column_names().collect::<Vec<_>>(), ["id", "name"]);
        let list = loaded("blocked\n10.0.0.0/8\n10.1.0.0/16\n");
        assert_eq!(
            texts(&list, &["10.1.0.1", "11.0.0.1"], "blocked"),
            [Some("10.1.0.0/16".to_owned()), None]
        );
    }

    #[test]
    fn what_is_mistyped_is_named_with_its_line_and_a_mend() {
        let cases = [
            ("", ", line 1: it is empty; begin with the names of the columns"),
            ("a;b\n", ", line 1: its columns are separated by `;`; separate them by commas"),
            ("a,\n", ", line 1: a column has no name"),
            ("a,b,a\n", ", line 1: two columns are called 'a'; rename one of them"),
            ("a,b\n1,2\n3,4,5\n", ", line 3: it has 3 fields, and the first line names 2 columns; put what"),
            ("a,b\n1\n", ", line 2: it has 1 fields, and the first line names 2 columns; what is unknown"),
            ("a,b\n1,\"x\ny,\n", ", line 2: a quotation mark is not closed"),
            ("a,b\n1,\"x\"y\n", ", line 2: behind a closing quotation mark stands 'y'"),
            ("a,b\n1, \"x\"\n", ", line 2: a quotation mark stands within a field; begin the field with one"),
            ("a,b\n1,x\n,y\n", ", line 3: its key is empty"),
            ("a,b\n1,x\n2,y\n1,z\n", ", line 4: the key '1' stands in line 2 already; leave one of them out"),
            (
                "a,b\n10.0.0.0/8,x\n10.0.0.0/33,y\n1.0.0.0/8,z\n",
                ", line 3: '10.0.0.0/33' is no address and no prefix",
            ),
            ("a,b\n10.0.0.0/8,x\n10.0.0.0/33,y\n", ", line 3: '10.0.0.0/33' is no address and no prefix"),
            ("a,b\n10.1.0.0/8,x\n", ", line 2: '10.1.0.0/8' has bits behind its length; write 10.0.0.0/8"),
            ("a,b\n10.0.0.0/8,x\n10.0.0.0/8,y\n", ", line 3: the key '10.0.0.0/8' stands in line 2 already"),
            (
                "a,b\n::ffff:10.0.0.0/104,x\n",
                ", line 2: '::ffff:10.0.0.0/104' holds IPv4 addresses; write 10.0.0.0/8",
            ),
            ("a,b\n1,x\n2,y\nthree,z\n", ", line 4: 'three' is no whole number, which the other keys are"),
            (
                "a,b\n00:11:22:33:44:55,x\n00:11:22:33:44:56,y\n00:11:22,z\n",
                ", line 4: '00:11:22' is no MAC address",
            ),
            (
                "a,b\n1,1\n2,2\n3,x\n",
                ", line 4: 'x' is no whole number, which the others of the column 'b' are",
            ),
            ("a,b\n1,true\n2,true\n3,tru\n", ", line 4: 'tru' is neither true nor false"),
        ];
        for (text, expected) in cases {
            let wrong = load(text.as_bytes(), None, None).expect_err(text);
            assert!(wrong.starts_with(expected), "{text:?}: {wrong}");
        }
        let wrong = load(b"a,b\n1,\xff\n", None, None).unwrap_err();
        assert_eq!(wrong, ", line 2: it is no UTF-8; write the file in that encoding");
        let wrong = load(b"a,b\n1,2\n", Some("c"), None).unwrap_err();
        assert_eq!(wrong, ": there is no column 'c' of keys; the columns are a, b");
    }

    #[test]
    fn what_is_in_quotes_is_text_where_not_all_are_numbers() {
        let table = loaded("a,b\n1,1\n2,2\n3,\"x\"\n");
        assert_eq!(*table.column_type("b").unwrap(), DataType::Utf8View);
        let table = loaded("a,b\n1,1\n2,2\n\"x\",3\n");
        assert_eq!(table.key_kind(), crate::KeyKind::Text);
    }

    #[test]
    fn a_list_may_become_empty_and_begins_with_a_line() {
        assert_eq!(load(b"net,name\n", None, None).unwrap_err(), NO_LINES);
        let before = loaded("net,weight\n10.0.0.0/8,1\n");
        let empty = load(b"net,weight\n", None, Some(&before)).unwrap();
        assert_eq!((empty.key_kind(), empty.entries()), (crate::KeyKind::Prefix, 0));
        assert_eq!(before.refuses(&empty), None);
    }

    #[test]
    fn keys_with_zeros_before_them_are_codes() {
        let table = loaded("code,name\n1,a\n2,b\n3,c\n007,d\n");
        assert_eq!(table.key_kind(), crate::KeyKind::Text);
        assert_eq!(texts(&table, &["007", "7"], "name"), [Some("d".to_owned()), None]);
        let numbers = loaded("code,name\n0,a\n10,b\n");
        assert_eq!(numbers.key_kind(), crate::KeyKind::Integer);
        let wrong = load(b"code,name\n0,a\n007,b\n", None, Some(&numbers)).unwrap_err();
        assert!(wrong.starts_with(", line 3: '007' is no whole number"), "{wrong}");
    }

    #[test]
    fn columns_keep_their_types() {
        let before = loaded("a,b,c\n1,1.5,x\n");
        let again = |text: &str| load(text.as_bytes(), None, Some(&before));
        let after = again("a,b,c,d\n1,2,3,4\n").unwrap();
        assert!(before.refuses(&after).is_none());
        let wrong = again("a,b,c\n1,two,3\n").unwrap_err();
        assert_eq!(
            wrong,
            ", line 2: 'two' is no number, which the column 'b' holds; mend it, or leave it empty"
        );
        let wrong = again("a,b,c\nx,2,3\n").unwrap_err();
        assert!(wrong.starts_with(", line 2: 'x' is no whole number, which the other keys are"), "{wrong}");
        for (text, expected) in [
            ("a,b,d\n1,2,3\n", "the column 'c' is gone; put it back"),
            ("a,d,b,c\n1,2,3,x\n", "its first column of values was 'b' and is 'd' now"),
        ] {
            let refused = before.refuses(&again(text).unwrap()).expect(text);
            assert!(refused.starts_with(expected), "{refused}");
        }
    }
}
