//! A node as commands reach it: requests over HTTP, answers as JSON or as streams.

use crate::failure::Failure;
use crate::local::LocalConnector;
use clap::Args;
use serde_json::Value;
use std::io::Read;
use std::path::PathBuf;
use std::time::Duration;
use ureq::http::{Method, Request, Response, StatusCode};
use ureq::unversioned::resolver::DefaultResolver;
use ureq::{Agent, Body};

/// How long a node may take to be reached.
const REACHED_WITHIN: Duration = Duration::from_secs(5);
/// How long it may take from a request to the beginning of its answer, and from there, but for streams, to its end.
const ANSWERED_WITHIN: Duration = Duration::from_secs(30);

/// Where a node is.
#[derive(Debug, Args)]
pub(crate) struct NodeArguments {
    /// The node's API [default: the variable TAPLINE_NODE, or http://127.0.0.1:8790]; unix:PATH is a socket.
    #[arg(long, value_name = "URL", global = true)]
    pub(crate) node: Option<String>,
}

/// A node that is asked.
pub(crate) struct Client {
    /// As it was named.
    url: String,
    /// What paths are put behind.
    base: String,
    agent: Agent,
}

impl Client {
    /// The node that was named, or the one of this machine.
    pub(crate) fn new(arguments: &NodeArguments) -> Result<Self, Failure> {
        let named = arguments.node.clone().or_else(|| std::env::var("TAPLINE_NODE").ok());
        let shown = named.unwrap_or_else(|| "http://127.0.0.1:8790".to_owned());
        let socket = shown.strip_prefix("unix:").map(|path| path.strip_prefix("//").unwrap_or(path));
        if socket.is_none() && !shown.starts_with("http://") {
            let message = format!(
                "`{shown}` is no address of a node; write http://HOST:PORT, such as http://127.0.0.1:8790, or unix:PATH"
            );
            return Err(Failure::Usage(message));
        }
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_connect(Some(REACHED_WITHIN))
            .timeout_recv_response(Some(ANSWERED_WITHIN))
            .proxy(None)
            .build();
        if let Some(path) = socket {
            let connector = LocalConnector(PathBuf::from(path));
            let agent = Agent::with_parts(agent, connector, DefaultResolver::default());
            return Ok(Self { base: "http://localhost".to_owned(), url: shown, agent });
        }
        Ok(Self { base: shown.trim_end_matches('/').to_owned(), url: shown, agent: agent.into() })
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
        let request = request.header("content-type", "application/json");
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
        let request = Request::builder().uri(format!("{}{path}", self.base)).header("accept", accept);
        let request = request.body(()).map_err(|error| self.unusable(&error))?;
        Ok(self.checked(self.agent.run(request))?.into_body().into_reader())
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
            StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND | StatusCode::CONFLICT => {
                Failure::Usage(detail.to_owned())
            }
            _ => Failure::Run(detail.to_owned()),
        })
    }

    fn silent(&self, error: &ureq::Error) -> Failure {
        Failure::Run(format!(
            "no node answers at {}: {error}; start one with `tapline run`, or give --node URL",
            self.url
        ))
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
