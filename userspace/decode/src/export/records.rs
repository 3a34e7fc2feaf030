//! The data records of one set, of fixed or of varying length, as columns of slices.

use super::sets::SET_HEADER_OCTETS;
use super::slot::Slot;
use super::template::{Template, VARIABLE};
use super::wire::{array_at, u16_at};

/// The records of a set.
#[derive(Clone, Copy, Debug)]
pub(super) enum Records<'a> {
    /// All of one length: the body holds nothing else.
    Fixed { body: &'a [u8], stride: usize, rows: usize },
    /// Each field of each record by where it begins and ends, record after record.
    Varying { body: &'a [u8], ends: &'a [Span], fields: usize },
}

/// A length of one octet that says that the length is in the two octets behind it (RFC 7011 §7).
const LENGTH_FOLLOWS: usize = 255;

/// First octet, and the octet after the last, in the body of a set.
pub(super) type Span = (u32, u32);

impl<'a> Records<'a> {
    /// Records of this stride; what is left over is padding.
    pub(super) fn fixed(body: &'a [u8], stride: usize) -> Self {
        let rows = body.len().checked_div(stride).unwrap_or(0);
        Self::Fixed { body: &body[..rows * stride], stride: stride.max(1), rows }
    }

    /// Finds the fields of records whose length varies, in `spans`, which is cleared first.
    pub(super) fn varying(body: &'a [u8], template: &Template, spans: &'a mut Vec<Span>) -> Self {
        spans.clear();
        let (mut rest, octets_min) = (0, template.octets_min());
        while octets_min > 0 && body.len() - rest >= octets_min {
            let before = spans.len();
            let Some(end) = find_fields(body, rest, template, spans) else {
                spans.truncate(before);
                break;
            };
            rest = end;
        }
        Self::Varying { body, ends: spans, fields: template.fields.len() }
    }

    /// How many records there are.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Fixed { rows, .. } => *rows,
            Self::Varying { ends, fields, .. } => ends.len().checked_div(*fields).unwrap_or(0),
        }
    }

    /// Whether the records are all that the body of their set holds, but for padding behind them.
    ///
    /// Padding fills a set up to a multiple of four octets, whatever its octets are (RFC 3954 §5.3); where sets may
    /// begin at multiples of eight, zeros do so too (RFC 7011 §3.3.1). An empty set has no records to be missed.
    #[inline]
    pub(super) fn fill(&self, set: &[u8], alignment: usize) -> bool {
        let octets = match *self {
            Self::Fixed { body, .. } => body.len(),
            Self::Varying { ends, .. } => ends.last().map_or(0, |&(_, end)| end as usize),
        };
        let left = set.len() - octets;
        left == 0 || octets > 0 && (left < 4 || is_wide_padding(&set[octets..], set.len(), alignment))
    }

    /// The field of every record, where all have `N` octets of it.
    #[inline]
    pub(super) fn arrays<const N: usize>(&self, slot: Slot) -> Option<Arrays<'a, N>> {
        let Self::Fixed { body, stride, rows } = *self else { return None };
        let offset = slot.offset;
        (slot.length == N && offset + N <= stride).then_some(Arrays { body, stride, rows, offset })
    }

    /// The field of every record.
    pub(super) fn field(&self, slot: Slot) -> impl ExactSizeIterator<Item = &'a [u8]> + use<'a> {
        let records = *self;
        (0..records.len()).map(move |row| records.field_of(row, slot))
    }

    /// The field of the record with this number.
    #[inline]
    pub(super) fn field_of(&self, row: usize, slot: Slot) -> &'a [u8] {
        match *self {
            Self::Fixed { body, stride, .. } => {
                let first = row * stride + slot.offset;
                body.get(first..first + slot.length).unwrap_or_default()
            }
            Self::Varying { body, ends, fields } => {
                let span = ends.get(row * fields + slot.field);
                let octets = span.and_then(|&(first, end)| body.get(first as usize..end as usize));
                octets.unwrap_or_default()
            }
        }
    }
}

/// A field of every record, all of them there and `N` octets long.
///
/// They are to be read four at a time, and one at a time in the end: so a turn's own cost is shared by four.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrays<'a, const N: usize> {
    body: &'a [u8],
    stride: usize,
    rows: usize,
    offset: usize,
}

impl<'a, const N: usize> Arrays<'a, N> {
    /// The fields of four records a turn.
    #[inline]
    pub(super) fn fours(self) -> impl ExactSizeIterator<Item = [[u8; N]; 4]> + use<'a, N> {
        self.body.chunks_exact(4 * self.stride).map(move |records| {
            let (first, records) = records.split_at(self.stride);
            let (second, records) = records.split_at(self.stride);
            let (third, fourth) = records.split_at(self.stride);
            [first, second, third, fourth].map(|record| self.of(record))
        })
    }

    /// The fields of the up to three records behind all fours.
    #[inline]
    pub(super) fn rest(self) -> impl ExactSizeIterator<Item = [u8; N]> + use<'a, N> {
        let rows = self.rows - self.rows % 4..self.rows;
        rows.map(move |row| self.of(&self.body[row * self.stride..]))
    }

    /// The field of the record that these octets begin with.
    #[inline]
    fn of(self, record: &[u8]) -> [u8; N] {
        array_at(record, self.offset).unwrap_or([0; N])
    }
}

