//! Who may ask a node over the network, and by what it proves that it is the one: certificates by openssl, tokens,
//! browsers as curl plays them, and whoever connects to say nothing.

use super::node::json;
use harness::certificates::{Authority, EXPIRED, IN_ORDER, Pair};
use harness::node::Node;
use harness::ports::free_port;
use harness::run::binary;
use harness::{Finished, tapline};
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const READS: &str = "reads-0123456789abcdef";
const CHANGES: &str = "changes-0123456789abcdef";
const SQL: &str = "SELECT count(*) AS records FROM flows GROUP BY tumble('1 second')";

/// What a node that others reach is started with.
struct Place {
    authority: Authority,
    folder: TempDir,
    /// What its node listens on for exports.
    port: u16,
}

impl Place {
    fn new() -> Option<Self> {
        let (authority, folder) = (Authority::new()?, tempfile::tempdir().unwrap());
        let place = Self { authority, folder, port: free_port() };
        fs::write(place.path("page.token"), format!("{READS}\n")).unwrap();
        fs::write(place.path("me.token"), CHANGES).unwrap();
        fs::write(place.path("wrong.token"), "wrong-0123456789abcdef").unwrap();
        place.install(&place.authority.sign("first", IN_ORDER));
        place.configure(&["page", "me"]);
        Some(place)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// Puts a certificate where the node has it.
    fn install(&self, pair: &Pair) {
        fs::copy(&pair.certificate, self.path("node.pem")).unwrap();
        fs::copy(&pair.key, self.path("node.key")).unwrap();
    }

    /// Writes a configuration with these tokens.
    fn configure(&self, tokens: &[&str]) {
        let mut text = format!(
            "[node]\ntls_certificate = \"{}\"\ntls_key = \"{}\"\n[[source]]\nlisten = \"udp://127.0.0.1:{}\"\n",
            self.text("node.pem"),
            self.text("node.key"),
            self.port
        );
        for name in tokens {
            let (file, may) =
                (self.text(&format!("{name}.token")), if *name == "me" { "change" } else { "read" });
            text.push_str(&format!("[[token]]\nname = \"{name}\"\nfile = \"{file}\"\nmay = \"{may}\"\n"));
        }
        fs::write(self.path("node.toml"), text).unwrap();
    }

    /// A node that others than this machine reach.
    fn start(&self) -> Node {
        Node::start_at("0.0.0.0:0", &["--bare", "--config", &self.text("node.toml")])
    }

    /// Runs a command over TLS with a token.
    fn ask(&self, node: &Node, token: &str, arguments: &[&str]) -> Finished {
        let (ca, token) = (self.authority.certificate(), self.text(&format!("{token}.token")));
        let proof = ["--node", &url(node), "--ca", ca.to_str().unwrap(), "--token-file", &token];
        tapline(&[arguments, &proof].concat())
    }

    /// The status that a browser is answered with, and the head of the answer.
    fn browse(&self, node: &Node, arguments: &[&str], path: &str) -> (u16, String) {
        let mut command = Command::new("curl");
        command
            .args(["--silent", "--include", "--max-time", "30", "--cacert"])
            .arg(self.authority.certificate());
        let output = command.args(arguments).arg(format!("{}{path}", url(node))).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let status = text.split(' ').nth(1).and_then(|status| status.parse().ok());
        let Some(status) = status else { panic!("{text}{}", String::from_utf8_lossy(&output.stderr)) };
        (status, text)
    }
}

/// Where a node on this machine is asked that has all of its addresses.
fn url(node: &Node) -> String {
    node.url().replace("0.0.0.0", "127.0.0.1")
}

/// Where it listens.
fn address(node: &Node) -> String {
    url(node).trim_start_matches("https://").to_owned()
}

fn refused(run: &Finished, code: i32, part: &str) {
    assert!(run.code == Some(code) && run.stderr.contains(part), "{:?}: {}", run.code, run.stderr);
}

#[test]
fn an_address_that_others_reach_needs_tls_and_a_token() {
    let Some(place) = Place::new() else { return };
    let run = |proof: &[&str]| {
        tapline(&[&["run", "--listen", "udp://127.0.0.1:0", "--api", "0.0.0.0:0"], proof].concat())
    };
    let (certificate, key, token) = (place.text("node.pem"), place.text("node.key"), place.text("me.token"));
    let tls = ["--tls-certificate", &certificate, "--tls-key", &key];
    refused(&run(&[]), 2, "add --tls-certificate FILE, --tls-key FILE and --token-file FILE, or the same in");
    refused(&run(&["--token-file", &token]), 2, "add --tls-certificate FILE and --tls-key FILE, or");
    refused(&run(&tls), 2, "add --token-file FILE, or");
    refused(&run(&tls[..2]), 2, "--tls-key");
    let with_token = |tls: [&str; 4]| run(&[&tls[..], &["--token-file", &token]].concat());
    refused(
        &with_token(["--tls-certificate", "/none", "--tls-key", &key]),
        2,
        "/none cannot be read: No such file",
    );
    refused(&with_token(["--tls-certificate", &key, "--tls-key", &key]), 2, "holds no certificate");
    refused(
        &with_token(["--tls-certificate", &certificate, "--tls-key", &certificate]),
        2,
        "holds no private key",
    );
    let other = place.authority.sign("other", IN_ORDER).key;
    let other = with_token(["--tls-certificate", &certificate, "--tls-key", other.to_str().unwrap()]);
    refused(&other, 2, "is not that of the certificate");
    fs::write(&token, "short").unwrap();
    refused(&with_token(tls), 2, "is to hold one line of 16 to 512 characters");
}

#[test]
fn commands_ask_over_tls_with_a_token() {
    let Some(place) = Place::new() else { return };
    let (file, socket) = (place.text("node.toml"), place.text("api.sock"));
    let node = Node::start_at("0.0.0.0:0", &["--bare", "--config", &file, "--socket", &socket]);
    assert!(url(&node).starts_with("https://127.0.0.1:"), "{}", node.url());
    assert!(place.ask(&node, "page", &["status"]).success().contains("udp://127.0.0.1"));
    assert!(place.ask(&node, "page", &["queries", "explain", SQL]).success().contains("result: records"));
    let only_reads = "the token `page` may only read";
    refused(&place.ask(&node, "page", &["queries", "add", "all", SQL]), 2, only_reads);
    refused(&place.ask(&node, "page", &["reload"]), 2, only_reads);
    assert_eq!(place.ask(&node, "me", &["queries", "add", "all", SQL]).code, Some(0));
    refused(&place.ask(&node, "page", &["queries", "drop", "all"]), 2, only_reads);
    refused(&place.ask(&node, "wrong", &["queries", "list"]), 2, "this is no token of this node");
    node.wait_for("a request from 127.0.0.1 brought a wrong token");
    assert_eq!(json(&place.ask(&node, "page", &["status", "--format", "json"]))["tokens_refused"], 1);
    let by_socket = tapline(&["status", "--format", "json", "--node", &format!("unix:{socket}")]);
    assert_eq!(json(&by_socket)["tokens_refused"], 1, "it is the same node");
    let (ca, url) = (place.authority.certificate(), url(&node));
    let ca = ca.to_str().unwrap();
    refused(&tapline(&["status", "--node", &url, "--ca", ca]), 2, "this node answers whoever brings a token");
    let stranger = Authority::new().unwrap();
    let by_stranger =
        ["status", "--node", &url, "--ca", stranger.certificate().to_str().unwrap()].map(str::to_owned);
    refused(&tapline(&by_stranger), 1, "does not prove that it is this node");
    refused(
        &tapline(&["status", "--node", &url.replace("https", "http")]),
        2,
        "this node speaks TLS; ask it by https",
    );
    let token = place.text("me.token");
    let in_the_clear = ["status", "--node", "http://192.0.2.1:8790", "--token-file", &token];
    refused(&tapline(&in_the_clear), 2, "a token goes to other machines over TLS only");
    let mut by_environment = Command::new(binary());
    by_environment
        .args(["queries", "list", "--ca", ca])
        .env("TAPLINE_NODE", &url)
        .env("TAPLINE_TOKEN", READS);
    let listed = by_environment.output().unwrap();
    assert!(String::from_utf8_lossy(&listed.stdout).contains("all"), "{listed:?}");
    assert_eq!(node.stop().code, Some(0));
}

#[test]
fn a_browser_asks_with_a_password_and_changes_from_the_nodes_own_page() {
    let Some(place) = Place::new() else { return };
    if Command::new("curl").arg("--version").output().is_err() {
        println!("skipped: curl is not installed (`cargo xtask setup --for test` installs it)");
        return;
    }
    let node = place.start();
    let own = format!("origin: {}", url(&node));
    let (reads, changes) = (format!("any:{READS}"), format!("any:{CHANGES}"));
    let status = |arguments: &[&str], path: &str| place.browse(&node, arguments, path).0;
    assert_eq!(status(&[], "/healthz"), 200);
    let (refused, head) = place.browse(&node, &[], "/api/v1/status");
    let challenges = ["www-authenticate: Bearer realm=", "www-authenticate: Basic realm="];
    assert!(refused == 401 && challenges.iter().all(|part| head.contains(part)), "{head}");
    assert_eq!(status(&["--user", &reads], "/api/v1/status"), 200);
    assert_eq!(status(&["--user", "any:wrong"], "/api/v1/status"), 401);
    let reload = |arguments: &[&str]| status(&[&["--request", "POST"], arguments].concat(), "/api/v1/reload");
    assert_eq!(reload(&["--user", &reads, "--header", &own]), 403);
    assert_eq!(reload(&["--user", &changes]), 403);
    assert_eq!(reload(&["--user", &changes, "--header", "origin: https://evil.example"]), 403);
    assert_eq!(reload(&["--user", &changes, "--header", &own.replace("https", "http")]), 403);
    assert_eq!(reload(&["--user", &changes, "--header", &own]), 200);
    let picture =
        ["--user", &reads, "--header", "sec-fetch-site: cross-site", "--header", "sec-fetch-mode: no-cors"];
    assert_eq!(status(&picture, "/api/v1/status"), 403);
    let bearer = format!("authorization: Bearer {CHANGES}");
    assert_eq!(reload(&["--header", &bearer]), 200);
    assert_eq!(node.stop().code, Some(0));
}

#[test]
fn certificates_and_tokens_are_read_again_and_broken_ones_change_nothing() {
    let Some(place) = Place::new() else { return };
    let node = place.start();
    let other = Authority::new().unwrap();
    let trusts = |authority: &Authority| {
        let (ca, token) = (authority.certificate(), place.text("me.token"));
        let run =
            tapline(&["status", "--node", &url(&node), "--ca", ca.to_str().unwrap(), "--token-file", &token]);
        run.code == Some(0)
    };
    assert!(trusts(&place.authority) && !trusts(&other));
    place.install(&other.sign("second", IN_ORDER));
    node.signal("HUP");
    node.wait_for("certificate is other than before");
    assert!(trusts(&other) && !trusts(&place.authority));
    fs::write(place.path("node.key"), "no key").unwrap();
    node.signal("HUP");
    node.wait_for("holds no private key");
    assert!(trusts(&other));
    place.install(&place.authority.sign("third", IN_ORDER));
    place.configure(&["me"]);
    assert_eq!(place.ask(&node, "me", &["reload"]).code, Some(1), "it trusts the first authority only");
    node.signal("HUP");
    node.wait_for("list of tokens is other than before");
    refused(&place.ask(&node, "page", &["status"]), 2, "this is no token of this node");
    place.configure(&["page", "me"]);
    assert_eq!(place.ask(&node, "me", &["reload"]).success(), "access: list of tokens\n");
    assert_eq!(place.ask(&node, "page", &["status"]).code, Some(0));
    place.configure(&[]);
    refused(&place.ask(&node, "me", &["reload"]), 1, "not all could be taken up");
    assert_eq!(place.ask(&node, "page", &["status"]).code, Some(0), "who may ask stays as it was");
    assert_eq!(node.stop().code, Some(0));
}

#[test]
fn an_expired_certificate_is_told_on_both_sides() {
    let Some(place) = Place::new() else { return };
    place.install(&place.authority.sign("old", EXPIRED));
    let node = place.start();
    node.wait_for("node.pem expired ");
    let asked = place.ask(&node, "me", &["status"]);
    refused(&asked, 1, "does not prove that it is this node");
    assert!(asked.stderr.contains("expired"), "{}", asked.stderr);
    assert_eq!(node.stop().code, Some(0));
}

/// How long a node leaves a connection open over which this came, and nothing after it.
fn left_open(node: &Node, octets: &[u8]) -> Duration {
    let mut stream = TcpStream::connect(address(node)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let started = Instant::now();
    stream.write_all(octets).unwrap();
    // Its end may be told as a reset.
    let ended = stream.read_to_end(&mut vec![]);
    assert!(ended.is_ok() || started.elapsed() < Duration::from_secs(60), "{ended:?}");
    started.elapsed()
}

#[test]
fn whoever_connects_to_say_nothing_is_closed() {
    let Some(place) = Place::new() else { return };
    let node = place.start();
    let node = &node;
    std::thread::scope(|scope| {
        for octets in [&b""[..], b"\x16\x03\x01", b"\x16\x03\x01\x02\x00\x01"] {
            scope.spawn(move || assert!(left_open(node, octets) < Duration::from_secs(25), "{octets:?}"));
        }
        // No TLS, and no HTTP either.
        scope.spawn(move || assert!(left_open(node, b"\x00\x01\x02") < Duration::from_secs(25)));
        scope.spawn(|| {
            let mut client = Command::new("openssl");
            client.args(["s_client", "-quiet", "-connect", &address(node)]);
            let started = Instant::now();
            let mut client =
                client.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            // Its input goes on, and it sends a head that does not end.
            client.stdin.as_mut().unwrap().write_all(b"GET / HTTP/1.1\r\nhost: ").unwrap();
            let input = client.stdin.take();
            while client.try_wait().unwrap().is_none() {
                assert!(started.elapsed() < Duration::from_secs(60), "nobody closes it");
                std::thread::sleep(Duration::from_millis(20));
            }
            drop(input);
        });
        // Meanwhile others are answered.
        assert_eq!(place.ask(node, "page", &["status"]).code, Some(0));
    });
}

/// Capabilities by their bits: to drop what bounds them, and for networks.
const SETPCAP: u64 = 1 << 8;
const NET_ADMIN: u64 = 1 << 12;

/// A number in hexadecimal digits in the status of a process or a thread.
fn number(status: &str, name: &str) -> u64 {
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    u64::from_str_radix(line.split_whitespace().nth(1).unwrap(), 16).unwrap()
}

/// That of each thread of a node.
fn of_threads(node: &Node, name: &str) -> Vec<u64> {
    let threads = fs::read_dir(format!("/proc/{}/task", node.id())).unwrap();
    // One may have ended meanwhile.
    let status = threads.filter_map(|thread| fs::read_to_string(thread.ok()?.path().join("status")).ok());
    status.map(|status| number(&status, name)).collect()
}

#[test]
fn a_node_that_only_listens_keeps_no_rights_but_that_to_long_queues() {
    let node = super::node::node(free_port(), &["--bare"]);
    let own = fs::read_to_string("/proc/self/status").unwrap();
    let (permitted, effective) = (number(&own, "CapPrm:"), number(&own, "CapEff:"));
    for (name, expected) in [
        ("CapPrm:", permitted & NET_ADMIN),
        ("CapEff:", effective & NET_ADMIN),
        ("CapInh:", 0),
        ("CapAmb:", 0),
        ("NoNewPrivs:", 1),
    ] {
        let found = of_threads(&node, name);
        assert!(found.len() > 3 && found.iter().all(|set| *set == expected), "{name} {found:x?}");
    }
    if effective & SETPCAP != 0 {
        assert!(of_threads(&node, "CapBnd:").iter().all(|set| *set == NET_ADMIN));
    }
    assert_eq!(node.stop().code, Some(0));
}

#[test]
fn the_unit_of_systemd_is_as_narrow_as_it_can_be() {
    let unit = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs/tapline.service");
    let mut command = Command::new("systemd-analyze");
    command.args(["security", "--offline=true", "--threshold=30", "--no-pager"]).arg(unit);
    let Ok(output) = command.output() else {
        println!("skipped: systemd-analyze is not installed (`cargo xtask setup --for test` installs it)");
        return;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}
