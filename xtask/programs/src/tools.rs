//! The programs that other commands need, and which Debian packages bring them.
//!
//! The table here is the only place that knows which programs these are.

use clap::ValueEnum;

use crate::process;

/// What a program is needed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Purpose {
    /// `cargo xtask demo`: nothing but Rust
    Demo,
    /// `cargo xtask test`: independent readers of captures, of flows, of messages, of metrics and of stored results, servers
    /// that results go to, what asks an API all that its description allows, and a browser
    Test,
    /// `cargo xtask bench`: the programs that tapline is compared with
    Bench,
    /// `cargo xtask conformance`: independent readers of captures, and another SQL engine
    Conformance,
    /// `cargo xtask build-ebpf`: a compiler and a linker of kernel programs
    Ebpf,
    /// `cargo xtask package`: what looks at packages for Debian
    Package,
}

/// A program, the Debian package that brings it, and what it is needed for.
#[derive(Debug)]
pub struct Tool {
    /// What it is started by.
    pub program: &'static str,
    /// The Debian package.
    pub package: &'static str,
    /// What it is needed for.
    pub purposes: &'static [Purpose],
}

/// What needs independent readers of captures.
const READERS: &[Purpose] = &[Purpose::Test, Purpose::Bench, Purpose::Conformance];

/// All of them.
pub const TOOLS: &[Tool] = &[
    Tool { program: "tshark", package: "tshark", purposes: READERS },
    Tool { program: "capinfos", package: "wireshark-common", purposes: READERS },
    Tool { program: "dumpcap", package: "wireshark-common", purposes: &[Purpose::Test] },
    Tool { program: "python3", package: "python3", purposes: &[Purpose::Test, Purpose::Conformance] },
    Tool { program: "chromium", package: "chromium", purposes: &[Purpose::Test] },
    Tool { program: "node", package: "nodejs", purposes: &[Purpose::Test] },
    Tool { program: "npm", package: "npm", purposes: &[Purpose::Test] },
    Tool { program: "tcpdump", package: "tcpdump", purposes: &[Purpose::Test, Purpose::Bench] },
    Tool { program: "psql", package: "postgresql-client", purposes: &[Purpose::Test] },
    Tool { program: "pg_ctlcluster", package: "postgresql", purposes: &[Purpose::Test] },
    Tool {
        program: "make",
        package: "make",
        purposes: &[Purpose::Test, Purpose::Conformance, Purpose::Package],
    },
    Tool { program: "openssl", package: "openssl", purposes: &[Purpose::Test, Purpose::Bench] },
    Tool { program: "curl", package: "curl", purposes: &[Purpose::Test] },
    Tool { program: "setpriv", package: "util-linux", purposes: &[Purpose::Test] },
    Tool { program: "systemd-analyze", package: "systemd", purposes: &[Purpose::Test] },
    Tool { program: "promtool", package: "prometheus", purposes: &[Purpose::Test] },
    Tool { program: "prometheus", package: "prometheus", purposes: &[Purpose::Test] },
    Tool { program: "softflowd", package: "softflowd", purposes: &[Purpose::Bench] },
    Tool { program: "pmacctd", package: "pmacct", purposes: &[Purpose::Bench] },
    Tool { program: "nfacctd", package: "pmacct", purposes: &[Purpose::Bench] },
    Tool { program: "nfpcapd", package: "nfdump", purposes: &[Purpose::Bench] },
    Tool { program: "nfcapd", package: "nfdump", purposes: &[Purpose::Test, Purpose::Bench] },
    Tool { program: "nfdump", package: "nfdump", purposes: &[Purpose::Test, Purpose::Bench] },
    Tool { program: "rsyslogd", package: "rsyslog", purposes: &[Purpose::Test] },
    Tool { program: "adduser", package: "adduser", purposes: &[Purpose::Package] },
    Tool { program: "lintian", package: "lintian", purposes: &[Purpose::Package] },
    Tool { program: "strip", package: "binutils", purposes: &[Purpose::Package] },
    Tool { program: "ethtool", package: "ethtool", purposes: &[Purpose::Bench] },
];

/// Whether a program is there, and if not, what to do about it.
pub fn advice(program: &str) -> Option<String> {
    if process::find(program).is_some() {
        return None;
    }
    let package = TOOLS.iter().find(|tool| tool.program == program).map_or(program, |tool| tool.package);
    Some(format!("{program} is not installed (Debian package {package}; `cargo xtask setup` installs it)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_comes_with_advice() {
        assert!(advice("sh").is_none());
        assert!(advice("no-such-program").is_some_and(|advice| advice.contains("not installed")));
    }
}
