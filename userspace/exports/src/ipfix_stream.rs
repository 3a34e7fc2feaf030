//! Cuts IPFIX messages out of a stream of octets (RFC 7011 §10.4).
//!
//! Takes pieces of a stream in its order, gives whole messages. Only a message that is split over pieces
//! is copied; of it, no more than one is kept.

use crate::protocol::{IPFIX_HEADER_OCTETS, MESSAGE_OCTETS_MAX};

/// What a message begins with: version and length.
const START_OCTETS: usize = 4;
const VERSION: u16 = 10;

/// The stream is no sequence of IPFIX messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NotIpfix;

/// The beginning of a message whose end has not come yet.
pub(super) struct IpfixStream {
    partial: Vec<u8>,
}

impl IpfixStream {
    pub(super) const fn new() -> Self {
        Self { partial: Vec::new() }
    }

    /// Gives the messages that `octets` complete to `visit`.
    pub(super) fn push(&mut self, octets: &[u8], visit: &mut impl FnMut(&[u8])) -> Result<(), NotIpfix> {
        let mut rest = self.complete(octets, visit)?;
        while let Some(message_octets) = message_octets(rest)?
            && let Some((message, others)) = rest.split_at_checked(message_octets)
        {
            visit(message);
            rest = others;
        }
        if let Some(message_octets) = message_octets(rest)? {
            self.partial.reserve_exact(message_octets);
        }
        self.partial.extend_from_slice(rest);
        Ok(())
    }

    /// Octets of a message that is not whole.
    pub(super) fn partial_octets(&self) -> usize {
        self.partial.len()
    }

    /// Forgets the message that is not whole; gives how many octets it had.
    pub(super) fn reset(&mut self) -> usize {
        let octets = self.partial.len();
        self.partial.clear();
        octets
    }

    /// Completes the message that is not whole as far as `octets` go, gives those that follow.
    fn complete<'a>(
        &mut self,
        mut octets: &'a [u8],
        visit: &mut impl FnMut(&[u8]),
    ) -> Result<&'a [u8], NotIpfix> {
        if self.partial.is_empty() {
            return Ok(octets);
        }
        self.take(&mut octets, START_OCTETS);
        if let Some(message_octets) = message_octets(&self.partial)? {
            self.partial.reserve_exact(message_octets.saturating_sub(self.partial.len()));
            self.take(&mut octets, message_octets);
            if self.partial.len() == message_octets {
                visit(&self.partial);
                self.partial.clear();
            }
        }
        Ok(octets)
    }

    /// Moves octets until there are `wanted`.
    fn take(&mut self, octets: &mut &[u8], wanted: usize) {
        let missing = wanted.saturating_sub(self.partial.len()).min(octets.len());
        let (taken, rest) = octets.split_at(missing);
        self.partial.extend_from_slice(taken);
        *octets = rest;
    }
}

/// Length of the message that `octets` begin with; `None` if that cannot be told yet.
fn message_octets(octets: &[u8]) -> Result<Option<usize>, NotIpfix> {
    const { assert!(MESSAGE_OCTETS_MAX == u16::MAX as usize, "a length cannot exceed the limit") };
    let Some([a, b, c, d]) = octets.first_chunk::<START_OCTETS>() else {
        let is_start = VERSION.to_be_bytes().starts_with(&octets[..octets.len().min(2)]);
        return if is_start { Ok(None) } else { Err(NotIpfix) };
    };
    let length = usize::from(u16::from_be_bytes([*c, *d]));
    let is_message = u16::from_be_bytes([*a, *b]) == VERSION && length >= IPFIX_HEADER_OCTETS;
    if is_message { Ok(Some(length)) } else { Err(NotIpfix) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(octets: u16, fill: u8) -> Vec<u8> {
        let mut message = vec![fill; octets.into()];
        message[..2].copy_from_slice(&VERSION.to_be_bytes());
        message[2..4].copy_from_slice(&octets.to_be_bytes());
        message
    }

    #[test]
    fn messages_come_out_whole_however_the_stream_is_split() {
        let messages = [(16, 1), (17, 2), (65_535, 3), (200, 4)].map(|(octets, fill)| message(octets, fill));
        let stream = messages.concat();
        for piece_octets in [1, 3, 16, 17, 1460, 65_536, stream.len()] {
            let (mut cutter, mut seen) = (IpfixStream::new(), Vec::new());
            for piece in stream.chunks(piece_octets) {
                cutter.push(piece, &mut |message| seen.push(message.to_vec())).unwrap();
            }
            assert!(seen == messages, "pieces of {piece_octets}");
            assert_eq!(cutter.partial_octets(), 0);
        }
    }

    #[test]
    fn another_stream_is_refused_at_once() {
        for start in [&b"G"[..], b"\0\x09", b"\0\x0a\0\x0f", b"\0\x0a\0\0"] {
            assert_eq!(IpfixStream::new().push(start, &mut |_| {}), Err(NotIpfix), "{start:?}");
            let mut cutter = IpfixStream::new();
            cutter.push(&message(16, 1), &mut |_| {}).unwrap();
            let split = start.iter().try_for_each(|octet| cutter.push(&[*octet], &mut |_| {}));
            assert_eq!(split, Err(NotIpfix), "{start:?}");
        }
    }

    #[test]
    fn half_a_message_is_kept_until_it_is_forgotten() {
        let mut cutter = IpfixStream::new();
        cutter.push(&message(100, 1)[..99], &mut |_| {}).unwrap();
        assert_eq!((cutter.reset(), cutter.partial_octets()), (99, 0));
    }
}
