//! What this machine is called.

use std::fs;
use std::sync::LazyLock;

static NAME: LazyLock<String> = LazyLock::new(|| {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim().to_owned()
});

/// Its name; nothing where it has none.
pub(crate) fn host_name() -> &'static str {
    &NAME
}