/// Whether so many octets fill their set, header included, up to the alignment of sets, where that is a wide one.
#[cold]
fn is_wide_padding(rest: &[u8], set_octets: usize, alignment: usize) -> bool {
    let ends_aligned = (SET_HEADER_OCTETS + set_octets).is_multiple_of(alignment);
    rest.len() < alignment && ends_aligned && rest.iter().all(|&octet| octet == 0)
}

/// Appends the spans of the fields of the record at `first`; gives where it ends, `None` when it is cut short.
fn find_fields(body: &[u8], first: usize, template: &Template, spans: &mut Vec<Span>) -> Option<usize> {
    let mut next = first;
    for field in &template.fields {
        let mut length = usize::from(field.length);
        if field.length == VARIABLE {
            length = usize::from(*body.get(next)?);
            next += 1;
            if length == LENGTH_FOLLOWS {
                length = usize::from(u16_at(body, next)?);
                next += 2;
            }
        }
        let end = next + length;
        if end > body.len() {
            return None;
        }
        spans.push((u32::try_from(next).ok()?, u32::try_from(end).ok()?));
        next = end;
    }
    Some(next)
}

#[cfg(test)]
mod tests {
    use super::super::template::{Element, Field, TemplateKind};
    use super::*;

    fn template(lengths: &[u16]) -> Template {
        let field = |&length: &u16| Field { element: Element::iana(1), length };
        Template { id: 256, kind: TemplateKind::Data, fields: lengths.iter().map(field).collect() }
    }

    fn slot(field: usize, offset: usize, length: usize) -> Slot {
        Slot { field, offset, length }
    }

    #[test]
    fn padding_is_no_record() {
        let body = [1, 2, 3, 4, 5, 6, 0, 0];
        let records = Records::fixed(&body, 3);
        assert_eq!(records.len(), 2);
        assert_eq!(records.field(slot(0, 1, 2)).collect::<Vec<_>>(), [&[2, 3], &[5, 6]]);
        assert_eq!(Records::fixed(&body, 0).len(), 0);
        assert_eq!(Records::fixed(&body, 9).len(), 0);
    }

    #[test]
    fn records_fill_their_set_but_for_padding() {
        let fills = |octets: usize, stride: usize, alignment: usize, padding: u8| {
            let mut body = vec![1; octets - octets % stride];
            body.resize(octets, padding);
            Records::fixed(&body, stride).fill(&body, alignment)
        };
        assert!(
            fills(0, 29, 4, 0) && fills(58, 29, 4, 0) && fills(61, 29, 4, 9),
            "up to three of any octets"
        );
        assert!(!fills(62, 29, 4, 0) && !fills(86, 29, 4, 0) && !fills(3, 29, 4, 0));
        assert!(
            fills(60, 28, 8, 0) && !fills(60, 28, 8, 1) && !fills(60, 28, 4, 0),
            "up to a multiple of eight"
        );
        assert!(!fills(62, 28, 8, 0) && !fills(68, 28, 8, 0), "and no further");
        assert!(fills(3, 2, 4, 0) && fills(3, 1, 4, 0), "short records");
    }

    #[test]
    fn records_of_varying_length_fill_their_set_too() {
        let (template, mut spans) = (template(&[2, VARIABLE]), vec![]);
        let mut fills = |body: &[u8]| Records::varying(body, &template, &mut spans).fill(body, 4);
        assert!(fills(&[1, 2, 1, 9, 1, 2, 0]) && fills(&[1, 2, 1, 9, 0, 0]) && fills(&[]));
        assert!(!fills(&[1, 2, 1, 9, 1, 2, 200, 1]) && !fills(&[1, 2, 200, 9]));
    }

    #[test]
    fn lengths_may_vary_and_be_zero() {
        let long = [vec![7, 255, 1, 0], vec![9; 256], vec![8]].concat();
        let body = [vec![1, 0, 2, 3, 2, 4, 5, 6], long].concat();
        let (template, mut spans) = (template(&[1, VARIABLE, 1]), vec![]);
        let records = Records::varying(&body, &template, &mut spans);
        assert_eq!(records.len(), 3);
        let lengths: Vec<_> = records.field(slot(1, 0, 0)).map(<[u8]>::len).collect();
        assert_eq!(lengths, [0, 2, 256]);
        let last: Vec<_> = records.field(slot(2, 0, 0)).map(<[u8]>::to_vec).collect();
        assert_eq!(last, [[2], [6], [8]]);
    }

    #[test]
    fn a_record_that_is_cut_short_is_none() {
        let (template, mut spans) = (template(&[2, VARIABLE]), vec![]);
        assert_eq!(Records::varying(&[1, 2, 1, 9, 1, 2, 200, 1], &template, &mut spans).len(), 1);
        assert_eq!(Records::varying(&[1, 2, 255, 1], &template, &mut spans).len(), 0);
    }
}
