//! The fields of a CSV file (RFC 4180), row by row.
//!
//! Fields are separated by commas; what is in quotation marks may hold commas, line breaks, and quotation marks that
//! are written twice. Empty lines are passed over.

use super::Wrong;
use std::borrow::Cow;

/// A field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cell<'a> {
    pub(super) text: Cow<'a, str>,
    /// Whether it was in quotation marks.
    pub(super) is_quoted: bool,
}

/// The rows of a text, each with the line in which it begins.
pub(super) struct Rows<'a> {
    rest: &'a str,
    line: u32,
    fields: usize,
}

impl<'a> Rows<'a> {
    pub(super) const fn new(text: &'a str) -> Self {
        Self { rest: text, line: 1, fields: 0 }
    }

    fn row(&mut self) -> Result<Vec<Cell<'a>>, Wrong> {
        let mut row = Vec::with_capacity(self.fields);
        loop {
            row.push(self.cell()?);
            let mut characters = self.rest.chars();
            let separator = characters.next();
            self.rest = characters.as_str();
            match separator {
                Some(',') => {}
                Some('\r') | Some('\n') | None => {
                    if separator == Some('\r') {
                        self.rest = self.rest.strip_prefix('\n').unwrap_or(self.rest);
                    }
                    self.line += 1;
                    self.fields = row.len();
                    return Ok(row);
                }
                Some(other) => {
                    return Err(Wrong::new(
                        self.line,
                        format!(
                            "behind a closing quotation mark stands '{other}'; write a quotation mark within quotes twice"
                        ),
                    ));
                }
            }
        }
    }

    fn cell(&mut self) -> Result<Cell<'a>, Wrong> {
        if let Some(quoted) = self.rest.strip_prefix('"') {
            return self.quoted(quoted);
        }
        let end = self.rest.bytes().position(|octet| matches!(octet, b',' | b'\r' | b'\n'));
        let (text, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest;
        if text.contains('"') {
            return Err(Wrong::new(
                self.line,
                "a quotation mark stands within a field; begin the field with one, and write those within it twice",
            ));
        }
        Ok(Cell { text: Cow::Borrowed(text.trim()), is_quoted: false })
    }

    /// The field whose opening quotation mark is behind us.
    fn quoted(&mut self, mut rest: &'a str) -> Result<Cell<'a>, Wrong> {
        let began = self.line;
        let mut text = Cow::Borrowed("");
        loop {
            let Some((part, behind)) = rest.split_once('"') else {
                return Err(Wrong::new(
                    began,
                    "a quotation mark is not closed; close it, or write it twice within quotes",
                ));
            };
            self.line += part.bytes().filter(|octet| *octet == b'\n').count() as u32;
            text += part;
            let Some(further) = behind.strip_prefix('"') else {
                self.rest = behind;
                return Ok(Cell { text, is_quoted: true });
            };
            text += "\"";
            rest = further;
        }
    }
}

impl<'a> Iterator for Rows<'a> {
    type Item = Result<(u32, Vec<Cell<'a>>), Wrong>;

    fn next(&mut self) -> Option<Self::Item> {
        while let Some(first) = self.rest.chars().next()
            && matches!(first, '\r' | '\n')
        {
            self.rest = &self.rest[1..];
            self.line += u32::from(first == '\n');
        }
        if self.rest.is_empty() {
            return None;
        }
        let line = self.line;
        let row = self.row();
        if row.is_err() {
            self.rest = "";
        }
        Some(row.map(|row| (line, row)))
    }
}
