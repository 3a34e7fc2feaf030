//! The rights that a node keeps.
//!
//! Takes what a node is to do, leaves it the capabilities that it needs for that and no others, for good. Interfaces and
//! listeners are opened whenever queries need them, and again when they were gone, so what opening them takes is kept; a
//! node that reads no interface keeps none of what loads programs into the kernel.
//!
//! Capabilities are those of a thread, and are given to threads that it starts: this comes before there are any.

use crate::forward_plan::{AggregatorPlan, ForwardPlan};
use crate::node_plan::NodePlan;
use crate::outlets::SinkPlan;
use capctl::{Cap, CapSet, CapState, bounding, prctl};
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use tapline_exports::{ListenerAddress, ListenerUrl};
use tapline_serve::Secret;

/// What reads an interface: programs in the kernel, sockets of packets, memory that they share with it.
const OF_INTERFACES: [Cap; 5] = [Cap::BPF, Cap::PERFMON, Cap::NET_ADMIN, Cap::NET_RAW, Cap::IPC_LOCK];
/// The first port that anybody may listen on.
const FIRST_FREE_PORT: u16 = 1024;

/// Gives up all that this plan does not need, of what there is.
///
/// # Errors
/// What the operating system says.
pub(crate) fn keep_only_those_of(plan: &NodePlan) -> Result<(), String> {
    keep_only(plan).map_err(|error| error.to_string())
}

fn keep_only(plan: &NodePlan) -> capctl::Result<()> {
    // Whatever is started from here on gets no more than this.
    prctl::set_no_new_privs()?;
    let now = CapState::get_current()?;
    let needed = needed(plan, now.permitted);
    if now.effective.has(Cap::SETPCAP) {
        let is_needless = |cap: &Cap| !needed.has(*cap) && bounding::read(*cap) == Some(true);
        for cap in Cap::iter().filter(is_needless) {
            bounding::drop(cap)?;
        }
        bounding::clear_unknown()?;
    }
    let permitted = now.permitted & needed;
    // What is not inheritable is not ambient either.
    CapState { permitted, effective: now.effective & needed, inheritable: CapSet::empty() }.set_current()
}

/// What a plan needs, where so much is permitted.
fn needed(plan: &NodePlan, permitted: CapSet) -> CapSet {
    let mut needed = CapSet::empty();
    if !plan.interfaces.is_empty() {
        needed.add_all(OF_INTERFACES);
        // In its place stands what had all of these before they were told apart.
        needed.set_state(Cap::SYS_ADMIN, !permitted.has(Cap::BPF) || !permitted.has(Cap::PERFMON));
    }
    if !plan.listeners.is_empty() {
        // Queues of sockets beyond the limit of the system.
        needed.add(Cap::NET_ADMIN);
    }
    let listeners = plan.listeners.iter().map(|listener| address(&listener.url));
    let asked = [plan.api].into_iter().chain(plan.psql.as_ref().map(|psql| psql.address));
    let asked = asked.chain(plan.aggregator.as_ref().map(|aggregator| aggregator.listen));
    if listeners.chain(asked).any(|address| (1..FIRST_FREE_PORT).contains(&address.port())) {
        needed.add(Cap::NET_BIND_SERVICE);
    }
    if !plan.captures.is_empty() || plan.files_read().iter().any(|file| is_of_others(file)) {
        needed.add(Cap::DAC_READ_SEARCH);
    }
    if plan.folders_written().iter().any(|folder| is_of_others(folder)) {
        needed.add(Cap::DAC_OVERRIDE);
    }
    needed
}

const fn address(url: &ListenerUrl) -> SocketAddr {
    match url.address {
        ListenerAddress::Udp(address) | ListenerAddress::Tcp(address) => address,
    }
}

/// Whether a file, or where there is none the folder that is to hold it, belongs to another user, so that only a
/// capability may open it.
fn is_of_others(file: &Path) -> bool {
    let owner = |path: &Path| fs::metadata(path).map(|found| found.uid()).ok();
    let own = owner(Path::new("/proc/self"));
    let nearest = file.ancestors().find_map(owner);
    nearest.is_some() && nearest != own
}

