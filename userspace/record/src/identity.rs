//! Who saw a row: columns that every stream has and no source builds.
//!
//! On one node they are the same in all rows, so whoever plans for it writes their values in their place; where results
//! come from several nodes, they tell these apart.

use crate::stream::{Column, ColumnType};

/// A column that says who saw a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum IdentityColumn {
    /// The name of the node.
    Sensor,
    /// Where it stands.
    Site,
}

static COLUMNS: [Column; 2] = [
    Column {
        name: "sensor",
        kind: ColumnType::Text,
        nullable: false,
        unit: "",
        about: "Name of the node that saw it: [node] name, or that of its host",
    },
    Column {
        name: "site",
        kind: ColumnType::Text,
        nullable: true,
        unit: "",
        about: "Where that node stands: [node] site; NULL where it is not said",
    },
];

/// The bit that tells their positions from those of fixed columns and of elements.
const IS_IDENTITY: u64 = 1 << 57;

impl IdentityColumn {
    /// Both, in the order of `SELECT *`, where they stand behind all others.
    pub const ALL: [Self; 2] = [Self::Sensor, Self::Site];

    /// Its position in lists of columns, behind all others.
    #[must_use]
    pub const fn position(self) -> usize {
        (IS_IDENTITY | self as u64) as usize
    }

    /// The column at a position; `None` where another one stands.
    #[must_use]
    pub fn at(position: usize) -> Option<Self> {
        Self::ALL.into_iter().find(|column| column.position() == position)
    }

    /// What is said of it.
    pub(crate) fn column(self) -> &'static Column {
        &COLUMNS[self as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ElementColumn, STREAMS};

    #[test]
    fn every_stream_has_them_behind_its_own() {
        for stream in STREAMS {
            for column in IdentityColumn::ALL {
                let (position, name) = (column.position(), column.column().name);
                assert_eq!(IdentityColumn::at(position), Some(column));
                assert_eq!(ElementColumn::at(position), None);
                assert_eq!((stream.field(position).name().as_str(), stream.position(name)), (name, None));
            }
            let names: Vec<&str> = stream.named_columns().map(|column| column.name).collect();
            assert_eq!(names[stream.columns.len()..], ["sensor", "site"]);
            assert!((0..stream.columns.len()).all(|position| IdentityColumn::at(position).is_none()));
        }
    }
}
