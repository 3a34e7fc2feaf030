//! What came of one half for one pane, as octets, and back.
//!
//! ```text
//! version (1) · length of what is packed (4) · how many parts its states are (2) · zstd of the planes (`planes.rs`) of:
//!   flags (1) · whole after (8) · late (8) · left out (8) · entries (2) · of each: stream (1), second (8), delivered (8),
//!   missing (8) · states
//! ```
//! Numbers are little-endian, counts of records are floating. All of it is packed at once: of a small pane, what stands
//! around its numbers is most of it. Octets are of anybody: no more is unpacked than they say, and they may say. What is
//! written here can be read here: both have the same bounds.

use crate::coverage::{Covered, Records, all_unread};
use crate::planes;
use tapline_engine::Unread;
use tapline_operators::{HalfStates, Parts};
use tapline_record::{EventTime, StreamId};

/// The version of all of it but the states, which have one of their own.
pub(crate) const VERSION: u8 = 3;

/// Octets of what is packed into one payload that is sent, and of the payload: what a log takes as one message.
const SENT_UNPACKED_MAX: usize = 16 << 20;
const SENT_MAX: usize = 512 << 10;

/// What octets may become.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Octets.
    pub(crate) unpacked: usize,
    /// Parts.
    pub(crate) parts: usize,
    /// Rows of a part, where these take less than a bit each.
    pub(crate) rows: usize,
}

/// Of what somebody sends.
pub(crate) const SENT: Bounds = Bounds { unpacked: 256 << 20, parts: 4096, rows: 1 << 16 };
/// Of what is packed here, to be read here again.
pub(crate) const OWN: Bounds = Bounds { unpacked: 1 << 30, parts: 1 << 15, rows: 1 << 24 };

/// How hard zstd tries: of planes it finds what there is to be found at its fastest.
const LEVEL: i32 = -5;

/// Entries of what is known of seconds.
const ENTRIES_MAX: u16 = 64;

/// States of no part.
const NO_STATES: [u8; 2] = [0; 2];

/// What came of one half for one pane.
#[derive(Clone, Debug)]
pub(crate) struct Payload {
    /// Rows from before this may be missing: where it begins earlier, the pane is partial.
    pub(crate) whole_after: EventTime,
    /// Whether nobody knows how much is missing.
    pub(crate) is_doubted: bool,
    pub(crate) covered: Covered,
    pub(crate) unread: Unread,
    pub(crate) parts: Parts,
}

/// A payload as octets.
#[derive(Debug)]
pub(crate) struct Packed {
    pub(crate) octets: Vec<u8>,
    /// Octets before they were packed.
    pub(crate) unpacked: usize,
}

/// What octets say of themselves; nothing, where they are cut off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SaidOf {
    /// Octets that they become.
    pub(crate) unpacked: usize,
    /// Parts that their states are.
    pub(crate) parts: usize,
}

impl Default for Payload {
    /// Of no records, and nothing is missing.
    fn default() -> Self {
        Self {
            whole_after: EventTime::MIN,
            is_doubted: false,
            covered: Covered::default(),
            unread: Unread::default(),
            parts: Parts::default(),
        }
    }
}

impl Payload {
    /// Adds what others have of the same pane.
    pub(crate) fn append(&mut self, other: Self) {
        self.whole_after = self.whole_after.max(other.whole_after);
        self.is_doubted |= other.is_doubted;
        self.covered.append(&other.covered);
        self.unread = all_unread(self.unread, other.unread);
        self.parts.append(other.parts);
    }

    /// As octets.
    ///
    /// # Errors
    /// A sentence, when its states are not of this half.
    pub(crate) fn encode(&self, half: &HalfStates) -> Result<Packed, String> {
        self.pack(&half.encode(&self.parts).map_err(|error| error.to_string())?)
    }

    /// As octets without its states, of which nobody knows what is missing then.
    pub(crate) fn encode_doubt(self) -> Vec<u8> {
        let doubted = Self { is_doubted: true, ..self };
        doubted.pack(&NO_STATES).map(|packed| packed.octets).unwrap_or_default()
    }

    /// Nothing, as octets.
    pub(crate) fn encode_nothing() -> Vec<u8> {
        Self::default().pack(&NO_STATES).map(|packed| packed.octets).unwrap_or_default()
    }

