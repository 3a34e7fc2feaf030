//! Passwords by SCRAM-SHA-256 (RFC 5802, RFC 7677): neither side tells the other one, nor whoever reads along.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::rand::{SecureRandom as _, SystemRandom};
use ring::{digest, hmac, pbkdf2};
use std::num::NonZeroU32;

/// What it is called in the protocol.
pub(crate) const MECHANISM: &str = "SCRAM-SHA-256";
/// How often a password is hashed, as PostgreSQL has it.
const ITERATIONS: NonZeroU32 = NonZeroU32::new(4096).expect("it is not 0");
const SALT_OCTETS: usize = 16;
const NONCE_OCTETS: usize = 18;
const HASH_OCTETS: usize = digest::SHA256_OUTPUT_LEN;

/// What a password is told by, which is not the password.
#[derive(Clone)]
pub(crate) struct Verifier {
    salt: String,
    stored_key: Vec<u8>,
    server_key: hmac::Key,
}

impl PartialEq for Verifier {
    /// A key that clients show is of one password and salt.
    fn eq(&self, other: &Self) -> bool {
        self.salt == other.salt && self.stored_key == other.stored_key
    }
}

/// A client that has begun to show that it knows the password.
pub(crate) struct Challenge<'a> {
    verifier: &'a Verifier,
    /// What the client's header is said again by.
    binding: String,
    nonce: String,
    /// What both have said so far.
    said: String,
}

impl Verifier {
    /// Of a password.
    ///
    /// # Errors
    /// When the machine gives no random octets.
    pub(crate) fn of(password: &str) -> Result<Self, String> {
        Ok(Self::salted(password, &random::<SALT_OCTETS>()?, ITERATIONS))
    }

    /// Whether it is of this password.
    pub(crate) fn is_of(&self, password: &str) -> bool {
        let salt = STANDARD.decode(&self.salt).unwrap_or_default();
        Self::salted(password, &salt, ITERATIONS) == *self
    }

    fn salted(password: &str, salt: &[u8], iterations: NonZeroU32) -> Self {
        let mut salted = [0; HASH_OCTETS];
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, iterations, salt, password.as_bytes(), &mut salted);
        let salted = hmac::Key::new(hmac::HMAC_SHA256, &salted);
        let client_key = hmac::sign(&salted, b"Client Key");
        let server_key = hmac::sign(&salted, b"Server Key");
        Self {
            salt: STANDARD.encode(salt),
            stored_key: digest::digest(&digest::SHA256, client_key.as_ref()).as_ref().to_vec(),
            server_key: hmac::Key::new(hmac::HMAC_SHA256, server_key.as_ref()),
        }
    }

    /// What is answered to a client that begins; `None` when it does not begin as it should.
    pub(crate) fn challenge(&self, first: &[u8]) -> Option<(Challenge<'_>, String)> {
        let own = random::<NONCE_OCTETS>().ok()?;
        self.challenge_by(first, &STANDARD.encode(own))
    }

    fn challenge_by(&self, first: &[u8], own: &str) -> Option<(Challenge<'_>, String)> {
        let first = str::from_utf8(first).ok()?;
        let (flag, rest) = first.split_once(',')?;
        let (identity, bare) = rest.split_once(',')?;
        // A channel is not bound here, which clients may say that they have seen.
        if !matches!(flag, "n" | "y") || !(identity.is_empty() || identity.starts_with("a=")) {
            return None;
        }
        let (user, nonce) = bare.split_once(',')?;
        let nonce = nonce.strip_prefix("r=").filter(|_| user.starts_with("n="))?;
        let nonce = nonce.split(',').next().filter(|nonce| !nonce.is_empty())?;
        let nonce = format!("{nonce}{own}");
        let answer = format!("r={nonce},s={},i={ITERATIONS}", self.salt);
        let binding = STANDARD.encode(format!("{flag},{identity},"));
        let said = format!("{bare},{answer}");
        Some((Challenge { verifier: self, binding, nonce, said }, answer))
    }
}

impl Challenge<'_> {
    /// By what this side shows that it knows the password, too; `None` when the client does not.
    pub(crate) fn verify(&self, last: &[u8]) -> Option<String> {
        let last = str::from_utf8(last).ok()?;
        let (without_proof, proof) = last.rsplit_once(",p=")?;
        let said = format!("c={},r={}", self.binding, self.nonce);
        if without_proof != said {
            return None;
        }
        let all = format!("{},{without_proof}", self.said);
        let stored_key = hmac::Key::new(hmac::HMAC_SHA256, &self.verifier.stored_key);
        let signature = hmac::sign(&stored_key, all.as_bytes());
        let proof = STANDARD.decode(proof).ok().filter(|proof| proof.len() == HASH_OCTETS)?;
        let client_key: Vec<u8> = proof.iter().zip(signature.as_ref()).map(|(a, b)| a ^ b).collect();
        let hashed = digest::digest(&digest::SHA256, &client_key);
        let differences = hashed.as_ref().iter().zip(&self.verifier.stored_key);
        let are_equal = differences.fold(0, |differences, (a, b)| differences | (a ^ b)) == 0;
        let answer = || STANDARD.encode(hmac::sign(&self.verifier.server_key, all.as_bytes()));
        are_equal.then(|| format!("v={}", answer()))
    }
}

/// Octets that nobody can foresee.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], String> {
    let mut octets = [0; N];
    let filled = SystemRandom::new().fill(&mut octets);
    filled.map_err(|_| "this machine gives no random octets".to_owned())?;
    Ok(octets)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 7677, section 3.
    const FIRST: &[u8] = b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
    const OWN: &str = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
    const LAST: &str = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";

    fn verifier(password: &str) -> Verifier {
        let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        Verifier::salted(password, &salt, ITERATIONS)
    }

    #[test]
    fn the_example_of_the_standard_holds() {
        let verifier = verifier("pencil");
        let (challenge, answer) = verifier.challenge_by(FIRST, OWN).unwrap();
        let expected =
            "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
        assert_eq!(answer, expected);
        let proof = challenge.verify(LAST.as_bytes()).unwrap();
        assert_eq!(proof, "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
    }

    #[test]
    fn whoever_does_not_know_the_password_is_refused() {
        let wrong = verifier("pencils");
        let (challenge, _) = wrong.challenge_by(FIRST, OWN).unwrap();
        assert_eq!(challenge.verify(LAST.as_bytes()), None);
        let right = verifier("pencil");
        let (challenge, _) = right.challenge_by(FIRST, OWN).unwrap();
        for wrong in [
            "",
            "p=",
            ",p=",
            LAST.replace("c=biws", "c=eSws").as_str(),
            LAST.replace("hNlF", "hNlG").as_str(),
            &LAST[..90],
        ] {
            assert_eq!(challenge.verify(wrong.as_bytes()), None, "{wrong}");
        }
    }

    #[test]
    fn whoever_begins_otherwise_is_refused() {
        let verifier = verifier("pencil");
        for wrong in [
            "",
            "n",
            "n,",
            "n,,",
            "n,,n=user",
            "n,,r=a,n=b",
            "p=tls-unique,,n=,r=a",
            "n,,n=,r=",
            "n,x,n=,r=a",
        ] {
            assert!(verifier.challenge(wrong.as_bytes()).is_none(), "{wrong}");
        }
        assert!(verifier.challenge(b"\xff").is_none());
        assert!(verifier.challenge(b"y,,n=,r=a").is_some());
    }
}
