//! What a machine can do: its kernel, rights, limits, processors.

use std::{fs, thread};

use super::{Finding, parse};
use crate::kernel;

/// The first kernel that runs the programs: it takes XDP programs for frames in several pieces.
const KERNEL_MIN: (u32, u32) = (5, 18);
/// The first kernel that says what drivers can do with XDP.
const KERNEL_WITH_FEATURES: (u32, u32) = (6, 3);

/// The first kernels by whose drivers bound programs are told times of frames, and VLAN tags; and that let a bound program go
/// on with a filter.
const KERNEL_WITH_TIMES: (u32, u32) = (6, 3);
const KERNEL_WITH_TAGS: (u32, u32) = (6, 8);
const KERNEL_WITH_BOUND_CALLS: (u32, u32) = (6, 16);

/// Capabilities, by their bits.
const NET_ADMIN: u64 = 1 << 12;
const NET_RAW: u64 = 1 << 13;
const IPC_LOCK: u64 = 1 << 14;
const SYS_ADMIN: u64 = 1 << 21;
const PERFMON: u64 = 1 << 38;
const BPF: u64 = 1 << 39;

/// Octets of locked memory that a queue of `AF_XDP` needs by default.
const QUEUE_OCTETS: u64 = 16 << 20;

/// The command that grants all rights that a capture may need.
const GRANT: &str =
    "setcap cap_net_raw,cap_net_admin,cap_bpf,cap_perfmon,cap_ipc_lock+ep \"$(command -v tapline)\"";

/// What is known of a machine.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    release: String,
    capabilities: u64,
    locked_octets_max: u64,
    has_programs: bool,
    processors: usize,
    nodes: usize,
}

impl Facts {
    /// Asks the system; what it does not say is taken to be in order.
    pub(super) fn gather() -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        Self {
            release: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            capabilities: parse::capabilities(&read("/proc/thread-self/status")).unwrap_or(u64::MAX),
            locked_octets_max: parse::locked_octets_max(&read("/proc/self/limits")).unwrap_or(u64::MAX),
            has_programs: kernel::is_built_in(),
            processors: thread::available_parallelism().map_or(1, usize::from),
            nodes: parse::list(&read("/sys/devices/system/node/online")).len(),
        }
    }
}

/// What that means.
pub(super) fn findings(facts: &Facts) -> Vec<Finding> {
    let mut findings = vec![kernel(facts)];
    findings.extend(cards(facts));
    findings.extend([programs(facts), sockets(facts), loading(facts), memory(facts), processors(facts)]);
    findings
}

fn kernel(facts: &Facts) -> Finding {
    let what = format!("kernel {}", facts.release);
    match parse::kernel_version(&facts.release) {
        Some(version) if version < KERNEL_MIN => Finding::problem(
            format!("{what}, too old for the kernel programs; interfaces can be read through AF_PACKET"),
            format!("install Linux {}.{} or newer", KERNEL_MIN.0, KERNEL_MIN.1),
        ),
        Some(version) if version < KERNEL_WITH_FEATURES => {
            Finding::fine(format!("{what}, which does not say what drivers can do with XDP"))
        }
        _ => Finding::fine(what),
    }
}

/// What this kernel lets drivers tell of frames, and what is used where it does not.
fn cards(facts: &Facts) -> Option<Finding> {
    let version = parse::kernel_version(&facts.release).filter(|version| *version >= KERNEL_MIN)?;
    let (what, first) = if version < KERNEL_WITH_TIMES {
        let what = "drivers tell the programs neither times (since Linux 6.3) nor VLAN tags (since 6.8) of frames: our clock \
                    is used, and the tags within frames";
        (what, KERNEL_WITH_TAGS)
    } else if version < KERNEL_WITH_TAGS {
        let what = "drivers tell the programs no VLAN tags of frames (since Linux 6.8): the tags within frames are used";
        (what, KERNEL_WITH_TAGS)
    } else if version < KERNEL_WITH_BOUND_CALLS {
        let what = "no filter runs behind a program that reads VLAN tags from its driver (since Linux 6.16): frames are \
                    filtered where they are read";
        (what, KERNEL_WITH_BOUND_CALLS)
    } else {
        return None;
    };
    Some(Finding::note(what, format!("install Linux {}.{} or newer", first.0, first.1)))
}

fn programs(facts: &Facts) -> Finding {
    if facts.has_programs {
        Finding::fine("the kernel programs are built in")
    } else {
        Finding::problem(
            "built without the kernel programs; interfaces can be read through AF_PACKET",
            "cargo xtask build-ebpf, and build again",
        )
    }
}

