//! Who may connect, and how.
//!
//! On loopback a password is asked for where one is set; elsewhere there must be one, and TLS, over which all
//! connections then go. What cannot be read is said before anything listens: nothing is served in plain text by
//! mistake.

use crate::scram::Verifier;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// The variable of the environment that may hold the password.
pub const PASSWORD_VARIABLE: &str = "TAPLINE_PSQL_PASSWORD";

/// What is said about who may connect.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct AccessOptions {
    /// The password.
    pub password: Option<String>,
    /// A file that holds it in its first line, in place of it.
    pub password_file: Option<PathBuf>,
    /// A file of certificates, the node's own first (PEM).
    pub certificate: Option<PathBuf>,
    /// The file of its key (PEM).
    pub key: Option<PathBuf>,
}

/// Who may connect, and how.
pub(crate) struct Access {
    pub(crate) verifier: Option<Verifier>,
    pub(crate) tls: Option<TlsAcceptor>,
    /// Whether all connections are to be encrypted.
    pub(crate) must_hide: bool,
}

impl Access {
    /// What these options mean for an address.
    ///
    /// # Errors
    /// A sentence: a file cannot be read, or what must be there is not.
    pub(crate) fn resolve(options: &AccessOptions, address: SocketAddr) -> Result<Self, String> {
        let password = match (&options.password, &options.password_file) {
            (_, Some(file)) => Some(password_in(file)?),
            (password, None) => password.clone(),
        };
        let tls = match (&options.certificate, &options.key) {
            (Some(certificate), Some(key)) => Some(acceptor(certificate, key)?),
            (None, None) => None,
            _ => {
                let sentence = "psql: a certificate needs a key, and a key a certificate; give psql_certificate and psql_key";
                return Err(sentence.to_owned());
            }
        };
        let must_hide = !address.ip().is_loopback();
        if must_hide && (password.is_none() || tls.is_none()) {
            return Err(format!(
                "psql cannot listen on {address}, which other machines reach, without a password and TLS; give psql_password_file, psql_certificate and psql_key, or listen on 127.0.0.1"
            ));
        }
        let verifier = password.as_deref().map(checked).transpose()?.map(Verifier::of).transpose()?;
        Ok(Self { verifier, tls, must_hide })
    }
}

fn password_in(file: &Path) -> Result<String, String> {
    let text = fs::read_to_string(file)
        .map_err(|error| format!("psql_password_file {} cannot be read: {error}", file.display()))?;
    let password = text.lines().next().unwrap_or_default();
    checked(password).map_err(|wrong| format!("psql_password_file {}: {wrong}", file.display()))?;
    Ok(password.to_owned())
}

/// Refuses what clients would write in several ways.
fn checked(password: &str) -> Result<&str, String> {
    if password.is_empty() {
        return Err("the password for psql is empty; leave it out where none is wanted".to_owned());
    }
    if !password.chars().all(|character| matches!(character, ' '..='~')) {
        return Err("the password for psql may have printable characters of ASCII only".to_owned());
    }
    Ok(password)
}

fn acceptor(certificate: &Path, key: &Path) -> Result<TlsAcceptor, String> {
    let read = |what: &str, path: &Path| {
        fs::read(path).map_err(|error| format!("{what} {} cannot be read: {error}", path.display()))
    };
    let no_certificate = |error: String| format!("psql_certificate {}: {error}", certificate.display());
    let pem = read("psql_certificate", certificate)?;
    let certificates = CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>();
    let certificates = certificates.map_err(|error| no_certificate(error.to_string()))?;
    if certificates.is_empty() {
        return Err(no_certificate(
            "it holds no certificate; it begins with -----BEGIN CERTIFICATE-----".to_owned(),
        ));
    }
    let private_key = PrivateKeyDer::from_pem_slice(&read("psql_key", key)?);
    let private_key = private_key
        .map_err(|error| format!("psql_key {} holds no private key in PEM: {error}", key.display()))?;
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(certificates, private_key));
    let mut config = config.map_err(|error| {
        let (certificate, key) = (certificate.display(), key.display());
        format!("psql_certificate {certificate} and psql_key {key} do not go together: {error}")
    })?;
    config.alpn_protocols = vec![b"postgresql".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(options: &AccessOptions, address: &str) -> Result<Access, String> {
        Access::resolve(options, address.parse().unwrap())
    }

    fn refusal(options: &AccessOptions, address: &str) -> String {
        resolve(options, address).err().unwrap()
    }

    #[test]
    fn loopback_may_do_without_and_others_may_not() {
        let nothing = AccessOptions::default();
        let access = resolve(&nothing, "127.0.0.1:8791").unwrap();
        assert!(access.verifier.is_none() && access.tls.is_none() && !access.must_hide);
        assert!(refusal(&nothing, "0.0.0.0:8791").contains("without a password and TLS"));
        let password = AccessOptions { password: Some("secret".to_owned()), ..nothing };
        assert!(resolve(&password, "[::1]:8791").unwrap().verifier.is_some());
        assert!(refusal(&password, "[::]:8791").contains("without a password and TLS"));
    }

    #[test]
    fn what_cannot_be_read_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| Some(folder.path().join(name));
        fs::write(folder.path().join("empty"), "\n").unwrap();
        let cases = [
            (AccessOptions { password_file: path("no"), ..AccessOptions::default() }, "cannot be read"),
            (AccessOptions { password_file: path("empty"), ..AccessOptions::default() }, "is empty"),
            (AccessOptions { certificate: path("no"), ..AccessOptions::default() }, "needs a key"),
            (
                AccessOptions { certificate: path("no"), key: path("no"), ..AccessOptions::default() },
                "psql_certificate",
            ),
            (
                AccessOptions { certificate: path("empty"), key: path("no"), ..AccessOptions::default() },
                "holds no certificate",
            ),
            (AccessOptions { password: Some("ü".to_owned()), ..AccessOptions::default() }, "of ASCII only"),
        ];
        for (options, expected) in cases {
            let said = refusal(&options, "127.0.0.1:8791");
            assert!(said.contains(expected), "{said}");
        }
    }
}
