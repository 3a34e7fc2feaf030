//! Who may ask a node over the network, and by what it proves that it is the one.
//!
//! Takes an address, files of TLS and tokens; refuses to open an address that others reach without both. Takes the head
//! of each request, says whether it is answered. All can be renewed while the node runs, and what is wrong with the new
//! changes nothing.

use crate::credentials::Credentials;
use crate::failures::{Consequence, Failures};
use crate::tls::{Tls, TlsFiles};
use crate::tokens::{May, TokenPlan, Tokens};
use axum::http::{HeaderMap, Method, header};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};
use tapline_catalog::{Level, Log};
use tokio_rustls::TlsAcceptor;

/// The only path that is answered without a token: it says no more than that the node is there.
const OPEN_TO_ALL: &str = "/healthz";
/// Paths that change nothing, though they are posted to.
const CHANGES_NOTHING: [&str; 4] = ["/api/v1/edit", "/api/v1/explain", "/api/v1/preview", "/api/v1/sql"];

/// What an entrance is opened with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EntrancePlan {
    /// By what the node proves that it is the one; without it, everybody on the way can read along.
    pub tls: Option<TlsFiles>,
    /// Who may ask; without any, whoever reaches it.
    pub tokens: Vec<TokenPlan>,
}

/// The way to a node over the network.
pub struct Entrance {
    address: SocketAddr,
    keys: RwLock<Arc<Keys>>,
    failures: Mutex<Failures>,
    log: Log,
}

/// What is renewed.
struct Keys {
    tls: Option<Tls>,
    tokens: Tokens,
}

/// Why a request is not answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It brings nothing.
    NoToken,
    /// It brings what is no token of this node.
    WrongToken,
    /// The token of this name only allows to ask.
    MayOnlyRead(String),
    /// A browser sent it by itself, and does not say whose page asks.
    FromNowhere,
}

impl Entrance {
    /// Reads what the plan names, for an address.
    ///
    /// # Errors
    /// A sentence that says what to write: others than this machine reach the address, and TLS or a token is missing;
    /// or a file cannot be used.
    pub fn open(address: SocketAddr, plan: &EntrancePlan, log: Log) -> Result<Self, String> {
        let (keys, warnings) = Keys::read(address, plan)?;
        warnings.iter().for_each(|warning| log.say(Level::Warning, warning));
        Ok(Self { address, keys: RwLock::new(Arc::new(keys)), failures: Mutex::default(), log })
    }

    /// Reads what a plan names now, and holds to it from the next connection and request on; gives what has changed.
    ///
    /// # Errors
    /// As [`Self::open`]; then nothing changes.
    pub fn renew(&self, plan: &EntrancePlan) -> Result<Vec<String>, String> {
        let (keys, warnings) = Keys::read(self.address, plan)?;
        warnings.iter().for_each(|warning| self.log.say(Level::Warning, warning));
        let before = self.keys();
        let has_other_certificate = match (&before.tls, &keys.tls) {
            (Some(before), Some(now)) => !before.is_same(now),
            (before, now) => before.is_some() != now.is_some(),
        };
        let changes =
            [("certificate", has_other_certificate), ("list of tokens", before.tokens != keys.tokens)];
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
        Ok(changes
            .into_iter()
            .filter(|(_, has_changed)| *has_changed)
            .map(|(what, _)| what.to_owned())
            .collect())
    }

    /// Where it is to be.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// What agrees on keys with whoever connects, where that is asked for.
    pub(crate) fn acceptor(&self) -> Option<TlsAcceptor> {
        self.keys().tls.as_ref().map(|tls| tls.acceptor().clone())
    }

    /// Whether a request is answered.
    pub(crate) fn judge(&self, method: &Method, path: &str, headers: &HeaderMap) -> Result<(), Refusal> {
        judge(&self.keys().tokens, method, path, headers)
    }

    /// Counts a wrong token, and tells of it where that is due; gives how long its answer waits.
    pub(crate) fn fail(&self, address: Option<IpAddr>) -> Duration {
        let address = address.unwrap_or(Ipv6Addr::UNSPECIFIED.into());
        let Consequence { wait, tell } = self.failures().note(address, Instant::now());
        if let Some(count) = tell {
            let requests = if count == 1 { "a request".to_owned() } else { format!("{count} requests") };
            let address = address.to_canonical();
            let what = format!("{requests} from {address} brought a wrong token and came to nothing");
            self.log.say(Level::Warning, &what);
        }
        wait
    }

