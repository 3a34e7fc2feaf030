//! What transport headers carry.
//!
//! A [`Payload`] is a few octets that mean something, then zeros up to its length: so a description of a
//! large segment stays small, and its checksum needs only the meaningful part. The modules build that part,
//! one protocol a file.

pub mod dns;
pub mod http;
pub mod ntp;
pub mod quic;
pub mod tls;

/// What a segment or datagram carries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Payload {
    head: Vec<u8>,
    filler_octets: usize,
}

impl Payload {
    /// Meaningful octets, then so many zeros.
    #[must_use]
    pub fn new(head: Vec<u8>, filler_octets: usize) -> Self {
        Self { head, filler_octets }
    }

    /// Zeros alone.
    #[must_use]
    pub fn filler(octets: usize) -> Self {
        Self { head: Vec::new(), filler_octets: octets }
    }

    /// The length.
    #[must_use]
    pub fn octets(&self) -> usize {
        self.head.len() + self.filler_octets
    }

    /// Cuts the payload into pieces of `piece_octets`, the last one shorter; none for an empty payload.
    pub fn pieces(self, piece_octets: usize) -> impl Iterator<Item = Self> {
        let (mut head, mut filler_octets) = (self.head, self.filler_octets);
        std::iter::from_fn(move || {
            let rest = head.split_off(head.len().min(piece_octets));
            let taken = std::mem::replace(&mut head, rest);
            let filler = filler_octets.min(piece_octets - taken.len());
            filler_octets -= filler;
            let piece = Self { head: taken, filler_octets: filler };
            (piece.octets() > 0).then_some(piece)
        })
    }

    /// The octets that mean something; all that follow are zero.
    pub(crate) fn head(&self) -> &[u8] {
        &self.head
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.head);
        out.resize(out.len() + self.filler_octets, 0);
    }
}

impl From<Vec<u8>> for Payload {
    fn from(head: Vec<u8>) -> Self {
        Self { head, filler_octets: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(payload: &Payload) -> Vec<u8> {
        let mut out = Vec::new();
        payload.write(&mut out);
        out
    }

    #[test]
    fn a_payload_is_as_long_as_it_says() {
        for octets in [0, 1, 9000] {
            let payload = Payload::new(vec![1, 2, 3], octets);
            assert_eq!(bytes(&payload).len(), payload.octets());
        }
    }

    #[test]
    fn pieces_hold_the_head_and_all_the_filler() {
        let payload = Payload::new((0..15).collect(), 12);
        let pieces: Vec<_> = payload.clone().pieces(10).collect();
        assert_eq!(pieces.iter().map(Payload::octets).collect::<Vec<_>>(), [10, 10, 7]);
        let joined: Vec<u8> = pieces.iter().flat_map(|piece| piece.head.clone()).collect();
        assert_eq!(joined, payload.head);
        assert_eq!(Payload::default().pieces(10).count(), 0);
    }
}
