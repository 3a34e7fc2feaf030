//! Answers of both engines, and whether they are the same.
//!
//! Numbers agree when they are equal, or within 1e-9 of each other where one of them is a fraction; rows are compared
//! in order where the query orders them, else as a multiset.

use std::cmp::Ordering;
use std::net::IpAddr;

use serde_json::Value;

use super::field::Kind;

/// How far two computations of one fraction may lie apart.
const TOLERANCE: f64 = 1e-9;

/// One value, made alike for both.
#[derive(Clone, Debug)]
pub(super) enum Cell {
    Null,
    Int(i128),
    Float(f64),
    Text(String),
}

/// Rows, or why there are none.
pub(super) type Answer = Result<Vec<Vec<Cell>>, String>;

impl Cell {
    /// Reads a value of this kind; what cannot be read stays the text that it is.
    pub(super) fn of(value: &Value, kind: Kind) -> Self {
        match (value, kind) {
            (Value::Null, _) => Self::Null,
            (Value::Number(number), _) => Self::number(&number.to_string()),
            (Value::String(text), Kind::Int | Kind::Float) => Self::number(text),
            (Value::String(text), Kind::Address) => Self::Text(hex(text)),
            (Value::String(text), Kind::Time) => {
                nanoseconds(text).map_or(Self::Text(text.clone()), Self::Int)
            }
            (Value::String(text), _) => Self::Text(text.clone()),
            (other, _) => Self::Text(other.to_string()),
        }
    }

    fn number(text: &str) -> Self {
        let float = || text.parse().map_or(Self::Text(text.to_owned()), Self::Float);
        text.parse().map_or_else(|_| float(), Self::Int)
    }

    const fn rank(&self) -> u8 {
        match self {
            Self::Null => 0,
            Self::Int(_) | Self::Float(_) => 1,
            Self::Text(_) => 2,
        }
    }

    fn as_f64(&self) -> f64 {
        match self {
            Self::Int(number) => *number as f64,
            Self::Float(number) => *number,
            _ => 0.0,
        }
    }

    fn agrees(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Int(left), Self::Int(right)) => left == right,
            (Self::Text(left), Self::Text(right)) => left == right,
            (Self::Int(_) | Self::Float(_), Self::Int(_) | Self::Float(_)) => {
                let (left, right) = (self.as_f64(), other.as_f64());
                (left - right).abs() <= TOLERANCE * left.abs().max(right.abs()).max(1.0)
            }
            _ => false,
        }
    }

    fn order(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Int(left), Self::Int(right)) => left.cmp(right),
            (Self::Text(left), Self::Text(right)) => left.cmp(right),
            _ => self.rank().cmp(&other.rank()).then(self.as_f64().total_cmp(&other.as_f64())),
        }
    }

    /// Whether it is a fraction, whose last digits must not decide in which order rows are compared.
    const fn is_float(&self) -> bool {
        matches!(self, Self::Float(_))
    }
}

/// Whether two answers are the same.
pub(super) fn agree(left: &Answer, right: &Answer, is_ordered: bool) -> bool {
    match (left, right) {
        (Ok(left), Ok(right)) if is_ordered => agree_in_order(left, right),
        (Ok(left), Ok(right)) => agree_in_order(&sorted(left), &sorted(right)),
        _ => false,
    }
}

fn agree_in_order(left: &[Vec<Cell>], right: &[Vec<Cell>]) -> bool {
    let agrees = |(left, right): (&Vec<Cell>, &Vec<Cell>)| {
        left.len() == right.len() && left.iter().zip(right).all(|(left, right)| left.agrees(right))
    };
    left.len() == right.len() && left.iter().zip(right).all(agrees)
}

/// The rows by what is no fraction, then by fractions.
fn sorted(rows: &[Vec<Cell>]) -> Vec<Vec<Cell>> {
    let key = |row: &Vec<Cell>| -> Vec<Cell> {
        let (floats, exact): (Vec<_>, Vec<_>) = row.iter().cloned().partition(Cell::is_float);
        exact.into_iter().chain(floats).collect()
    };
    let mut rows: Vec<_> = rows.iter().map(|row| (key(row), row.clone())).collect();
    rows.sort_by(|(left, _), (right, _)| {
        let pairs = left.iter().zip(right).map(|(left, right)| left.order(right));
        pairs.into_iter().find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
    });
    rows.into_iter().map(|(_, row)| row).collect()
}

/// An address as 32 hexadecimal digits; those of the other engine are that already.
pub(super) fn hex(text: &str) -> String {
    match text.parse::<IpAddr>() {
        Err(_) => text.to_owned(),
        Ok(IpAddr::V4(ip)) => format!("{:032x}", u128::from(ip.to_ipv6_mapped())),
        Ok(IpAddr::V6(ip)) => format!("{:032x}", u128::from(ip)),
    }
}

/// Nanoseconds since 1970 of a time as tapline prints it, such as `2026-11-21T12:26:10.5Z`.
pub(super) fn nanoseconds(text: &str) -> Option<i128> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let [year, month, day] = numbers::<3>(date, '-')?;
    let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let [hours, minutes, seconds] = numbers::<3>(time, ':')?;
    let fraction: i128 = format!("{fraction:0<9}").parse().ok()?;
    let seconds = ((days(year, month, day) * 24 + hours) * 60 + minutes) * 60 + seconds;
    Some(seconds * 1_000_000_000 + fraction)
}

fn numbers<const N: usize>(text: &str, separator: char) -> Option<[i128; N]> {
    let numbers = text.split(separator).map(|part| part.parse().ok()).collect::<Option<Vec<_>>>()?;
    numbers.try_into().ok()
}

/// Days from 1970 to a date, by the calendar that counts years from March.
fn days(year: i128, month: i128, day: i128) -> i128 {
    let year = if month <= 2 { year - 1 } else { year };
    let month = (month + 9) % 12;
    365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1 - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn row(values: &[Value]) -> Vec<Cell> {
        values.iter().map(|value| Cell::of(value, Kind::Float)).collect()
    }

    #[test]
    fn times_and_addresses_are_numbers() {
        assert_eq!(nanoseconds("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(nanoseconds("2024-02-29T01:02:03.5Z"), Some(1_709_168_523_500_000_000));
        assert_eq!(nanoseconds("today"), None);
        assert_eq!(hex("10.0.0.1"), "00000000000000000000ffff0a000001");
        assert_eq!(hex("::1"), format!("{:032x}", 1));
    }

    #[test]
    fn rows_agree_in_any_order_unless_they_are_ordered() {
        let (one, two) = (row(&[json!(1), json!(0.1)]), row(&[json!(2), Value::Null]));
        let near = row(&[json!(1), json!(0.100_000_000_000_01)]);
        let (left, right) = (Ok(vec![one.clone(), two.clone()]), Ok(vec![two, near]));
        assert!(agree(&left, &right, false));
        assert!(!agree(&left, &right, true));
        assert!(!agree(&left, &Ok(vec![one]), false));
        assert!(!agree(&left, &Err("no".to_owned()), false));
    }

    #[test]
    fn null_is_no_number() {
        assert!(!Cell::Null.agrees(&Cell::Int(0)));
        assert!(Cell::Int(1).agrees(&Cell::Float(1.0)));
        assert!(!Cell::Int(i128::from(u64::MAX)).agrees(&Cell::Int(i128::from(u64::MAX) - 1)));
    }
}
