//! Where a node is asked over PostgreSQL's protocol, and by whom.

use crate::config::NodeTable;
use crate::failure::Failure;
use clap::{Args, ValueHint};
use std::env;
use std::net::SocketAddr;
use std::path::PathBuf;
use tapline_psql::{AccessOptions, PASSWORD_VARIABLE};

#[derive(Clone, Debug, Default, Args)]
pub(crate) struct PsqlArguments {
    /// Answer psql, Grafana and other clients of PostgreSQL's protocol here, such as 127.0.0.1:8791; each query is a
    /// table of its newest windows.
    #[arg(long, value_name = "ADDR")]
    psql: Option<SocketAddr>,
    /// The file whose first line is their password; without it that is TAPLINE_PSQL_PASSWORD of the environment.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    psql_password_file: Option<PathBuf>,
    /// The file of certificates by which their connections are encrypted.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    psql_certificate: Option<PathBuf>,
    /// The file of the certificate's key.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    psql_key: Option<PathBuf>,
}

/// Where clients are answered, and which.
#[derive(PartialEq, Eq)]
pub(crate) struct PsqlPlan {
    pub(crate) address: SocketAddr,
    pub(crate) access: AccessOptions,
}

impl PsqlArguments {
    /// What these say, or else a file; `None` where nobody is answered.
    pub(crate) fn plan(&self, file: Option<&NodeTable>) -> Result<Option<PsqlPlan>, Failure> {
        let said = |own: &Option<PathBuf>, of_file: fn(&NodeTable) -> &Option<PathBuf>| {
            own.clone().or_else(|| file.and_then(|file| of_file(file).clone()))
        };
        let password_file = said(&self.psql_password_file, |file| &file.psql_password_file);
        let certificate = said(&self.psql_certificate, |file| &file.psql_certificate);
        let key = said(&self.psql_key, |file| &file.psql_key);
        let address = self.psql.or_else(|| file.and_then(|file| file.psql));
        let Some(address) = address else {
            return match [password_file, certificate, key].into_iter().flatten().next() {
                None => Ok(None),
                Some(file) => Err(Failure::Usage(format!(
                    "{} is for clients of PostgreSQL's protocol, which are not answered; give --psql 127.0.0.1:8791, too",
                    file.display()
                ))),
            };
        };
        let password = env::var(PASSWORD_VARIABLE).ok();
        let access = AccessOptions { password, password_file, certificate, key };
        Ok(Some(PsqlPlan { address, access }))
    }
}
