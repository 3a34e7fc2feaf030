//! Who somebody is that connects: whom a token or a certificate vouches for.
//!
//! Without either, whoever connects is who he says he is, which only this machine's users may.

use super::tokens::{Tokens, is_name};
use std::net::SocketAddr;
use std::path::PathBuf;
use tapline_delivery::SensorName;
use tapline_tls::{Clients, Tls, TlsFiles, common_name};
use tokio_rustls::TlsAcceptor;

/// What is spoken over TLS.
const PROTOCOL: &str = "h2";

/// Where sensors come in, and by what they prove who they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entrance {
    /// The address.
    pub listen: SocketAddr,
    /// By what this end proves that it is the one; without it, only this machine may connect.
    pub tls: Option<TlsFiles>,
    /// Certificates (PEM) of whoever signs those of sensors; the common name of one is the sensor's.
    pub clients_ca: Option<PathBuf>,
    /// A file of lines: the name of a sensor, and the SHA-256 of its token in hexadecimal digits.
    pub tokens: Option<PathBuf>,
}

/// What somebody proves it by.
pub(crate) struct Keys {
    tls: Option<Tls>,
    tokens: Option<Tokens>,
    asks_certificates: bool,
}

/// Whom somebody is known to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Vouched {
    /// Whoever he says he is.
    Anybody,
    /// One of these.
    For(Vec<SensorName>),
}

/// Why nobody is known to be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Denied {
    /// He brings nothing.
    #[error("sensors bring a token or a certificate here; give it one of its own")]
    NoProof,
    /// He brings what is no token.
    #[error("this is no token of a sensor, or not any more")]
    WrongToken,
    /// His certificate has no name.
    #[error("the certificate has no common name that a sensor could have; sign one that has")]
    NoName,
}

impl Denied {
    /// What it is counted as.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::NoProof => "no_proof",
            Self::WrongToken => "wrong_token",
            Self::NoName => "no_name",
        }
    }
}

impl Keys {
    /// Reads what an entrance names; gives besides what should not be so, in sentences.
    ///
    /// # Errors
    /// A sentence: others than this machine reach the address without proof, or a file cannot be used.
    pub(crate) fn read(entrance: &Entrance) -> Result<(Self, Vec<String>), String> {
        check(entrance)?;
        let Entrance { tls, clients_ca, tokens, .. } = entrance;
        let clients = clients_ca.as_ref().map(|ca| Clients { ca: ca.clone(), is_required: tokens.is_none() });
        let read = tls.as_ref().map(|files| Tls::read_with(files, PROTOCOL, clients.as_ref())).transpose()?;
        let (tls, warnings) = read.unzip();
        let tokens = tokens.as_deref().map(Tokens::read).transpose()?;
        let keys = Self { tls, tokens, asks_certificates: clients.is_some() };
        Ok((keys, warnings.unwrap_or_default()))
    }

    /// What agrees on keys with whoever connects.
    pub(crate) fn acceptor(&self) -> Option<TlsAcceptor> {
        self.tls.as_ref().map(|tls| tls.acceptor().clone())
    }

    /// Whom somebody is known to be by the token that he brings, or by his certificate, which was checked.
    pub(crate) fn vouch(&self, token: Option<&[u8]>, certificate: Option<&[u8]>) -> Result<Vouched, Denied> {
        if let (Some(tokens), Some(token)) = (&self.tokens, token) {
            let names = tokens.names(token);
            return if names.is_empty() { Err(Denied::WrongToken) } else { Ok(Vouched::For(names)) };
        }
        if let Some(certificate) = certificate {
            let name = common_name(certificate).filter(|name| is_name(name)).ok_or(Denied::NoName)?;
            return Ok(Vouched::For(vec![SensorName::new(&name)]));
        }
        if self.tokens.is_some() || self.asks_certificates {
            Err(Denied::NoProof)
        } else {
            Ok(Vouched::Anybody)
        }
    }
}

impl Vouched {
    /// Who he is, who says that he is called so.
    pub(crate) fn who(&self, claimed: &SensorName) -> SensorName {
        match self {
            Self::For(names) if !names.contains(claimed) => names.first().unwrap_or(claimed).clone(),
            Self::Anybody | Self::For(_) => claimed.clone(),
        }
    }
}

