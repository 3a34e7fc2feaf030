//! What an interface's driver can do with XDP (the netlink family `netdev`, since Linux 6.3).

use std::io;

use super::netlink::{attribute, family, generic, number_32, number_64};

/// The question, and the attributes of question and answer.
const GET_DEVICE: u8 = 1;
const INTERFACE: u16 = 1;
const FEATURES: u16 = 3;
const ZERO_COPY_SEGMENTS_MAX: u16 = 4;
const TOLD: u16 = 5;

/// Bits of the features (`NETDEV_XDP_ACT_*`).
const NATIVE: u64 = 1;
const REDIRECT: u64 = 1 << 1;
const ZERO_COPY: u64 = 1 << 3;
const FRAGMENTS: u64 = 1 << 5;

/// Bits of what it tells a program of each frame (`NETDEV_XDP_RX_METADATA_*`), since Linux 6.8.
const TELLS_TIMES: u64 = 1;
const TELLS_TAGS: u64 = 1 << 2;

/// What a driver can do with XDP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct XdpFeatures {
    /// It runs programs itself.
    pub native: bool,
    /// It can redirect frames, which `AF_XDP` needs.
    pub redirect: bool,
    /// `AF_XDP` without copying.
    pub zero_copy: bool,
    /// Frames that lie in several pieces of memory.
    pub fragments: bool,
    /// Pieces of one frame that `AF_XDP` takes without copying.
    pub zero_copy_segments_max: u32,
    /// It tells programs that are bound to the interface when the card has received a frame.
    pub tells_times: bool,
    /// It tells them of VLAN tags that stand beside frames.
    pub tells_tags: bool,
}

/// What the driver of an interface says; an error of kind `NotFound` or `Unsupported` if the kernel is too old to
/// know.
///
/// # Errors
/// What the operating system says.
pub(crate) fn xdp_features(interface_index: u32) -> io::Result<XdpFeatures> {
    let mut features = None;
    generic(family("netdev")?, GET_DEVICE, (INTERFACE, &interface_index.to_ne_bytes()), |answer| {
        features = of_attributes(answer);
    })?;
    features.ok_or_else(|| io::ErrorKind::Unsupported.into())
}

fn of_attributes(answer: &[u8]) -> Option<XdpFeatures> {
    let bits = attribute(answer, FEATURES).and_then(number_64)?;
    let segments = attribute(answer, ZERO_COPY_SEGMENTS_MAX).and_then(number_32);
    let told = attribute(answer, TOLD).and_then(number_64).unwrap_or_default();
    Some(XdpFeatures {
        native: bits & NATIVE != 0,
        redirect: bits & REDIRECT != 0,
        zero_copy: bits & ZERO_COPY != 0,
        fragments: bits & FRAGMENTS != 0,
        zero_copy_segments_max: segments.unwrap_or_default(),
        tells_times: told & TELLS_TIMES != 0,
        tells_tags: told & TELLS_TAGS != 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_abilities() {
        let mut answer = vec![12, 0, 3, 0];
        answer.extend((NATIVE | REDIRECT | ZERO_COPY).to_ne_bytes());
        answer.extend([8, 0, 4, 0, 5, 0, 0, 0]);
        answer.extend([12, 0, 5, 0]);
        answer.extend((TELLS_TAGS | 2).to_ne_bytes());
        let expected = XdpFeatures {
            native: true,
            redirect: true,
            zero_copy: true,
            fragments: false,
            zero_copy_segments_max: 5,
            tells_times: false,
            tells_tags: true,
        };
        assert_eq!(of_attributes(&answer), Some(expected));
        assert_eq!(of_attributes(&answer[..8]), None);
    }
}
