//! Where stored results are asked, and what.

use super::QueryArguments;
use crate::failure::Failure;
use crate::output::Format;
use clap::{Args, ValueHint};
use std::path::{Path, PathBuf};
use tapline_history::BucketOptions;

/// What the URL of a bucket begins with.
const BUCKET: &str = "s3://";

/// Who is asked for a bucket, and who asks; as in `[history]` of a node's file.
#[derive(Debug, Args)]
pub(super) struct BucketArguments {
    /// With --history s3://BUCKET: the server, as https://HOST or http://HOST:PORT [default: AWS's].
    #[arg(long, value_name = "URL")]
    store_endpoint: Option<String>,
    /// With --history s3://BUCKET: AWS's name of where the bucket is.
    #[arg(long, value_name = "REGION")]
    store_region: Option<String>,
    /// With --history s3://BUCKET: who asks, in a file as AWS's programs have it [default: the variables AWS_… or the
    /// machine's role].
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    store_credentials_file: Option<PathBuf>,
    /// With --history s3://BUCKET: certificates of whoever signed the server's (PEM).
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    store_ca_file: Option<PathBuf>,
}

/// What stored results are asked.
#[derive(Clone, Debug)]
pub(crate) struct StoredPlan<'a> {
    pub(crate) place: StoredPlace<'a>,
    /// Names and statements.
    pub(crate) queries: Vec<(String, String)>,
    pub(crate) format: Format,
}

/// Where they lie.
#[derive(Clone, Debug)]
pub(crate) enum StoredPlace<'a> {
    Folder(&'a Path),
    Bucket(BucketOptions),
}

impl BucketArguments {
    /// The bucket of this URL.
    fn options(&self, url: &str) -> Result<BucketOptions, Failure> {
        let mut options =
            BucketOptions::new(url).map_err(|wrong| Failure::Usage(format!("--history: {wrong}")))?;
        options.endpoint.clone_from(&self.store_endpoint);
        options.region.clone_from(&self.store_region);
        options.credentials_file.clone_from(&self.store_credentials_file);
        options.ca_file.clone_from(&self.store_ca_file);
        options.check().map_err(|wrong| Failure::Usage(format!("--store-endpoint: {wrong}")))
    }
}

impl QueryArguments {
    /// Whether stored results are asked.
    pub(crate) const fn asks_history(&self) -> bool {
        self.history.is_some()
    }

    /// Whether these lie in a bucket.
    pub(crate) fn asks_bucket(&self) -> bool {
        self.bucket_url().is_some()
    }

    fn bucket_url(&self) -> Option<&str> {
        self.history.as_deref().and_then(Path::to_str).filter(|place| place.starts_with(BUCKET))
    }

    /// What they are asked.
    pub(crate) fn of_history(&self) -> Result<StoredPlan<'_>, Failure> {
        let place = match self.bucket_url() {
            Some(url) => StoredPlace::Bucket(self.bucket.options(url)?),
            None => StoredPlace::Folder(self.history.as_deref().unwrap_or(Path::new(""))),
        };
        Ok(StoredPlan { place, queries: self.queries()?, format: self.format })
    }
}
