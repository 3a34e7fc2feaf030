//! By what sensors prove who they are, and what becomes of whoever cannot.

use crate::scene::{Results, WIDTH_NS, begin_ns, cut, options, part, sensor, start, upstream, wait};
use harness::certificates::{Authority, IN_ORDER};
use std::fs;
use std::path::{Path, PathBuf};
use tapline_forward::{Entrance, Sender, Upstream};
use tapline_tls::TlsFiles;

/// SHA-256 of `reads`, and of `changes`.
const TOKENS: &str = "pop-1 3566cf23ecb6f832d67d1439e0cb3d05eb7f4ad702c6f478aa96f19812f18e8c
pop-2 d0b4ba2311b3e84977dc4bb320fe72cd85426f5cf14b487a4c5352ae3ad8cb37
";

fn written(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    path
}

fn trouble(sender: &Sender) -> String {
    wait("it is told what is wrong", || sender.status().link_trouble.is_some());
    sender.status().link_trouble.unwrap()
}

#[test]
fn a_sensor_is_whom_its_token_is_of() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (results, begin) = (Results::default(), begin_ns());
    let mut plan = options();
    plan.entrance.tokens = Some(written(folder, "tokens", TOKENS));
    let receiver = start(plan.clone(), &folder.join("hub"), &results).unwrap();
    let to = |token: Option<PathBuf>| Upstream {
        token_file: token,
        ..upstream(format!("http://{}", receiver.address()))
    };
    let begun = |name: &str, token: Option<PathBuf>| {
        let place = folder.join(format!("{name}-{}", token.is_some()));
        Sender::start(sensor(name, to(token), &place), Box::<Results>::default()).unwrap().0
    };
    let right = begun("pop-1", Some(written(folder, "reads", "reads\n")));
    let (none, wrong) = (begun("pop-1", None), begun("pop-3", Some(written(folder, "wrong", "wrong"))));
    let other = begun("pop-2", Some(written(folder, "again", "reads")));
    assert!(trouble(&none).contains("sensors bring a token or a certificate here"), "{}", trouble(&none));
    assert!(trouble(&wrong).contains("no token of a sensor"), "{}", trouble(&wrong));
    let said = trouble(&other);
    assert!(said.contains("calls itself pop-2, but its certificate or token is of pop-1"), "{said}");
    cut(&right, vec![part(begin, 0, &[1], begin + WIDTH_NS)], vec![]);
    cut(&other, vec![part(begin, 0, &[2], begin + WIDTH_NS)], vec![]);
    wait("it is taken", || results.0.lock().unwrap().numbers().contains(&1));
    assert!(!results.0.lock().unwrap().numbers().contains(&2));
    let refused = |name: &str| receiver.status().refused.get(name).copied().unwrap_or_default();
    wait("all are counted", || refused("no_proof") > 0 && refused("wrong_token") > 0);
    wait("another's name is counted with whose it is", || {
        let sensors = receiver.sensors();
        sensors.first().is_some_and(|sensor| sensor.refused.get("another_name") > Some(&0))
    });
    // A token that comes later counts from then on.
    let digits = "9ad0f2f2e7ef1d9a29d3a90c6ea3f5ba1ac3ab0d6f1a8bdb0a2b5ecf3a9f51c7";
    written(folder, "tokens", &format!("{TOKENS}pop-9 {digits}\n"));
    assert_eq!(receiver.renew(&plan.entrance), Ok(vec![]));
    written(folder, "tokens", "no token");
    assert!(receiver.renew(&plan.entrance).unwrap_err().contains("line 1"));
}

#[test]
fn a_sensor_is_whom_its_certificate_is_of() {
    let Some(authority) = Authority::new() else { return };
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (results, begin) = (Results::default(), begin_ns());
    let files = |name: &str| {
        let pair = authority.sign(name, IN_ORDER);
        TlsFiles { certificate: pair.certificate, key: pair.key }
    };
    let mut plan = options();
    plan.entrance =
        Entrance { tls: Some(files("hub")), clients_ca: Some(authority.certificate()), ..plan.entrance };
    let receiver = start(plan, &folder.join("hub"), &results).unwrap();
    let begun = |name: &str, own: Option<TlsFiles>, ca: Option<PathBuf>| {
        let to = Upstream { url: format!("https://{}", receiver.address()), ca, own, token_file: None };
        let place = folder.join(format!("spool-of-{name}"));
        Sender::start(sensor(name, to, &place), Box::<Results>::default()).unwrap().0
    };
    let pop_1 = files("pop-1");
    let right = begun("pop-1", Some(pop_1.clone()), Some(authority.certificate()));
    let other = begun("pop-2", Some(pop_1), Some(authority.certificate()));
    let none = begun("pop-3", None, Some(authority.certificate()));
    let strange = Authority::new().unwrap();
    let trusts = begun("pop-4", None, Some(strange.certificate()));
    cut(&right, vec![part(begin, 0, &[1], begin + WIDTH_NS)], vec![]);
    wait("it is taken", || results.0.lock().unwrap().numbers().contains(&1));
    assert!(trouble(&other).contains("calls itself pop-2, but its certificate or token is of pop-1"));
    assert!(trouble(&trusts).contains("cannot agree on keys"), "{}", trouble(&trusts));
    assert!(trouble(&none).starts_with("https://127.0.0.1"), "{}", trouble(&none));
    wait("they are counted", || receiver.status().refused.get("no_keys") >= Some(&2));
    let plain = Upstream { url: format!("http://{}", receiver.address()), ..upstream(String::new()) };
    let plain =
        Sender::start(sensor("pop-5", plain, &folder.join("plain")), Box::<Results>::default()).unwrap().0;
    assert!(!trouble(&plain).is_empty());
    assert_eq!(receiver.status().links, 1);
}