    fn pack(&self, states: &[u8]) -> Result<Packed, String> {
        let mut content = vec![u8::from(self.is_doubted)];
        content.extend_from_slice(&self.whole_after.0.to_le_bytes());
        content.extend_from_slice(&self.unread.late.to_le_bytes());
        content.extend_from_slice(&self.unread.left_out.to_le_bytes());
        let entries: Vec<_> = self.covered.entries().take(ENTRIES_MAX.into()).collect();
        content.extend_from_slice(&(entries.len() as u16).to_le_bytes());
        for (stream, second, Records { delivered, missing }) in entries {
            content.push(stream as u8);
            content.extend_from_slice(&second.to_le_bytes());
            content.extend_from_slice(&delivered.to_le_bytes());
            content.extend_from_slice(&missing.to_le_bytes());
        }
        content.extend_from_slice(states);
        let unpacked = content.len();
        let length = u32::try_from(unpacked).map_err(|_| format!("{unpacked} octets are too many"))?;
        let planes = planes::apart(&content);
        let packed = zstd::bulk::compress(&planes, LEVEL).map_err(|error| error.to_string())?;
        let parts = states.get(..2).unwrap_or(&NO_STATES);
        let octets = [&[VERSION][..], &length.to_le_bytes(), parts, &packed].concat();
        Ok(Packed { octets, unpacked })
    }

    /// Of octets that become no more than they may.
    ///
    /// # Errors
    /// The end of a sentence, when they are no payload of this half.
    pub(crate) fn decode(octets: &[u8], half: &HalfStates, bounds: Bounds) -> Result<Self, String> {
        let content = unpack(octets, bounds)?;
        let (mut payload, states) = Self::read(&content).ok_or("they are damaged")?;
        // What they weigh rests on it.
        if states.get(..2) != octets.get(5..7) {
            return Err("they are of other parts than they say".to_owned());
        }
        payload.parts = half.decode(states, bounds.rows)?;
        Ok(payload)
    }

    /// All but the states, and these.
    fn read(content: &[u8]) -> Option<(Self, &[u8])> {
        let mut reader = Reader(content);
        let is_doubted = match reader.number::<1>()? {
            [0] => false,
            [1] => true,
            _ => return None,
        };
        let whole_after = EventTime(i64::from_le_bytes(reader.number()?));
        let [late, left_out] = [reader.number()?, reader.number()?].map(u64::from_le_bytes);
        let count = u16::from_le_bytes(reader.number()?);
        let mut covered = Covered::default();
        for _ in 0..Some(count).filter(|count| *count <= ENTRIES_MAX)? {
            let [stream] = reader.number()?;
            let stream = *StreamId::ALL.get(usize::from(stream))?;
            let second = i64::from_le_bytes(reader.number()?);
            let [delivered, missing] = [reader.number()?, reader.number()?].map(f64::from_le_bytes);
            let is_possible = delivered.is_finite() && delivered >= 0.0 && !missing.is_infinite();
            is_possible.then(|| covered.add(stream, second, Records { delivered, missing }))?;
        }
        let unread = Unread { late, left_out };
        Some((Self { whole_after, is_doubted, covered, unread, parts: Parts::default() }, reader.0))
    }
}

/// What a payload says of itself.
pub(crate) fn said_of(octets: &[u8]) -> SaidOf {
    let said = || {
        let (length, rest) = octets.get(1..)?.split_first_chunk()?;
        let (parts, _) = rest.split_first_chunk()?;
        Some(SaidOf {
            unpacked: u32::from_le_bytes(*length) as usize,
            parts: u16::from_le_bytes(*parts).into(),
        })
    };
    said().unwrap_or_default()
}

/// A payload as octets of which none are too long to be sent, each with its part of the groups: whoever loses one of them
/// is to know how much that is. Where the groups are few, those that are long stay so.
///
/// # Errors
/// A sentence, when its states are not of this half.
pub(crate) fn apart(whole: Payload, half: &HalfStates) -> Result<Vec<(Vec<u8>, f64)>, String> {
    let groups = whole.parts.groups_in_all();
    let Payload { whole_after, is_doubted, covered, mut unread, parts } = whole;
    let (mut made, mut left) = (vec![], vec![parts]);
    while let Some(parts) = left.pop() {
        let share = if groups == 0 { 1.0 } else { parts.groups_in_all() as f64 / groups as f64 };
        let payload = Payload { whole_after, is_doubted, covered: covered.part(share), unread, parts };
        let packed = payload.encode(half)?;
        let has_many_rows = half.are_rows() && payload.parts.groups_in_all() > SENT.rows;
        let is_long = has_many_rows || !is_sendable(&packed.octets);
        if let Some([first, second]) = payload.parts.halved().filter(|_| is_long) {
            left.extend([second, first]);
            continue;
        }
        unread = Unread::default();
        made.push((packed.octets, share));
    }
    Ok(made)
}

/// Whether octets of ours can be sent as they are.
pub(crate) fn is_sendable(octets: &[u8]) -> bool {
    let SaidOf { unpacked, parts } = said_of(octets);
    octets.len() <= SENT_MAX && unpacked <= SENT_UNPACKED_MAX && parts <= SENT.parts
}

