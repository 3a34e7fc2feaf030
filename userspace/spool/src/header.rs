//! What a folder and its files begin with: 80 octets, which say what follows, by which version and limits.
//!
//! ```text
//! spool    "TAPSPOOL" · version (4) · kind (16) · identity (8) · zeros · CRC-32 of all before (4)
//! segment  "TAPSEGMT" · version (4) · record_octets_max (4) · segment_octets (8) · identity (8) · first (8) · after (8) ·
//!          known file (8) · known safe (8) · zeros · CRC-32 of all before (4)
//! ```
//! Numbers are little-endian. The first twelve octets and the sum are the same in every version.

/// Octets of a header.
pub(crate) const OCTETS: usize = 80;
/// The version of what is written here.
pub(crate) const VERSION: u32 = 1;
/// Octets of what a kind is called.
pub(crate) const KIND_OCTETS: usize = 16;

const OF_SPOOL: &[u8; 8] = b"TAPSPOOL";
const OF_SEGMENT: &[u8; 8] = b"TAPSEGMT";

/// Why octets are no header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoHeader {
    /// They are not whole, or not as they were written.
    Damaged,
    /// Another version wrote them.
    Version(u32),
}

/// Whose a folder is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SpoolHeader {
    /// What is in it.
    pub(crate) kind: String,
    /// What was drawn when it was made.
    pub(crate) identity: u64,
}

/// What is known of a file: up to which number all of it is safe.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Known {
    /// Its first number.
    pub(crate) file: u64,
    pub(crate) safe: u64,
}

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    /// The identity of its spool.
    pub(crate) identity: u64,
    /// Its first number.
    pub(crate) first: u64,
    /// The last number before it: what files before it have behind that was given up.
    pub(crate) after: u64,
    /// What its writer knew of a file before it.
    pub(crate) known: Known,
    /// By which limits it was written.
    pub(crate) record_octets_max: u32,
    /// After how many octets its writer began another file.
    pub(crate) segment_octets: u64,
}

impl SpoolHeader {
    pub(crate) fn encode(&self) -> [u8; OCTETS] {
        let mut kind = [0; KIND_OCTETS];
        kind.iter_mut().zip(self.kind.bytes()).for_each(|(place, octet)| *place = octet);
        seal(OF_SPOOL, &[&kind, &self.identity.to_le_bytes()])
    }

    pub(crate) fn decode(octets: &[u8]) -> Result<Self, NoHeader> {
        let mut fields = unseal(OF_SPOOL, octets)?;
        let read = |fields: &mut &[u8]| {
            let kind = take::<KIND_OCTETS>(fields)?;
            let kind = kind.split(|octet| *octet == 0).next()?;
            let kind = std::str::from_utf8(kind).ok()?.to_owned();
            Some(Self { kind, identity: u64::from_le_bytes(take(fields)?) })
        };
        read(&mut fields).ok_or(NoHeader::Damaged)
    }
}

impl SegmentHeader {
    pub(crate) fn encode(&self) -> [u8; OCTETS] {
        let Self { identity, first, after, known: Known { file, safe }, record_octets_max, segment_octets } =
            self;
        let numbers = [segment_octets, identity, first, after, file, safe].map(|number| number.to_le_bytes());
        seal(OF_SEGMENT, &[&record_octets_max.to_le_bytes(), numbers.as_flattened()])
    }

    pub(crate) fn decode(octets: &[u8]) -> Result<Self, NoHeader> {
        let mut fields = unseal(OF_SEGMENT, octets)?;
        let read = |fields: &mut &[u8]| {
            let record_octets_max = u32::from_le_bytes(take(fields)?);
            let mut number = || Some(u64::from_le_bytes(take(fields)?));
            let (segment_octets, identity) = (number()?, number()?);
            let (first, after) = (number()?, number()?);
            let known = Known { file: number()?, safe: number()? };
            Some(Self { identity, first, after, known, record_octets_max, segment_octets })
        };
        read(&mut fields).ok_or(NoHeader::Damaged)
    }
}

fn seal(magic: &[u8; 8], fields: &[&[u8]]) -> [u8; OCTETS] {
    let mut octets = [&magic[..], &VERSION.to_le_bytes(), &fields.concat()].concat();
    octets.resize(OCTETS - 4, 0);
    octets.extend_from_slice(&crc32fast::hash(&octets).to_le_bytes());
    octets.try_into().expect("invariant: fields are shorter than a header")
}

/// What is between the version and the sum.
fn unseal<'a>(magic: &[u8; 8], octets: &'a [u8]) -> Result<&'a [u8], NoHeader> {
    let header = octets.first_chunk::<OCTETS>().ok_or(NoHeader::Damaged)?;
    let (mut sealed, sum) = header.split_last_chunk::<4>().ok_or(NoHeader::Damaged)?;
    if crc32fast::hash(sealed) != u32::from_le_bytes(*sum) {
        return Err(NoHeader::Damaged);
    }
    take::<8>(&mut sealed).filter(|start| start == magic).ok_or(NoHeader::Damaged)?;
    match take(&mut sealed).map(u32::from_le_bytes) {
        Some(VERSION) => Ok(sealed),
        Some(other) => Err(NoHeader::Version(other)),
        None => Err(NoHeader::Damaged),
    }
}

fn take<const N: usize>(fields: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = fields.split_first_chunk::<N>()?;
    *fields = rest;
    Some(*taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment() -> SegmentHeader {
        SegmentHeader {
            identity: 7,
            first: 12,
            after: 9,
            known: Known { file: 4, safe: 8 },
            record_octets_max: 5,
            segment_octets: 6,
        }
    }

    #[test]
    fn headers_come_back_and_no_octet_of_them_may_be_another() {
        let spool = SpoolHeader { kind: "parts of panes".to_owned(), identity: u64::MAX };
        assert_eq!(SpoolHeader::decode(&spool.encode()), Ok(spool.clone()));
        assert_eq!(SegmentHeader::decode(&segment().encode()), Ok(segment()));
        for place in 0..OCTETS {
            let (mut of_spool, mut of_segment) = (spool.encode(), segment().encode());
            of_spool[place] ^= 0x10;
            of_segment[place] ^= 0x10;
            assert_eq!(SpoolHeader::decode(&of_spool), Err(NoHeader::Damaged));
            assert_eq!(SegmentHeader::decode(&of_segment), Err(NoHeader::Damaged));
            assert_eq!(SegmentHeader::decode(&segment().encode()[..place]), Err(NoHeader::Damaged));
        }
        assert_eq!(SpoolHeader::decode(&segment().encode()), Err(NoHeader::Damaged));
    }

    #[test]
    fn a_newer_version_is_told() {
        let mut octets = segment().encode();
        octets[8] = 2;
        let sum = crc32fast::hash(&octets[..OCTETS - 4]);
        octets[OCTETS - 4..].copy_from_slice(&sum.to_le_bytes());
        assert_eq!(SegmentHeader::decode(&octets), Err(NoHeader::Version(2)));
    }
}
