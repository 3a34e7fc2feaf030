//! Whose certificates are trusted, of whoever speaks TLS.

use std::path::Path;
use ureq::tls::Certificate;

/// Those in this file, or else those that this machine trusts; for requests over HTTP.
///
/// # Errors
/// A sentence, when there are none.
pub fn trusted_certificates(file: Option<&Path>) -> Result<Vec<Certificate<'static>>, String> {
    let found = tapline_tls::trusted(file)?;
    Ok(found.iter().map(|certificate| Certificate::from_der(certificate).to_owned()).collect())
}
