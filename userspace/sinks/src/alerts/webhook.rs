//! Notices by HTTP: each is the body of a POST.

use super::notice::Notice;
use super::{Tell, harmless};
use crate::sink::Refusal;
use crate::trust::trusted_certificates;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use ureq::http::{Request, Response, StatusCode};
use ureq::tls::{RootCerts, TlsConfig};
use ureq::{Agent, Body};

/// Octets of an answer that are read.
const ANSWER_OCTETS_MAX: u64 = 4096;

/// Who is told over HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookOptions {
    /// Where; may hold a secret, and is not told anybody.
    pub url: String,
    /// What else stands in the head of a request: names and values.
    pub headers: Vec<(String, String)>,
    /// A file with a token, which is read for each notice.
    pub token_file: Option<PathBuf>,
    /// Certificates (PEM) to trust in place of those of this machine.
    pub ca: Option<PathBuf>,
    /// How long a notice may take.
    pub time_limit: Duration,
}

pub(super) struct WebhookTeller {
    options: WebhookOptions,
    agent: Agent,
}

impl WebhookTeller {
    /// # Errors
    /// A sentence, when no certificates can be trusted, or a header is none.
    pub(super) fn new(options: WebhookOptions) -> Result<Self, String> {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(options.time_limit))
            .max_redirects(0)
            .user_agent(concat!("tapline/", env!("CARGO_PKG_VERSION")));
        let config = if options.url.starts_with("https://") {
            let roots = trusted_certificates(options.ca.as_deref());
            let roots = RootCerts::from(roots.map_err(|what| format!("ca: {what}"))?);
            let provider = Arc::new(rustls::crypto::ring::default_provider());
            let tls = TlsConfig::builder().root_certs(roots).unversioned_rustls_crypto_provider(provider);
            config.tls_config(tls.build())
        } else {
            config
        };
        let teller = Self { options, agent: config.build().into() };
        teller.request(String::new(), None)?;
        Ok(teller)
    }

    fn request(&self, body: String, token: Option<&str>) -> Result<Request<String>, String> {
        let request = Request::post(self.options.url.as_str()).header("content-type", "application/json");
        let headers = self.options.headers.iter();
        let request =
            headers.fold(request, |request, (name, value)| request.header(name.as_str(), value.as_str()));
        let token = token.map(|token| format!("Bearer {token}"));
        let request =
            token.into_iter().fold(request, |request, token| request.header("authorization", token));
        request.body(body).map_err(|error| format!("url or headers cannot be used: {error}"))
    }

    fn token(&self) -> Result<Option<String>, String> {
        let Some(file) = &self.options.token_file else { return Ok(None) };
        let text =
            fs::read_to_string(file).map_err(|error| format!("token_file {}: {error}", file.display()))?;
        Ok(Some(text.trim().to_owned()))
    }
}

impl Tell for WebhookTeller {
    fn tell(&mut self, notice: &Notice) -> Result<(), Refusal> {
        let token = self.token().map_err(Refusal::Later)?;
        let request = self.request(notice.body.clone(), token.as_deref()).map_err(Refusal::Later)?;
        let answer = self.agent.run(request);
        let answer =
            answer.map_err(|error| Refusal::Later(format!("the webhook does not answer: {error}")))?;
        read(answer)
    }

    fn tries_max(&self) -> u32 {
        u32::MAX
    }
}

/// What an answer says; one that refuses the body would refuse it again.
fn read(mut answer: Response<Body>) -> Result<(), Refusal> {
    let status = answer.status();
    // What is left of a connection that is to be used again.
    let text = answer.body_mut().with_config().limit(ANSWER_OCTETS_MAX).read_to_string();
    if status.is_success() {
        return Ok(());
    }
    let text = text.unwrap_or_default();
    let line = harmless(text.lines().next().unwrap_or_default());
    let why = format!("the webhook answers {status}: {line}");
    Err(match status {
        StatusCode::BAD_REQUEST | StatusCode::PAYLOAD_TOO_LARGE | StatusCode::UNPROCESSABLE_ENTITY => {
            Refusal::Never(why)
        }
        _ => Refusal::Later(why),
    })
}
