//! HTTP/1.1 messages (RFC 9112).
//!
//! Takes what is asked for and how large it is, gives the octets of a stream.

use super::Payload;

/// A request for a page.
#[must_use]
pub fn request(host: &str, path: &str) -> Payload {
    let text = format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: tapline-trafficgen\r\nAccept: */*\r\n\r\n"
    );
    Payload::from(text.into_bytes())
}

/// A response with a body of so many octets.
#[must_use]
pub(crate) fn response(body_octets: usize) -> Payload {
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: {body_octets}\r\n\r\n"
    );
    Payload::new(head.into_bytes(), body_octets)
}
