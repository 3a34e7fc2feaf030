//! Interfaces of a pcapng section, and the options of blocks.
//!
//! Takes the body of an interface description block, gives the link type, the name and how to turn
//! timestamps into event time. No timestamp overflows: one beyond the years 1677 to 2262 becomes
//! the nearest that can be said.

use std::sync::Arc;

use tapline_decode::LinkType;
use tapline_record::EventTime;

use super::byte_order::ByteOrder;
use super::link_type;

const OPTION_END: u16 = 0;
const OPTION_NAME: u16 = 2;
const OPTION_RESOLUTION: u16 = 9;
const OPTION_FCS_LENGTH: u16 = 13;
const OPTION_OFFSET: u16 = 14;

/// Names longer than this are not kept.
const NAME_OCTETS_MAX: usize = 255;

const NANOSECONDS: i128 = 1_000_000_000;

/// One interface of a section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Interface {
    pub(super) link: LinkType,
    /// The number of the link type.
    number: u32,
    pub(super) name: Option<Arc<str>>,
    /// Most octets that are captured of a frame.
    pub(super) captured_max: u32,
    resolution: Resolution,
    offset_ns: i128,
}

/// Units of a timestamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Resolution {
    /// A unit is this many nanoseconds.
    Coarse(u32),
    /// A nanosecond is this many units.
    Fine(u128),
    /// A second is 2 to this power units.
    Binary(u32),
}

impl Interface {
    /// By the body of its description; `None` if that is too short.
    pub(super) fn new(order: ByteOrder, body: &[u8]) -> Option<Self> {
        let (header, options) = body.split_first_chunk::<8>()?;
        let number = order.u16([header[0], header[1]]).into();
        let mut interface = Self {
            number,
            link: link_type::from_number(number),
            name: None,
            captured_max: match order.word(header, 1) {
                0 => u32::MAX,
                limit => limit,
            },
            resolution: Resolution::Coarse(1000),
            offset_ns: 0,
        };
        Options::new(order, options).for_each(|option| interface.apply(order, &option));
        Some(interface)
    }

    /// The time that a timestamp of this interface says.
    #[inline]
    pub(super) fn time(&self, units: u64) -> EventTime {
        let ns = self.offset_ns + self.resolution.nanoseconds(units);
        EventTime(i64::try_from(ns).unwrap_or(if ns < 0 { i64::MIN } else { i64::MAX }))
    }

    fn apply(&mut self, order: ByteOrder, option: &BlockOption<'_>) {
        match (option.code, option.value) {
            (OPTION_NAME, name) if !name.is_empty() && name.len() <= NAME_OCTETS_MAX => {
                self.name = Some(String::from_utf8_lossy(name).into());
            }
            (OPTION_FCS_LENGTH, &[fcs_octets]) => {
                self.link = link_type::with_fcs(self.number, fcs_octets.into());
            }
            (OPTION_RESOLUTION, &[resolution]) => self.resolution = Resolution::new(resolution),
            (OPTION_OFFSET, seconds) => {
                if let Some(seconds) = seconds.try_into().ok().map(|octets| order.u64(octets)) {
                    self.offset_ns = i128::from(seconds.cast_signed()) * NANOSECONDS;
                }
            }
            _ => {}
        }
    }
}

impl Resolution {
    /// By option `if_tsresol`: a negative power of 10, or of 2 if the upper bit is set.
    const fn new(option: u8) -> Self {
        match option {
            0..=9 => Self::Coarse(10_u32.pow(9 - option as u32)),
            10..0x80 => Self::Fine(10_u128.saturating_pow(option as u32 - 9)),
            0x80.. => Self::Binary((option & 0x7f) as u32),
        }
    }

    #[inline]
    fn nanoseconds(self, units: u64) -> i128 {
        match self {
            Self::Coarse(ns) => i128::from(units) * i128::from(ns),
            Self::Fine(units_a_ns) => (u128::from(units) / units_a_ns) as i128,
            Self::Binary(power) => (i128::from(units) * NANOSECONDS) >> power,
        }
    }
}

/// One option of a block.
pub(super) struct BlockOption<'a> {
    pub(super) code: u16,
    pub(super) value: &'a [u8],
}

/// The options at the end of a block; those behind a damaged one are not seen.
pub(super) struct Options<'a> {
    order: ByteOrder,
    rest: &'a [u8],
}

impl<'a> Options<'a> {
    pub(super) const fn new(order: ByteOrder, rest: &'a [u8]) -> Self {
        Self { order, rest }
    }
}

impl<'a> Iterator for Options<'a> {
    type Item = BlockOption<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        let (header, rest) = self.rest.split_first_chunk::<4>()?;
        let code = self.order.u16([header[0], header[1]]);
        let octets = usize::from(self.order.u16([header[2], header[3]]));
        let value = rest.get(..octets)?;
        if code == OPTION_END {
            return None;
        }
        self.rest = rest.get(octets.next_multiple_of(4)..).unwrap_or_default();
        Some(BlockOption { code, value })
    }
}
