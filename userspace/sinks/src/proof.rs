//! By what a node and the servers that it sends results to know each other: passwords and certificates in files.
//!
//! Files are read whenever a connection is made, so that what is renewed counts from the next one on.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use tokio_rustls::rustls::RootCertStore;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;

/// Where systems keep the certificates that they trust: Debian and its kin, Fedora and its kin, openSUSE.
const TRUSTED: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem"];

/// Where what proves it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProofFiles {
    /// The password, in the first line.
    pub password: Option<PathBuf>,
    /// Certificates (PEM) of whoever signed the server's; in place of those that this machine trusts.
    pub ca: Option<PathBuf>,
}

impl ProofFiles {
    /// The password, where there is one.
    pub(crate) fn password(&self) -> Result<Option<String>, String> {
        let Some(file) = &self.password else { return Ok(None) };
        let text = fs::read_to_string(file)
            .map_err(|error| format!("password_file {} cannot be read: {error}", file.display()))?;
        match text.lines().next() {
            Some(password) if !password.is_empty() => Ok(Some(password.to_owned())),
            _ => Err(format!("password_file {} holds no password in its first line", file.display())),
        }
    }

    /// The certificates whose word is taken.
    pub(crate) fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, String> {
        if let Some(file) = &self.ca {
            return certificates(file).map_err(|what| format!("ca_file {what}"));
        }
        let named = env::var_os("SSL_CERT_FILE").map(PathBuf::from);
        let mut files = named.into_iter().chain(TRUSTED.map(PathBuf::from));
        files.find_map(|file| certificates(&file).ok()).ok_or_else(|| {
            "this machine has no list of certificates that it trusts; give ca_file, or install ca-certificates"
                .to_owned()
        })
    }

    /// The same, for TLS.
    pub(crate) fn roots(&self) -> Result<RootCertStore, String> {
        let mut roots = RootCertStore::empty();
        let (added, _) = roots.add_parsable_certificates(self.certificates()?);
        if added == 0 { Err("no certificate that is trusted can be read".to_owned()) } else { Ok(roots) }
    }
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let text = fs::read(file).map_err(|error| format!("{} cannot be read: {error}", file.display()))?;
    let found = CertificateDer::pem_slice_iter(&text).collect::<Result<Vec<_>, _>>();
    let found = found.map_err(|error| format!("{} is damaged: {error}", file.display()))?;
    if found.is_empty() {
        return Err(format!("{} holds no certificate as PEM", file.display()));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_files_is_said_without_what_they_hold() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("password");
        let files = ProofFiles { password: Some(file.clone()), ca: Some(file.clone()) };
        assert!(files.password().unwrap_err().contains("cannot be read: No such file"));
        fs::write(&file, "\nopen sesame\n").unwrap();
        assert!(files.password().unwrap_err().ends_with("holds no password in its first line"));
        fs::write(&file, "open sesame\nelse").unwrap();
        assert_eq!(files.password(), Ok(Some("open sesame".to_owned())));
        let wrong = files.certificates().unwrap_err();
        assert!(wrong.ends_with("holds no certificate as PEM") && !wrong.contains("sesame"), "{wrong}");
        assert_eq!(ProofFiles::default().password(), Ok(None));
    }
}
