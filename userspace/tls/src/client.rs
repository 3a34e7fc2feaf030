//! How we agree on keys with whom we connect to.

use crate::{Pair, TlsFiles, trust, unusable};
use rustls::ClientConfig;
use rustls::crypto::ring::default_provider;
use std::path::Path;
use std::sync::Arc;
use tokio_rustls::TlsConnector;

/// What agrees on keys with a server that speaks this protocol: it is trusted by the certificates in a file, or by
/// those that this machine trusts. Where it asks who we are, a certificate of our own says it.
///
/// # Errors
/// A sentence: a file cannot be read, lacks what it is for, or the key is not that of the certificate.
pub fn connector(ca: Option<&Path>, own: Option<&TlsFiles>, protocol: &str) -> Result<TlsConnector, String> {
    let roots = trust::roots(ca)?;
    let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()));
    let builder = builder.with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| format!("TLS cannot be spoken: {error}"))?;
    let builder = builder.with_root_certificates(roots);
    let mut config = match own {
        Some(files) => {
            let Pair { chain, found, .. } = Pair::read(files)?;
            builder.with_client_auth_cert(chain, found).map_err(|error| unusable(files, &error))?
        }
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}
