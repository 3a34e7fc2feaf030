//! NTP messages (RFC 5905).
//!
//! Takes times, gives the payload of a datagram, 48 octets.

use super::Payload;

/// What a client asks at `time_ns` since 1970.
#[must_use]
pub fn request(time_ns: u64) -> Payload {
    const VERSION_4_CLIENT: u8 = 0x23;
    let mut message = vec![0; 40];
    message[0] = VERSION_4_CLIENT;
    message[2] = POLL_LOG2_S;
    message.extend_from_slice(&timestamp(time_ns));
    Payload::from(message)
}

/// What a server answers at `time_ns` to a request that was sent at `origin_ns`.
#[must_use]
pub(crate) fn response(origin_ns: u64, time_ns: u64) -> Payload {
    const VERSION_4_SERVER: u8 = 0x24;
    const STRATUM: u8 = 1;
    const PRECISION_LOG2_S: i8 = -23;
    let mut message = vec![VERSION_4_SERVER, STRATUM, POLL_LOG2_S, PRECISION_LOG2_S.cast_unsigned()];
    message.extend_from_slice(&[0; 8]);
    message.extend_from_slice(b"GPS\0");
    message.extend_from_slice(&timestamp(time_ns - time_ns % 1_000_000_000));
    for time in [origin_ns, time_ns, time_ns] {
        message.extend_from_slice(&timestamp(time));
    }
    Payload::from(message)
}

const POLL_LOG2_S: u8 = 6;

/// Seconds since 1900 and their fraction, 32 bits each.
fn timestamp(time_ns: u64) -> [u8; 8] {
    const SECONDS_FROM_1900_TO_1970: u64 = 2_208_988_800;
    let seconds = time_ns / 1_000_000_000 + SECONDS_FROM_1900_TO_1970;
    let fraction = ((time_ns % 1_000_000_000) << 32) / 1_000_000_000;
    (seconds << 32 | fraction).to_be_bytes()
}
