//! A certificate that is its own authority, as SECURITY.md makes one.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use tapline_programs::{process, tools};

/// A certificate and its key, as files of PEM.
#[derive(Debug)]
pub(crate) struct Certificate {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

impl Certificate {
    /// One for whoever is at this address.
    pub(crate) fn make(folder: &Path, address: Ipv4Addr) -> Result<Self> {
        if let Some(advice) = tools::advice("openssl") {
            return Err(anyhow::Error::msg(advice));
        }
        let (certificate, key) = (folder.join("node.pem"), folder.join("node.key"));
        let mut openssl = Command::new("openssl");
        openssl.args(["req", "-x509", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]);
        openssl.args(["-days", "2", "-subj", "/CN=aggregator"]);
        openssl.args(["-addext", &format!("subjectAltName=IP:{address}")]);
        openssl.args(["-addext", "basicConstraints=critical,CA:FALSE"]);
        openssl.arg("-keyout").arg(&key).arg("-out").arg(&certificate);
        process::run(openssl.stderr(Stdio::null())).context("no certificate could be made")?;
        Ok(Self { certificate, key })
    }
}
