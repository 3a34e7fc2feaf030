//! A ClickHouse server as it is asked over HTTP, and what it says when it does not do what it is asked.

use crate::place;
use crate::proof::ProofFiles;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use tokio_rustls::rustls::crypto::ring::default_provider;
use ureq::Agent;
use ureq::http::Uri;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

/// How long a server may take to be reached, and to answer; a second more for each mebibyte that it is sent.
const REACHED_WITHIN: Duration = Duration::from_secs(5);
const ANSWERED_WITHIN: Duration = Duration::from_secs(60);
/// Octets of what a server says that is told on.
const SAID_OCTETS_MAX: usize = 300;
/// What an answer begins with that says what is wrong.
const FAILED: &str = "Code: ";
const USER: &str = "default";
const DATABASE: &str = "default";

/// Where a server is, and who asks it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Without user and database.
    base: String,
    user: String,
    pub(super) database: String,
    is_secure: bool,
    is_here: bool,
}

/// Over what it is asked, and by what password.
pub(super) struct Line {
    agent: Agent,
    password: Option<String>,
}

impl Place {
    /// The one that a URL names.
    pub(super) fn of(url: &str) -> Result<Self, String> {
        const RIGHT: &str = "write http://USER@HOST:8123/DATABASE, or https://USER@HOST:8443/DATABASE";
        let (scheme, rest) = url.split_once("://").unwrap_or_default();
        let is_secure = scheme == "https";
        if !is_secure && scheme != "http" {
            return Err(format!("url: it begins neither with http:// nor with https://; {RIGHT}"));
        }
        let (user, rest) = rest.split_once('@').unwrap_or(("", rest));
        if user.contains(':') {
            return Err(
                "url: it has a password in it; put that into a file, and give password_file".to_owned()
            );
        }
        let (server, database) = rest.split_once('/').unwrap_or((rest, ""));
        let parsed = format!("{scheme}://{server}/").parse::<Uri>();
        let host = parsed.as_ref().ok().and_then(Uri::host).unwrap_or_default().trim_matches(['[', ']']);
        if host.is_empty() || database.contains(['/', '?', '#']) {
            return Err(format!("url: it names no server and database; {RIGHT}"));
        }
        let is_here = place::is_this_machine(host);
        let has_port = parsed.as_ref().is_ok_and(|uri| uri.port().is_some());
        let port = match (has_port, is_secure) {
            (true, _) => "",
            (false, true) => ":8443",
            (false, false) => ":8123",
        };
        let said =
            |text: &str, unsaid: &str| if text.is_empty() { unsaid.to_owned() } else { text.to_owned() };
        Ok(Self {
            base: format!("{scheme}://{server}{port}/"),
            user: said(user, USER),
            database: said(database, DATABASE),
            is_secure,
            is_here,
        })
    }

    /// Makes ready to ask it.
    pub(super) fn line(&self, proof: &ProofFiles) -> Result<Line, String> {
        let password = proof.password()?;
        if password.is_some() && !self.is_secure && !self.is_here {
            return Err(
                "a password goes to other machines over TLS only; write https:// in the url".to_owned()
            );
        }
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_connect(Some(REACHED_WITHIN))
            .max_redirects(0)
            .proxy(None);
        let config = if self.is_secure { config.tls_config(tls(proof)?) } else { config };
        Ok(Line { agent: config.build().into(), password })
    }

    /// Lets it do what a statement says, with a body behind it.
    pub(super) fn ask(
        &self,
        line: &Line,
        statement: &str,
        settings: &[(&str, &str)],
        body: &[u8],
    ) -> Result<String, String> {
        let within = ANSWERED_WITHIN + Duration::from_secs(body.len() as u64 >> 20);
        let request = line.agent.post(&self.base).config().timeout_global(Some(within)).build();
        let request = request.query("query", statement);
        let request = request.query_pairs(settings.iter().copied()).header("X-ClickHouse-User", &self.user);
        let request = match &line.password {
            Some(password) => request.header("X-ClickHouse-Key", password.as_bytes()),
            None => request,
        };
        let mut answer = request.send(body).map_err(|error| self.silent(&error))?;
        let text = answer.body_mut().read_to_string();
        // Of what fails late, the head says that all is well.
        let has_failed = text.as_ref().is_ok_and(|text| text.starts_with(FAILED));
        if answer.status().is_success() && !has_failed {
            return text.map_err(|error| self.silent(&error));
        }
        Err(self.refused(&text.unwrap_or_default()))
    }

    fn silent(&self, error: &ureq::Error) -> String {
        let (base, why) = (&self.base, error.to_string());
        if self.is_secure && why.contains("certificate") {
            return format!(
                "ClickHouse at {base} does not prove who it is: {why}; give ca_file with the certificate of whoever \
                 signed the server's"
            );
        }
        format!("ClickHouse at {base} does not answer: {why}; start it, or give another url")
    }

