//! What a condition may look at: the numbers that a frame's headers hold, called as the columns of `packets`.
//!
//! An address is its 16 octets in network order, IPv4 mapped, as one number; so prefixes are ranges.

use tapline_ebpf_common::{FlowKey, Scratch};
use tapline_record::address::{Address, Mac};
use tapline_record::{PacketColumn, PacketRow};

/// Who knows the fields of one frame.
pub trait Values {
    /// The value of a field; `None` where the frame does not carry it.
    fn value(&self, field: Field) -> Option<u128>;
}

/// How the values of a field are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Number,
    Address,
    Mac,
}

/// Declares the fields: `Id column: bits, form;`.
macro_rules! fields {
    ($($id:ident $name:ident: $bits:literal, $form:ident;)+) => {
        /// A number that a frame carries, or does not.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Field { $(#[doc = concat!("The column `", stringify!($name), "`.")] $id),+ }

        impl Field {
            /// Its name in SQL.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$id => stringify!($name)),+ }
            }

            /// The one that is called so in SQL.
            #[must_use]
            pub fn of_name(name: &str) -> Option<Self> {
                [$(Self::$id),+].into_iter().find(|field| field.name() == name)
            }

            /// Its column.
            #[must_use]
            pub const fn column(self) -> PacketColumn {
                match self { $(Self::$id => PacketColumn::$id),+ }
            }

            /// The largest value of its column.
            #[must_use]
            pub const fn max(self) -> u128 {
                [$(u128::MAX >> (128 - $bits)),+][self as usize]
            }

            pub(crate) const fn form(self) -> Form {
                [$(Form::$form),+][self as usize]
            }
        }

        impl Values for PacketRow {
            #[inline]
            fn value(&self, field: Field) -> Option<u128> {
                if !self.has(field.column()) {
                    return None;
                }
                Some(match field { $(Field::$id => self.$name.number()),+ })
            }
        }
    };
}

fields! {
    Direction direction: 8, Number;
    SrcMac src_mac: 48, Mac;
    DstMac dst_mac: 48, Mac;
    Ethertype ethertype: 16, Number;
    Vlan vlan: 16, Number;
    InnerVlan inner_vlan: 16, Number;
    MplsLabel mpls_label: 32, Number;
    IpVersion ip_version: 8, Number;
    SrcIp src_ip: 128, Address;
    DstIp dst_ip: 128, Address;
    Protocol protocol: 8, Number;
    Ttl ttl: 8, Number;
    IpId ip_id: 32, Number;
    FragmentOffset fragment_offset: 16, Number;
    SrcPort src_port: 16, Number;
    DstPort dst_port: 16, Number;
    TcpFlags tcp_flags: 16, Number;
    TcpSeq tcp_seq: 32, Number;
    TcpAck tcp_ack: 32, Number;
    TcpWindow tcp_window: 16, Number;
    IcmpType icmp_type: 8, Number;
    IcmpCode icmp_code: 8, Number;
    Octets octets: 64, Number;
    FrameOctets frame_octets: 64, Number;
}

impl Field {
    /// Whether it is the same of all frames of a flow, so that an entry of a table of flows says it: neither TCP flags,
    /// which need not tell flows apart, nor lengths.
    #[must_use]
    pub const fn is_of_flow(self) -> bool {
        matches!(
            self,
            Self::Vlan
                | Self::IpVersion
                | Self::SrcIp
                | Self::DstIp
                | Self::Protocol
                | Self::SrcPort
                | Self::DstPort
                | Self::IcmpType
                | Self::IcmpCode
        )
    }

    /// Whether there are frames that do not carry it.
    pub(crate) const fn is_nullable(self) -> bool {
        !matches!(self, Self::FrameOctets)
    }
}

impl Values for FlowKey {
    fn value(&self, field: Field) -> Option<u128> {
        match field {
            Field::Vlan => self.vlan().map(u128::from),
            Field::IpVersion => self.shape().network.ip_version().map(u128::from),
            Field::SrcIp => self.src_ip().map(u128::from_be_bytes),
            Field::DstIp => self.dst_ip().map(u128::from_be_bytes),
            Field::Protocol => self.protocol().map(u128::from),
            Field::SrcPort => self.ports().map(|[src, _]| src.into()),
            Field::DstPort => self.ports().map(|[_, dst]| dst.into()),
            Field::TcpFlags => self.tcp_flags().map(u128::from),
            Field::IcmpType => self.icmp().map(|[kind, _]| kind.into()),
            Field::IcmpCode => self.icmp().map(|[_, code]| code.into()),
            Field::Direction
            | Field::SrcMac
            | Field::DstMac
            | Field::Ethertype
            | Field::InnerVlan
            | Field::MplsLabel
            | Field::Ttl
            | Field::IpId
            | Field::FragmentOffset
            | Field::TcpSeq
            | Field::TcpAck
            | Field::TcpWindow
            | Field::Octets
            | Field::FrameOctets => None,
        }
    }
}

impl Values for Scratch {
    fn value(&self, field: Field) -> Option<u128> {
        match field {
            Field::Octets => self.key.shape().network.has_octets().then_some(self.octets.into()),
            Field::FrameOctets => Some(self.frame_octets.into()),
            of_key => self.key.value(of_key),
        }
    }
}

/// A field of a row as a number.
trait Number {
    fn number(self) -> u128;
}

macro_rules! unsigned {
    ($($kind:ty),+) => {
        $(impl Number for $kind {
            #[inline]
            fn number(self) -> u128 {
                self.into()
            }
        })+
    };
}

unsigned!(u8, u16, u32, u64);

impl Number for Address {
    #[inline]
    fn number(self) -> u128 {
        u128::from_be_bytes(self)
    }
}

impl Number for Mac {
    #[inline]
    fn number(self) -> u128 {
        let [a, b, c, d, e, f] = self;
        u64::from_be_bytes([0, 0, a, b, c, d, e, f]).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_gives_what_it_carries() {
        let mut row = PacketRow { src_ip: [7; 16], src_mac: [0, 0, 0, 0, 1, 2], ..PacketRow::default() };
        assert_eq!(row.value(Field::SrcIp), None);
        row.present = PacketColumn::SrcIp.bit() | PacketColumn::SrcMac.bit();
        assert_eq!(row.value(Field::SrcIp), Some(u128::from_be_bytes([7; 16])));
        assert_eq!((row.value(Field::SrcMac), row.value(Field::DstMac)), (Some(0x102), None));
    }

    #[test]
    fn values_fit_their_fields() {
        assert_eq!((Field::Ttl.max(), Field::SrcMac.max()), (0xff, 0xffff_ffff_ffff));
        assert_eq!(Field::SrcIp.max(), u128::MAX);
    }
}
