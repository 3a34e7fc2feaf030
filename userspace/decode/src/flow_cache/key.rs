//! The key of a cached flow: columns of packets, side by side in words.
//!
//! A column takes the bits of its type, and one above them that says whether the packets carry it; of those that do
//! not, all are zero. So equal keys are equal words. Flows whose packets are whole IPv4 have a layout of their own, in
//! which addresses take 32 bits, and what all of them carry none. Keys of many packets are made column by column: one
//! loop without branches for each.

use tapline_record::address::{Address, Mac, mapped_v4};
use tapline_record::column::Symbol;
use tapline_record::{ColumnType, PACKET_FLOWS, PacketColumn, PacketFlowColumn, PacketFlowRow, PacketRow};

/// Words of the widest key.
pub(super) const WORDS_MAX: usize = 10;

/// The packets that one layout is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    /// Of IPv4, with both addresses.
    V4,
    /// All others.
    Other,
}

impl Family {
    const V4_COLUMNS: u64 =
        PacketColumn::IpVersion.bit() | PacketColumn::SrcIp.bit() | PacketColumn::DstIp.bit();

    /// The key of a packet.
    #[inline]
    pub(super) const fn of(packet: &PacketRow) -> Self {
        let is_whole = packet.present & Self::V4_COLUMNS == Self::V4_COLUMNS;
        if is_whole && packet.ip_version == 4 { Self::V4 } else { Self::Other }
    }
}

/// Where the columns of a key are.
#[derive(Clone, Debug)]
pub(super) struct KeyLayout {
    fields: Vec<Field>,
    words: usize,
    /// Whether rows have the IP version, which is the same of all keys.
    is_version_implied: bool,
}

/// A part of a key.
#[derive(Clone, Copy, Debug)]
struct Field {
    column: PacketFlowColumn,
    part: Part,
    word: usize,
    shift: u32,
}

/// What of a column stands in a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// Its value, and above it whether it is there.
    Value,
    /// The last 32 bits of an address.
    V4,
    /// All of an address, in two words.
    Address,
    /// Whether it is there.
    Presence,
}

impl KeyLayout {
    /// The layout for these columns; those that are no keys take no room.
    pub(super) fn new(columns: &[PacketFlowColumn], family: Family) -> Self {
        let mut parts: Vec<_> = columns.iter().flat_map(|column| parts_of(*column, family)).collect();
        parts.sort_by_key(|(_, _, bits)| std::cmp::Reverse(*bits));
        let mut free: Vec<u32> = vec![];
        let mut fields = vec![];
        for (column, part, bits) in parts {
            if part == Part::Address {
                fields.push(Field { column, part, word: free.len(), shift: 0 });
                free.extend([0, 0]);
                continue;
            }
            let word = free.iter().position(|free| *free >= bits).unwrap_or(free.len());
            if word == free.len() {
                free.push(u64::BITS);
            }
            fields.push(Field { column, part, word, shift: u64::BITS - free[word] });
            free[word] -= bits;
        }
        let is_version_implied = family == Family::V4 && columns.contains(&PacketFlowColumn::IpVersion);
        Self { fields, words: free.len(), is_version_implied }
    }

    /// How many words a key has.
    pub(super) const fn words(&self) -> usize {
        self.words
    }

    /// Makes the keys of packets of its family; they are zero before.
    #[inline]
    pub(super) fn fill<const WORDS: usize>(
        &self,
        packets: &[&PacketRow],
        source: Symbol,
        keys: &mut [[u64; WORDS]],
    ) {
        for field in &self.fields {
            field.fill(packets, source, keys);
        }
    }

    /// Puts what keys say into as many rows.
    pub(super) fn read<const WORDS: usize>(&self, keys: &[[u64; WORDS]], rows: &mut [PacketFlowRow]) {
        if self.is_version_implied {
            for row in &mut *rows {
                row.ip_version = 4;
                row.present |= PacketFlowColumn::IpVersion.bit();
            }
        }
        for field in &self.fields {
            field.read(keys, rows);
        }
    }
}

