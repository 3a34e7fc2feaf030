//! Streams and their columns: the tables that queries name.
//!
//! The macro `stream!` writes, from one list, the column ids, the row that decoders fill and the
//! code that moves a burst of rows into columns, so that the three cannot drift apart.

use crate::element::ElementColumn;
use crate::identity::IdentityColumn;
use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};
use std::sync::Arc;

/// The time zone of every timestamp column.
pub const TIME_ZONE: &str = "UTC";

/// How a column's values are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnType {
    /// Nanoseconds since the epoch, UTC.
    Timestamp,
    /// Unsigned, 8 bits.
    UInt8,
    /// Unsigned, 16 bits.
    UInt16,
    /// Unsigned, 32 bits.
    UInt32,
    /// Unsigned, 64 bits.
    UInt64,
    /// A count, 64 bits with a sign, so that SQL's arithmetic with literals stays in integers.
    Counter,
    /// By how much a count changed, 64 bits with a sign.
    Change,
    /// With a sign, 64 bits.
    Int64,
    /// Floating point, 64 bits.
    Float64,
    /// IP address, 16 octets, IPv4 mapped.
    Address,
    /// MAC address, 6 octets.
    Mac,
    /// UTF-8 text from a small set of values.
    Text,
    /// UTF-8 text of any value.
    String,
    /// Octets of any length.
    Bytes,
}

impl ColumnType {
    /// The Arrow type of the column.
    #[must_use]
    pub fn data_type(self) -> DataType {
        match self {
            Self::Timestamp => DataType::Timestamp(TimeUnit::Nanosecond, Some(TIME_ZONE.into())),
            Self::UInt8 => DataType::UInt8,
            Self::UInt16 => DataType::UInt16,
            Self::UInt32 => DataType::UInt32,
            Self::UInt64 => DataType::UInt64,
            Self::Counter | Self::Change | Self::Int64 => DataType::Int64,
            Self::Float64 => DataType::Float64,
            Self::Address => DataType::FixedSizeBinary(16),
            Self::Mac => DataType::FixedSizeBinary(6),
            Self::Text | Self::String => DataType::Utf8,
            Self::Bytes => DataType::Binary,
        }
    }

    /// The name that `tapline schema` prints.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Timestamp => "timestamp",
            Self::UInt8 => "uint8",
            Self::UInt16 => "uint16",
            Self::UInt32 => "uint32",
            Self::UInt64 => "uint64",
            Self::Counter | Self::Change | Self::Int64 => "int64",
            Self::Float64 => "float64",
            Self::Address => "address",
            Self::Mac => "mac",
            Self::Text | Self::String => "text",
            Self::Bytes => "bytes",
        }
    }
}

/// One column of a stream.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// Name in SQL.
    pub name: &'static str,
    /// Type of its values.
    pub kind: ColumnType,
    /// Whether a row may lack it.
    pub nullable: bool,
    /// Unit, or empty when the value has none.
    pub unit: &'static str,
    /// What it says and where it comes from.
    pub about: &'static str,
}

/// Which stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum StreamId {
    /// [`crate::PACKETS`].
    Packets,
    /// [`crate::FLOWS`].
    Flows,
    /// [`crate::PACKET_FLOWS`].
    PacketFlows,
    /// [`crate::INTERFACE_COUNTERS`].
    InterfaceCounters,
    /// [`crate::LEDGER`].
    Ledger,
    /// [`crate::TABLE_FLOWS`].
    TableFlows,
}

impl StreamId {
    /// How many streams there are.
    pub const COUNT: usize = Self::TableFlows as usize + 1;
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; Self::COUNT] = [
        Self::Packets,
        Self::Flows,
        Self::PacketFlows,
        Self::InterfaceCounters,
        Self::Ledger,
        Self::TableFlows,
    ];

    /// What is counted where this is read: rows that the kernel's table gives stand for those of the stream that queries
    /// name.
    #[must_use]
    pub const fn named(self) -> Self {
        match self {
            Self::PacketFlows => Self::Packets,
            Self::TableFlows => Self::Flows,
            Self::Packets | Self::Flows | Self::InterfaceCounters | Self::Ledger => self,
        }
    }

    /// Whether none of its rows may be dropped: an account of what was lost is not lost itself.
    #[must_use]
    pub const fn is_lossless(self) -> bool {
        matches!(self, Self::Ledger)
    }
}

/// A table of records that never ends.
#[derive(Debug)]
pub struct Stream {
    /// Which one it is.
    pub id: StreamId,
    /// Name in SQL.
    pub name: &'static str,
    /// What one row is.
    pub about: &'static str,
    /// Its columns that sources build, in the order of `SELECT *`; each [`IdentityColumn`] comes behind them.
    pub columns: &'static [Column],
}

impl Stream {
    /// Position of the event time in every stream.
    pub const TS: usize = 0;

    /// The Arrow schema of all columns.
    #[must_use]
    pub fn schema(&self) -> SchemaRef {
        let every_column: Vec<usize> = (0..self.columns.len()).collect();
        self.schema_of(&every_column)
    }

