//! The page: what a browser shows of a node.
//!
//! Takes the path of a request, gives a file of `tapline-web`. A browser keeps what it has, and asks each time whether
//! it is still right; whatever the page shows comes from this node, which the policy of each answer says.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use tapline_web::{Asset, asset};

/// What a browser may load for the page: nothing from elsewhere, and nothing that stands inline.
const POLICY: &str = "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'";

/// What a request to a path gets; nothing where there is no file.
pub(crate) fn answer(method: &Method, path: &str, headers: &HeaderMap) -> Option<Response> {
    let asset = asset(path)?;
    if !matches!(*method, Method::GET | Method::HEAD) {
        return Some((StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, "GET, HEAD")]).into_response());
    }
    let mut answer = file(asset, headers);
    let said = [
        (header::ETAG, asset.etag),
        (header::CACHE_CONTROL, "no-cache"),
        (header::VARY, "accept-encoding"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    for (name, value) in said {
        answer.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    Some(answer)
}

fn file(asset: &Asset, headers: &HeaderMap) -> Response {
    if has(headers, &header::IF_NONE_MATCH, |tag| is_tag(tag, asset.etag)) {
        return StatusCode::NOT_MODIFIED.into_response();
    }
    let kind = (header::CONTENT_TYPE, asset.content_type);
    if has(headers, &header::ACCEPT_ENCODING, takes_gzip) {
        return ([kind, (header::CONTENT_ENCODING, "gzip")], Body::from(asset.gzip)).into_response();
    }
    ([kind], asset.octets()).into_response()
}

/// Whether one of the values that a header lists is such a one.
fn has(headers: &HeaderMap, name: &HeaderName, is_such: impl Fn(&str) -> bool) -> bool {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|value| is_such(value.trim()))
}

/// Whether a browser's tag is this one; a proxy may have called it weak.
fn is_tag(given: &str, tag: &str) -> bool {
    given == "*" || given.trim_start_matches("W/") == tag
}

/// Whether it is said that gzip is taken: by its name, and not with the weight 0.
fn takes_gzip(coding: &str) -> bool {
    let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
    let is_refused = weight.trim().strip_prefix("q=").is_some_and(|weight| weight.parse::<f32>() == Ok(0.0));
    ["gzip", "x-gzip", "*"].contains(&name.trim()) && !is_refused
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::to_bytes;

    fn headers(said: &[(HeaderName, &'static str)]) -> HeaderMap {
        said.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect()
    }

    fn octets(answer: Response) -> Vec<u8> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(to_bytes(answer.into_body(), usize::MAX)).unwrap().to_vec()
    }

    #[test]
    fn the_page_comes_gzipped_to_whoever_takes_it() {
        let get = |said: &[(HeaderName, &'static str)]| answer(&Method::GET, "/", &headers(said)).unwrap();
        let plain = get(&[]);
        assert_eq!(plain.headers()[header::CONTENT_TYPE], "text/html; charset=utf-8");
        assert!(plain.headers().get(header::CONTENT_ENCODING).is_none());
        let plain = octets(plain);
        assert!(plain.starts_with(b"<!doctype html>"));
        for (coding, is_taken) in
            [("gzip, deflate, br", true), ("br;q=1, gzip;q=0.5", true), ("gzip;q=0", false), ("br", false)]
        {
            let answer = get(&[(header::ACCEPT_ENCODING, coding)]);
            let is_gzip =
                answer.headers().get(header::CONTENT_ENCODING).is_some_and(|coding| coding == "gzip");
            assert_eq!(is_gzip, is_taken, "{coding}");
            assert_eq!(octets(answer).starts_with(&[0x1f, 0x8b]), is_taken, "{coding}");
        }
    }

    #[test]
    fn what_a_browser_has_is_not_sent_again() {
        let get = |said: &[(HeaderName, &'static str)]| answer(&Method::GET, "/", &headers(said)).unwrap();
        let tag = asset("/").unwrap().etag;
        for (given, is_had) in [(tag, true), ("*", true), ("\"other\"", false)] {
            let answer = get(&[(header::IF_NONE_MATCH, given)]);
            let expected = if is_had { StatusCode::NOT_MODIFIED } else { StatusCode::OK };
            assert_eq!(answer.status(), expected, "{given}");
            assert_eq!(answer.headers()[header::ETAG], tag);
        }
    }

    #[test]
    fn every_answer_has_the_policy_and_no_other_method_an_answer() {
        let none = HeaderMap::new();
        let found = answer(&Method::HEAD, "/style.css", &none).unwrap();
        let policy = found.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.contains("default-src 'self'") && !policy.contains("unsafe"), "{policy}");
        assert_eq!(found.headers()[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
        let refused = answer(&Method::POST, "/", &none).unwrap();
        assert_eq!(refused.status(), StatusCode::METHOD_NOT_ALLOWED);
        assert!(answer(&Method::GET, "/nothing", &none).is_none());
    }
}