/// Refuses an address that others reach, where they prove nothing.
fn check(entrance: &Entrance) -> Result<(), String> {
    let Entrance { listen, tls, clients_ca, tokens } = entrance;
    if tls.is_none() && clients_ca.is_some() {
        return Err(
            "certificates of sensors are shown over TLS only; give the certificate and the key of this end"
                .to_owned(),
        );
    }
    if listen.ip().to_canonical().is_loopback() {
        return Ok(());
    }
    let missing = match (tls.is_some(), clients_ca.is_some() || tokens.is_some()) {
        (true, true) => return Ok(()),
        (true, false) => "tokens or certificates of sensors",
        (false, true) => "a certificate and its key",
        (false, false) => "a certificate and its key, and tokens or certificates of sensors",
    };
    Err(format!(
        "others than this machine reach {listen}, and whoever reaches it may send what becomes results; give {missing}, or \
         let it listen on 127.0.0.1:{}",
        listen.port()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// SHA-256 of `reads`.
    const READS: &str = "3566cf23ecb6f832d67d1439e0cb3d05eb7f4ad702c6f478aa96f19812f18e8c";

    fn entrance(listen: &str) -> Entrance {
        Entrance { listen: listen.parse().unwrap(), tls: None, clients_ca: None, tokens: None }
    }

    #[test]
    fn an_address_that_others_reach_needs_both() {
        let some = || Some(PathBuf::from("x"));
        let tls = || Some(TlsFiles { certificate: PathBuf::from("c"), key: PathBuf::from("k") });
        for loopback in ["127.0.0.1:1", "[::1]:1", "[::ffff:127.0.0.1]:1"] {
            assert_eq!(check(&entrance(loopback)), Ok(()));
        }
        let open = entrance("0.0.0.0:8793");
        let said = check(&open).unwrap_err();
        assert!(
            said.contains("give a certificate and its key, and tokens") && said.ends_with("127.0.0.1:8793")
        );
        assert!(
            check(&Entrance { tokens: some(), ..open.clone() }).unwrap_err().contains("give a certificate")
        );
        assert!(check(&Entrance { tls: tls(), ..open.clone() }).unwrap_err().contains("give tokens or"));
        assert_eq!(check(&Entrance { tls: tls(), tokens: some(), ..open.clone() }), Ok(()));
        assert_eq!(check(&Entrance { tls: tls(), clients_ca: some(), ..open }), Ok(()));
        let ca = Entrance { clients_ca: some(), ..entrance("127.0.0.1:1") };
        assert!(check(&ca).unwrap_err().contains("over TLS only"));
    }

    #[test]
    fn somebody_is_whom_his_token_vouches_for() {
        let names = |names: &[&str]| names.iter().map(|name| SensorName::new(name)).collect::<Vec<_>>();
        let (open, _) = Keys::read(&entrance("127.0.0.1:0")).unwrap();
        assert_eq!(open.vouch(None, None), Ok(Vouched::Anybody));
        assert_eq!(Vouched::Anybody.who(&SensorName::new("x")).as_str(), "x");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens");
        fs::write(&path, format!("pop-1 {READS}\npop-2 {READS}")).unwrap();
        let (keys, _) = Keys::read(&Entrance { tokens: Some(path), ..entrance("127.0.0.1:0") }).unwrap();
        let vouched = keys.vouch(Some(b"reads"), None).unwrap();
        assert_eq!(vouched, Vouched::For(names(&["pop-1", "pop-2"])));
        assert_eq!(vouched.who(&SensorName::new("pop-2")).as_str(), "pop-2");
        assert_eq!(vouched.who(&SensorName::new("pop-9")).as_str(), "pop-1");
        assert_eq!(keys.vouch(Some(b"read"), None), Err(Denied::WrongToken));
        assert_eq!(keys.vouch(None, None), Err(Denied::NoProof));
        assert_eq!(keys.vouch(None, Some(b"no certificate")), Err(Denied::NoName));
    }
}
