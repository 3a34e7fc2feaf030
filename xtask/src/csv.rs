//! Tables of numbers, as programs print them: comma-separated, without quotes.
//!
//! Takes a text whose first line names the columns, gives numbers of the columns asked for, in any order and among
//! others. Blanks around a field and blank lines count for nothing, and so does a field without anything: it is 0.

use std::str::FromStr;

use anyhow::{Context, Result};

/// Names of columns, and rows.
#[derive(Debug)]
pub(crate) struct Table<'a> {
    heads: Vec<&'a str>,
    rows: Vec<&'a str>,
}

impl<'a> Table<'a> {
    /// An error when there is no line.
    pub(crate) fn parse(text: &'a str) -> Result<Self> {
        let mut lines = text.lines().filter(|line| !line.trim().is_empty());
        let heads = lines.next().context("it is empty")?.split(',').map(str::trim).collect();
        Ok(Self { heads, rows: lines.collect() })
    }

    /// How many rows there are, without the names.
    pub(crate) fn rows(&self) -> usize {
        self.rows.len()
    }

    /// The numbers of these columns, row by row.
    pub(crate) fn numbers<T: FromStr + Default, const N: usize>(
        &self,
        columns: [&str; N],
    ) -> Result<Vec<[T; N]>> {
        let positions = columns.iter().map(|column| self.position(column)).collect::<Result<Vec<_>>>()?;
        let of = |row: &&str| {
            numbers(row, &positions).with_context(|| format!("this row is not of numbers: {row}"))
        };
        self.rows.iter().map(of).collect()
    }

    /// The sum of a column.
    pub(crate) fn sum(&self, column: &str) -> Result<u64> {
        Ok(self.numbers([column])?.into_iter().map(|[number]: [u64; 1]| number).sum())
    }

    fn position(&self, column: &str) -> Result<usize> {
        let position = self.heads.iter().position(|head| *head == column);
        position.with_context(|| format!("it has no column {column}"))
    }
}

/// The numbers at those positions of a row.
fn numbers<T: FromStr + Default, const N: usize>(row: &str, positions: &[usize]) -> Option<[T; N]> {
    let fields: Vec<_> = row.split(',').map(str::trim).collect();
    let number = |&position: &usize| match *fields.get(position)? {
        "" => Some(T::default()),
        field => field.parse().ok(),
    };
    positions.iter().map(number).collect::<Option<Vec<_>>>()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_found_by_their_names_whatever_stands_between() {
        let table = Table::parse("a, b,c\n\n 1,x,-2\n  3,y,\n").expect("it is one");
        assert_eq!(table.numbers::<i64, 2>(["c", "a"]).expect("they are numbers"), [[-2, 1], [0, 3]]);
        assert_eq!((table.rows(), table.sum("a").expect("they are numbers")), (2, 4));
    }

    #[test]
    fn what_is_no_table_of_numbers_is_refused() {
        assert_eq!(Table::parse("\n").unwrap_err().to_string(), "it is empty");
        for (text, words) in [("b\n1\n", "no column a"), ("a\nx\n", "not of numbers: x"), ("b,a\n1\n", ": 1")]
        {
            let error = Table::parse(text).and_then(|table| table.sum("a")).unwrap_err();
            assert!(error.to_string().contains(words), "{error}");
        }
    }
}