/// What is packed in a payload.
fn unpack(octets: &[u8], bounds: Bounds) -> Result<Vec<u8>, String> {
    let (version, rest) = octets.split_first().ok_or("there are none")?;
    if *version != VERSION {
        return Err(format!(
            "they are of version {version}, and version {VERSION} is read here: let both ends run the same version"
        ));
    }
    let packed = rest.get(6..).ok_or("they are cut off")?;
    let SaidOf { unpacked: length, parts } = said_of(octets);
    if length > bounds.unpacked {
        return Err(format!("they would become {length} octets, more than {}", bounds.unpacked));
    }
    if parts > bounds.parts {
        return Err(format!("they are of {parts} parts, more than {}", bounds.parts));
    }
    let planes =
        zstd::bulk::decompress(packed, length).map_err(|error| format!("they are damaged: {error}"))?;
    if planes.len() == length {
        Ok(planes::together(&planes))
    } else {
        Err("they are not as long as they say".to_owned())
    }
}

/// Reads one number behind the other.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn number<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (number, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guard::guarded;
    use proptest::prelude::*;
    use std::sync::LazyLock;
    use tapline_query::Planner;

    static HALF: LazyLock<HalfStates> = LazyLock::new(|| {
        let sql = "SELECT src_ip, count(*) FROM packets GROUP BY src_ip, tumble('1 second')";
        HalfStates::new(&Planner::new().plan(sql).unwrap(), 0).unwrap()
    });

    fn payload() -> Payload {
        let mut payload = Payload { whole_after: EventTime(-7), is_doubted: true, ..Payload::default() };
        payload.unread = Unread { late: 3, left_out: 4 };
        payload.covered.add(StreamId::Flows, 5, Records { delivered: 6.5, missing: -1.0 });
        payload.covered.add(StreamId::Packets, -5, Records { delivered: 1.0, missing: 2.0 });
        payload
    }

    fn decode(octets: &[u8]) -> Result<Payload, String> {
        guarded(|| Payload::decode(octets, &HALF, SENT))
    }

    #[test]
    fn a_payload_comes_back_as_it_was() {
        let packed = payload().encode(&HALF).unwrap();
        let back = decode(&packed.octets).unwrap();
        assert_eq!((back.whole_after, back.is_doubted), (EventTime(-7), true));
        assert_eq!((back.unread, back.covered), (Unread { late: 3, left_out: 4 }, payload().covered));
        assert!(back.parts.is_empty());
        let said = SaidOf { unpacked: packed.unpacked, parts: 0 };
        assert_eq!((said_of(&packed.octets), said_of(&packed.octets[..4])), (said, SaidOf::default()));
        assert!(decode(&Payload::encode_nothing()).is_ok_and(|nothing| nothing.covered.records() == 0));
        assert!(decode(&payload().encode_doubt()).is_ok_and(|doubted| doubted.is_doubted));
    }

    #[test]
    fn what_is_merged_can_be_read_again_whatever_was_said() {
        let most = f64::MAX.to_le_bytes();
        let entry = [&[StreamId::Flows as u8][..], &5_i64.to_le_bytes(), &most, &most].concat();
        let content = [&[0_u8][..], &[0; 24], &1_u16.to_le_bytes(), &entry, &NO_STATES].concat();
        let mut all = Payload::default();
        (0..3).for_each(|_| all.append(decode(&packed(&content)).unwrap()));
        assert!(decode(&all.encode(&HALF).unwrap().octets).is_ok_and(|all| all.covered.records() > 0));
    }

    #[test]
    fn what_is_wrong_with_octets_is_said() {
        let mut octets = payload().encode(&HALF).unwrap().octets;
        for end in 0..octets.len() {
            assert!(decode(&octets[..end]).is_err(), "{end}");
        }
        let many = Payload::decode(&octets, &HALF, Bounds { unpacked: 10, ..SENT }).unwrap_err();
        assert!(many.contains("more than 10"), "{many}");
        octets[1] ^= 1;
        assert!(decode(&octets).is_err(), "another length");
        octets[1] ^= 1;
        octets[5] = 1;
        assert!(decode(&octets).unwrap_err().contains("other parts than they say"));
        octets[6] = 17;
        let many = decode(&octets).unwrap_err();
        assert!(many.contains("of 4353 parts, more than 4096"), "{many}");
        octets[0] = VERSION - 1;
        let version = decode(&octets).unwrap_err();
        assert!(version.contains("version 2, and version 3 is read here"), "{version}");
    }

    /// Octets that are unpacked to these.
    fn packed(content: &[u8]) -> Vec<u8> {
        let length = (content.len() as u32).to_le_bytes();
        let packed = zstd::bulk::compress(&planes::apart(content), LEVEL).unwrap();
        [&[VERSION][..], &length, &NO_STATES, &packed].concat()
    }

    proptest! {
        #[test]
        fn other_octets_are_refused(mut octets in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&octets);
            let _ = decode(&packed(&octets));
            octets.insert(0, VERSION);
            let _ = decode(&octets);
        }
    }
}
