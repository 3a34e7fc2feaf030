//! A node as commands reach it: requests over HTTP, answers as JSON or as streams.

use crate::failure::Failure;
use crate::local::LocalConnector;
use crate::proof::{self, ProofArguments};
use clap::Args;
use serde_json::Value;
use std::io::Read;
use std::path::PathBuf;
use std::time::Duration;
use ureq::http::request::Builder;
use ureq::http::{Method, Request, Response, StatusCode};
use ureq::unversioned::resolver::DefaultResolver;
use ureq::{Agent, Body};

/// How long a node may take to be reached.
const REACHED_WITHIN: Duration = Duration::from_secs(5);
/// How long it may take from a request to the beginning of its answer, and from there, but for streams, to its end.
const ANSWERED_WITHIN: Duration = Duration::from_secs(30);

/// What URLs of nodes begin with that speak TLS.
const SECURE: &str = "https://";

/// Where a node is.
#[derive(Debug, Args)]
pub(crate) struct NodeArguments {
    /// The node's API [default: the variable TAPLINE_NODE, or http://127.0.0.1:8790]; https://HOST:PORT is one that speaks
    /// TLS, unix:PATH a socket.
    #[arg(long, value_name = "URL", global = true)]
    pub(crate) node: Option<String>,
    #[command(flatten)]
    pub(crate) proof: ProofArguments,
}

/// A node that is asked.
pub(crate) struct Client {
    /// As it was named.
    url: String,
    /// What paths are put behind.
    base: String,
    /// What it says of who asks.
    authorization: Option<String>,
    agent: Agent,
}

impl Client {
    /// The node that was named, or the one of this machine.
    pub(crate) fn new(arguments: &NodeArguments) -> Result<Self, Failure> {
        let named = arguments.node.clone().or_else(|| std::env::var("TAPLINE_NODE").ok());
        let shown = named.unwrap_or_else(|| "http://127.0.0.1:8790".to_owned());
        let socket = shown.strip_prefix("unix:").map(|path| path.strip_prefix("//").unwrap_or(path));
        let is_secure = shown.starts_with(SECURE);
        if socket.is_none() && !is_secure && !shown.starts_with("http://") {
            let message = format!(
                "`{shown}` is no address of a node; write http://HOST:PORT, such as http://127.0.0.1:8790, \
                 https://HOST:PORT or unix:PATH"
            );
            return Err(Failure::Usage(message));
        }
        let is_kept_secret = socket.is_some() || is_secure || proof::is_of_this_machine(&shown);
        let authorization = arguments.proof.authorization(is_kept_secret)?;
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_connect(Some(REACHED_WITHIN))
            .timeout_recv_response(Some(ANSWERED_WITHIN))
            .max_redirects(0)
            .proxy(None);
        let config = if is_secure { config.tls_config(arguments.proof.tls()?) } else { config };
        let config = config.build();
        if let Some(path) = socket {
            let connector = LocalConnector(PathBuf::from(path));
            let agent = Agent::with_parts(config, connector, DefaultResolver::default());
            return Ok(Self { base: "http://localhost".to_owned(), url: shown, authorization, agent });
        }
        let base = shown.trim_end_matches('/').to_owned();
        Ok(Self { base, url: shown, authorization, agent: config.into() })
    }

    /// Where the node is.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// What a node answers to a question.
    pub(crate) fn get(&self, path: &str) -> Result<Value, Failure> {
        self.ask(Method::GET, path, None)
    }

    /// What a node answers to an order; nothing where it has nothing to say.
    pub(crate) fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, Failure> {
        let request = Request::builder().method(method).uri(format!("{}{path}", self.base));
        let request = self.authorized(request).header("content-type", "application/json");
        let body = body.map(Value::to_string).unwrap_or_default();
        let request = request.body(body).map_err(|error| self.unusable(&error))?;
        let request = self.agent.configure_request(request);
        let request = request.timeout_recv_body(Some(ANSWERED_WITHIN)).build();
        let mut response = self.checked(self.agent.run(request))?;
        let text = response.body_mut().with_config().limit(u64::MAX).read_to_string();
        let text = text.map_err(|error| self.silent(&error))?;
        if text.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_str(&text).map_err(|_| self.stranger())
    }

    /// A stream that a node answers with.
    pub(crate) fn stream(&self, path: &str, accept: &str) -> Result<impl Read + use<>, Failure> {
        let request = Request::builder().uri(format!("{}{path}", self.base));
        let request = self.authorized(request).header("accept", accept);
        let request = request.body(()).map_err(|error| self.unusable(&error))?;
        Ok(self.checked(self.agent.run(request))?.into_body().into_reader())
    }

    /// A request that says who asks.
    fn authorized(&self, request: Builder) -> Builder {
        match &self.authorization {
            Some(authorization) => request.header("authorization", authorization),
            None => request,
        }
    }

    /// An answer that is none of a problem.
    fn checked(&self, answer: Result<Response<Body>, ureq::Error>) -> Result<Response<Body>, Failure> {
        let mut answer = answer.map_err(|error| self.silent(&error))?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        let text = answer.body_mut().read_to_string().unwrap_or_default();
        let problem = serde_json::from_str::<Value>(&text).ok();
        let detail = problem.as_ref().and_then(|problem| problem["detail"].as_str());
        let Some(detail) = detail else { return Err(self.stranger()) };
        Err(match answer.status() {
            StatusCode::BAD_REQUEST
            | StatusCode::UNAUTHORIZED
            | StatusCode::FORBIDDEN
            | StatusCode::NOT_FOUND
            | StatusCode::CONFLICT => Failure::Usage(detail.to_owned()),
            _ => Failure::Run(detail.to_owned()),
        })
    }

    fn silent(&self, error: &ureq::Error) -> Failure {
        let (url, why) = (&self.url, error.to_string());
        let is_secure = url.starts_with(SECURE);
        Failure::Run(if is_secure && why.contains("certificate") {
            format!(
                "what answers at {url} does not prove that it is this node: {why}; give --ca FILE with the certificate \
                 of whoever signed the node's, and a name or an address that stands in it"
            )
        } else if is_secure && why.contains("InvalidContentType") {
            format!(
                "what answers at {url} does not speak TLS; give --node http://HOST:PORT where that is the node"
            )
        } else {
            format!("no node answers at {url}: {why}; start one with `tapline run`, or give --node URL")
        })
    }

    fn stranger(&self) -> Failure {
        Failure::Run(format!("what answers at {} is no node of tapline; give --node URL", self.url))
    }

    fn unusable(&self, error: &ureq::http::Error) -> Failure {
        Failure::Usage(format!("`{}` is no address of a node: {error}; write http://HOST:PORT", self.url))
    }
}

/// A name as a part of a path.
pub(crate) fn part(name: &str) -> String {
    let written = |octet: u8| match octet {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => char::from(octet).to_string(),
        _ => format!("%{octet:02X}"),
    };
    name.bytes().map(written).collect()
}
