//! Requests of pages that a browser on this machine shows, but that are none of ours.
//!
//! Takes the head of a request, says why it is not answered. A browser names the origin of a page that asks something of
//! another one, and says at least that it is another one; a page whose owner lets his own name lead here, once it is
//! loaded, gives itself away by that name.

use axum::http::HeaderMap;
use axum::http::uri::Authority;
use std::net::IpAddr;

const HOST: &str = "host";
const ORIGIN: &str = "origin";
/// What browsers say of the page that asks, also where it does not get to see the answer.
const FETCH_SITE: &str = "sec-fetch-site";
/// What for: a `navigate` shows the answer as a page of its own.
const FETCH_MODE: &str = "sec-fetch-mode";

/// How whoever asks comes here.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Way {
    /// Whether only this machine comes by it. A node that others can reach may be called by any name: it answers only
    /// who brings a token, which a browser keeps for the name that it was given for.
    pub(crate) is_on_loopback: bool,
    /// Whether nobody on it reads along.
    pub(crate) is_encrypted: bool,
}

/// Why a request is not answered, if it is not.
pub(crate) fn refusal(headers: &HeaderMap, way: Way) -> Option<&'static str> {
    let host = text(headers, HOST);
    let is_own = |(scheme, of): (&str, &str)| way.is_spoken_by(scheme) && host == Some(of);
    let is_elsewhere =
        text(headers, ORIGIN).is_some_and(|origin| !origin.split_once("://").is_some_and(is_own));
    if is_elsewhere || is_by_the_way(headers) {
        return Some("a page of another origin may not ask this node");
    }
    let is_strange = way.is_on_loopback && headers.contains_key(HOST) && !host.is_some_and(is_ours);
    is_strange.then_some("this node is asked by its address, or as localhost")
}

impl Way {
    /// Whether pages that come by it are of origins that begin so; what is in the clear here may have come to this
    /// machine over TLS.
    fn is_spoken_by(self, scheme: &str) -> bool {
        scheme == "https" || (scheme == "http" && !self.is_encrypted)
    }
}

/// Whether a page of another origin asks for something that it does not show as a page, such as a picture or a script. A
/// link that somebody follows is none of these.
fn is_by_the_way(headers: &HeaderMap) -> bool {
    let is_of_others = matches!(text(headers, FETCH_SITE), Some("cross-site" | "same-site"));
    is_of_others && text(headers, FETCH_MODE) != Some("navigate")
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    // What is no text is no host of ours, and no origin.
    headers.get(name).map(|value| value.to_str().unwrap_or_default())
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

    const HERE: Way = Way { is_on_loopback: true, is_encrypted: false };
    const ELSEWHERE: Way = Way { is_on_loopback: false, is_encrypted: true };

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

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
            (Some("localhost:8790"), Some("https://localhost:8790"), true),
            (Some("localhost:8790"), Some("ftp://localhost:8790"), false),
            (Some("localhost:8790"), Some("null"), false),
            (Some("evil.example:8790"), None, false),
            (Some("evil.example:8790"), Some("http://evil.example:8790"), false),
            (Some("localhost.evil.example"), None, false),
            (Some("127.0.0.1.evil.example"), None, false),
            (Some(""), None, false),
        ];
        for (host, origin, is_answered) in cases {
            let pairs = [(HOST, host), (ORIGIN, origin)];
            let pairs: Vec<_> = pairs.iter().filter_map(|(name, value)| Some((*name, (*value)?))).collect();
            assert_eq!(refusal(&headers(&pairs), HERE).is_none(), is_answered, "{host:?} {origin:?}");
        }
    }

    #[test]
    fn a_node_that_others_reach_has_any_name() {
        let host = (HOST, "node1.example:8790");
        assert_eq!(refusal(&headers(&[host]), ELSEWHERE), None);
        for (origin, is_answered) in [
            ("https://node1.example:8790", true),
            ("http://node1.example:8790", false),
            ("https://node1.example", false),
            ("https://evil.example", false),
            ("null", false),
        ] {
            let found = refusal(&headers(&[host, (ORIGIN, origin)]), ELSEWHERE);
            assert_eq!(found.is_none(), is_answered, "{origin}");
        }
    }

    #[test]
    fn a_picture_in_another_page_is_no_question() {
        for (site, mode, is_answered) in [
            ("cross-site", "no-cors", false),
            ("same-site", "no-cors", false),
            ("cross-site", "navigate", true),
            ("same-origin", "cors", true),
            ("none", "navigate", true),
        ] {
            let found = refusal(&headers(&[(FETCH_SITE, site), (FETCH_MODE, mode)]), ELSEWHERE);
            assert_eq!(found.is_none(), is_answered, "{site} {mode}");
        }
    }
}
