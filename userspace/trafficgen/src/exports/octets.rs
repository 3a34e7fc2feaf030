//! Numbers in network byte order.
//!
//! Takes numbers, appends them to octets or writes them at a place that is there already.

/// Appends numbers.
pub(super) trait Put {
    fn put_u8(&mut self, value: u8);
    fn put_u16(&mut self, value: u16);
    fn put_u32(&mut self, value: u32);
    fn put_u64(&mut self, value: u64);
    /// Appends the lowest octets of a number; 8 at most.
    fn put_lowest(&mut self, value: u64, octets: usize);
}

impl Put for Vec<u8> {
    fn put_u8(&mut self, value: u8) {
        self.push(value);
    }

    fn put_u16(&mut self, value: u16) {
        self.extend_from_slice(&value.to_be_bytes());
    }

    fn put_u32(&mut self, value: u32) {
        self.extend_from_slice(&value.to_be_bytes());
    }

    fn put_u64(&mut self, value: u64) {
        self.extend_from_slice(&value.to_be_bytes());
    }

    fn put_lowest(&mut self, value: u64, octets: usize) {
        self.extend_from_slice(&value.to_be_bytes()[8 - octets..]);
    }
}

/// Writes a number of two octets at an offset.
pub(super) fn set_u16(octets: &mut [u8], at: usize, value: u16) {
    octets[at..at + 2].copy_from_slice(&value.to_be_bytes());
}

/// Writes a number of four octets at an offset.
pub(super) fn set_u32(octets: &mut [u8], at: usize, value: u32) {
    octets[at..at + 4].copy_from_slice(&value.to_be_bytes());
}

/// The number of four octets at an offset.
pub(super) fn get_u32(octets: &[u8], at: usize) -> u32 {
    let mut value = [0; 4];
    value.copy_from_slice(&octets[at..at + 4]);
    u32::from_be_bytes(value)
}

/// The number of eight octets at an offset.
pub(super) fn get_u64(octets: &[u8], at: usize) -> u64 {
    u64::from(get_u32(octets, at)) << 32 | u64::from(get_u32(octets, at + 4))
}

/// Replaces an age of four octets by the time that lies so far before `now_ms`.
pub(super) fn age_to_time_u32(octets: &mut [u8], at: usize, now_ms: u32) {
    let age_ms = get_u32(octets, at);
    set_u32(octets, at, now_ms.wrapping_sub(age_ms));
}

/// Replaces an age of eight octets by the time that lies so far before `now_ms`.
pub(super) fn age_to_time_u64(octets: &mut [u8], at: usize, now_ms: u64) {
    let time_ms = now_ms.wrapping_sub(get_u64(octets, at));
    octets[at..at + 8].copy_from_slice(&time_ms.to_be_bytes());
}
