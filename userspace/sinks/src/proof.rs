//! By what a node and the servers that it sends results to know each other: passwords and certificates in files.
//!
//! Files are read whenever a connection is made, so that what is renewed counts from the next one on.

use std::fs;
use std::path::PathBuf;
use tokio_rustls::rustls::RootCertStore;
use tokio_rustls::rustls::pki_types::CertificateDer;

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
        tapline_tls::trusted(self.ca.as_deref()).map_err(|what| format!("ca_file: {what}"))
    }

    /// The same, for TLS.
    pub(crate) fn roots(&self) -> Result<RootCertStore, String> {
        let mut roots = RootCertStore::empty();
        let (added, _) = roots.add_parsable_certificates(self.certificates()?);
        if added == 0 { Err("no certificate that is trusted can be read".to_owned()) } else { Ok(roots) }
    }
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
