//! The file that says by what tokens of sensors are known: a line each, a name and the SHA-256 of its token.

use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom as _, SystemRandom};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use tapline_exports::put_whole;

/// Octets of a token that is made.
const TOKEN_OCTETS: usize = 32;

/// The file of tokens.
#[derive(Debug)]
pub(super) struct TokenFile {
    path: PathBuf,
    is_ours: bool,
}

impl TokenFile {
    /// Opens it; where it is ours and is not there, an empty one is made, so that nobody is let in without a token.
    ///
    /// # Errors
    /// A sentence, when it cannot be made.
    pub(super) fn open(path: &Path, is_ours: bool) -> Result<Self, String> {
        let file = Self { path: path.to_owned(), is_ours };
        if is_ours && !path.exists() {
            file.write("")?;
        }
        Ok(file)
    }

    /// Makes a token for a sensor in place of another one of it; gives it, and the line that is to be added by hand where
    /// the file is not ours.
    ///
    /// # Errors
    /// A sentence, when there are no numbers at random, or the file cannot be read or written.
    pub(super) fn make(&self, sensor: &str) -> Result<(String, Option<String>), String> {
        let mut octets = [0; TOKEN_OCTETS];
        SystemRandom::new()
            .fill(&mut octets)
            .map_err(|_| "this machine has no numbers at random".to_owned())?;
        let token = hexadecimal(&octets);
        let line = format!("{sensor} {}", hexadecimal(digest(&SHA256, token.as_bytes()).as_ref()));
        if !self.is_ours {
            return Ok((token, Some(line)));
        }
        let said = |error| format!("{} cannot be read: {error}", self.path.display());
        let text = fs::read_to_string(&self.path).map_err(said)?;
        let others = text.lines().filter(|line| line.split_whitespace().next() != Some(sensor));
        let all: Vec<&str> = others.chain([line.as_str()]).collect();
        self.write(&(all.join("\n") + "\n")).map(|()| (token, None))
    }

    fn write(&self, text: &str) -> Result<(), String> {
        let written = put_whole(&self.path, |file| file.write_all(text.as_bytes()));
        written.map_err(|error| format!("{} cannot be written: {error}", self.path.display()))
    }
}

fn hexadecimal(octets: &[u8]) -> String {
    let mut digits = String::with_capacity(2 * octets.len());
    for octet in octets {
        let _ = write!(digits, "{octet:02x}");
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sensor_has_one_token_and_others_keep_theirs() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens");
        let file = TokenFile::open(&path, true).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "");
        let made = ["a", "b", "a"].map(|name| file.make(name).unwrap());
        assert!(made.iter().all(|(token, line)| token.len() == 64 && line.is_none()));
        let text = fs::read_to_string(&path).unwrap();
        let names: Vec<&str> =
            text.lines().filter_map(|line| line.split_once(' ')).map(|(name, _)| name).collect();
        assert_eq!(names, ["b", "a"]);
        let digest = hexadecimal(digest(&SHA256, made[2].0.as_bytes()).as_ref());
        assert!(text.ends_with(&format!("a {digest}\n")) && !text.contains(&made[2].0), "{text}");
    }

    #[test]
    fn a_file_of_somebody_else_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens");
        let file = TokenFile::open(&path, false).unwrap();
        let (token, line) = file.make("a").unwrap();
        assert!(!path.exists() && line.unwrap().starts_with("a ") && token.len() == 64);
    }
}
