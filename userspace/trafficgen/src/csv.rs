//! Tables as CSV: the form in which a truth is told, and in which answers come that are compared with it.
//!
//! Takes a text whose first line names the columns, gives the fields, or numbers of the columns asked for, in any
//! order and among others. What tapline prints is read as RFC 4180 has it; what other programs print is read
//! loosely.

use std::fmt;
use std::str::FromStr;

/// Names of columns, and rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Csv {
    /// Names of the columns.
    pub header: Vec<String>,
    /// The rows, in order.
    pub rows: Vec<Vec<String>>,
}

/// Why a text is not the table that it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CsvError(String);

impl fmt::Display for CsvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for CsvError {}

impl Csv {
    /// Reads a table by RFC 4180, whose last line ends, too, and whose rows have as many fields as the header.
    ///
    /// # Errors
    /// When it is not that.
    pub fn parse(text: &str) -> Result<Self, CsvError> {
        let (records, rest) = records(text);
        if !rest.is_empty() {
            return Err(CsvError(format!("the last line does not end: {}", rest.join(","))));
        }
        let table = Self::of(records)?;
        match table.rows.iter().find(|row| row.len() != table.header.len()) {
            Some(row) => Err(CsvError(format!("fields of {row:?} under {:?}", table.header))),
            None => Ok(table),
        }
    }

    /// Reads a table in which blanks around a field and blank lines count for nothing, and rows may be of any length.
    ///
    /// # Errors
    /// When there is no header.
    pub fn parse_loosely(text: &str) -> Result<Self, CsvError> {
        let (mut records, rest) = records(text);
        records.push(rest);
        for field in records.iter_mut().flatten() {
            *field = field.trim().to_owned();
        }
        records.retain(|record| record.len() > 1 || record.iter().any(|field| !field.is_empty()));
        Self::of(records)
    }

    fn of(records: Vec<Vec<String>>) -> Result<Self, CsvError> {
        let mut records = records.into_iter();
        let header = records.next().ok_or_else(|| CsvError("it is empty".to_owned()))?;
        Ok(Self { header, rows: records.collect() })
    }

    /// The numbers of these columns, row by row; a field without anything is 0.
    ///
    /// # Errors
    /// When a column is not there or has something else.
    pub fn numbers<T: FromStr + Default, const N: usize>(
        &self,
        columns: [&str; N],
    ) -> Result<Vec<[T; N]>, CsvError> {
        let positions = columns.iter().map(|column| self.position(column)).collect::<Result<Vec<_>, _>>()?;
        let of = |row: &Vec<String>| {
            let error = || CsvError(format!("this row is not of numbers: {}", row.join(",")));
            numbers(row, &positions).ok_or_else(error)
        };
        self.rows.iter().map(of).collect()
    }

    /// The sum of a column.
    ///
    /// # Errors
    /// When it is not there or has something else than numbers.
    pub fn sum(&self, column: &str) -> Result<u64, CsvError> {
        Ok(self.numbers([column])?.into_iter().map(|[number]: [u64; 1]| number).sum())
    }

    fn position(&self, column: &str) -> Result<usize, CsvError> {
        let position = self.header.iter().position(|head| *head == column);
        position.ok_or_else(|| CsvError(format!("it has no column {column}")))
    }
}

/// The numbers at those positions of a row.
fn numbers<T: FromStr + Default, const N: usize>(row: &[String], positions: &[usize]) -> Option<[T; N]> {
    let number = |&position: &usize| match row.get(position)?.as_str() {
        "" => Some(T::default()),
        field => field.parse().ok(),
    };
    positions.iter().map(number).collect::<Option<Vec<_>>>()?.try_into().ok()
}

/// The lines as fields, and the fields of what stands behind the last one.
fn records(text: &str) -> (Vec<Vec<String>>, Vec<String>) {
    let (mut records, mut record, mut field) = (vec![], vec![], String::new());
    let mut is_quoted = false;
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '"' if is_quoted && characters.next_if_eq(&'"').is_some() => field.push('"'),
            '"' => is_quoted = !is_quoted,
            ',' if !is_quoted => record.push(std::mem::take(&mut field)),
            '\n' if !is_quoted => {
                record.push(std::mem::take(&mut field));
                records.push(std::mem::take(&mut record));
            }
            '\r' if !is_quoted => {}
            other => field.push(other),
        }
    }
    if is_quoted || !field.is_empty() || !record.is_empty() {
        record.push(field);
    }
    (records, record)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_hold_commas_quotes_and_line_feeds() {
        let csv = Csv::parse("a,b\n1,\n\"x,\"\"y\"\"\n\",z\n").expect("it is one");
        assert_eq!(csv.header, ["a", "b"]);
        assert_eq!(csv.rows, [["1", ""], ["x,\"y\"\n", "z"]]);
    }

    #[test]
    fn ragged_rows_and_ends_are_refused() {
        for (text, words) in
            [("a,b\n1\n", "fields of"), ("a\n1", "does not end"), ("a\n\"1\n", "does not end")]
        {
            let error = Csv::parse(text).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn an_empty_line_is_a_row_of_one_column_unless_it_is_read_loosely() {
        assert_eq!(Csv::parse("a\n\n").expect("it is one").rows, [[""]]);
        assert_eq!(Csv::parse_loosely("a\n\n").expect("it is one").rows.len(), 0);
    }

    #[test]
    fn columns_are_found_by_their_names_whatever_stands_between() {
        let table = Csv::parse_loosely("a, b,c\n\n 1,x,-2\n  3,y,\n").expect("it is one");
        assert_eq!(table.numbers::<i64, 2>(["c", "a"]).expect("they are numbers"), [[-2, 1], [0, 3]]);
        assert_eq!((table.rows.len(), table.sum("a").expect("they are numbers")), (2, 4));
    }

    #[test]
    fn what_is_no_table_of_numbers_is_refused() {
        assert_eq!(Csv::parse_loosely("\n").unwrap_err().to_string(), "it is empty");
        for (text, words) in [("b\n1\n", "no column a"), ("a\nx\n", "not of numbers: x"), ("b,a\n1\n", ": 1")]
        {
            let error = Csv::parse_loosely(text).and_then(|table| table.sum("a")).unwrap_err();
            assert!(error.to_string().contains(words), "{error}");
        }
    }
}
