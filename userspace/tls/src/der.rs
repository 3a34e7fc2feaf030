//! Elements of a certificate (X.509, DER).
//!
//! Takes octets, whatever they are, gives what is in an element and what is behind it; nothing where there is none.

/// What has elements in an order.
pub(crate) const SEQUENCE: u8 = 0x30;
/// Which version it is; certificates of version 1 do not say.
pub(crate) const VERSION: u8 = 0xa0;

/// What a certificate says behind whoever signed it: from when to when it holds, and whose it is.
pub(crate) fn behind_issuer(certificate: &[u8]) -> Option<&[u8]> {
    let (certificate, _) = element(certificate, SEQUENCE)?;
    let (mut rest, _) = element(certificate, SEQUENCE)?;
    if rest.first() == Some(&VERSION) {
        rest = behind(rest)?;
    }
    // Its serial number, how it is signed, and by whom.
    for _ in 0..3 {
        rest = behind(rest)?;
    }
    Some(rest)
}

/// The content of an element of this kind, and what is behind it.
pub(crate) fn element(octets: &[u8], kind: u8) -> Option<(&[u8], &[u8])> {
    let (found, content, behind) = any(octets)?;
    (found == kind).then_some((content, behind))
}

/// What is behind the first element.
pub(crate) fn behind(octets: &[u8]) -> Option<&[u8]> {
    any(octets).map(|(_, _, behind)| behind)
}

/// The kind of the first element, its content, and what is behind it.
pub(crate) fn any(octets: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&kind, rest) = octets.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        // So many octets of a longer length; more than four are none of ours.
        let count = usize::from(first & 0x7f);
        let (digits, rest) = rest.split_at_checked(count).filter(|_| (1..=4).contains(&count))?;
        (digits.iter().fold(0, |length, digit| (length << 8) | usize::from(*digit)), rest)
    };
    let (content, behind) = rest.split_at_checked(length)?;
    Some((kind, content, behind))
}
