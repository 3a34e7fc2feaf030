//! Which columns of a table are shown, and how wide, where a terminal has only so many places.
//!
//! Text is cut down to [`TEXT_WIDTH_MIN`] first, the widest first; then columns are left out from the right. Numbers,
//! times and addresses are never cut: a part of them is another one.

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// To so many places text is cut, and names of columns are, before a column is left out.
const TEXT_WIDTH_MIN: usize = 16;
/// What stands around the text of a column.
const FRAME_WIDTH: usize = "|  ".len();

/// The places that a column would take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Need {
    /// Its place in the SELECT list.
    pub(super) column: usize,
    pub(super) name: usize,
    pub(super) values: usize,
    /// Whether a part of a value says something.
    pub(super) is_text: bool,
}

impl Need {
    fn width(&self) -> usize {
        self.name.max(self.values)
    }

    fn width_min(&self) -> usize {
        let values = if self.is_text { self.values.min(TEXT_WIDTH_MIN) } else { self.values };
        values.max(self.name.min(TEXT_WIDTH_MIN))
    }
}

/// What is shown: places of columns, ascending, each with its width.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Layout(pub(super) Vec<(usize, usize)>);

impl Layout {
    /// All of it.
    pub(super) fn whole(needs: &[Need]) -> Self {
        Self(needs.iter().map(|need| (need.column, need.width())).collect())
    }

    /// As much of it as has room in so many places.
    pub(super) fn fitting(needs: &[Need], room: usize) -> Self {
        let mut shown = needs.len();
        while shown > 1 && line_width(needs[..shown].iter().map(Need::width_min)) > room {
            shown -= 1;
        }
        let needs = &needs[..shown];
        let mut widths: Vec<usize> = needs.iter().map(Need::width).collect();
        while line_width(widths.iter().copied()) > room {
            let can_be_less = |place: &usize| widths[*place] > needs[*place].width_min();
            let widest = (0..widths.len()).filter(can_be_less).max_by_key(|place| widths[*place]);
            let Some(widest) = widest else { break };
            widths[widest] -= 1;
        }
        if let ([only], [need]) = (widths.as_mut_slice(), needs) {
            let least = if need.is_text { 1 } else { need.values };
            *only = (*only).min(room.saturating_sub(FRAME_WIDTH + 2).max(least));
        }
        Self(needs.iter().zip(widths).map(|(need, width)| (need.column, width)).collect())
    }
}

/// Places of a line with columns of these widths.
fn line_width(widths: impl Iterator<Item = usize>) -> usize {
    widths.map(|width| width + FRAME_WIDTH).sum::<usize>() + 1
}

/// The text, or as much of it as has room, with a mark that there is more.
pub(super) fn cut(text: &str, room: usize) -> (String, bool) {
    if text.width() <= room {
        return (text.to_owned(), false);
    }
    let (mut cut, mut taken) = (String::new(), 1);
    for character in text.chars() {
        taken += character.width().unwrap_or(0);
        if taken > room {
            break;
        }
        cut.push(character);
    }
    cut.push('…');
    (cut, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn needs(widths: &[(usize, usize, bool)]) -> Vec<Need> {
        let need = |(column, &(name, values, is_text))| Need { column, name, values, is_text };
        widths.iter().enumerate().map(need).collect()
    }

    #[test]
    fn text_is_cut_before_columns_are_left_out() {
        let all = needs(&[(4, 20, false), (5, 60, true), (30, 3, false)]);
        let found = |room| Layout::fitting(&all, room).0;
        assert_eq!(found(200), Layout::whole(&all).0);
        assert_eq!(found(120), [(0, 20), (1, 60), (2, 30)]);
        assert_eq!(found(100), [(0, 20), (1, 40), (2, 30)]);
        assert_eq!(found(70), [(0, 20), (1, 20), (2, 20)], "the widest first");
        assert_eq!(found(62), [(0, 20), (1, 16), (2, 16)]);
        assert_eq!(found(61), [(0, 20), (1, 34)]);
        assert_eq!(found(30), [(0, 20)]);
        assert_eq!(found(10), [(0, 20)], "one column is shown, whatever the room, and a number is never cut");
        let alone = |column| Layout::fitting(&needs(&[column]), 10).0;
        assert_eq!(alone((4, 20, true)), [(0, 5)], "text is");
        assert_eq!(alone((30, 3, false)), [(0, 5)], "and so is a name");
    }

    #[test]
    fn a_line_is_never_wider_than_its_room() {
        let all = needs(&[(3, 50, true), (9, 9, false), (40, 8, false), (1, 39, false), (17, 17, true)]);
        for room in 6..200 {
            let widths = Layout::fitting(&all, room).0.into_iter().map(|(_, width)| width);
            assert!(line_width(widths) <= room, "{room}");
        }
    }

    #[test]
    fn cut_text_has_a_mark() {
        assert_eq!(cut("abcdef", 6), ("abcdef".to_owned(), false));
        assert_eq!(cut("abcdefg", 6), ("abcde…".to_owned(), true));
        assert_eq!(cut("電路電路", 6), ("電路…".to_owned(), true), "half a character is none");
        assert_eq!(cut("ab", 1), ("…".to_owned(), true));
    }
}
