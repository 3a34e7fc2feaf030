//! Times as people write them.

use std::time::Duration;

/// A time such as `30s`, `5m`, `1h` or `500ms`.
///
/// # Errors
/// What would be right.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let milliseconds = match unit {
        "ms" => 1,
        "s" | "" => 1_000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        _ => return Err("write a number with ms, s, m or h, such as 30s".to_owned()),
    };
    let number: u64 = number.parse().map_err(|_| "write a number with ms, s, m or h, such as 30s")?;
    Ok(Duration::from_millis(number.saturating_mul(milliseconds)))
}

/// The same time in such words, in the largest unit that is exact.
#[must_use]
pub fn duration_text(duration: Duration) -> String {
    let milliseconds = duration.as_millis();
    let units = [(3_600_000, "h"), (60_000, "m"), (1_000, "s")];
    let exact = units.into_iter().find(|(unit, _)| milliseconds > 0 && milliseconds.is_multiple_of(*unit));
    let (unit, name) = exact.unwrap_or((1, "ms"));
    format!("{}{name}", milliseconds / unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_reads_as_it_is_written() {
        for (text, milliseconds) in [("30s", 30_000), ("5m", 300_000), ("1h", 3_600_000), ("500ms", 500)] {
            let duration = Duration::from_millis(milliseconds);
            assert_eq!(parse_duration(text), Ok(duration));
            assert_eq!(duration_text(duration), text);
        }
        assert_eq!(
            (parse_duration("7"), parse_duration("2min")),
            (parse_duration("7s"), parse_duration("2m"))
        );
        assert_eq!([90_000, 0].map(|of| duration_text(Duration::from_millis(of))), ["90s", "0ms"]);
        for wrong in ["", "s", "1d", "-1s", "1.5s"] {
            let message = "write a number with ms, s, m or h, such as 30s";
            assert_eq!(parse_duration(wrong), Err(message.to_owned()), "{wrong}");
        }
    }
}