    /// What an answer means that begins with `Code: 516. DB::Exception: `.
    fn refused(&self, said: &str) -> String {
        let (base, user) = (&self.base, &self.user);
        let line = said.lines().next().unwrap_or_default();
        let line = line.get(..line.floor_char_boundary(SAID_OCTETS_MAX)).unwrap_or_default().trim_end();
        let code = line.strip_prefix(FAILED).and_then(|rest| rest.split('.').next());
        match code {
            Some("516" | "194" | "192") => format!(
                "ClickHouse at {base} does not let {user} in: {line}; put the right password into the file that \
                 password_file names, or name another user in the url"
            ),
            Some("497") => {
                format!("ClickHouse at {base} does not let {user} do that: {line}; GRANT it to {user}")
            }
            Some("81") => {
                format!("ClickHouse at {base} has no such database: {line}; CREATE DATABASE makes one")
            }
            Some(_) => format!("ClickHouse at {base} refuses results: {line}"),
            None => format!("what answers at {base} is no ClickHouse: {line}; give another url"),
        }
    }
}

/// Names and types that an answer in the format JSONCompact has.
pub(super) fn pairs(answer: &str) -> Vec<(String, String)> {
    let answer = serde_json::from_str::<Value>(answer).unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let rows = answer["data"].as_array().into_iter().flatten();
    rows.map(|row| (text(&row[0]), text(&row[1]))).collect()
}

fn tls(proof: &ProofFiles) -> Result<TlsConfig, String> {
    let certificates = proof.certificates()?;
    let roots = certificates.iter().map(|certificate| Certificate::from_der(certificate).to_owned());
    let config = TlsConfig::builder().root_certs(RootCerts::from(roots.collect::<Vec<_>>()));
    Ok(config.unversioned_rustls_crypto_provider(Arc::new(default_provider())).build())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;
    use std::thread;

    #[test]
    fn addresses_have_what_is_not_said() {
        let place = Place::of("http://127.0.0.1").unwrap();
        assert_eq!(
            (place.base.as_str(), place.user.as_str(), place.database.as_str()),
            ("http://127.0.0.1:8123/", USER, DATABASE)
        );
        let place = Place::of("https://tapline@ch.example:443/flows").unwrap();
        assert_eq!(
            (place.base.as_str(), place.user.as_str(), place.database.as_str()),
            ("https://ch.example:443/", "tapline", "flows")
        );
        assert!(Place::of("http://[::1]:8123/d").unwrap().is_here && !place.is_here);
        for (url, expected) in [
            ("ch.example", "url: it begins neither with http:// nor"),
            ("http://a:open-sesame@b/c", "url: it has a password in it; put that into a file"),
            ("http:///c", "url: it names no server and database"),
            ("http://b/c/d", "url: it names no server and database"),
        ] {
            let wrong = Place::of(url).unwrap_err();
            assert!(wrong.starts_with(expected) && !wrong.contains("sesame"), "{url}: {wrong}");
        }
    }

    #[test]
    fn what_fails_late_has_failed() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let place = Place::of(&format!("http://{}/d", listener.local_addr().unwrap())).unwrap();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut asked = vec![];
            while !asked.windows(4).any(|octets| octets == b"\r\n\r\n") {
                let mut octets = [0; 1024];
                let count = stream.read(&mut octets).unwrap();
                asked.extend_from_slice(&octets[..count]);
            }
            let said = "Code: 241. DB::Exception: Memory limit exceeded";
            write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{said}", said.len()).unwrap();
            String::from_utf8(asked).unwrap()
        });
        let folder = tempfile::tempdir().unwrap();
        let password = folder.path().join("password");
        std::fs::write(&password, "sésame").unwrap();
        let line = place.line(&ProofFiles { password: Some(password), ca: None }).unwrap();
        let refused = place.ask(&line, "INSERT", &[], &[]).unwrap_err();
        assert!(refused.contains("refuses results: Code: 241."), "{refused}");
        let asked = server.join().unwrap().to_lowercase();
        assert!(asked.contains("x-clickhouse-key: sésame"), "{asked}");
    }

    #[test]
    fn a_password_stays_on_this_machine_or_goes_over_tls() {
        let folder = tempfile::tempdir().unwrap();
        let password = folder.path().join("password");
        std::fs::write(&password, "open sesame").unwrap();
        let proof = ProofFiles { password: Some(password), ca: None };
        assert!(Place::of("http://localhost/d").unwrap().line(&proof).is_ok());
        let wrong = Place::of("http://10.0.0.1/d").unwrap().line(&proof).err().unwrap();
        assert!(wrong.contains("over TLS only"), "{wrong}");
    }

    #[test]
    fn what_it_refuses_comes_with_a_mend() {
        let place = Place::of("http://u@localhost/d").unwrap();
        for (said, expected) in [
            ("Code: 516. DB::Exception: u: Authentication failed", "does not let u in"),
            ("Code: 497. DB::Exception: u: Not enough privileges", "GRANT it to u"),
            ("Code: 81. DB::Exception: Database d does not exist.\nmore", "CREATE DATABASE makes one"),
            ("Code: 60. DB::Exception: Table d.t does not exist.", "refuses results: Code: 60."),
            ("<html>", "is no ClickHouse"),
        ] {
            let sentence = place.refused(said);
            assert!(sentence.contains(expected) && !sentence.contains('\n'), "{sentence}");
        }
        let answer = r#"{"meta": [], "data": [["n", "Int64"], ["m", "IPv6"]]}"#;
        let expected = [("n", "Int64"), ("m", "IPv6")].map(|(a, b)| (a.to_owned(), b.to_owned()));
        assert_eq!(pairs(answer), expected);
        assert!(pairs("else").is_empty());
    }
}