/// The parts of a column in a key, and their bits.
fn parts_of(column: PacketFlowColumn, family: Family) -> Vec<(PacketFlowColumn, Part, u32)> {
    use PacketFlowColumn::{DstIp, FrameOctets, IpVersion, LastTs, Octets, Packets, SrcIp, Ts};
    match (column, family) {
        (Ts | LastTs | FrameOctets | Packets, _) | (IpVersion, Family::V4) => vec![],
        (SrcIp | DstIp, Family::V4) => vec![(column, Part::V4, 32)],
        (SrcIp | DstIp, Family::Other) => {
            vec![(column, Part::Address, 2 * u64::BITS), (column, Part::Presence, 1)]
        }
        // The sum is there where each of them is.
        (Octets, _) => vec![(column, Part::Presence, 1)],
        _ => vec![(column, Part::Value, width_of(column) + 1)],
    }
}

/// The bits of a column's values.
const fn width_of(column: PacketFlowColumn) -> u32 {
    match PACKET_FLOWS.columns[column as usize].kind {
        ColumnType::UInt8 => 8,
        ColumnType::UInt16 => 16,
        ColumnType::Mac => 48,
        _ => 32,
    }
}

/// What is a value of a key.
trait KeyValue: Copy {
    fn to_bits(self) -> u64;
    fn of_bits(bits: u64) -> Self;
}

macro_rules! key_value {
    ($($integer:ty),+) => {$(
        impl KeyValue for $integer {
            #[inline]
            fn to_bits(self) -> u64 {
                self.into()
            }

            #[inline]
            fn of_bits(bits: u64) -> Self {
                bits as $integer
            }
        }
    )+};
}

key_value!(u8, u16);

impl KeyValue for Mac {
    #[inline]
    fn to_bits(self) -> u64 {
        let [a, b, c, d, e, f] = self;
        u64::from_be_bytes([0, 0, a, b, c, d, e, f])
    }

    #[inline]
    fn of_bits(bits: u64) -> Self {
        let [_, _, mac @ ..] = bits.to_be_bytes();
        mac
    }
}

/// Writes both directions of a field from one list of columns.
macro_rules! value_columns {
    ($($column:ident $field:ident;)+) => {
        impl Field {
            fn fill_value<const WORDS: usize>(
                &self,
                packets: &[&PacketRow],
                source: Symbol,
                keys: &mut [[u64; WORDS]],
            ) {
                match self.column {
                    $(PacketFlowColumn::$column => self.put(packets, keys, |packet| {
                        let is_there = packet.present >> PacketColumn::$column as u8 & 1;
                        let value = packet.$field.to_bits() | 1 << width_of(PacketFlowColumn::$column);
                        value & is_there.wrapping_neg()
                    }),)+
                    _ => self.put(packets, keys, |_| u64::from(source.0) | 1 << 32),
                }
            }

            fn read_value<const WORDS: usize>(&self, keys: &[[u64; WORDS]], rows: &mut [PacketFlowRow]) {
                match self.column {
                    $(PacketFlowColumn::$column => self.get(keys, rows, |row, bits| {
                        row.$field = KeyValue::of_bits(bits);
                        let is_there = bits >> width_of(PacketFlowColumn::$column) & 1;
                        row.present |= is_there << PacketFlowColumn::$column as u8;
                    }),)+
                    _ => self.get(keys, rows, |row, bits| {
                        row.source = Symbol(bits as u32);
                        row.present |= PacketFlowColumn::Source.bit();
                    }),
                }
            }
        }
    };
}

value_columns! {
    Direction direction;
    SrcMac src_mac;
    DstMac dst_mac;
    Ethertype ethertype;
    Vlan vlan;
    InnerVlan inner_vlan;
    IpVersion ip_version;
    Protocol protocol;
    Ttl ttl;
    Dscp dscp;
    Ecn ecn;
    SrcPort src_port;
    DstPort dst_port;
    TcpFlags tcp_flags;
    IcmpType icmp_type;
    IcmpCode icmp_code;
}

