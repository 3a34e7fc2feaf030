//! Whose a certificate is.
//!
//! Takes the octets of a certificate (X.509, DER) that somebody has checked, gives the name in it.

use crate::der::{SEQUENCE, behind, behind_issuer, element};

const SET: u8 = 0x31;
const OBJECT_IDENTIFIER: u8 = 0x06;
/// 2.5.4.3, commonName.
const COMMON_NAME: [u8; 3] = [0x55, 0x04, 0x03];
const UTF8_STRING: u8 = 0x0c;
const PRINTABLE_STRING: u8 = 0x13;

/// The common name of whose a certificate is; nothing where it has none, or another one besides.
#[must_use]
pub fn common_name(certificate: &[u8]) -> Option<String> {
    let (mut parts, _) = element(behind(behind_issuer(certificate)?)?, SEQUENCE)?;
    let mut found = None;
    while !parts.is_empty() {
        let (mut part, rest) = element(parts, SET)?;
        while !part.is_empty() {
            let (attribute, others) = element(part, SEQUENCE)?;
            if let Some(name) = name_of(attribute)
                && found.replace(name).is_some()
            {
                return None;
            }
            part = others;
        }
        parts = rest;
    }
    found
}

/// The text of an attribute that is a common name.
fn name_of(attribute: &[u8]) -> Option<String> {
    let (kind, value) = element(attribute, OBJECT_IDENTIFIER)?;
    let (text, _) = element(value, UTF8_STRING).or_else(|| element(value, PRINTABLE_STRING))?;
    (kind == COMMON_NAME).then(|| std::str::from_utf8(text).ok().map(str::to_owned))?
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An element of at most 127 octets.
    fn of(kind: u8, content: &[u8]) -> Vec<u8> {
        [&[kind, u8::try_from(content.len()).unwrap()][..], content].concat()
    }

    fn attribute(kind: u8, text: &[u8]) -> Vec<u8> {
        let name = of(OBJECT_IDENTIFIER, &[0x55, 0x04, kind]);
        of(SET, &of(SEQUENCE, &[name, of(UTF8_STRING, text)].concat()))
    }

    fn certificate(subject: &[Vec<u8>]) -> Vec<u8> {
        let parts = [of(2, &[1]), of(SEQUENCE, &[]), of(SEQUENCE, &[]), of(SEQUENCE, &[])];
        let all = [parts.concat(), of(SEQUENCE, &subject.concat())].concat();
        of(SEQUENCE, &of(SEQUENCE, &all))
    }

    #[test]
    fn the_common_name_is_found_and_two_are_none() {
        let (organisation, name) = (attribute(10, b"tests"), attribute(3, b"pop-1"));
        let whole = certificate(&[organisation.clone(), name.clone()]);
        assert_eq!(common_name(&whole).as_deref(), Some("pop-1"));
        assert_eq!(common_name(&certificate(std::slice::from_ref(&organisation))), None);
        assert_eq!(common_name(&certificate(&[name.clone(), organisation, name])), None);
        for length in 0..whole.len() {
            assert_eq!(common_name(&whole[..length]), None, "{length}");
        }
        assert_eq!(common_name(&certificate(&[attribute(3, b"\xff")])), None);
    }
}
