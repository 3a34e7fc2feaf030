//! Comparisons: `tcp[tcpflags] & (tcp-syn|tcp-ack) != 0`, `ip[8] < 5`, `len > 1000`.
//!
//! Octets of headers are read from the columns that hold them, with a mask where one is given. What no column holds, and
//! arithmetic over what one does, is refused.

use super::cursor::Parser;
use super::error::FilterError;
use super::lexer::{Kind, Token};
use super::names::{self, Held, Layer};
use super::primitive::of_layer;
use crate::condition::{Comparison, Condition};
use crate::field::Field;
use crate::predicate::Operand;
use crate::ranges::Ranges;

/// Operators over numbers, those that bind less closely first.
const OPERATORS: [&[&str]; 4] = [&["|", "&", "^"], &["<<", ">>"], &["+", "-"], &["*", "/", "%"]];

const COMPARISONS: [(&str, Comparison); 8] = [
    ("=", Comparison::Equal),
    ("==", Comparison::Equal),
    ("!=", Comparison::NotEqual),
    ("<>", Comparison::NotEqual),
    ("<", Comparison::Less),
    ("<=", Comparison::LessOrEqual),
    (">", Comparison::Greater),
    (">=", Comparison::GreaterOrEqual),
];

/// A side of a comparison, or a part of one.
#[derive(Clone, Copy)]
enum Side {
    Number(u64),
    /// Octets of a frame.
    Read(Read),
}

/// What is read of a frame.
#[derive(Clone, Copy)]
struct Read {
    from: Origin,
    /// The bits of it that count.
    mask: u64,
}

#[derive(Clone, Copy)]
enum Origin {
    /// The length of the frame.
    Length,
    /// Octets of a header that a column holds, so many bits above the last one of these.
    Header { held: &'static Held, layer: Layer, above: u32 },
}

/// A side with the tokens that it stands in.
type Placed<'a> = (Side, [Token<'a>; 2]);

impl<'a> Parser<'a> {
    /// Whether a comparison begins here.
    pub(super) fn is_relation(&self) -> bool {
        let next = self.peek_at(1);
        match self.peek().kind {
            Kind::Symbol("(") => is_calculating(self.behind_brackets()),
            Kind::Word(word) if is_header(word) => next.kind == Kind::Symbol("["),
            Kind::Word("len") => true,
            Kind::Word(word) => value(word).is_some() && is_calculating(next),
            Kind::Symbol(_) | Kind::End => false,
        }
    }

    /// The comparison that begins here.
    pub(super) fn relation(&mut self) -> Result<Condition, FilterError> {
        let (left, [first, _]) = self.side(0)?;
        let token = self.next();
        let is_this = |known: &str| matches!(token.kind, Kind::Symbol(symbol) if symbol == known);
        let found = COMPARISONS.iter().find(|(known, _)| is_this(known));
        let Some((_, comparison)) = found else {
            return Err(self.refuse(token, "here a comparison is missing", "write e.g. len > 1000"));
        };
        let (right, [_, last]) = self.side(0)?;
        let condition = match (left, right) {
            (Side::Read(read), Side::Number(number)) => compare(read, *comparison, number),
            (Side::Number(number), Side::Read(read)) => compare(read, comparison.turned(), number),
            (Side::Number(left), Side::Number(right)) => {
                let holds = comparison.ranges(right.into(), u128::MAX).holds(left.into());
                Some(if holds { Condition::All(vec![]) } else { Condition::Any(vec![]) })
            }
            (Side::Read(_), Side::Read(_)) => {
                let message = "a comparison of two fields cannot be said in a filter";
                let help = "SQL has it: WHERE src_port = dst_port";
                return Err(self.refuse_all([first, last], message, help));
            }
        };
        condition.ok_or_else(|| {
            let message = format!("of `{}` no column holds all bits", self.text_up_to(first, last));
            let help = "leave out the bits that are not compared, as ip[6:2] & 0x1fff does";
            self.refuse_all([first, last], message, help)
        })
    }

