//! Requests of pages that a browser on this machine shows, but that are none of ours.
//!
//! Takes the head of a request, says why it is not answered. A browser names the origin of a page that asks something of
//! another one; a page whose owner lets his own name lead here, once it is loaded, gives itself away by that name.

use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, header};
use std::net::IpAddr;

/// Why a request is not answered, if it is not. A node that others than this machine can reach may be called by any
/// name.
pub(crate) fn refusal(headers: &HeaderMap, is_on_loopback: bool) -> Option<&'static str> {
    let host = text(headers, &header::HOST);
    if text(headers, &header::ORIGIN).is_some_and(|origin| host_of(origin) != host) {
        return Some("a page of another origin may not ask this node");
    }
    let is_strange = is_on_loopback && headers.contains_key(header::HOST) && !host.is_some_and(is_ours);
    is_strange.then_some("this node is asked by its address, or as localhost")
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    // What is no text is no host of ours, and no origin.
    headers.get(name).map(|value| value.to_str().unwrap_or_default())
}

fn host_of(origin: &str) -> Option<&str> {
    origin.split_once("://").map(|(_, host)| host)
}

/// Whether it is a name that nobody else can let lead here.
fn is_ours(host: &str) -> bool {
    let Ok(authority) = host.parse::<Authority>() else { return false };
    let name = authority.host().trim_matches(['[', ']']);
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_are_told_from_ours() {
        let cases = [
            (None, None, true),
            (Some("localhost:8790"), None, true),
            (Some("LOCALHOST"), None, true),
            (Some("127.0.0.1:8790"), None, true),
            (Some("[::1]:8790"), None, true),
            (Some("[::1]"), Some("http://[::1]"), true),
            (Some("localhost:8790"), Some("http://localhost:8790"), true),
            (Some("localhost:8790"), Some("http://localhost:3000"), false),
            (Some("localhost:8790"), Some("null"), false),
            (Some("evil.example:8790"), None, false),
            (Some("evil.example:8790"), Some("http://evil.example:8790"), false),
            (Some("localhost.evil.example"), None, false),
            (Some("127.0.0.1.evil.example"), None, false),
            (Some(""), None, false),
        ];
        for (host, origin, is_answered) in cases {
            let mut headers = HeaderMap::new();
            for (name, value) in [(header::HOST, host), (header::ORIGIN, origin)] {
                value.map(|value| headers.insert(name, value.parse().unwrap()));
            }
            assert_eq!(refusal(&headers, true).is_none(), is_answered, "{host:?} {origin:?}");
        }
    }

    #[test]
    fn a_node_that_others_reach_has_any_name() {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, "node1.example:8790".parse().unwrap());
        assert_eq!(refusal(&headers, false), None);
        headers.insert(header::ORIGIN, "http://evil.example".parse().unwrap());
        assert!(refusal(&headers, false).is_some());
    }
}
