//! What this machine is called.

use std::fs;
use std::sync::LazyLock;

static NAME: LazyLock<String> = LazyLock::new(|| {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim().to_owned()
});

/// The name of this machine; nothing where it has none.
#[must_use]
pub fn host_name() -> &'static str {
    &NAME
}