    /// Parts joined by operators of this level, or of one that binds closer.
    fn side(&mut self, level: usize) -> Result<Placed<'a>, FilterError> {
        let Some(operators) = OPERATORS.get(level) else { return self.atom() };
        let (mut side, [first, mut last]) = self.side(level + 1)?;
        loop {
            let token = self.peek();
            let Kind::Symbol(operator) = token.kind else { return Ok((side, [first, last])) };
            if !operators.contains(&operator) {
                return Ok((side, [first, last]));
            }
            self.next();
            let (right, [_, end]) = self.side(level + 1)?;
            last = end;
            side = calculate(operator, side, right).map_err(|(message, help)| {
                let message = format!("`{}` {message}", self.text_up_to(first, last));
                self.refuse_all([first, last], message, help)
            })?;
        }
    }

    fn atom(&mut self) -> Result<Placed<'a>, FilterError> {
        let token = self.next();
        match token.kind {
            Kind::Symbol("(") => {
                let (side, _) = self.nested(token, |parser| parser.side(0))?;
                let closing = self.peek();
                self.close(token, ")")?;
                Ok((side, [token, closing]))
            }
            Kind::Word("len") => Ok((Side::Read(Read { from: Origin::Length, mask: u64::MAX }), [token; 2])),
            Kind::Word(word) if self.peek().kind == Kind::Symbol("[") && is_header(word) => {
                self.octets(token, word)
            }
            Kind::Word(word) => {
                let Some(number) = value(word) else {
                    let message = format!("`{word}` is no number");
                    let help = "write a number such as 10 or 0x0a, or a name such as tcp-syn";
                    return Err(self.refuse(token, message, help));
                };
                Ok((Side::Number(number), [token; 2]))
            }
            Kind::Symbol(_) | Kind::End => {
                Err(self.refuse(token, "here a number is missing", "write e.g. tcp[13] & 2 != 0"))
            }
        }
    }

    /// `header[at]` or `header[at:octets]`, behind the header's name.
    fn octets(&mut self, name: Token<'a>, header: &str) -> Result<Placed<'a>, FilterError> {
        let opening = self.next();
        let at = self.number_in_index()?;
        let octets = if self.take(":") { self.number_in_index()? } else { 1 };
        let closing = self.peek();
        self.close(opening, "]")?;
        let place = [name, closing];
        if ![1, 2, 4].contains(&octets) {
            let help = "write 1, 2 or 4 behind the colon";
            return Err(self.refuse_all(place, format!("{octets} octets are no number"), help));
        }
        let (held, layer) = names::column(header, at, octets).zip(names::layer(header)).ok_or_else(|| {
            let message = format!("no column holds `{}`", self.text_up_to(name, closing));
            self.refuse_all(place, message, unsaid(header))
        })?;
        let above = 8 * (held.at + held.octets - at - octets) as u32;
        let mask = u64::MAX >> (64 - 8 * octets);
        Ok((Side::Read(Read { from: Origin::Header { held, layer, above }, mask }), place))
    }

    fn number_in_index(&mut self) -> Result<u64, FilterError> {
        let token = self.next();
        let Kind::Word(word) = token.kind else {
            return Err(self.refuse(token, "here a number is missing", "write e.g. tcp[13] or tcp[2:2]"));
        };
        names::index(word).or_else(|| number(word)).ok_or_else(|| {
            let help = "write a number, or tcpflags, icmptype, icmpcode, icmp6type or icmp6code";
            self.refuse(token, format!("`{word}` is no place in a header"), help)
        })
    }
}

/// Whether a token stands between numbers, or compares them. A slash also stands in networks.
fn is_calculating(token: Token<'_>) -> bool {
    let Kind::Symbol(symbol) = token.kind else { return false };
    let is_operator = OPERATORS.iter().any(|level| level.contains(&symbol)) && symbol != "/";
    is_operator || COMPARISONS.iter().any(|(known, _)| *known == symbol)
}

fn is_header(word: &str) -> bool {
    names::layer(word).is_some() || word == "wlan" || word == "fddi" || word == "tr" || word == "ppp"
}

