//! Whose certificates are trusted, of whoever speaks TLS.

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};

/// Where systems keep the certificates that they trust: Debian and its kin, Fedora and its kin, openSUSE.
const TRUSTED: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem"];

/// Those in this file, or else those that this machine trusts.
///
/// # Errors
/// A sentence, when there are none.
pub fn trusted(file: Option<&Path>) -> Result<Vec<CertificateDer<'static>>, String> {
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

/// The same, to check others by.
pub(crate) fn roots(file: Option<&Path>) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(trusted(file)?);
    if added == 0 { Err("no certificate that is trusted can be read".to_owned()) } else { Ok(roots) }
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
