//! Numbers in as few octets as they need: seven bits an octet, least first, the top bit says that
//! more follow (LEB128).

/// Appends `number`.
pub(crate) fn write(mut number: u64, octets: &mut Vec<u8>) {
    while number >= 0x80 {
        octets.push(number as u8 | 0x80);
        number >>= 7;
    }
    octets.push(number as u8);
}

/// Takes a number off the front; `None` when there is none or it exceeds 64 bits.
pub(crate) fn read(octets: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..u64::BITS).step_by(7) {
        let (octet, rest) = octets.split_first()?;
        *octets = rest;
        let bits = u64::from(octet & 0x7f);
        if bits << shift >> shift != bits {
            return None;
        }
        number |= bits << shift;
        if octet & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(number: u64) -> Vec<u8> {
        let mut octets = Vec::new();
        write(number, &mut octets);
        octets
    }

    proptest! {
        #[test]
        fn numbers_come_back(number: u64, bits in 0..64_u32, tail: Vec<u8>) {
            let number = number >> bits;
            let octets = [written(number), tail.clone()].concat();
            let mut rest = octets.as_slice();
            prop_assert_eq!(read(&mut rest), Some(number));
            prop_assert_eq!(rest, tail.as_slice());
        }
    }

    #[test]
    fn lengths_and_ends() {
        assert_eq!(written(127), [0x7f]);
        assert_eq!(written(128), [0x80, 1]);
        assert_eq!(written(u64::MAX).len(), 10);
        for octets in
            [&[][..], &[0x80], &[0xff; 10], &[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 2]]
        {
            assert_eq!(read(&mut &octets[..]), None, "{octets:?}");
        }
    }
}
