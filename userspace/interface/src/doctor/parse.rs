//! Texts of the kernel, read.
//!
//! Takes what stands in files of `/proc` and `/sys`; gives `None` or nothing for what is not as expected.

/// The number of a kernel, such as 6.18 of `6.18.44-generic`.
pub(super) fn kernel_version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|sign: char| !sign.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

/// The capabilities in effect, of `/proc/self/status`.
pub(super) fn capabilities(status: &str) -> Option<u64> {
    let set = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(set.trim(), 16).ok()
}

/// Octets of memory that may be locked, of `/proc/self/limits`; the greatest number if there is no limit.
pub(super) fn locked_octets_max(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max locked memory"))?;
    match line.split_whitespace().next()? {
        "unlimited" => Some(u64::MAX),
        octets => octets.parse().ok(),
    }
}

/// Numbers of a list such as `0-3,8`.
pub(super) fn list(text: &str) -> Vec<u32> {
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(first.parse().ok()?..=last.parse().ok()?)
    };
    text.trim().split(',').filter_map(range).flatten().take(LIST_MAX).collect()
}

/// Numbers of a list that are read at the most.
const LIST_MAX: usize = 1 << 16;

/// The number and the name of each interrupt, of `/proc/interrupts`.
pub(super) fn interrupts(text: &str) -> impl Iterator<Item = (u32, &str)> {
    text.lines().filter_map(|line| {
        let (number, rest) = line.split_once(':')?;
        Some((number.trim().parse().ok()?, rest.split_whitespace().next_back()?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernel_versions() {
        let cases = [
            ("6.18.44-generic\n", Some((6, 18))),
            ("5.4.0", Some((5, 4))),
            ("6.1-rc3", Some((6, 1))),
            ("6", None),
            ("", None),
            ("x.y", None),
            ("99999999999.1", None),
        ];
        for (release, expected) in cases {
            assert_eq!(kernel_version(release), expected, "{release}");
        }
    }

    #[test]
    fn rights_and_limits() {
        let status = "Name:\tx\nCapPrm:\t0000000000000000\nCapEff:\t000001ffffffffff\n";
        assert_eq!(capabilities(status), Some(0x1ff_ffff_ffff));
        assert_eq!(capabilities("CapEff:\tnothing\n"), None);
        let limits = |soft: &str| {
            format!("Limit   Soft Limit  Hard Limit  Units\nMax locked memory   {soft}   unlimited   bytes\n")
        };
        assert_eq!(locked_octets_max(&limits("8388608")), Some(8 << 20));
        assert_eq!(locked_octets_max(&limits("unlimited")), Some(u64::MAX));
        assert_eq!(locked_octets_max(""), None);
    }

    #[test]
    fn lists() {
        let cases = [
            ("0-3,8\n", vec![0, 1, 2, 3, 8]),
            ("5", vec![5]),
            ("", vec![]),
            ("x,2,3-y", vec![2]),
            ("3-1", vec![]),
        ];
        for (text, expected) in cases {
            assert_eq!(list(text), expected, "{text}");
        }
        assert_eq!(list("0-4294967295").len(), LIST_MAX);
    }

    #[test]
    fn names_of_interrupts() {
        let text = "           CPU0       CPU1\n 38:   0  12009 PCI-MSIX-0000:00:03.0   1-edge      \
                    virtio2-input.0\nNMI:   0  0   Non-maskable interrupts\n 9:\n";
        assert_eq!(interrupts(text).collect::<Vec<_>>(), [(38, "virtio2-input.0")]);
    }
}
