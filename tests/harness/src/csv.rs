//! Reads CSV as RFC 4180 has it, with a header line.

/// A header and rows of as many fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Csv {
    /// Names of the columns.
    pub header: Vec<String>,
    /// The rows, in order.
    pub rows: Vec<Vec<String>>,
}

impl Csv {
    /// Parses `text`.
    ///
    /// # Panics
    /// When there is no header, or a row has another number of fields.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut records = records(text).into_iter();
        let header = records.next().expect("a header line");
        let rows: Vec<_> = records.collect();
        for row in &rows {
            assert_eq!(row.len(), header.len(), "fields of {row:?} under {header:?}");
        }
        Self { header, rows }
    }
}

fn records(text: &str) -> Vec<Vec<String>> {
    let (mut records, mut record, mut field) = (vec![], vec![], String::new());
    let mut quoted = false;
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '"' if quoted && characters.next_if_eq(&'"').is_some() => field.push('"'),
            '"' => quoted = !quoted,
            ',' if !quoted => record.push(std::mem::take(&mut field)),
            '\n' if !quoted => {
                record.push(std::mem::take(&mut field));
                records.push(std::mem::take(&mut record));
            }
            '\r' if !quoted => {}
            other => field.push(other),
        }
    }
    assert!(record.is_empty() && field.is_empty() && !quoted, "the last line ends with a line feed");
    records
}

#[cfg(test)]
mod tests {
    use super::Csv;

    #[test]
    fn quotes_hold_commas_quotes_and_line_feeds() {
        let csv = Csv::parse("a,b\n1,\n\"x,\"\"y\"\"\n\",z\n");
        assert_eq!(csv.header, ["a", "b"]);
        assert_eq!(csv.rows, [["1", ""], ["x,\"y\"\n", "z"]]);
    }

    #[test]
    #[should_panic(expected = "fields of")]
    fn ragged_rows_are_refused() {
        let _ = Csv::parse("a,b\n1\n");
    }
}
