//! Where the interrupts of an interface go, and where its memory is.
//!
//! Reads `/sys` only if what stands there is of the namespace of this thread.

use std::fs;
use std::path::{Path, PathBuf};

use super::parse;
use crate::link::Link;

/// Interrupts of an interface that announce received frames, and the processors that each goes to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Interrupts {
    /// Number of each, and its processors.
    pub(super) receiving: Vec<(u32, Vec<u32>)>,
    /// The memory node that the interface is at.
    pub(super) node: Option<u32>,
}

impl Interrupts {
    /// The interrupts of an interface; none for one that has no hardware.
    pub(super) fn of(link: &Link) -> Self {
        let Some(folder) = folder(link) else { return Self::default() };
        let read = |path: PathBuf| fs::read_to_string(path).unwrap_or_default();
        let numbers = numbers(&folder);
        let all = read("/proc/interrupts".into());
        let receiving = parse::interrupts(&all)
            .filter(|(number, name)| numbers.contains(number) && is_receiving(name))
            .map(|(number, _)| (number, parse::list(&read(affinity_path(number)))))
            .collect();
        Self { receiving, node: read(folder.join("device/numa_node")).trim().parse().ok() }
    }
}

/// The interface's folder, if it is this interface's.
fn folder(link: &Link) -> Option<PathBuf> {
    let folder = Path::new("/sys/class/net").join(&link.name);
    let index: u32 = fs::read_to_string(folder.join("ifindex")).ok()?.trim().parse().ok()?;
    (index == link.index).then_some(folder)
}

/// Numbers of the interrupts of the device, or of the one that it is a part of.
fn numbers(folder: &Path) -> Vec<u32> {
    let device = fs::canonicalize(folder.join("device")).unwrap_or_default();
    let folders = [Some(device.as_path()), device.parent()].into_iter().flatten();
    let entries = folders.filter_map(|folder| fs::read_dir(folder.join("msi_irqs")).ok()).flatten();
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect()
}

/// Where the processors of an interrupt stand.
pub(super) fn affinity_path(number: u32) -> PathBuf {
    format!("/proc/irq/{number}/smp_affinity_list").into()
}

/// Whether an interrupt of this name is about received frames, by what drivers call the others.
fn is_receiving(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let is_sending = (name.contains("tx") || name.contains("output")) && !name.contains("rx");
    let is_other =
        ["config", "async", "misc", "mgmnt", "cmd", "ctrl"].iter().any(|other| name.contains(other));
    !is_sending && !is_other
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interrupts_are_told_apart_by_their_names() {
        for name in
            ["virtio2-input.0", "eth0-TxRx-3", "eth0-rx-0", "mlx5_comp4@pci:0000:01:00.0", "i40e-eth0-1"]
        {
            assert!(is_receiving(name), "{name}");
        }
        for name in ["virtio2-config", "virtio2-output.0", "eth0-tx-1", "mlx5_async0@pci:0000:01:00.0"] {
            assert!(!is_receiving(name), "{name}");
        }
    }
}
