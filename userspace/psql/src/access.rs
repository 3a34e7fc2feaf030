//! Who may connect, and how.
//!
//! On loopback a password is asked for where one is set; elsewhere there must be one, and TLS, over which all
//! connections then go. What cannot be read is said before anything listens: nothing is served in plain text by
//! mistake. All of it can be renewed while clients are connected, and what is wrong with the new changes nothing.

use crate::scram::Verifier;
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use tapline_catalog::{Level, Log};
use tapline_tls::{Tls, TlsFiles, is_read_by_others};
use tokio_rustls::TlsAcceptor;

/// The variable of the environment that may hold the password.
pub const PASSWORD_VARIABLE: &str = "TAPLINE_PSQL_PASSWORD";

/// What is spoken over TLS.
const PROTOCOL: &str = "postgresql";

/// What is said about who may connect.
#[derive(Clone, Default)]
pub struct AccessOptions {
    /// The password.
    pub password: Option<String>,
    /// A file that holds it in its first line, in place of it.
    pub password_file: Option<PathBuf>,
    /// The certificate by which connections are encrypted, and its key.
    pub tls: Option<TlsFiles>,
}

/// Who may connect to an address, and how.
pub struct Access {
    address: SocketAddr,
    terms: RwLock<Arc<Terms>>,
    log: Log,
}

/// What is renewed; a connection begins by those that hold then.
pub(crate) struct Terms {
    pub(crate) verifier: Option<Verifier>,
    tls: Option<Tls>,
    /// Whether all connections are to be encrypted.
    pub(crate) must_hide: bool,
    /// What is not wrong but should not be so, in sentences.
    warnings: Vec<String>,
}

impl Access {
    /// What these options mean for an address.
    ///
    /// # Errors
    /// A sentence: a file cannot be read, or what must be there is not.
    pub fn open(address: SocketAddr, options: &AccessOptions, log: Log) -> Result<Self, String> {
        let terms = Terms::of(options, address, None)?;
        terms.warnings.iter().for_each(|warning| log.say(Level::Warning, warning));
        Ok(Self { address, terms: RwLock::new(Arc::new(terms)), log })
    }

