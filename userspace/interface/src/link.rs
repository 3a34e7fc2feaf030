//! Network interfaces, as the kernel describes them.
//!
//! Asks the kernel over netlink and by ioctl, in the network namespace of the calling thread, gives what an
//! interface is and what it can do. Nothing is changed, and no files under `/sys` are read where they would
//! describe another namespace.

mod ethtool;
mod facts;
mod netlink;
mod tampering;
mod xdp_features;

use std::io;

pub use ethtool::{Channels, Driver, Offloads, ReceiveRing, channels, driver};
pub(crate) use ethtool::{offloads, receive_ring};
pub use facts::{AttachedXdp, Carries, Link, OtherEnd, XdpAttachment};
pub use tampering::{Tampering, hidden_tags, joined_packets};
pub use xdp_features::XdpFeatures;
pub(crate) use xdp_features::xdp_features;

/// All interfaces of this namespace, in the order of their numbers.
///
/// # Errors
/// What the operating system says.
pub fn all() -> io::Result<Vec<Link>> {
    let mut links = Vec::new();
    netlink::links(|message| links.extend(Link::of_message(message)))?;
    links.sort_by_key(|link| link.index);
    Ok(links)
}

/// The interface of this name; `None` if there is none.
///
/// # Errors
/// What the operating system says.
pub fn find(name: &str) -> io::Result<Option<Link>> {
    Ok(all()?.into_iter().find(|link| link.name == name))
}

/// Whether the driver of an interface tells a program that is bound to it of VLAN tags that stand beside frames (since Linux
/// 6.8).
#[must_use]
pub fn tells_tags(link: &Link) -> bool {
    xdp_features(link.index).is_ok_and(|features| features.native && features.tells_tags)
}

/// Names of interfaces, those that look most like `name` first.
#[must_use]
pub fn nearest(name: &str, links: &[Link]) -> Vec<String> {
    let mut names: Vec<_> = links.iter().map(|link| link.name.clone()).collect();
    names.sort_by_cached_key(|other| strsim::damerau_levenshtein(name, other));
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_machine_has_a_loopback() {
        let links = all().expect("netlink answers");
        let loopback = links.iter().find(|link| link.name == "lo").expect("a loopback");
        assert!(loopback.is_loopback() && !loopback.is_ethernet(), "{loopback:?}");
        assert_eq!(find("no-such-interface").expect("netlink answers").map(|link| link.name), None);
    }

    #[test]
    fn similar_names_come_first() {
        let link = |name: &str| Link { name: name.to_owned(), ..Link::default() };
        let links = ["lo", "wlan0", "eth1"].map(link);
        assert_eq!(nearest("eht1", &links), ["eth1", "lo", "wlan0"]);
    }
}
