//! TLS records (RFC 8446).
//!
//! Takes names and lengths, gives the octets of a stream: a client's hello that names the server, a server's
//! hello, and application data, which is zeros.

use super::Payload;

/// The most that one record may carry.
pub const RECORD_OCTETS_MAX: usize = 16_384;

const HANDSHAKE: u8 = 22;
const APPLICATION_DATA: u8 = 23;
const VERSION_1_2: u16 = 0x0303;
const AES_128_GCM_SHA256: u16 = 0x1301;

/// The first record of a client, which names the server that it wants.
#[must_use]
pub(crate) fn client_hello(server: &str, random: [u8; 32]) -> Payload {
    let name = prefixed::<2>(&[&[0][..], &prefixed::<2>(server.as_bytes())].concat());
    let extensions = [
        extension(0, &name),
        extension(43, &[2, 0x03, 0x04]),
        extension(10, &prefixed::<2>(&[0x00, 0x1d])),
        extension(13, &prefixed::<2>(&[0x04, 0x03, 0x08, 0x04])),
        extension(51, &prefixed::<2>(&x25519_share(random))),
    ];
    let cipher_suites = prefixed::<2>(&AES_128_GCM_SHA256.to_be_bytes());
    let body = [hello_start(random), cipher_suites, prefixed::<1>(&[0]), prefixed::<2>(&extensions.concat())];
    hello(1, &body.concat())
}

/// The first record of a server.
#[must_use]
pub(crate) fn server_hello(random: [u8; 32]) -> Payload {
    let extensions = [extension(43, &[0x03, 0x04]), extension(51, &x25519_share(random))];
    let body = [
        hello_start(random),
        AES_128_GCM_SHA256.to_be_bytes().to_vec(),
        vec![0],
        prefixed::<2>(&extensions.concat()),
    ];
    hello(2, &body.concat())
}

/// One record of application data; `octets` is cut off at the most that a record may carry.
#[must_use]
pub(crate) fn application_data(octets: usize) -> Payload {
    let octets = octets.min(RECORD_OCTETS_MAX);
    Payload::new(record_header(APPLICATION_DATA, octets), octets)
}

fn record_header(content_type: u8, octets: usize) -> Vec<u8> {
    let [version_high, version_low] = VERSION_1_2.to_be_bytes();
    let [length_high, length_low] = (octets as u16).to_be_bytes();
    vec![content_type, version_high, version_low, length_high, length_low]
}

fn hello(message_type: u8, body: &[u8]) -> Payload {
    let message = [&[message_type][..], &prefixed::<3>(body)].concat();
    let mut record = record_header(HANDSHAKE, message.len());
    record.extend_from_slice(&message);
    Payload::from(record)
}

/// Version, random and an empty session identifier.
fn hello_start(random: [u8; 32]) -> Vec<u8> {
    [&VERSION_1_2.to_be_bytes()[..], &random, &[0]].concat()
}

fn x25519_share(key: [u8; 32]) -> Vec<u8> {
    [&[0x00, 0x1d][..], &prefixed::<2>(&key)].concat()
}

fn extension(number: u16, content: &[u8]) -> Vec<u8> {
    [&number.to_be_bytes()[..], &prefixed::<2>(content)].concat()
}

/// The content after its length in `N` octets.
fn prefixed<const N: usize>(content: &[u8]) -> Vec<u8> {
    let length = (content.len() as u64).to_be_bytes();
    [&length[8 - N..], content].concat()
}