impl Field {
    #[inline]
    fn fill<const WORDS: usize>(&self, packets: &[&PacketRow], source: Symbol, keys: &mut [[u64; WORDS]]) {
        match (self.part, self.column) {
            (Part::Value, _) => self.fill_value(packets, source, keys),
            (Part::V4, PacketFlowColumn::SrcIp) => self.put(packets, keys, |packet| v4_bits(packet.src_ip)),
            (Part::V4, _) => self.put(packets, keys, |packet| v4_bits(packet.dst_ip)),
            (Part::Address, PacketFlowColumn::SrcIp) => {
                self.put_address(packets, keys, PacketColumn::SrcIp, |packet| packet.src_ip);
            }
            (Part::Address, _) => {
                self.put_address(packets, keys, PacketColumn::DstIp, |packet| packet.dst_ip);
            }
            (Part::Presence, column) => {
                let bit = packet_column_of(column) as u8;
                self.put(packets, keys, |packet| packet.present >> bit & 1);
            }
        }
    }

    #[inline]
    fn put<const WORDS: usize>(
        &self,
        packets: &[&PacketRow],
        keys: &mut [[u64; WORDS]],
        value: impl Fn(&PacketRow) -> u64,
    ) {
        let Self { word, shift, .. } = *self;
        for (key, packet) in keys.iter_mut().zip(packets) {
            key[word] |= value(packet) << shift;
        }
    }

    fn put_address<const WORDS: usize>(
        &self,
        packets: &[&PacketRow],
        keys: &mut [[u64; WORDS]],
        column: PacketColumn,
        address: impl Fn(&PacketRow) -> Address,
    ) {
        for (key, packet) in keys.iter_mut().zip(packets) {
            let bits = if packet.has(column) { u128::from_ne_bytes(address(packet)) } else { 0 };
            key[self.word] = bits as u64;
            key[self.word + 1] = (bits >> u64::BITS) as u64;
        }
    }

    fn read<const WORDS: usize>(&self, keys: &[[u64; WORDS]], rows: &mut [PacketFlowRow]) {
        match (self.part, self.column) {
            (Part::Value, _) => self.read_value(keys, rows),
            (Part::V4, column) => self.get(keys, rows, |row, bits| {
                *address_of(row, column) = mapped_v4((bits as u32).to_ne_bytes());
                row.present |= column.bit();
            }),
            (Part::Address, column) => {
                for (row, key) in rows.iter_mut().zip(keys) {
                    let bits = u128::from(key[self.word]) | u128::from(key[self.word + 1]) << u64::BITS;
                    *address_of(row, column) = bits.to_ne_bytes();
                }
            }
            (Part::Presence, column) => {
                self.get(keys, rows, |row, bits| row.present |= (bits & 1) << column as u8);
            }
        }
    }

    #[inline]
    fn get<const WORDS: usize>(
        &self,
        keys: &[[u64; WORDS]],
        rows: &mut [PacketFlowRow],
        set: impl Fn(&mut PacketFlowRow, u64),
    ) {
        for (row, key) in rows.iter_mut().zip(keys) {
            set(row, key[self.word] >> self.shift);
        }
    }
}

#[inline]
fn v4_bits(address: Address) -> u64 {
    let [.., a, b, c, d] = address;
    u32::from_ne_bytes([a, b, c, d]).into()
}

const fn address_of(row: &mut PacketFlowRow, column: PacketFlowColumn) -> &mut Address {
    if matches!(column, PacketFlowColumn::SrcIp) { &mut row.src_ip } else { &mut row.dst_ip }
}

/// The column of packets that says whether a column without a value is there.
const fn packet_column_of(column: PacketFlowColumn) -> PacketColumn {
    match column {
        PacketFlowColumn::SrcIp => PacketColumn::SrcIp,
        PacketFlowColumn::DstIp => PacketColumn::DstIp,
        _ => PacketColumn::Octets,
    }
}
