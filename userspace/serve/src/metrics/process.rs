//! What the process takes, by proc(5).

use super::exposition::Exposition;
use super::families as of;
use std::fs;

/// Ticks of a second, in which the kernel tells times to programs.
const TICKS: f64 = 100.0;
/// Threads that live as long as what they work for, by the beginning of their names.
const THREADS: [&str; 4] = ["capture-", "operator-", "merger", "accounts"];

pub(super) fn expose(out: &mut Exposition) {
    let threads = threads();
    out.family(&of::THREAD_CPU, threads.iter().map(|(name, seconds)| ([name.as_str()], *seconds)));
    let stat = read("/proc/self/stat").and_then(|text| Stat::of(&text));
    let status = read("/proc/self/status").unwrap_or_default();
    out.family(&of::PROCESS_CPU, stat.iter().map(|stat| ([], stat.cpu_seconds)));
    out.family(&of::PROCESS_RESIDENT, octets(&status, "VmRSS:").map(|octets| ([], octets)));
    out.family(&of::PROCESS_VIRTUAL, octets(&status, "VmSize:").map(|octets| ([], octets)));
    let descriptors = fs::read_dir("/proc/self/fd").ok().map(|all| ([], all.count() as u64));
    out.family(&of::PROCESS_FDS, descriptors);
    let limits = read("/proc/self/limits").unwrap_or_default();
    out.family(&of::PROCESS_FDS_MAX, descriptors_max(&limits).map(|max| ([], max)));
    let booted = read("/proc/stat").and_then(|text| number_behind(&text, "btime "));
    let begun = booted.zip(stat).map(|(booted, stat)| ([], booted as f64 + stat.started_seconds));
    out.family(&of::PROCESS_START, begun);
}

fn read(path: &str) -> Option<String> {
    fs::read_to_string(path).ok()
}

/// What proc(5) says of a process or thread in one line.
#[derive(Clone, Debug, PartialEq)]
struct Stat {
    name: String,
    /// User and system.
    cpu_seconds: f64,
    /// Since the machine was started.
    started_seconds: f64,
}

impl Stat {
    fn of(line: &str) -> Option<Self> {
        // A name may have brackets itself.
        let (head, rest) = line.rsplit_once(')')?;
        let (_, name) = head.split_once('(')?;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        // Counted from the one behind the name, which is the third.
        let ticks = |field: usize| fields.get(field - 3)?.parse::<f64>().ok();
        let cpu_seconds = (ticks(14)? + ticks(15)?) / TICKS;
        Some(Self { name: name.to_owned(), cpu_seconds, started_seconds: ticks(22)? / TICKS })
    }
}

/// Names of the threads that live long, and their seconds on a processor.
pub(crate) fn threads() -> Vec<(String, f64)> {
    let tasks = fs::read_dir("/proc/self/task").into_iter().flatten().filter_map(Result::ok);
    let stats = tasks.filter_map(|task| Stat::of(&fs::read_to_string(task.path().join("stat")).ok()?));
    let named = stats.filter(|stat| THREADS.iter().any(|name| stat.name.starts_with(name)));
    let mut threads: Vec<(String, f64)> = named.map(|stat| (stat.name, stat.cpu_seconds)).collect();
    threads.sort_by(|one, other| one.0.cmp(&other.0));
    threads.dedup_by(|one, other| one.0 == other.0);
    threads
}

/// What stands behind a key, told in kB.
fn octets(status: &str, key: &str) -> Option<u64> {
    Some(number_behind(status, key)? * 1024)
}

fn descriptors_max(limits: &str) -> Option<u64> {
    number_behind(limits, "Max open files ")
}

/// The number behind the beginning of a line.
fn number_behind(text: &str, beginning: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(beginning))?;
    rest.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_proc_says_is_read() {
        let line = "7 (a) b) S 1 7 7 0 -1 4194560 1 0 0 0 250 50 0 0 20 0 9 0 12345 4096 100 1";
        let stat = Stat { name: "a) b".to_owned(), cpu_seconds: 3.0, started_seconds: 123.45 };
        assert_eq!(Stat::of(line), Some(stat));
        assert_eq!((Stat::of(""), Stat::of("7 (a) S 1")), (None, None));
        assert_eq!(octets("VmSize:\t  20 kB\nVmRSS:\t    2 kB\n", "VmRSS:"), Some(2048));
        let limits = "Limit   Soft Limit  Hard Limit  Units\nMax open files            1024  4096  files\n";
        assert_eq!(descriptors_max(limits), Some(1024));
        assert_eq!(descriptors_max("Max open files   unlimited  unlimited  files\n"), None);
    }
}
