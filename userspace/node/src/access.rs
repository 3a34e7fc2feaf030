//! Who may ask a node over the network, as the command line and files say it.

use crate::config::{ConfigFile, TokenTable};
use clap::{Args, ValueHint};
use serde::Deserialize;
use std::path::PathBuf;
use tapline_serve::{EntrancePlan, May, Secret, TokenPlan};
use tapline_tls::TlsFiles;

/// By what a node proves that it is the one, and who may ask it.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct AccessArguments {
    /// Speak TLS by this certificate (PEM, those of whoever signed it behind it), which an --api that others than this
    /// machine reach needs. `tapline reload` reads it again.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, requires = "tls_key")]
    pub(crate) tls_certificate: Option<PathBuf>,
    /// The key that belongs to it (PEM).
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, requires = "tls_certificate")]
    pub(crate) tls_key: Option<PathBuf>,
    /// Answer whoever brings the token in this file, who may change what runs; others are refused. `[[token]]` of a
    /// --config has tokens that may only read.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) token_file: Vec<PathBuf>,
}

/// What a token allows, as files say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum MayText {
    Read,
    Change,
}

impl AccessArguments {
    /// What was said here, and else in a file.
    pub(crate) fn plan(&self, config: Option<&ConfigFile>) -> Result<EntrancePlan, String> {
        let node = config.map(|config| &config.node);
        let said = node.and_then(|node| Some((node.tls_certificate.as_ref()?, node.tls_key.as_ref()?)));
        let tls = self.tls_certificate.as_ref().zip(self.tls_key.as_ref()).or(said);
        let tls =
            tls.map(|(certificate, key)| TlsFiles { certificate: certificate.clone(), key: key.clone() });
        let of_arguments = self.token_file.iter().map(|file| {
            let (name, secret) = (format!("--token-file {}", file.display()), Secret::File(file.clone()));
            Ok(TokenPlan { name, may: May::Change, secret })
        });
        let tables = config.into_iter().flat_map(|config| (1..).zip(&config.tokens));
        let of_file = tables
            .map(|(number, table)| table.plan().map_err(|wrong| format!("[[token]] {number}: {wrong}")));
        let tokens: Result<Vec<_>, String> = of_arguments.chain(of_file).collect();
        Ok(EntrancePlan { tls, tokens: tokens? })
    }
}

impl TokenTable {
    /// The token that it names.
    pub(crate) fn plan(&self) -> Result<TokenPlan, String> {
        let (Some(name), Some(may)) = (self.name.clone(), self.may) else {
            return Err(
                "it needs a name and what it allows: name = \"page\" and may = \"read\" or \"change\""
                    .to_owned(),
            );
        };
        let secret = match (self.file.clone(), self.sha256.clone()) {
            (Some(file), None) => Secret::File(file),
            (None, Some(digits)) => Secret::Sha256(digits),
            _ => {
                return Err("it is in a file or known by its digest; give one of file = \"/etc/tapline/page.token\" and \
                            sha256 = \"…\""
                    .to_owned());
            }
        };
        let may = match may {
            MayText::Read => May::Read,
            MayText::Change => May::Change,
        };
        Ok(TokenPlan { name, may, secret })
    }
}
