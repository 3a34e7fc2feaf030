//! Results as tapline prints them in CSV.

pub use tapline_trafficgen::csv::Csv;

/// Reads a result.
///
/// # Panics
/// When it is not as RFC 4180 has it, there is no header, or a row has another number of fields.
#[must_use]
pub fn read_csv(text: &str) -> Csv {
    Csv::parse(text).expect("a table")
}
