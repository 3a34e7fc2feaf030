//! Tokens of sensors: a file of lines, a name and the SHA-256 of the token that whoever is called so brings.
//!
//! One token on several lines is of several names. Only digests are kept, and comparing says by nothing, not by its
//! time either, how much of a wrong one was right.

use ring::digest::{SHA256, SHA256_OUTPUT_LEN, digest};
use std::fs;
use std::path::Path;
use subtle::ConstantTimeEq as _;
use tapline_delivery::SensorName;

/// Octets of the file, at most.
const FILE_OCTETS_MAX: u64 = 16 << 20;
/// Octets of a name.
const NAME_OCTETS_MAX: usize = 128;

/// Names, and by which token each is proved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tokens(Vec<(SensorName, [u8; SHA256_OUTPUT_LEN])>);

impl Tokens {
    /// Reads the file.
    ///
    /// # Errors
    /// A sentence that names the line.
    pub(crate) fn read(path: &Path) -> Result<Self, String> {
        let shown = path.display();
        let cannot = |error: std::io::Error| format!("the tokens {shown} cannot be read: {error}");
        let octets = fs::metadata(path).map_err(cannot)?.len();
        if octets > FILE_OCTETS_MAX {
            return Err(format!(
                "{shown} has {octets} octets, more than the {FILE_OCTETS_MAX} of a file of tokens"
            ));
        }
        let text = fs::read_to_string(path).map_err(cannot)?;
        let mut tokens = vec![];
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let token = of_line(line).ok_or_else(|| {
                format!(
                    "line {} of {shown} is to be the name of a sensor and 64 hexadecimal digits; `printf %s TOKEN | \
                     sha256sum` prints them",
                    number + 1
                )
            })?;
            tokens.push(token);
        }
        Ok(Self(tokens))
    }

    /// The names of whoever brings this token.
    pub(crate) fn names(&self, brought: &[u8]) -> Vec<SensorName> {
        let brought = digest(&SHA256, brought);
        let is_it = |token: &[u8]| bool::from(token.ct_eq(brought.as_ref()));
        self.0.iter().filter(|(_, token)| is_it(token)).map(|(name, _)| name.clone()).collect()
    }
}

/// Whether somebody may be called so: it stands in files and on terminals.
pub(crate) fn is_name(name: &str) -> bool {
    (1..=NAME_OCTETS_MAX).contains(&name.len())
        && name.chars().all(|letter| !letter.is_control() && !letter.is_whitespace())
}

fn of_line(line: &str) -> Option<(SensorName, [u8; SHA256_OUTPUT_LEN])> {
    let (name, digits) = line.split_once(char::is_whitespace)?;
    let digits = digits.trim();
    let is_digits =
        digits.len() == 2 * SHA256_OUTPUT_LEN && digits.bytes().all(|octet| octet.is_ascii_hexdigit());
    let octet = |place: usize| u8::from_str_radix(digits.get(2 * place..2 * place + 2)?, 16).ok();
    let octets: Option<Vec<u8>> = (0..SHA256_OUTPUT_LEN).map(octet).collect();
    let octets = octets.filter(|_| is_digits && is_name(name))?;
    Some((SensorName::new(name), octets.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SHA-256 of `reads`, and of `changes`.
    const READS: &str = "3566cf23ecb6f832d67d1439e0cb3d05eb7f4ad702c6f478aa96f19812f18e8c";
    const CHANGES: &str = "d0b4ba2311b3e84977dc4bb320fe72cd85426f5cf14b487a4c5352ae3ad8cb37";

    #[test]
    fn a_token_is_of_the_names_on_its_lines() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens");
        fs::write(&path, format!("# sensors\n\n pop-1 {READS}\npop-2\t{CHANGES}\npop-3  {READS}\n")).unwrap();
        let tokens = Tokens::read(&path).unwrap();
        let names = |token: &str| {
            let names = tokens.names(token.as_bytes());
            names.iter().map(|name| name.as_str().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(
            (names("reads"), names("changes")),
            (vec!["pop-1".into(), "pop-3".into()], vec!["pop-2".into()])
        );
        assert!(names("read").is_empty() && names("").is_empty());
    }

    #[test]
    fn a_line_that_is_none_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens");
        let long = format!("{} {READS}", "x".repeat(129));
        let wrong = ["pop-1".to_owned(), format!("pop-1 {}", &READS[1..]), format!("pop-1 {READS} x"), long];
        for line in wrong {
            fs::write(&path, format!("pop-0 {READS}\n{line}\n")).unwrap();
            let said = Tokens::read(&path).unwrap_err();
            assert!(
                said.starts_with("line 2 of ") && said.contains("64 hexadecimal digits"),
                "{line}: {said}"
            );
        }
        assert!(Tokens::read(&folder.path().join("none")).unwrap_err().contains("cannot be read"));
    }
}
