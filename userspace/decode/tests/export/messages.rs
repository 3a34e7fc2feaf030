//! Builders of export messages.

/// Octets in network order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Octets(pub(crate) Vec<u8>);

impl Octets {
    pub(crate) fn u8(mut self, value: u8) -> Self {
        self.0.push(value);
        self
    }

    pub(crate) fn u16(mut self, value: u16) -> Self {
        self.0.extend(value.to_be_bytes());
        self
    }

    pub(crate) fn u32(mut self, value: u32) -> Self {
        self.0.extend(value.to_be_bytes());
        self
    }

    pub(crate) fn u64(mut self, value: u64) -> Self {
        self.0.extend(value.to_be_bytes());
        self
    }

    pub(crate) fn and(mut self, octets: &[u8]) -> Self {
        self.0.extend_from_slice(octets);
        self
    }
}

pub(crate) fn octets() -> Octets {
    Octets::default()
}

/// Seconds at which the messages of tests are sent.
pub(crate) const SENT: u32 = 1_699_999_999;
/// Milliseconds since their exporter started.
pub(crate) const UPTIME: u32 = 10_000_000;

/// A v9 message of source id 7.
pub(crate) fn v9(sequence: u32, sets: &[Vec<u8>]) -> Vec<u8> {
    let header = octets().u16(9).u16(1).u32(UPTIME).u32(SENT).u32(sequence).u32(7);
    header.and(&sets.concat()).0
}

/// An IPFIX message of domain 7.
pub(crate) fn ipfix(sequence: u32, sets: &[Vec<u8>]) -> Vec<u8> {
    let sets = sets.concat();
    let length = u16::try_from(16 + sets.len()).unwrap();
    octets().u16(10).u16(length).u32(SENT).u32(sequence).u32(7).and(&sets).0
}

/// A set with its header.
pub(crate) fn set(id: u16, body: &[u8]) -> Vec<u8> {
    octets().u16(id).u16(u16::try_from(4 + body.len()).unwrap()).and(body).0
}

/// A template record.
pub(crate) fn template(id: u16, fields: &[(u16, u16)]) -> Vec<u8> {
    let head = octets().u16(id).u16(u16::try_from(fields.len()).unwrap());
    fields.iter().fold(head, |head, &(id, length)| head.u16(id).u16(length)).0
}

/// The v5 record whose every field has another value.
pub(crate) fn v5_record() -> Vec<u8> {
    octets()
        .and(&[10, 0, 0, 1, 10, 0, 0, 2, 10, 0, 0, 3])
        .u16(4)
        .u16(5)
        .u32(6)
        .u32(700)
        .u32(UPTIME - 8000)
        .u32(UPTIME - 3000)
        .u16(1234)
        .u16(443)
        .u8(0)
        .u8(0x1b)
        .u8(6)
        .u8(0x20)
        .u16(64500)
        .u16(64501)
        .u8(24)
        .u8(16)
        .u16(0)
        .0
}

/// A v5 message with so many records.
pub(crate) fn v5(sequence: u32, records: u16, sampling: u16) -> Vec<u8> {
    let header = octets().u16(5).u16(records).u32(UPTIME).u32(SENT).u32(500_000_000).u32(sequence);
    header.u8(1).u8(2).u16(sampling).and(&v5_record().repeat(usize::from(records))).0
}
