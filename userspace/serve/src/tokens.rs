//! Tokens: whoever brings one of them may ask a node, or change what it runs.
//!
//! Takes what names them, a file or a digest each; gives the one that somebody brings. Only digests are kept, and
//! comparing says by nothing, not by its time either, how much of a wrong one was right.

use ring::digest::{SHA256, SHA256_OUTPUT_LEN, digest};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use subtle::ConstantTimeEq as _;
use tapline_tls::is_read_by_others;

/// Characters of a token: fewer can be guessed, more are some other file.
const CHARACTERS_MIN: usize = 16;
const CHARACTERS_MAX: usize = 512;

/// What whoever brings a token may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum May {
    /// Ask, and explain queries.
    Read,
    /// Change what runs, too.
    Change,
}

/// How a token is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Secret {
    /// As the only line of a file.
    File(PathBuf),
    /// As its SHA-256, in 64 hexadecimal digits.
    Sha256(String),
}

/// A token as somebody names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenPlan {
    /// What it is called where it is spoken of.
    pub name: String,
    /// What it allows.
    pub may: May,
    /// Where it is.
    pub secret: Secret,
}

/// A token that is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) name: String,
    pub(crate) may: May,
    digest: [u8; SHA256_OUTPUT_LEN],
}

/// All that are known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tokens(Vec<Token>);

impl Tokens {
    /// Reads them; gives besides, in sentences, what is not wrong but should not be so.
    ///
    /// # Errors
    /// A sentence: two have one name or are one token, a file cannot be read, or what it holds is no token.
    pub(crate) fn read(plans: &[TokenPlan]) -> Result<(Self, Vec<String>), String> {
        let (mut names, mut tokens, mut warnings) = (BTreeSet::new(), Vec::<Token>::new(), vec![]);
        for TokenPlan { name, may, secret } in plans {
            let said = |wrong: String| format!("the token `{name}`: {wrong}");
            if !names.insert(name) {
                return Err(said("there are two of this name; give each one of its own".to_owned()));
            }
            let digest = match secret {
                Secret::File(path) => of_file(path).map_err(said)?,
                Secret::Sha256(text) => of_digits(text).map_err(said)?,
            };
            // Nobody could say what it allows.
            if let Some(same) = tokens.iter().find(|known| known.digest == digest) {
                return Err(said(format!("it is the same as `{}`; give each one of its own", same.name)));
            }
            if let Secret::File(path) = secret
                && is_read_by_others(path)
            {
                let path = path.display();
                warnings.push(said(format!(
                    "all users of this machine may read {path}; `chmod o= {path}` mends it"
                )));
            }
            tokens.push(Token { name: name.clone(), may: *may, digest });
        }
        Ok((Self(tokens), warnings))
    }

    /// Whether there is none.
    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The one that somebody brings.
    pub(crate) fn find(&self, brought: &[u8]) -> Option<&Token> {
        let brought = digest(&SHA256, brought);
        // Each is looked at, so that the time does not say which one it is.
        self.0.iter().fold(None, |found, token| {
            if bool::from(token.digest.as_slice().ct_eq(brought.as_ref())) { Some(token) } else { found }
        })
    }
}

/// The digest of the token in a file.
fn of_file(path: &Path) -> Result<[u8; SHA256_OUTPUT_LEN], String> {
    let shown = path.display();
    let text = fs::read_to_string(path).map_err(|error| format!("{shown} cannot be read: {error}"))?;
    let token = text.trim();
    let is_one_word = token.bytes().all(|octet| octet.is_ascii_graphic());
    if !is_one_word || !(CHARACTERS_MIN..=CHARACTERS_MAX).contains(&token.len()) {
        return Err(format!(
            "{shown} is to hold one line of {CHARACTERS_MIN} to {CHARACTERS_MAX} characters without spaces; \
             `openssl rand -hex 32 > {shown}` makes one"
        ));
    }
    exactly(digest(&SHA256, token.as_bytes()).as_ref()).ok_or_else(|| format!("{shown} has no digest"))
}

/// The digest that these digits are.
fn of_digits(text: &str) -> Result<[u8; SHA256_OUTPUT_LEN], String> {
    let is_digits =
        text.len() == 2 * SHA256_OUTPUT_LEN && text.bytes().all(|octet| octet.is_ascii_hexdigit());
    let octet = |place: usize| u8::from_str_radix(text.get(2 * place..2 * place + 2)?, 16).ok();
    let octets: Option<Vec<u8>> = (0..SHA256_OUTPUT_LEN).map(octet).collect();
    let octets = octets.filter(|_| is_digits).and_then(|octets| exactly(&octets));
    octets.ok_or_else(|| {
        "sha256 is to be 64 hexadecimal digits; `printf %s TOKEN | sha256sum` prints them".to_owned()
    })
}

fn exactly(octets: &[u8]) -> Option<[u8; SHA256_OUTPUT_LEN]> {
    octets.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const READER: &str = "0123456789abcdef";
    const CHANGER: &str = "fedcba9876543210";

    fn plan(name: &str, may: May, secret: Secret) -> TokenPlan {
        TokenPlan { name: name.to_owned(), may, secret }
    }

    #[test]
    fn the_one_that_somebody_brings_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        fs::write(&path, format!("{READER}\n")).unwrap();
        let changer = digest(&SHA256, CHANGER.as_bytes());
        let digits = changer.as_ref().iter().fold(String::new(), |text, octet| format!("{text}{octet:02X}"));
        let plans =
            [plan("page", May::Read, Secret::File(path)), plan("me", May::Change, Secret::Sha256(digits))];
        let (tokens, _) = Tokens::read(&plans).unwrap();
        let found =
            |brought: &str| tokens.find(brought.as_bytes()).map(|token| (token.name.as_str(), token.may));
        assert_eq!(found(READER), Some(("page", May::Read)));
        assert_eq!(found(CHANGER), Some(("me", May::Change)));
        for wrong in ["", "0123456789abcde", "0123456789abcdef\n", "0123456789abcdeF"] {
            assert_eq!(found(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn what_is_no_token_is_refused_with_what_would_be_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let of_text = |text: &str| {
            fs::write(&path, text).unwrap();
            Tokens::read(&[plan("a", May::Read, Secret::File(path.clone()))]).unwrap_err()
        };
        for text in ["", "short", "two words that are long", &"x".repeat(513), "sixteen characters\nand more"]
        {
            assert!(of_text(text).contains("is to hold one line of 16 to 512 characters"), "{text}");
        }
        let nowhere = plan("a", May::Read, Secret::File(folder.path().join("none")));
        assert!(Tokens::read(&[nowhere]).unwrap_err().contains("none cannot be read: No such file"));
        for digits in ["", "00", &"0".repeat(63), &"g".repeat(64), &"+0".repeat(32), &"é".repeat(32)] {
            let wrong = Tokens::read(&[plan("a", May::Read, Secret::Sha256(digits.to_owned()))]);
            assert!(wrong.unwrap_err().contains("64 hexadecimal digits"), "{digits}");
        }
        let of_name = |name: &str, may| plan(name, may, Secret::Sha256("0".repeat(64)));
        let twice = [of_name("a", May::Read), of_name("a", May::Read)];
        assert!(Tokens::read(&twice).unwrap_err().contains("two of this name"));
        let same = Tokens::read(&[of_name("a", May::Read), of_name("b", May::Change)]).unwrap_err();
        assert!(same.starts_with("the token `b`: it is the same as `a`"), "{same}");
    }
}
