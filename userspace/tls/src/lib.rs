//! By what a node proves that it is the one: a certificate, and the key that belongs to it; and whose word it takes.
//!
//! Takes two files of PEM, gives what agrees on keys with whoever connects, by whichever protocol; and with whom we
//! connect to. Both are checked as a whole before anybody is answered by them.

#![forbid(unsafe_code)]

mod client;
mod der;
mod subject;
mod trust;
mod validity;

pub use client::connector;
pub use subject::common_name;
pub use trust::trusted;

use crate::validity::Validity;
use ring::digest::{Context, SHA256};
use rustls::ServerConfig;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::{Error as PemError, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
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

/// Who has to prove by a certificate who he is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clients {
    /// Certificates (PEM) of whoever signs theirs.
    pub ca: PathBuf,
    /// Whether nobody is let in without one.
    pub is_required: bool,
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
        Self::read_with(files, protocol, None)
    }

    /// The same, where whoever connects proves by a certificate who he is.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn read_with(
        files: &TlsFiles,
        protocol: &str,
        clients: Option<&Clients>,
    ) -> Result<(Self, Vec<String>), String> {
        let (certificate, key) = (files.certificate.display(), files.key.display());
        let Pair { chain, own, found, texts: [chain_text, key_text] } = Pair::read(files)?;
        let mut warnings = vec![];
        if let Some(what) = Validity::of(&own).and_then(|validity| validity.warning(SystemTime::now())) {
            let mend = "put another one in its place, and tell the node by `tapline reload`";
            warnings.push(format!("the TLS certificate {certificate} {what}; {mend}"));
        }
        if is_read_by_others(&files.key) {
            warnings.push(format!(
                "all users of this machine may read the TLS key {key}; `chmod o= {key}` mends it"
            ));
        }
        let verifier = clients.map(verifier).transpose()?;
        let acceptor = acceptor(chain, found, protocol, verifier).map_err(|error| unusable(files, &error))?;
        let of_clients = clients.map(|clients| fs::read(&clients.ca).unwrap_or_default());
        let texts = [&chain_text[..], &key_text, &of_clients.unwrap_or_default()];
        Ok((Self { acceptor, fingerprint: fingerprint(&texts) }, warnings))
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

/// A certificate with its chain, and its key, as they are in files.
struct Pair {
    chain: Vec<CertificateDer<'static>>,
    own: CertificateDer<'static>,
    found: PrivateKeyDer<'static>,
    texts: [Vec<u8>; 2],
}

impl Pair {
    fn read(files: &TlsFiles) -> Result<Self, String> {
        let (certificate, key) = (files.certificate.display(), files.key.display());
        let chain_text = read(&files.certificate, "certificate")?;
        let key_text = read(&files.key, "key")?;
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&chain_text).collect();
        let chain = chain.map_err(|error| damaged(&files.certificate, &error))?;
        let Some(own) = chain.first().cloned() else {
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
        Ok(Self { chain, own, found, texts: [chain_text, key_text] })
    }
}

/// Why a pair cannot be used.
fn unusable(files: &TlsFiles, error: &rustls::Error) -> String {
    let (certificate, key) = (files.certificate.display(), files.key.display());
    match error {
        rustls::Error::InconsistentKeys(_) => {
            format!("the TLS key {key} is not that of the certificate {certificate}; give both of one pair")
        }
        error => format!("the TLS certificate {certificate} with the key {key} cannot be used: {error}"),
    }
}

/// What checks the certificates of whoever connects.
fn verifier(clients: &Clients) -> Result<Arc<dyn ClientCertVerifier>, String> {
    let roots = Arc::new(trust::roots(Some(&clients.ca))?);
    let builder = WebPkiClientVerifier::builder_with_provider(roots, Arc::new(default_provider()));
    let builder = if clients.is_required { builder } else { builder.allow_unauthenticated() };
    builder.build().map_err(|error| format!("{} cannot be used: {error}", clients.ca.display()))
}

fn acceptor(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    protocol: &str,
    clients: Option<Arc<dyn ClientCertVerifier>>,
) -> Result<TlsAcceptor, rustls::Error> {
    let builder = ServerConfig::builder_with_provider(Arc::new(default_provider()));
    let builder = builder.with_safe_default_protocol_versions()?;
    let builder = match clients {
        Some(clients) => builder.with_client_cert_verifier(clients),
        None => builder.with_no_client_auth(),
    };
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