impl NodePlan {
    /// Files that are read, also while the node runs.
    fn files_read(&self) -> Vec<PathBuf> {
        let psql = self.psql.as_ref().map(|psql| &psql.access);
        let tls = self.access.tls.iter().chain(psql.and_then(|psql| psql.tls.as_ref()));
        let tls = tls.flat_map(|tls| [tls.certificate.clone(), tls.key.clone()]);
        let password = psql.and_then(|psql| psql.password_file.clone());
        let tokens = self.access.tokens.iter().filter_map(|token| match &token.secret {
            Secret::File(file) => Some(file.clone()),
            Secret::Sha256(_) => None,
        });
        let lookups = self.lookups.iter().map(|table| table.path.clone());
        let sinks = self.sinks.iter().flat_map(SinkPlan::files);
        let bucket = self.history.iter().filter_map(|history| history.bucket.as_ref());
        let bucket = bucket.flat_map(|bucket| [&bucket.credentials_file, &bucket.ca_file]).flatten().cloned();
        let forward = self.forward.iter().flat_map(ForwardPlan::files);
        let sensors = self.aggregator.iter().flat_map(AggregatorPlan::files);
        let own = tls.chain(password).chain(tokens).chain(lookups).chain(sinks);
        own.chain(bucket).chain(forward).chain(sensors).chain(self.config.clone()).collect()
    }

    /// Folders that are written to.
    fn folders_written(&self) -> Vec<PathBuf> {
        let socket = self.socket.as_deref().and_then(Path::parent).map(Path::to_owned);
        let history = self.history.as_ref().map(|history| history.folder.clone());
        let sinks = self.sinks.iter().flat_map(SinkPlan::folders);
        let spool = self.forward.as_ref().map(|forward| forward.spool.clone());
        let all = self.state.iter().chain(&self.folder).cloned().chain(socket).chain(history);
        all.chain(sinks).chain(spool).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::{Arguments, Command};
    use clap::Parser as _;

    fn plan(arguments: &[&str]) -> NodePlan {
        let line = [&["tapline", "run", "--api", "127.0.0.1:0"], arguments].concat();
        let Command::Run(run) = Arguments::try_parse_from(line).unwrap().command else {
            panic!("it is a node")
        };
        NodePlan::resolve(&run).unwrap()
    }

    fn kept(arguments: &[&str], permitted: CapSet) -> Vec<Cap> {
        needed(&plan(arguments), permitted).iter().collect()
    }

    #[test]
    fn a_node_keeps_what_its_sources_need() {
        let cases: [(&[&str], &[Cap]); 6] = [
            (&["--listen", "udp://127.0.0.1:2055"], &[Cap::NET_ADMIN]),
            (&["--listen", "tcp://127.0.0.1:514"], &[Cap::NET_BIND_SERVICE, Cap::NET_ADMIN]),
            (
                &["--listen", "udp://127.0.0.1:2055", "--psql", "127.0.0.1:543"],
                &[Cap::NET_BIND_SERVICE, Cap::NET_ADMIN],
            ),
            (&["--captures", "/var/none"], &[Cap::DAC_READ_SEARCH]),
            (&["--interface", "lo"], &[Cap::NET_ADMIN, Cap::NET_RAW, Cap::IPC_LOCK, Cap::PERFMON, Cap::BPF]),
            (
                &["--interface", "lo", "--listen", "udp://127.0.0.1:2055"],
                &[Cap::NET_ADMIN, Cap::NET_RAW, Cap::IPC_LOCK, Cap::PERFMON, Cap::BPF],
            ),
        ];
        for (arguments, expected) in cases {
            assert_eq!(kept(arguments, !CapSet::empty()), expected, "{arguments:?}");
        }
        let mut older = CapSet::empty();
        older.add(Cap::SYS_ADMIN);
        assert!(kept(&["--interface", "lo"], older).contains(&Cap::SYS_ADMIN));
    }

    #[test]
    fn all_that_is_read_and_written_is_looked_at() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("node.toml");
        let text = "[node]\nstate = \"/s\"\nsocket = \"/run/t/api.sock\"\npsql = \"127.0.0.1:8791\"\n\
                    psql_password_file = \"/p\"\npsql_certificate = \"/c\"\npsql_key = \"/k\"\n\
                    [queries]\nfolder = \"/q\"\n[history]\nfolder = \"/h\"\n[[source]]\ncaptures = \"/f\"\n\
                    [[sink]]\nname = \"a\"\nkind = \"file\"\nfolder = \"/l\"\n";
        fs::write(&file, text).unwrap();
        let plan = plan(&["--config", file.to_str().unwrap()]);
        let written: Vec<PathBuf> = ["/s", "/q", "/run/t", "/h", "/l"].map(PathBuf::from).into();
        assert_eq!(plan.folders_written(), written);
        let read: Vec<PathBuf> = ["/c", "/k", "/p"].map(PathBuf::from).into_iter().chain([file]).collect();
        assert_eq!(plan.files_read(), read);
    }

    #[test]
    fn files_of_others_are_told_from_own_ones() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!is_of_others(folder.path()));
        assert!(!is_of_others(&folder.path().join("comes/later")));
        assert!(!is_of_others(Path::new("")));
    }
}
