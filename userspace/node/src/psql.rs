//! Where a node is asked over PostgreSQL's protocol, and by whom.

use crate::config::NodeTable;
use crate::failure::Failure;
use clap::{Args, ValueHint};
use std::env;
use std::net::SocketAddr;
use std::path::PathBuf;
use tapline_psql::{AccessOptions, PASSWORD_VARIABLE};
use tapline_serve::EntrancePlan;
use tapline_tls::TlsFiles;

#[derive(Clone, Debug, Default, Args)]
pub(crate) struct PsqlArguments {
    /// Answer psql, Grafana and other clients of PostgreSQL's protocol here, such as 127.0.0.1:8791; each query is a
    /// table of its newest windows.
    #[arg(long, value_name = "ADDR")]
    psql: Option<SocketAddr>,
    /// The file whose first line is their password; without it that is TAPLINE_PSQL_PASSWORD of the environment.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    psql_password_file: Option<PathBuf>,
    /// Encrypt their connections by this certificate (PEM, those of whoever signed it behind it) in place of the API's.
    /// `tapline reload` reads it again, and the password.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    psql_certificate: Option<PathBuf>,
    /// The key that belongs to it (PEM).
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    psql_key: Option<PathBuf>,
}

/// Where clients are answered, and which.
pub(crate) struct PsqlPlan {
    pub(crate) address: SocketAddr,
    pub(crate) access: AccessOptions,
}

impl PsqlArguments {
    /// What these say, or else a file; `None` where nobody is answered. What the API proves itself by is good for these
    /// clients, too, unless they have something of their own; where it asks for tokens, they are asked for a password.
    pub(crate) fn plan(
        &self,
        file: Option<&NodeTable>,
        of_api: &EntrancePlan,
    ) -> Result<Option<PsqlPlan>, Failure> {
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
        let tls = match (certificate, key) {
            (Some(certificate), Some(key)) => Some(TlsFiles { certificate, key }),
            (None, None) => of_api.tls.clone(),
            _ => {
                let message = "psql_certificate and psql_key belong together; give both";
                return Err(Failure::Usage(message.to_owned()));
            }
        };
        if !of_api.tokens.is_empty() && password.is_none() && password_file.is_none() {
            return Err(Failure::Usage(format!(
                "the API asks for a token, while psql would tell whoever reaches {address} as much; give \
                 --psql-password-file FILE or {PASSWORD_VARIABLE}, too"
            )));
        }
        let access = AccessOptions { password, password_file, tls };
        Ok(Some(PsqlPlan { address, access }))
    }
}