    /// The Arrow schema of some columns, given by position.
    #[must_use]
    pub fn schema_of(&self, columns: &[usize]) -> SchemaRef {
        Arc::new(Schema::new(columns.iter().map(|&position| self.field(position)).collect::<Vec<_>>()))
    }

    /// Name and Arrow type of the column at a position, be it a fixed one, an [`ElementColumn`] or an
    /// [`IdentityColumn`].
    #[must_use]
    pub fn field(&self, position: usize) -> Field {
        let data_type = self.kind(position).data_type();
        if let Some(element) = ElementColumn::at(position) {
            return Field::new(element.name(), data_type, true);
        }
        let column = self.column(position);
        Field::new(column.name, data_type, column.nullable)
    }

    /// Type of the column at a position, be it a fixed one, an [`ElementColumn`] or an [`IdentityColumn`].
    #[must_use]
    pub fn kind(&self, position: usize) -> ColumnType {
        let element = ElementColumn::at(position);
        element.map_or_else(|| self.column(position).kind, |element| element.form.kind())
    }

    /// The column at a position that is no element's.
    fn column(&self, position: usize) -> &'static Column {
        match IdentityColumn::at(position) {
            Some(identity) => identity.column(),
            None => &self.columns[position],
        }
    }

    /// All columns that SQL can name, in the order of `SELECT *`.
    pub fn named_columns(&self) -> impl Iterator<Item = &'static Column> + use<> {
        self.columns.iter().chain(IdentityColumn::ALL.map(IdentityColumn::column))
    }

    /// Position of the column with this name.
    #[must_use]
    pub fn position(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name == name)
    }
}

/// The Rust type of a row's field, by column type.
macro_rules! field_type {
    (Timestamp) => {
        i64
    };
    (UInt8) => {
        u8
    };
    (UInt16) => {
        u16
    };
    (UInt32) => {
        u32
    };
    (UInt64) => {
        u64
    };
    (Counter) => {
        u64
    };
    (Change) => {
        i64
    };
    (Address) => {
        $crate::address::Address
    };
    (Mac) => {
        $crate::address::Mac
    };
    (Text) => {
        $crate::column::Symbol
    };
    (Bytes) => {
        ()
    };
}

/// Moves one field of a burst into its column; octets are pushed by the decoder, row by row.
macro_rules! append_field {
    ($builder:ident, $rows:ident, $bit:expr, $field:ident, Bytes) => {{
        let _ = ($rows, $bit);
    }};
    ($builder:ident, $rows:ident, $bit:expr, $field:ident, $kind:ident) => {
        $builder.append($rows.iter().map(|row| (row.$field, row.present >> $bit & 1)))
    };
}

/// Declares a stream: `Id field: Type, nullability, "unit", "about";` a column.
macro_rules! stream {
    (
        $(#[$about:meta])*
        $stream:ident: $stream_id:ident $name:literal $row_about:literal, $column:ident, $row:ident {
            $($id:ident $field:ident: $kind:ident, $nullable:literal, $unit:literal, $text:literal;)+
        }
    ) => {
        $(#[$about])*
        pub static $stream: $crate::stream::Stream = $crate::stream::Stream {
            id: $crate::stream::StreamId::$stream_id,
            name: $name,
            about: $row_about,
            columns: &[$($crate::stream::Column {
                name: stringify!($field),
                kind: $crate::stream::ColumnType::$kind,
                nullable: $nullable,
                unit: $unit,
                about: $text,
            }),+],
        };

        #[doc = concat!("Columns of `", $name, "`; the discriminant is the position.")]
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub enum $column { $(#[doc = $text] $id),+ }

        impl $column {
            /// Every column, by position.
            pub const ALL: &'static [Self] = &[$(Self::$id),+];

            /// The column's bit in a row's `present`.
            #[must_use]
            #[inline]
            pub const fn bit(self) -> u64 {
                1 << self as u8
            }
        }

        #[doc = concat!("One row of `", $name, "` before it is stored.")]
        ///
        /// A field counts only when its bit in `present` is set, so a row is reset by clearing
        /// `present` alone.
        #[derive(Clone, Copy, Debug, Default)]
        pub struct $row {
            /// One bit a column, see the column's `bit()`.
            pub present: u64,
            $(#[doc = $text] pub $field: $crate::stream::field_type!($kind)),+
        }

        impl $row {
            /// Whether the row carries `column`.
            #[must_use]
            #[inline]
            pub const fn has(&self, column: $column) -> bool {
                self.present & column.bit() != 0
            }

            /// Appends the column at `position` of each row of a burst.
            ///
            /// Columns of octets are left to the caller: their values are not in the row. A position that is
            /// no fixed column's has no values: NULL is appended.
            #[expect(non_upper_case_globals, reason = "constants are named after the columns")]
            pub fn append(rows: &[Self], position: usize, builder: &mut $crate::ColumnBuilder) {
                $(const $id: usize = $column::$id as usize;)+
                match position {
                    $($id => $crate::stream::append_field!(builder, rows, $id, $field, $kind),)+
                    _ => builder.append_absent(rows.len()),
                }
            }
        }

        const _: () = assert!([$($nullable),+].len() <= 64, "`present` has 64 bits");
    };
}

pub(crate) use {append_field, field_type, stream};
