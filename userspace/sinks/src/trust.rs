//! Whose certificates are trusted, of whoever speaks TLS.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use ureq::tls::Certificate;

/// Where systems keep the certificates that they trust: Debian and its kin, Fedora and its kin, openSUSE.
const TRUSTED: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem"];

/// Those in this file, or else those that this machine trusts; for requests over HTTP.
///
/// # Errors
/// A sentence, when there are none.
pub fn trusted_certificates(file: Option<&Path>) -> Result<Vec<Certificate<'static>>, String> {
    let found = certificates(file)?;
    Ok(found.iter().map(|certificate| Certificate::from_der(certificate).to_owned()).collect())
}

/// The same, as they are.
pub(crate) fn certificates(file: Option<&Path>) -> Result<Vec<CertificateDer<'static>>, String> {
    if let Some(file) = file {
        return read(file);
    }
    let named = env::var_os("SSL_CERT_FILE").map(PathBuf::from);
    let mut files = named.into_iter().chain(TRUSTED.map(PathBuf::from));
    files.find_map(|file| read(&file).ok()).ok_or_else(|| {
        "this machine has no list of certificates that it trusts; name a file with that of whoever signed the other's, \
         or install ca-certificates"
            .to_owned()
    })
}

fn read(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let text = fs::read(file).map_err(|error| format!("{} cannot be read: {error}", file.display()))?;
    let found = CertificateDer::pem_slice_iter(&text).collect::<Result<Vec<_>, _>>();
    let found = found.map_err(|error| format!("{} is damaged: {error}", file.display()))?;
    if found.is_empty() {
        return Err(format!("{} holds no certificate as PEM", file.display()));
    }
    Ok(found)
}