fn sockets(facts: &Facts) -> Finding {
    if facts.capabilities & NET_RAW == 0 {
        return Finding::problem("no right to read interfaces: CAP_NET_RAW is missing", GRANT);
    }
    Finding::fine("may read interfaces (CAP_NET_RAW)")
}

fn loading(facts: &Facts) -> Finding {
    let has = |capability| facts.capabilities & capability != 0;
    let wanted = [
        ("CAP_BPF", has(BPF) || has(SYS_ADMIN)),
        ("CAP_PERFMON", has(PERFMON) || has(SYS_ADMIN)),
        ("CAP_NET_ADMIN", has(NET_ADMIN)),
    ];
    let missing: Vec<_> = wanted.iter().filter(|(_, is_there)| !is_there).map(|(name, _)| *name).collect();
    if missing.is_empty() {
        return Finding::fine("may load kernel programs (CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN)");
    }
    let what = format!("no right to load kernel programs: missing {}", missing.join(", "));
    Finding::problem(what, GRANT)
}

fn memory(facts: &Facts) -> Finding {
    if facts.capabilities & IPC_LOCK != 0 || facts.locked_octets_max == u64::MAX {
        return Finding::fine("may lock as much memory as AF_XDP needs");
    }
    let what = format!(
        "may lock {} octets of memory, of which a queue of AF_XDP needs {QUEUE_OCTETS}",
        facts.locked_octets_max
    );
    if facts.locked_octets_max < QUEUE_OCTETS {
        Finding::problem(what, "ulimit -l unlimited, or LimitMEMLOCK=infinity in the service's unit")
    } else {
        Finding::fine(what)
    }
}

fn processors(facts: &Facts) -> Finding {
    let of = |count: usize, one: &str, more: &str| format!("{count} {}", if count == 1 { one } else { more });
    let processors = of(facts.processors, "processor", "processors");
    let what = format!("{processors} on {}", of(facts.nodes.max(1), "memory node", "memory nodes"));
    if facts.processors == 1 {
        return Finding::problem(what, "give this machine another processor: capture and queries share one");
    }
    Finding::fine(what)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> Facts {
        Facts {
            release: "6.18.0".to_owned(),
            capabilities: u64::MAX,
            locked_octets_max: 8 << 20,
            has_programs: true,
            processors: 2,
            nodes: 1,
        }
    }

    fn problems(facts: &Facts) -> Vec<String> {
        findings(facts).into_iter().filter(|found| found.is_problem).map(|found| found.what).collect()
    }

    #[test]
    fn a_machine_in_order_has_no_problems() {
        assert_eq!(problems(&facts()), [""; 0]);
    }

    #[test]
    fn what_a_kernel_lets_drivers_tell_is_noted() {
        let noted = |release: &str| {
            let found = cards(&Facts { release: release.to_owned(), ..facts() });
            found.map(|found| (found.is_problem, found.mend.unwrap_or_default()))
        };
        let note = |mend: &str| Some((false, mend.to_owned()));
        assert_eq!(noted("6.1.0-30-amd64"), note("install Linux 6.8 or newer"));
        assert_eq!(noted("6.6.1"), note("install Linux 6.8 or newer"));
        assert_eq!(noted("6.12.0"), note("install Linux 6.16 or newer"));
        assert_eq!([noted("6.16.0"), noted("5.4.0"), noted("")], [None, None, None]);
    }

    #[test]
    fn each_problem_is_found_and_has_a_mend() {
        let cases = [
            (Facts { release: "5.15.0-91".to_owned(), ..facts() }, "kernel 5.15.0-91, too old"),
            (Facts { has_programs: false, ..facts() }, "built without"),
            (Facts { capabilities: !NET_RAW, ..facts() }, "no right to read interfaces"),
            (
                Facts { capabilities: !NET_ADMIN, ..facts() },
                "no right to load kernel programs: missing CAP_NET_ADMIN",
            ),
            (
                Facts { capabilities: !(BPF | SYS_ADMIN), ..facts() },
                "no right to load kernel programs: missing CAP_BPF",
            ),
            (Facts { capabilities: !IPC_LOCK, ..facts() }, "may lock 8388608 octets of memory"),
            (Facts { processors: 1, ..facts() }, "1 processor on 1 memory node"),
        ];
        for (facts, start) in cases {
            let problems = problems(&facts);
            assert!(problems.len() == 1 && problems[0].starts_with(start), "{problems:?}");
        }
        // An older kernel knows the right to do both by another name.
        assert_eq!(problems(&Facts { capabilities: !(BPF | PERFMON), ..facts() }), [""; 0]);
    }
}
