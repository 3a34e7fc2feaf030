//! What a history is told.

use std::path::{Path, PathBuf};
use std::time::Duration;

const HOUR_SECONDS: u64 = 3600;
const DAY_SECONDS: u64 = 24 * HOUR_SECONDS;
const SCHEME: &str = "s3://";

/// What is stored where, and for how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryOptions {
    /// The folder; it is made.
    pub folder: PathBuf,
    /// How long an hour is kept after its end; `None` is for ever.
    pub keep: Option<Duration>,
    /// Octets of all files; beyond, the oldest hours go.
    pub octets_max: Option<u64>,
    /// Which windows results of which age are put together to.
    pub rollup: Vec<RollUp>,
    /// Where files of hours that are over go besides, and stay when they have left the folder.
    pub bucket: Option<BucketOptions>,
    /// How long a result waits for others to be in a file with.
    pub flush_after: Duration,
    /// Octets of rows that wait for that.
    pub waiting_octets_max: usize,
    /// Whether results may come again that an earlier run stored, as those of an aggregator do.
    pub comes_again: bool,
}

/// Results of an age become those of wider windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RollUp {
    /// How long after its end an hour's are.
    pub after: Duration,
    /// The width of the windows; an hour consists of whole ones, or they of whole hours, and a day of them.
    pub window: Duration,
}

/// A bucket of an object store that speaks S3's protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketOptions {
    /// Its name, and below it the folder.
    bucket: String,
    prefix: Vec<String>,
    /// The server; AWS's where it is not said.
    pub endpoint: Option<String>,
    /// AWS's name of where it is.
    pub region: Option<String>,
    /// Who asks, in a file as AWS's programs have it; where it is not said, what these look at besides.
    pub credentials_file: Option<PathBuf>,
    /// Certificates (PEM) of whoever signed the server's, besides those that this machine trusts.
    pub ca_file: Option<PathBuf>,
    /// How long an hour is kept there after its end; `None` is for ever.
    pub keep: Option<Duration>,
}

impl BucketOptions {
    /// The bucket that a URL such as `s3://bucket/folder` names.
    ///
    /// # Errors
    /// A sentence that says what would be right.
    pub fn new(url: &str) -> Result<Self, String> {
        // It is not repeated: somebody may have written a secret into it.
        let wrong = || "it names no bucket; write s3://BUCKET or s3://BUCKET/FOLDER".to_owned();
        let mut names = url.strip_prefix(SCHEME).ok_or_else(wrong)?.trim_end_matches('/').split('/');
        let is_name = |name: &str| {
            let is_fine = |octet: u8| octet.is_ascii_alphanumeric() || b"-_.=".contains(&octet);
            !name.is_empty() && name.bytes().all(is_fine) && !name.starts_with('.')
        };
        let bucket = names.next().filter(|name| is_name(name)).ok_or_else(wrong)?.to_owned();
        let prefix: Vec<String> = names.map(str::to_owned).collect();
        if !prefix.iter().all(|name| is_name(name)) {
            return Err(wrong());
        }
        let (endpoint, region, credentials_file, ca_file, keep) = (None, None, None, None, None);
        Ok(Self { bucket, prefix, endpoint, region, credentials_file, ca_file, keep })
    }

    /// Refuses a server that is no URL, or one that says who asks.
    ///
    /// # Errors
    /// What would be right.
    pub fn check(self) -> Result<Self, String> {
        let is_url = |text: &String| text.starts_with("https://") || text.starts_with("http://");
        match &self.endpoint {
            Some(text) if !is_url(text) || text.contains('@') => {
                Err("write https://HOST or http://HOST:PORT".to_owned())
            }
            Some(_) | None => Ok(self),
        }
    }

    pub(crate) fn bucket(&self) -> &str {
        &self.bucket
    }

    /// The folders in the bucket below which files lie.
    pub(crate) fn prefix(&self) -> impl Iterator<Item = &str> {
        self.prefix.iter().map(String::as_str)
    }

    /// What it is called.
    pub(crate) fn url(&self) -> String {
        let names: Vec<&str> = [self.bucket()].into_iter().chain(self.prefix()).collect();
        format!("{SCHEME}{}", names.join("/"))
    }
}

impl RollUp {
    /// Refuses windows that neither an hour nor a day in whole hours consists of: results lie by hours.
    ///
    /// # Errors
    /// A sentence that says what would be right.
    pub fn check(self) -> Result<Self, String> {
        let seconds = self.window.as_secs();
        let divide = |whole: u64| seconds > 0 && whole.is_multiple_of(seconds);
        let are_hours = seconds.is_multiple_of(HOUR_SECONDS) && divide(DAY_SECONDS);
        if self.window.subsec_nanos() == 0 && (divide(HOUR_SECONDS) || are_hours) {
            return Ok(self);
        }
        let right = "write 1m, 5m, 15m, 1h, 6h or 1d";
        Err(format!("an hour has to consist of such windows, or a day of some of whole hours; {right}"))
    }
}

impl HistoryOptions {
    /// A history in this folder that is kept for ever.
    #[must_use]
    pub fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            keep: None,
            octets_max: None,
            rollup: vec![],
            bucket: None,
            flush_after: Duration::from_secs(10),
            waiting_octets_max: 64 << 20,
            comes_again: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_is_named_by_its_url() {
        let options = BucketOptions::new("s3://results/office/tapline/").unwrap();
        assert_eq!(options.url(), "s3://results/office/tapline");
        assert_eq!((options.bucket(), options.prefix().count()), ("results", 2));
        assert_eq!(BucketOptions::new("s3://results").unwrap().prefix().count(), 0);
        let none = ["", "results", "s3://", "s3:///a", "http://a/b", "s3://a//b", "s3://a/../b"];
        for url in none.into_iter().chain(["s3://key:secret@a"]) {
            let wrong = BucketOptions::new(url).unwrap_err();
            assert_eq!(wrong, "it names no bucket; write s3://BUCKET or s3://BUCKET/FOLDER", "{url}");
        }
    }
}
