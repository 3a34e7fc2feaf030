//! What a request brings to prove that it may be answered.
//!
//! Takes the head of a request, gives the token in it: of `Authorization: Bearer`, as programs write it, or the
//! password of `Authorization: Basic`, for which browsers ask by themselves, and which they then send by themselves.

use axum::http::{HeaderMap, header};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

/// What somebody brings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Credentials {
    Nothing,
    /// A token; a browser sends it by itself, whoever's page asks, unless somebody wrote the request.
    Token {
        token: Vec<u8>,
        is_sent_by_itself: bool,
    },
    /// Something that is none.
    Unreadable,
}

impl Credentials {
    /// Those of a request.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let Some(value) = headers.get(header::AUTHORIZATION) else { return Self::Nothing };
        let Some((scheme, value)) = value.to_str().ok().and_then(|value| value.trim().split_once(' ')) else {
            return Self::Unreadable;
        };
        let value = value.trim();
        if scheme.eq_ignore_ascii_case("bearer") {
            return Self::Token { token: value.as_bytes().to_vec(), is_sent_by_itself: false };
        }
        let password = if scheme.eq_ignore_ascii_case("basic") { password(value) } else { None };
        password.map_or(Self::Unreadable, |token| Self::Token { token, is_sent_by_itself: true })
    }
}

/// What stands behind the name of a user, which is any.
fn password(value: &str) -> Option<Vec<u8>> {
    let pair = BASE64_STANDARD.decode(value).ok()?;
    let colon = pair.iter().position(|octet| *octet == b':')?;
    pair.get(colon + 1..).map(<[u8]>::to_vec)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_found_in_either_way() {
        let token =
            |token: &str, is_sent_by_itself| Credentials::Token { token: token.into(), is_sent_by_itself };
        let cases = [
            ("Bearer abc", token("abc", false)),
            ("bearer  abc ", token("abc", false)),
            ("Basic YW55OmFiYw==", token("abc", true)),
            ("BASIC OmFiYzpk", token("abc:d", true)),
            ("Basic YW55", Credentials::Unreadable),
            ("Basic !", Credentials::Unreadable),
            ("Digest abc", Credentials::Unreadable),
            ("abc", Credentials::Unreadable),
            ("", Credentials::Unreadable),
        ];
        for (text, expected) in cases {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, text.parse().unwrap());
            assert_eq!(Credentials::of(&headers), expected, "{text}");
        }
        assert_eq!(Credentials::of(&HeaderMap::new()), Credentials::Nothing);
    }
}
