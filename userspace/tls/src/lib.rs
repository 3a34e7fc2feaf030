//! By what a node proves that it is the one: a certificate, and the key that belongs to it.
//!
//! Takes two files of PEM, gives what agrees on keys with whoever connects, by whichever protocol. Both are checked as a
//! whole before anybody is answered by them.

#![forbid(unsafe_code)]

mod validity;

use crate::validity::Validity;
use ring::digest::{Context, SHA256};
use rustls::ServerConfig;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::{Error as PemError, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;
use tokio_rustls::TlsAcceptor;

/// Where the certificate of a node is, and its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate of the node as PEM, and behind it those of whoever signed it.
    pub certificate: PathBuf,
    /// The key that belongs to it, as PEM.
    pub key: PathBuf,
}

/// A certificate with its key, ready to be used.
pub struct Tls {
    acceptor: TlsAcceptor,
    fingerprint: Vec<u8>,
}

impl Tls {
    /// Reads both files, for who speaks this protocol (by its name for ALPN, RFC 7301); gives besides, in sentences, what
    /// is not wrong but should not be so.
    ///
    /// # Errors
    /// A sentence: a file cannot be read, lacks what it is for, or the key is not that of the certificate.
    pub fn read(files: &TlsFiles, protocol: &str) -> Result<(Self, Vec<String>), String> {
        let (certificate, key) = (files.certificate.display(), files.key.display());
        let chain_text = read(&files.certificate, "certificate")?;
        let key_text = read(&files.key, "key")?;
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&chain_text).collect();
        let chain = chain.map_err(|error| damaged(&files.certificate, &error))?;
        let Some(own) = chain.first() else {
            return Err(format!(
                "{certificate} holds no certificate; give the certificate of the node as PEM, which begins with \
                 -----BEGIN CERTIFICATE-----"
            ));
        };
        let found = PrivateKeyDer::from_pem_slice(&key_text).map_err(|error| match error {
            PemError::NoItemsFound => format!(
                "{key} holds no private key; give the key of {certificate} as PEM and without a password, which \
                 begins with -----BEGIN PRIVATE KEY-----"
            ),
            error => damaged(&files.key, &error),
        })?;
        let mut warnings = vec![];
        if let Some(what) = Validity::of(own).and_then(|validity| validity.warning(SystemTime::now())) {
            let mend = "put another one in its place, and tell the node by `tapline reload`";
            warnings.push(format!("the TLS certificate {certificate} {what}; {mend}"));
        }
        if is_read_by_others(&files.key) {
            warnings.push(format!(
                "all users of this machine may read the TLS key {key}; `chmod o= {key}` mends it"
            ));
        }
        let acceptor = acceptor(chain, found, protocol).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => {
                format!(
                    "the TLS key {key} is not that of the certificate {certificate}; give both of one pair"
                )
            }
            error => format!("the TLS certificate {certificate} with the key {key} cannot be used: {error}"),
        })?;
        Ok((Self { acceptor, fingerprint: fingerprint(&[&chain_text, &key_text]) }, warnings))
    }

    /// What agrees on keys with whoever connects.
    #[must_use]
    pub const fn acceptor(&self) -> &TlsAcceptor {
        &self.acceptor
    }

    /// Whether what is used from now on is of another certificate and key than before, or one of them is none.
    #[must_use]
    pub fn is_other(before: Option<&Self>, now: Option<&Self>) -> bool {
        before.map(|tls| &tls.fingerprint) != now.map(|tls| &tls.fingerprint)
    }
}

fn acceptor(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    protocol: &str,
) -> Result<TlsAcceptor, rustls::Error> {
    let builder = ServerConfig::builder_with_provider(Arc::new(default_provider()));
    let builder = builder.with_safe_default_protocol_versions()?.with_no_client_auth();
    let mut config = builder.with_single_cert(chain, key)?;
    config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn read(path: &Path, what: &str) -> Result<Vec<u8>, String> {
    fs::read(path).map_err(|error| format!("the TLS {what} {} cannot be read: {error}", path.display()))
}

fn damaged(path: &Path, error: &PemError) -> String {
    let what = match error {
        PemError::MissingSectionEnd { .. } => "a section of it has no end".to_owned(),
        PemError::IllegalSectionStart { .. } => "a section of it has no beginning".to_owned(),
        error => error.to_string(),
    };
    format!("{} is no PEM: {what}; write it anew", path.display())
}

/// Whether others than its owner and its group may read a file.
#[must_use]
pub fn is_read_by_others(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|file| file.permissions().mode() & 0o004 != 0)
}

fn fingerprint(texts: &[&[u8]]) -> Vec<u8> {
    let mut context = Context::new(&SHA256);
    for text in texts {
        context.update(&(text.len() as u64).to_le_bytes());
        context.update(text);
    }
    context.finish().as_ref().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_a_file_is_said_with_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("empty"), "").unwrap();
        fs::write(path("cut"), "-----BEGIN CERTIFICATE-----\nAAAA\n").unwrap();
        fs::write(path("other"), "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
        let cases = [
            ("nothing", "empty", "the TLS certificate ", "nothing cannot be read: No such file"),
            ("empty", "nothing", "the TLS key ", "nothing cannot be read: No such file"),
            ("empty", "empty", "", "empty holds no certificate; give the certificate of the node as PEM"),
            ("cut", "empty", "", "cut is no PEM: a section of it has no end"),
            ("other", "empty", "", "empty holds no private key; give the key of "),
        ];
        for (certificate, key, begin, part) in cases {
            let files = TlsFiles { certificate: path(certificate), key: path(key) };
            let Err(said) = Tls::read(&files, "http/1.1") else {
                panic!("{certificate} and {key} are taken")
            };
            assert!(said.starts_with(begin) && said.contains(part), "{said}");
        }
    }

    #[test]
    fn other_contents_have_another_fingerprint() {
        assert_eq!(fingerprint(&[b"ab", b"c"]), fingerprint(&[b"ab", b"c"]));
        assert_ne!(fingerprint(&[b"ab", b"c"]), fingerprint(&[b"a", b"bc"]));
    }
}
