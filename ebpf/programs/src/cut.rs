//! How many octets of a frame whoever reads its headers needs.

use crate::parse::Headers;

/// The longest transport header, TCP with all options, and some more.
const TRANSPORT_OCTETS: u32 = 64;
/// So much less must be copied that it is worth the call.
const SAVED_OCTETS_MIN: u32 = 64;

/// Octets at the end of a frame of so many that nobody needs who reads headers; `transport_at` is that of [`Headers`].
#[inline(always)]
#[must_use]
pub const fn unneeded_octets(transport_at: u32, frame_octets: u32) -> u32 {
    let kept = transport_at.saturating_add(TRANSPORT_OCTETS);
    let is_long = kept.saturating_add(SAVED_OCTETS_MIN) <= frame_octets;
    if is_long && transport_at < Headers::UNKNOWN { frame_octets - kept } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_frames_lose_what_is_behind_their_headers() {
        assert_eq!([0, 60, 161, 162, 1514].map(|octets| unneeded_octets(34, octets)), [0, 0, 0, 64, 1416]);
        for unknown in [Headers::UNKNOWN, Headers::UNKNOWN | 34, u32::MAX] {
            assert_eq!(unneeded_octets(unknown, 200_000), 0, "where the headers end is not known");
        }
    }
}
