//! By what a command proves that it may ask a node, and a node that it is the one.
//!
//! Takes files and the environment, gives what requests bring along, and whose word is trusted.

use crate::failure::Failure;
use clap::{Args, ValueHint};
use std::env;
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tapline_sinks::trusted_certificates;
use ureq::http::Uri;
use ureq::tls::{RootCerts, TlsConfig};

/// What proves it.
#[derive(Debug, Args)]
pub(crate) struct ProofArguments {
    /// The token that the node asks for, the only line of this file [default: the variable TAPLINE_TOKEN].
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, global = true)]
    token_file: Option<PathBuf>,
    /// Trust a node that speaks TLS by these certificates (PEM) in place of those that this machine trusts.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, global = true)]
    ca: Option<PathBuf>,
}

impl ProofArguments {
    /// What a request says of who asks, if anything; it `is_kept_secret` on its way.
    pub(crate) fn authorization(&self, is_kept_secret: bool) -> Result<Option<String>, Failure> {
        let (token, from) = match &self.token_file {
            Some(file) => (read(file)?, file.display().to_string()),
            None => match env::var("TAPLINE_TOKEN") {
                Ok(token) => (token, "TAPLINE_TOKEN".to_owned()),
                Err(_) => return Ok(None),
            },
        };
        let token = token.trim();
        if token.is_empty() || !token.bytes().all(|octet| octet.is_ascii_graphic()) {
            return Err(Failure::Usage(format!("{from} holds no token, which is one line without spaces")));
        }
        if !is_kept_secret {
            let message = "a token goes to other machines over TLS only; give --node https://HOST:PORT";
            return Err(Failure::Usage(message.to_owned()));
        }
        Ok(Some(format!("Bearer {token}")))
    }

    /// How TLS is spoken with a node.
    pub(crate) fn tls(&self) -> Result<TlsConfig, Failure> {
        let roots = trusted_certificates(self.ca.as_deref());
        let roots = roots.map_err(|what| Failure::Usage(format!("--ca: {what}")))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = TlsConfig::builder().root_certs(RootCerts::from(roots));
        Ok(config.unversioned_rustls_crypto_provider(provider).build())
    }
}

/// Whether a node at this URL is on this machine, so that nobody else is on the way.
pub(crate) fn is_of_this_machine(url: &str) -> bool {
    let Ok(url) = url.parse::<Uri>() else { return false };
    let Some(host) = url.host().map(|host| host.trim_matches(['[', ']'])) else { return false };
    let is_loopback = |address: IpAddr| address.to_canonical().is_loopback();
    host.eq_ignore_ascii_case("localhost") || host.parse().is_ok_and(is_loopback)
}

fn read(file: &Path) -> Result<String, Failure> {
    let said = |what: String| Failure::Usage(format!("--token-file {}: {what}", file.display()));
    fs::read_to_string(file).map_err(|error| said(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_of_this_machine_are_told_from_others() {
        for here in
            ["http://localhost:8790", "http://127.0.0.1:8790", "http://[::1]:8790", "http://127.1.2.3/"]
        {
            assert!(is_of_this_machine(here), "{here}");
        }
        for elsewhere in
            ["http://10.0.0.1:8790", "http://localhost.example:8790", "http://[2001:db8::1]", "http:///"]
        {
            assert!(!is_of_this_machine(elsewhere), "{elsewhere}");
        }
    }

    #[test]
    fn a_token_is_one_word_and_leaves_this_machine_as_a_secret_only() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        let arguments = ProofArguments { token_file: Some(file.clone()), ca: None };
        let said =
            |is_kept_secret| arguments.authorization(is_kept_secret).map_err(|failure| failure.to_string());
        assert!(said(true).unwrap_err().contains("No such file"));
        fs::write(&file, "0123456789abcdef\n").unwrap();
        assert_eq!(said(true), Ok(Some("Bearer 0123456789abcdef".to_owned())));
        assert!(said(false).unwrap_err().contains("over TLS only"));
        fs::write(&file, "two words").unwrap();
        assert!(said(true).unwrap_err().contains("holds no token"));
    }
}