    /// What options mean now, for connections that begin from here on; gives what has changed.
    ///
    /// # Errors
    /// As [`Self::open`]; then nothing changes.
    pub fn renew(&self, options: &AccessOptions) -> Result<Vec<String>, String> {
        let before = self.terms();
        let terms = Terms::of(options, self.address, Some(&before))?;
        let is_new = |warning: &&String| !before.warnings.contains(warning);
        terms.warnings.iter().filter(is_new).for_each(|warning| self.log.say(Level::Warning, warning));
        let has_other_certificate = Tls::is_other(before.tls.as_ref(), terms.tls.as_ref());
        let has_other_password = before.verifier != terms.verifier;
        let changes =
            [("certificate of psql", has_other_certificate), ("password of psql", has_other_password)];
        *self.terms.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(terms);
        let changes = changes.into_iter().filter(|(_, has_changed)| *has_changed);
        Ok(changes.map(|(what, _)| what.to_owned()).collect())
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Those that hold now.
    pub(crate) fn terms(&self) -> Arc<Terms> {
        Arc::clone(&self.terms.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Terms {
    fn of(options: &AccessOptions, address: SocketAddr, before: Option<&Self>) -> Result<Self, String> {
        let mut warnings = vec![];
        let password = match (&options.password, &options.password_file) {
            (_, Some(file)) => {
                if is_read_by_others(file) {
                    let file = file.display();
                    warnings.push(format!(
                        "all users of this machine may read the password of psql in {file}; `chmod o= {file}` mends it"
                    ));
                }
                Some(password_in(file)?)
            }
            (password, None) => password.clone(),
        };
        let must_hide = !address.ip().to_canonical().is_loopback();
        if must_hide {
            check(address, password.is_some(), options.tls.is_some())?;
        }
        let tls = options.tls.as_ref().map(|files| Tls::read(files, PROTOCOL)).transpose();
        let (tls, of_tls) = tls.map_err(|wrong| format!("psql: {wrong}"))?.unzip();
        warnings.extend(of_tls.into_iter().flatten().map(|warning| format!("psql: {warning}")));
        let verifier = password.as_deref().map(checked).transpose()?;
        // One that is the same stays, so that it can be told that it is.
        let known = before.and_then(|before| before.verifier.as_ref());
        let verifier = verifier.map(|password| match known.filter(|known| known.is_of(password)) {
            Some(known) => Ok(known.clone()),
            None => Verifier::of(password),
        });
        Ok(Self { verifier: verifier.transpose()?, tls, must_hide, warnings })
    }

    /// What agrees on keys with a client, where there is a certificate.
    pub(crate) fn acceptor(&self) -> Option<&TlsAcceptor> {
        self.tls.as_ref().map(Tls::acceptor)
    }
}

/// Refuses an address that others reach, where not both are given.
fn check(address: SocketAddr, has_password: bool, has_tls: bool) -> Result<(), String> {
    let missing = match (has_password, has_tls) {
        (true, true) => return Ok(()),
        (false, false) => "--psql-password-file FILE, --tls-certificate FILE and --tls-key FILE",
        (true, false) => "--tls-certificate FILE and --tls-key FILE",
        (false, true) => "--psql-password-file FILE",
    };
    Err(format!(
        "psql cannot listen on {address}, which other machines reach, without a password and TLS; add {missing}, or the \
         same in --config FILE ([node] psql_password_file, tls_certificate, tls_key), or let it listen on {}",
        SocketAddr::new(IpAddr::from([127, 0, 0, 1]), address.port())
    ))
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

#[cfg(test)]
mod tests {
    use super::*;
    use tapline_sources::Notice;

    struct Silent;

    impl tapline_catalog::Tell for Silent {
        fn say(&self, _: Level, _: &str) {}

        fn notice(&self, _: &Notice) {}
    }

    fn open(options: &AccessOptions, address: &str) -> Result<Access, String> {
        Access::open(address.parse().unwrap(), options, Arc::new(Silent))
    }

    fn refusal(options: &AccessOptions, address: &str) -> String {
        open(options, address).err().unwrap()
    }

    fn with_password(password: &str) -> AccessOptions {
        AccessOptions { password: Some(password.to_owned()), ..AccessOptions::default() }
    }

    #[test]
    fn loopback_may_do_without_and_others_may_not() {
        let nothing = AccessOptions::default();
        for loopback in ["127.0.0.1:8791", "[::1]:8791", "[::ffff:127.0.0.1]:8791"] {
            let terms = open(&nothing, loopback).unwrap().terms();
            assert!(terms.verifier.is_none() && terms.acceptor().is_none() && !terms.must_hide, "{loopback}");
        }
        let said = refusal(&nothing, "0.0.0.0:8791");
        assert!(
            said.contains("add --psql-password-file FILE, --tls-certificate FILE and --tls-key"),
            "{said}"
        );
        assert!(said.ends_with("let it listen on 127.0.0.1:8791"), "{said}");
        assert!(open(&with_password("secret"), "[::1]:8791").unwrap().terms().verifier.is_some());
        let said = refusal(&with_password("secret"), "[::]:8791");
        assert!(said.contains("add --tls-certificate FILE and --tls-key FILE, or"), "{said}");
    }

    #[test]
    fn what_cannot_be_read_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("empty"), "\n").unwrap();
        let of_file =
            |name: &str| AccessOptions { password_file: Some(path(name)), ..AccessOptions::default() };
        let tls = Some(TlsFiles { certificate: path("empty"), key: path("no") });
        let cases = [
            (of_file("no"), "cannot be read"),
            (of_file("empty"), "is empty"),
            (AccessOptions { tls, ..AccessOptions::default() }, "psql: the TLS key "),
            (with_password("ü"), "of ASCII only"),
        ];
        for (options, expected) in cases {
            let said = refusal(&options, "127.0.0.1:8791");
            assert!(said.contains(expected), "{said}");
        }
    }

    #[test]
    fn what_is_renewed_is_told_and_what_is_wrong_changes_nothing() {
        let access = open(&with_password("secret"), "127.0.0.1:8791").unwrap();
        let first = access.terms();
        assert_eq!(access.renew(&with_password("secret")), Ok(vec![]));
        assert!(access.terms().verifier == first.verifier, "it is the same");
        assert!(access.renew(&with_password("")).is_err());
        assert!(access.terms().verifier == first.verifier, "it stays");
        assert_eq!(access.renew(&with_password("other")), Ok(vec!["password of psql".to_owned()]));
        assert!(access.terms().verifier != first.verifier);
        assert_eq!(access.renew(&AccessOptions::default()), Ok(vec!["password of psql".to_owned()]));
        assert!(access.terms().verifier.is_none());
    }
}