/// What to do about octets of a header that no column holds.
fn unsaid(header: &str) -> &'static str {
    match header {
        "tcp" | "udp" | "sctp" => {
            "SQL has what is behind the header: WHERE payload LIKE 'GET %'; `tapline schema packets` lists the rest"
        }
        "ip" | "ip6" => {
            "write host or net for addresses, proto for what is carried; SQL has WHERE dscp = 46, ecn, flow_label and more"
        }
        "ether" | "link" => "write ether host 00:11:22:33:44:55, ether proto 0x0806, vlan or ip multicast",
        _ => "`tapline schema packets` lists what SQL has of a frame",
    }
}

/// The number or constant that a word is.
fn value(word: &str) -> Option<u64> {
    number(word).or_else(|| names::constant(word))
}

/// A number as C writes it: decimal, hexadecimal behind 0x, octal behind 0.
pub(super) fn number(word: &str) -> Option<u64> {
    let (digits, base) = match (word.strip_prefix("0x").or_else(|| word.strip_prefix("0X")), word) {
        (Some(digits), _) => (digits, 16),
        (None, "0") => ("0", 10),
        (None, word) => word.strip_prefix('0').map_or((word, 10), |digits| (digits, 8)),
    };
    // A sign is none of the digits.
    let is_digits = digits.bytes().all(|digit| digit.is_ascii_alphanumeric());
    u64::from_str_radix(digits, base).ok().filter(|_| is_digits)
}

type Unsayable = (&'static str, &'static str);

fn calculate(operator: &str, left: Side, right: Side) -> Result<Side, Unsayable> {
    match (left, right, operator) {
        (Side::Number(left), Side::Number(right), _) => {
            let number = calculate_numbers(operator, left, right);
            number.map(Side::Number).ok_or(("is no number of 64 bits", "write the number itself"))
        }
        (Side::Read(read), Side::Number(mask), "&") | (Side::Number(mask), Side::Read(read), "&") => {
            Ok(Side::Read(Read { mask: read.mask & mask, ..read }))
        }
        _ => Err((
            "calculates with what a frame holds, which cannot be said in a filter",
            "SQL has it: WHERE (src_port + 1) = dst_port",
        )),
    }
}

fn calculate_numbers(operator: &str, left: u64, right: u64) -> Option<u64> {
    let bits = u32::try_from(right);
    match operator {
        "|" => Some(left | right),
        "&" => Some(left & right),
        "^" => Some(left ^ right),
        "<<" => left.checked_shl(bits.ok()?),
        ">>" => left.checked_shr(bits.ok()?),
        "+" => left.checked_add(right),
        "-" => left.checked_sub(right),
        "*" => left.checked_mul(right),
        "/" => left.checked_div(right),
        "%" => left.checked_rem(right),
        _ => None,
    }
}

/// What is read, compared with a number; `None` if a column has not all bits of it.
fn compare(Read { from, mask }: Read, comparison: Comparison, number: u64) -> Option<Condition> {
    let (held, layer, above) = match from {
        Origin::Header { held, layer, above } => (held, layer, above),
        Origin::Length if mask == u64::MAX => {
            return Some(Condition::compare(Field::FrameOctets, comparison, number.into()));
        }
        Origin::Length => {
            let operand = Operand::masked(Field::FrameOctets, mask);
            return Some(Condition::Within(operand, comparison.ranges(number.into(), mask.into())));
        }
    };
    // From the bits that are read to those of all octets that the column holds, and from there to the column's.
    let wanted = mask << above;
    if wanted & !held.known != 0 {
        return None;
    }
    let up = above + held.up;
    let is_whole = held.is_all && wanted == held.known;
    let masked = Operand::masked(held.field, wanted << held.up);
    let operand = if is_whole { Operand::of(held.field) } else { masked };
    let of_column = |(first, last): &(u128, u128)| {
        let is_rest = is_whole && *last >= u128::from(mask);
        (first << up, if is_rest { held.field.max() } else { last << up })
    };
    let ranges = comparison.ranges(number.into(), mask.into());
    let possible = ranges.as_slice().iter().filter(|(first, _)| *first <= u128::from(mask));
    let within: Ranges = possible.map(of_column).collect();
    let parts = vec![of_layer(layer), Condition::Within(operand, within)];
    Some(Condition::IsTrue(Box::new(Condition::All(parts))))
}
