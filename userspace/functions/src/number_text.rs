//! `protocol_name(protocol)` and `tcp_flags_text(tcp_flags)`: numbers of headers, as people write them; NULL for NULL,
//! and for what is too large for its field.
//!
//! A protocol is called as IANA's registry does, with the everyday name where the registered one is hardly known (`OSPF`);
//! one without a name is its number. Flags stand in the order of their bits: `SYN`, `SYN ACK`, `PSH ACK`.

use crate::argument::refuse;
use datafusion::arrow::array::{AsArray, StringBuilder};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, UInt16Type};
use datafusion::common::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};
use std::fmt::{self, Write as _};
use std::sync::Arc;

/// Octets of a text, for sizing the result.
const TEXT_OCTETS: usize = 6;

/// The flags of TCP, by bit.
const FLAGS: [&str; 9] = ["FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR", "AE"];

/// IP protocols by number, as far as they are registered by a name.
const PROTOCOLS: [&str; 146] = [
    "HOPOPT",
    "ICMP",
    "IGMP",
    "GGP",
    "IPv4",
    "ST",
    "TCP",
    "CBT",
    "EGP",
    "IGP",
    "BBN-RCC-MON",
    "NVP-II",
    "PUP",
    "ARGUS",
    "EMCON",
    "XNET",
    "CHAOS",
    "UDP",
    "MUX",
    "DCN-MEAS",
    "HMP",
    "PRM",
    "XNS-IDP",
    "TRUNK-1",
    "TRUNK-2",
    "LEAF-1",
    "LEAF-2",
    "RDP",
    "IRTP",
    "ISO-TP4",
    "NETBLT",
    "MFE-NSP",
    "MERIT-INP",
    "DCCP",
    "3PC",
    "IDPR",
    "XTP",
    "DDP",
    "IDPR-CMTP",
    "TP++",
    "IL",
    "IPv6",
    "SDRP",
    "IPv6-Route",
    "IPv6-Frag",
    "IDRP",
    "RSVP",
    "GRE",
    "DSR",
    "BNA",
    "ESP",
    "AH",
    "I-NLSP",
    "SWIPE",
    "NARP",
    "MOBILE",
    "TLSP",
    "SKIP",
    "IPv6-ICMP",
    "IPv6-NoNxt",
    "IPv6-Opts",
    "",
    "CFTP",
    "",
    "SAT-EXPAK",
    "KRYPTOLAN",
    "RVD",
    "IPPC",
    "",
    "SAT-MON",
    "VISA",
    "IPCV",
    "CPNX",
    "CPHB",
    "WSN",
    "PVP",
    "BR-SAT-MON",
    "SUN-ND",
    "WB-MON",
    "WB-EXPAK",
    "ISO-IP",
    "VMTP",
    "SECURE-VMTP",
    "VINES",
    "IPTM",
    "NSFNET-IGP",
    "DGP",
    "TCF",
    "EIGRP",
    "OSPF",
    "Sprite-RPC",
    "LARP",
    "MTP",
    "AX.25",
    "IPIP",
    "MICP",
    "SCC-SP",
    "ETHERIP",
    "ENCAP",
    "",
    "GMTP",
    "IFMP",
    "PNNI",
    "PIM",
    "ARIS",
    "SCPS",
    "QNX",
    "A/N",
    "IPComp",
    "SNP",
    "Compaq-Peer",
    "IPX-in-IP",
    "VRRP",
    "PGM",
    "",
    "L2TP",
    "DDX",
    "IATP",
    "STP",
    "SRP",
    "UTI",
    "SMP",
    "SM",
    "PTP",
    "ISIS",
    "FIRE",
    "CRTP",
    "CRUDP",
    "SSCOPMCE",
    "IPLT",
    "SPS",
    "PIPE",
    "SCTP",
    "FC",
    "RSVP-E2E-IGNORE",
    "Mobility-Header",
    "UDPLite",
    "MPLS-in-IP",
    "manet",
    "HIP",
    "Shim6",
    "WESP",
    "ROHC",
    "Ethernet",
    "AGGFRAG",
    "NSH",
];

/// A function of one number.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct NumberText {
    kind: Kind,
    signature: Signature,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Protocol,
    TcpFlags,
}

impl NumberText {
    pub(crate) fn protocol_name() -> Self {
        Self::new(Kind::Protocol)
    }

    pub(crate) fn tcp_flags_text() -> Self {
        Self::new(Kind::TcpFlags)
    }

    fn new(kind: Kind) -> Self {
        Self { kind, signature: Signature::any(1, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for NumberText {
    fn name(&self) -> &str {
        match self.kind {
            Kind::Protocol => "protocol_name",
            Kind::TcpFlags => "tcp_flags_text",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        match arguments.iter().find(|kind| !kind.is_integer() && !kind.is_null()) {
            None => Ok(DataType::Utf8),
            Some(kind) => {
                let (name, column) = match self.kind {
                    Kind::Protocol => ("protocol_name", "protocol"),
                    Kind::TcpFlags => ("tcp_flags_text", "tcp_flags"),
                };
                refuse(format!("{name}: the argument is {kind}, not a number; write e.g. {name}({column})"))
            }
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let numbers = cast(&arrays[0], &DataType::UInt16)?;
        let numbers = numbers.as_primitive::<UInt16Type>();
        let mut texts = StringBuilder::with_capacity(numbers.len(), numbers.len() * TEXT_OCTETS);
        for number in numbers {
            match number.filter(|number| self.kind.holds(*number)) {
                Some(number) => {
                    self.kind.write(number, &mut texts)?;
                    texts.append_value("");
                }
                None => texts.append_null(),
            }
        }
        Ok(ColumnarValue::Array(Arc::new(texts.finish())))
    }
}

impl Kind {
    /// Whether the field has room for a number.
    fn holds(self, number: u16) -> bool {
        match self {
            Self::Protocol => number <= u16::from(u8::MAX),
            Self::TcpFlags => number < 1 << FLAGS.len(),
        }
    }

    fn write(self, number: u16, text: &mut StringBuilder) -> fmt::Result {
        match self {
            Self::Protocol => match PROTOCOLS.get(usize::from(number)).filter(|name| !name.is_empty()) {
                Some(name) => text.write_str(name),
                None => write!(text, "{number}"),
            },
            Self::TcpFlags => {
                let set = FLAGS.iter().enumerate().filter(|(bit, _)| number >> bit & 1 == 1);
                set.enumerate().try_for_each(|(place, (_, flag))| {
                    if place > 0 {
                        text.write_str(" ")?;
                    }
                    text.write_str(flag)
                })
            }
        }
    }
}