    /// How many requests brought a wrong token.
    pub(crate) fn refused(&self) -> u64 {
        self.failures().all()
    }

    fn keys(&self) -> Arc<Keys> {
        Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn failures(&self) -> MutexGuard<'_, Failures> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Keys {
    fn read(address: SocketAddr, plan: &EntrancePlan) -> Result<(Self, Vec<String>), String> {
        check(address, plan)?;
        let (tls, of_tls) = plan.tls.as_ref().map(Tls::read).transpose()?.unzip();
        let (tokens, of_tokens) = Tokens::read(&plan.tokens)?;
        Ok((Self { tls, tokens }, [of_tls.unwrap_or_default(), of_tokens].concat()))
    }
}

/// Refuses an address that others reach, where not both are given.
fn check(address: SocketAddr, plan: &EntrancePlan) -> Result<(), String> {
    let missing = match (&plan.tls, &plan.tokens[..]) {
        _ if address.ip().to_canonical().is_loopback() => return Ok(()),
        (None, []) => "--tls-certificate FILE, --tls-key FILE and --token-file FILE",
        (None, _) => "--tls-certificate FILE and --tls-key FILE",
        (Some(_), []) => "--token-file FILE",
        (Some(_), _) => return Ok(()),
    };
    Err(format!(
        "others than this machine reach {address}, and whoever reaches the API may change what runs; add {missing}, or the \
         same in --config FILE ([node] tls_certificate, tls_key and [[token]]), or let it listen on {}",
        SocketAddr::new(IpAddr::from([127, 0, 0, 1]), address.port())
    ))
}

/// Whether a request is answered.
fn judge(tokens: &Tokens, method: &Method, path: &str, headers: &HeaderMap) -> Result<(), Refusal> {
    if tokens.is_empty() || path == OPEN_TO_ALL {
        return Ok(());
    }
    let (token, is_sent_by_itself) = match Credentials::of(headers) {
        Credentials::Nothing => return Err(Refusal::NoToken),
        Credentials::Unreadable => return Err(Refusal::WrongToken),
        Credentials::Token { token, is_sent_by_itself } => (token, is_sent_by_itself),
    };
    let token = tokens.find(&token).ok_or(Refusal::WrongToken)?;
    if [Method::GET, Method::HEAD, Method::OPTIONS].contains(method) || CHANGES_NOTHING.contains(&path) {
        return Ok(());
    }
    if token.may != May::Change {
        return Err(Refusal::MayOnlyRead(token.name.clone()));
    }
    // That it is the node's own has been looked at, where it is there.
    if is_sent_by_itself && !headers.contains_key(header::ORIGIN) {
        return Err(Refusal::FromNowhere);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokens::Secret;
    use std::path::PathBuf;
    use tapline_sources::Notice;

    struct Silent;

    impl tapline_catalog::Tell for Silent {
        fn say(&self, _: Level, _: &str) {}

        fn notice(&self, _: &Notice) {}
    }

    /// SHA-256 of `reads`, and of `changes`.
    const READS: &str = "3566cf23ecb6f832d67d1439e0cb3d05eb7f4ad702c6f478aa96f19812f18e8c";
    const CHANGES: &str = "d0b4ba2311b3e84977dc4bb320fe72cd85426f5cf14b487a4c5352ae3ad8cb37";

    fn token(name: &str, may: May, digits: &str) -> TokenPlan {
        TokenPlan { name: name.to_owned(), may, secret: Secret::Sha256(digits.to_owned()) }
    }

    fn tokens() -> Vec<TokenPlan> {
        vec![token("page", May::Read, READS), token("me", May::Change, CHANGES)]
    }

    #[test]
    fn a_request_is_answered_by_what_it_brings() {
        let (tokens, _) = Tokens::read(&tokens()).unwrap();
        let judged = |method: &Method, path: &str, brings: &str, origin: bool| {
            let mut headers = HeaderMap::new();
            if !brings.is_empty() {
                headers.insert(header::AUTHORIZATION, brings.parse().unwrap());
            }
            if origin {
                headers.insert(header::ORIGIN, "https://node1".parse().unwrap());
            }
            judge(&tokens, method, path, &headers)
        };
        let (get, post, queries) = (Method::GET, Method::POST, "/api/v1/queries");
        let only_reads = || Err(Refusal::MayOnlyRead("page".to_owned()));
        let by_browser = ["Basic YW55OnJlYWRz", "Basic YW55OmNoYW5nZXM="];
        let cases = [
            (&get, queries, "", false, Err(Refusal::NoToken)),
            (&get, "/healthz", "", false, Ok(())),
            (&post, "/healthz", "wrong", false, Ok(())),
            (&get, "/healthz/", "", false, Err(Refusal::NoToken)),
            (&get, queries, "Bearer read", false, Err(Refusal::WrongToken)),
            (&get, queries, "Bearer", false, Err(Refusal::WrongToken)),
            (&get, queries, "Bearer reads", false, Ok(())),
            (&get, queries, by_browser[0], false, Ok(())),
            (&post, queries, "Bearer reads", false, only_reads()),
            (&post, queries, by_browser[0], true, only_reads()),
            (&post, "/api/v1/explain", "Bearer reads", false, Ok(())),
            (&post, "/api/v1/sql", "Bearer reads", false, Ok(())),
            (&post, "/api/v1/reload", "Bearer reads", false, only_reads()),
            (&Method::PUT, queries, "Bearer reads", false, only_reads()),
            (&Method::DELETE, queries, "Bearer reads", false, only_reads()),
            (&Method::PATCH, queries, "Bearer reads", false, only_reads()),
            (&post, queries, "Bearer changes", false, Ok(())),
            (&post, queries, by_browser[1], false, Err(Refusal::FromNowhere)),
            (&post, queries, by_browser[1], true, Ok(())),
        ];
        for (method, path, brings, origin, expected) in cases {
            assert_eq!(judged(method, path, brings, origin), expected, "{method} {path} {brings} {origin}");
        }
        assert_eq!(judge(&Tokens::default(), &post, queries, &HeaderMap::new()), Ok(()));
    }

    #[test]
    fn an_address_that_others_reach_needs_both() {
        let files = || Some(TlsFiles { certificate: PathBuf::from("c"), key: PathBuf::from("k") });
        let checked = |address: &str, tls: Option<TlsFiles>, tokens: Vec<TokenPlan>| {
            check(address.parse().unwrap(), &EntrancePlan { tls, tokens }).err()
        };
        for loopback in ["127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "[::ffff:127.0.0.1]:1"] {
            assert_eq!(checked(loopback, None, vec![]), None, "{loopback}");
        }
        for other in ["0.0.0.0:8790", "192.0.2.1:8790", "[::]:8790", "[2001:db8::1]:8790"] {
            let said = checked(other, None, vec![]).unwrap();
            let all = "add --tls-certificate FILE, --tls-key FILE and --token-file FILE, or the same";
            assert!(said.contains(all) && said.ends_with("let it listen on 127.0.0.1:8790"), "{said}");
            assert!(checked(other, files(), vec![]).unwrap().contains("add --token-file FILE, or"));
            assert!(
                checked(other, None, tokens()).unwrap().contains("add --tls-certificate FILE and --tls-key")
            );
            assert_eq!(checked(other, files(), tokens()), None);
        }
    }

    #[test]
    fn what_is_renewed_is_told_and_what_is_wrong_changes_nothing() {
        let log: Log = Arc::new(Silent);
        let address = SocketAddr::from(([127, 0, 0, 1], 8790));
        let with = |tokens: Vec<TokenPlan>| EntrancePlan { tls: None, tokens };
        let entrance = Entrance::open(address, &with(tokens()), log).unwrap();
        let asks = |digits: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, format!("Bearer {digits}").parse().unwrap());
            entrance.judge(&Method::GET, "/", &headers)
        };
        assert_eq!(entrance.renew(&with(tokens())), Ok(vec![]));
        assert_eq!((asks("reads"), asks("changes")), (Ok(()), Ok(())));
        assert_eq!(entrance.renew(&with(tokens()[..1].to_vec())), Ok(vec!["list of tokens".to_owned()]));
        assert_eq!((asks("reads"), asks("changes")), (Ok(()), Err(Refusal::WrongToken)));
        let twice = [tokens(), tokens()].concat();
        assert!(entrance.renew(&with(twice)).is_err());
        assert_eq!(asks("reads"), Ok(()));
        let elsewhere = Some(TlsFiles { certificate: PathBuf::from("/none"), key: PathBuf::from("/none") });
        assert!(entrance.renew(&EntrancePlan { tls: elsewhere, tokens: vec![] }).is_err());
        assert_eq!(asks("changes"), Err(Refusal::WrongToken));
        assert_eq!(entrance.fail(None), Duration::from_millis(100));
        assert_eq!(entrance.refused(), 1);
    }
}
