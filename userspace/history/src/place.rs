//! Where results lie: what folders and files are called.

use crate::layout::said;
use datafusion::arrow::compute::kernels::cast_utils::string_to_timestamp_nanos;
use datafusion::arrow::datatypes::Schema;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::ops::Range;
use std::path::Path;
use tapline_record::EventTime;
use tapline_sinks::time_text;

const QUERY: &str = "query=";
const HOUR: &str = "hour=";
const EXTENSION: &str = ".parquet";
const HOUR_NS: i64 = 3_600_000_000_000;
/// Octets of an hour as text, such as `2026-11-30T01`.
const HOUR_OCTETS: usize = 13;
/// The greatest number that a file of ours may have: none is to be without one that is greater.
pub(crate) const NUMBER_MAX: u64 = 1 << 40;

/// An hour, in UTC, by its number since the epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Hour(i64);

impl Hour {
    /// The hour of a moment.
    pub(crate) const fn of(time: EventTime) -> Self {
        Self(time.0.div_euclid(HOUR_NS))
    }

    pub(crate) const fn start(self) -> EventTime {
        EventTime(self.0.saturating_mul(HOUR_NS))
    }

    pub(crate) const fn end(self) -> EventTime {
        EventTime(self.0.saturating_add(1).saturating_mul(HOUR_NS))
    }

    /// The hours of the window of this width, in nanoseconds, that it lies in; at least itself.
    pub(crate) const fn block(self, width: i64) -> Range<Self> {
        let hours = if width < HOUR_NS { 1 } else { width / HOUR_NS };
        let first = self.0 - self.0.rem_euclid(hours);
        Self(first)..Self(first.saturating_add(hours))
    }

    /// What its folder is called.
    pub(crate) fn folder(self) -> String {
        let text = time_text(self.start());
        format!("{HOUR}{}", text.get(..HOUR_OCTETS).unwrap_or(&text))
    }

    /// The hour of a folder.
    pub(crate) fn of_folder(name: &str) -> Option<Self> {
        let text = name.strip_prefix(HOUR).filter(|text| text.len() == HOUR_OCTETS)?;
        let start = string_to_timestamp_nanos(&format!("{text}:00:00Z")).ok()?;
        Some(Self::of(EventTime(start))).filter(|hour| hour.folder() == name)
    }
}

/// A file of an hour, wherever it lies.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct HourFile {
    pub(crate) query: String,
    pub(crate) hour: Hour,
    pub(crate) name: String,
}

impl HourFile {
    /// The file that lies at the end of this path; `None` where it is none of ours.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        let mut names = path.iter().rev().map(OsStr::to_str);
        let name = names.next()??;
        of_file(name)?;
        let hour = Hour::of_folder(names.next()??)?;
        let query = query_of_folder(names.next()??)?;
        Some(Self { query: query.to_owned(), hour, name: name.to_owned() })
    }
}

/// What the folder of a query is called.
pub(crate) fn query_folder(query: &str) -> String {
    format!("{QUERY}{query}")
}

/// The query of a folder.
pub(crate) fn query_of_folder(name: &str) -> Option<&str> {
    name.strip_prefix(QUERY)
}

/// What a file of these columns is called.
pub(crate) fn file_name(number: u64, columns: u32) -> String {
    format!("{number:08}-{columns:08x}{EXTENSION}")
}

/// Number and columns of a file; `None` where it is none of ours, as one that is called almost so, or has a number that
/// no file of ours comes to.
pub(crate) fn of_file(name: &str) -> Option<(u64, u32)> {
    let (number, columns) = name.strip_suffix(EXTENSION)?.split_once('-')?;
    let found = (number.parse().ok()?, u32::from_str_radix(columns, 16).ok()?);
    Some(found).filter(|(number, columns)| *number <= NUMBER_MAX && file_name(*number, *columns) == name)
}

/// Columns by a number: files of one number have the same, and say the same of them.
pub(crate) fn columns_number(schema: &Schema) -> u32 {
    let mut text = String::new();
    for field in schema.fields() {
        let _ = writeln!(text, "{} {}", field.name(), field.data_type());
    }
    said(schema).for_each(|said| text.push_str(said));
    crc32fast::hash(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wide_window_has_whole_hours() {
        let block = |hour: i64, width: i64| {
            let block = Hour(hour).block(width);
            (block.start.0, block.end.0)
        };
        assert_eq!([block(25, HOUR_NS / 4), block(25, HOUR_NS)], [(25, 26); 2]);
        assert_eq!([block(25, 24 * HOUR_NS), block(47, 24 * HOUR_NS)], [(24, 48); 2]);
        assert_eq!(block(-1, 6 * HOUR_NS), (-6, 0));
    }

    #[test]
    fn folders_and_files_are_read_as_they_are_called() {
        let time = EventTime(1_796_000_461_000_000_000);
        let hour = Hour::of(time);
        assert_eq!(hour.folder(), "hour=2026-11-30T01");
        assert_eq!(Hour::of_folder("hour=2026-11-30T01"), Some(hour));
        assert!(hour.start() <= time && time < hour.end());
        for name in ["hour=2026-11-30", "hour=2026-11-30T0x", ".hour=2026-11-30T01", "2026-11-30T01"] {
            assert_eq!(Hour::of_folder(name), None, "{name}");
        }
        assert_eq!(Hour::of_folder("hour=2026-11-30 01"), None, "it would be looked for under another name");
        assert_eq!(file_name(7, 0xab), "00000007-000000ab.parquet");
        assert_eq!(of_file("00000007-000000ab.parquet"), Some((7, 0xab)));
        let others = ["+0000007-000000ab.parquet", "7-ab.parquet", "00000007-000000AB.parquet"];
        let none = [".00000007-000000ab.parquet.new", "00000007.parquet", "x-000000ab.parquet"];
        for name in none.into_iter().chain(others) {
            assert_eq!(of_file(name), None, "{name}");
        }
        assert_eq!(of_file(&file_name(123_456_789, u32::MAX)), Some((123_456_789, u32::MAX)));
        assert_eq!(of_file(&file_name(NUMBER_MAX, 0)), Some((NUMBER_MAX, 0)));
        for number in ["1099511627777", "18446744073709551615", "99999999999999999999"] {
            assert_eq!(of_file(&format!("{number}-000000ab.parquet")), None, "there is none behind it");
        }
        assert_eq!(query_of_folder(&query_folder("top-talkers")), Some("top-talkers"));
        let path = "any/query=a/hour=2026-11-30T01/00000007-000000ab.parquet";
        let file = HourFile::of(Path::new(path)).unwrap();
        assert_eq!((file.query.as_str(), file.hour, file.name.len()), ("a", hour, 25));
        assert_eq!(HourFile::of(Path::new("query=a/00000007-000000ab.parquet")), None);
    }
}
