//! Which bucket it is, and who asks for it: what speaks S3's protocol.
//!
//! Who asks is said where AWS's own programs look: variables such as `AWS_ACCESS_KEY_ID`, a web identity, the machine's
//! own role; or by a file of theirs, which is read for each request, so that what is renewed counts at once. None of it
//! is ever in a sentence.

use super::listing::Connector;
use crate::options::BucketOptions;
use async_trait::async_trait;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey, AwsCredential};
use object_store::{Certificate, ClientOptions, CredentialProvider, Error, ObjectStore, Result, RetryConfig};
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// How long a request may take, and how often one is made: whoever waits is told, and what waits is tried again.
const CONNECTS_WITHIN: Duration = Duration::from_secs(5);
const ANSWERS_WITHIN: Duration = Duration::from_secs(30);
const RETRIES_MAX: usize = 2;
const RETRIES_WITHIN: Duration = Duration::from_secs(20);
/// The part of a credentials file that counts.
const PROFILE: &str = "default";

/// What speaks to this bucket; connects to nobody yet.
pub(super) fn store(options: &BucketOptions) -> std::result::Result<Arc<dyn ObjectStore>, String> {
    let mut builder = AmazonS3Builder::from_env().with_bucket_name(options.bucket());
    if let Some(endpoint) = &options.endpoint {
        // What a variable says of it comes behind.
        builder = builder.with_config(AmazonS3ConfigKey::S3Endpoint, endpoint);
    }
    if let Some(region) = &options.region {
        builder = builder.with_region(region);
    }
    if let Some(file) = &options.credentials_file {
        builder = builder.with_credentials(Arc::new(CredentialsFile(file.clone())));
    }
    let said = |key| builder.get_config_value(&key);
    let endpoint = said(AmazonS3ConfigKey::S3Endpoint).or_else(|| said(AmazonS3ConfigKey::Endpoint));
    let is_plain = endpoint.is_some_and(|endpoint| endpoint.starts_with("http://"));
    let mut client = ClientOptions::new()
        .with_allow_http(is_plain)
        .with_connect_timeout(CONNECTS_WITHIN)
        .with_timeout(ANSWERS_WITHIN);
    for certificate in certificates(options)? {
        client = client.with_root_certificate(certificate);
    }
    let retry =
        RetryConfig { max_retries: RETRIES_MAX, retry_timeout: RETRIES_WITHIN, ..RetryConfig::default() };
    let store = builder.with_client_options(client).with_retry(retry).with_http_connector(Connector).build();
    Ok(Arc::new(store.map_err(|error| error.to_string())?))
}

fn certificates(options: &BucketOptions) -> std::result::Result<Vec<Certificate>, String> {
    let Some(file) = &options.ca_file else { return Ok(vec![]) };
    let said = |what: String| format!("store_ca_file {} {what}", file.display());
    let pem = fs::read(file).map_err(|error| said(format!("cannot be read: {error}")))?;
    match Certificate::from_pem_bundle(&pem) {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err(said("holds no certificate as PEM".to_owned())),
    }
}

/// Who asks, in a file as AWS's programs have it.
#[derive(Debug)]
struct CredentialsFile(PathBuf);

#[async_trait]
impl CredentialProvider for CredentialsFile {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> Result<Arc<AwsCredential>> {
        let said = |what: String| Error::Generic {
            store: "S3",
            source: format!("store_credentials_file {} {what}", self.0.display()).into(),
        };
        let text = fs::read_to_string(&self.0).map_err(|error| said(format!("cannot be read: {error}")))?;
        let credential = credential(&text).ok_or_else(|| {
            said(format!("has no aws_access_key_id and aws_secret_access_key behind [{PROFILE}]"))
        })?;
        Ok(Arc::new(credential))
    }
}

/// What such a file says of the profile that counts.
fn credential(text: &str) -> Option<AwsCredential> {
    let mut lines = text.lines().map(str::trim);
    lines.find(|line| line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) == Some(PROFILE))?;
    let said: Vec<(&str, &str)> = lines
        .take_while(|line| !line.starts_with('['))
        .filter_map(|line| line.split_once('='))
        .map(|(key, value)| (key.trim(), value.trim()))
        .collect();
    let value = |wanted: &str| {
        let found = said.iter().find(|(key, value)| *key == wanted && !value.is_empty());
        found.map(|(_, value)| (*value).to_owned())
    };
    Some(AwsCredential {
        key_id: value("aws_access_key_id")?,
        secret_key: value("aws_secret_access_key")?,
        token: value("aws_session_token"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credentials_file_is_read_as_others_read_it() {
        let text = "[other]\naws_access_key_id = no\n\n[default]\n# ours\naws_access_key_id=A\n\
            aws_secret_access_key = b=c \n[more]\naws_session_token = no\n";
        let found = credential(text).unwrap();
        assert_eq!((found.key_id.as_str(), found.secret_key.as_str(), found.token), ("A", "b=c", None));
        for text in ["", "[default]", "aws_access_key_id=A", "[default]\naws_access_key_id=A\n"] {
            assert!(credential(text).is_none(), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_with_files_is_said_without_what_they_hold() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "[default]\naws_secret_access_key = open sesame\n").unwrap();
        let asked = futures::executor::block_on(CredentialsFile(file.clone()).get_credential());
        let wrong = asked.unwrap_err().to_string();
        assert!(wrong.contains("has no aws_access_key_id") && !wrong.contains("sesame"), "{wrong}");
        let mut options = BucketOptions::new("s3://results").unwrap();
        options.ca_file = Some(file);
        let wrong = store(&options).unwrap_err();
        assert!(wrong.ends_with("holds no certificate as PEM"), "{wrong}");
    }
}
