//! What happens to frames before XDP or `AF_PACKET` see them.
//!
//! Takes an interface, gives the sentence that says what is done to its frames, and the commands that end it. A VLAN
//! tag may travel beside its frame, where XDP does not see it: an interface took it out when the frame came in, or
//! whoever sent the frame left it to its interface to put the tag in, which a virtual one never does. Packets of a
//! connection may travel as one, joined by their receiver or not yet cut by their sender.

use super::{Carries, Link, Offloads, OtherEnd, all, offloads};

/// Kinds of interfaces that hand frames over to another one as they are, in memory.
const PAIRS: [&str; 2] = ["veth", "netkit"];
/// Kinds of interfaces that get their frames from others, when the tag is out already.
const LIE_UPON_OTHERS: [&str; 8] =
    ["bridge", "bond", "team", "macvlan", "macvtap", "ifb", "hsr", "openvswitch"];

/// Something that happens to frames, and how to end it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tampering {
    /// What happens, in a sentence without its full stop.
    pub what: String,
    /// The commands that end it, or what to do.
    pub mend: String,
}

/// Why VLAN tags may be beside the frames of an interface, where XDP does not see them; `None` if they are within.
#[must_use]
pub fn hidden_tags(link: &Link) -> Option<Tampering> {
    if link.carries() != Carries::Ethernet || link.is_loopback() {
        return None;
    }
    if is_pair(link) {
        return hidden_by_other_end(&OtherSide::of(link));
    }
    if LIE_UPON_OTHERS.contains(&link.kind.as_str()) {
        return Some(Tampering {
            what: format!(
                "interfaces below `{}` take VLAN tags out of frames before XDP sees them",
                link.name
            ),
            mend: "watch the interfaces below it instead".to_owned(),
        });
    }
    hidden_by_itself(&link.name, &offloads(&link.name)?)
}

/// How packets of a connection are joined before `AF_PACKET` sees them; empty if they are not. While a program of XDP
/// is attached to one end of a pair, the kernel has the other one cut what it sends.
#[must_use]
pub fn joined_packets(link: &Link, has_program: bool) -> Vec<Tampering> {
    let mut found =
        offloads(&link.name).map(|offloads| joined_by_itself(&link.name, &offloads)).unwrap_or_default();
    if is_pair(link) && !has_program {
        found.extend(joined_by_other_end(&OtherSide::of(link)));
    }
    found
}

/// The other end of a pair.
enum OtherSide {
    /// In this network namespace.
    Here(String, Offloads),
    /// In another one, with this number.
    Elsewhere(u32),
}

impl OtherSide {
    fn of(link: &Link) -> Self {
        let index = link.other_end.map_or(0, |end| end.index);
        let is_it = |other: &Link| other.index == index;
        let here = link.other_end.is_some_and(|OtherEnd { is_here, .. }| is_here);
        let other = all().unwrap_or_default().into_iter().find(|other| here && is_it(other));
        let known = other.and_then(|other| offloads(&other.name).map(|offloads| (other.name, offloads)));
        known.map_or(Self::Elsewhere(index), |(name, offloads)| Self::Here(name, offloads))
    }

    /// Its name, and where it is, for a sentence and for a command.
    fn names(&self) -> [String; 2] {
        match self {
            Self::Here(name, _) => [format!("`{name}`"), name.clone()],
            Self::Elsewhere(index) => {
                [format!("interface {index} of another network namespace"), "ITS-NAME".to_owned()]
            }
        }
    }
}

fn is_pair(link: &Link) -> bool {
    PAIRS.contains(&link.kind.as_str())
}

fn hidden_by_other_end(other: &OtherSide) -> Option<Tampering> {
    let inserts = match other {
        OtherSide::Here(_, offloads) => offloads.inserts_tags,
        OtherSide::Elsewhere(_) => [true; 2],
    };
    let [title, name] = other.names();
    switches_off(inserts, ["txvlan", "tx-vlan-stag-hw-insert"]).map(|switches| Tampering {
        what: format!(
            "the other end, {title}, hands VLAN tags over beside the frames, where XDP does not see them"
        ),
        mend: format!("ethtool -K {name} {switches}"),
    })
}

fn hidden_by_itself(name: &str, offloads: &Offloads) -> Option<Tampering> {
    switches_off(offloads.strips_tags, ["rxvlan", "rx-vlan-stag-hw-parse"]).map(|switches| Tampering {
        what: format!("`{name}` takes VLAN tags out of frames before XDP sees them"),
        mend: format!("ethtool -K {name} {switches}"),
    })
}

fn joined_by_itself(name: &str, offloads: &Offloads) -> Vec<Tampering> {
    let joined = [
        (offloads.joins_in_kernel, "the kernel joins packets before AF_PACKET sees them (GRO)", "gro"),
        (offloads.joins_in_hardware, "the interface joins packets before anybody sees them (LRO)", "lro"),
    ];
    let on = joined.into_iter().filter(|(is_on, ..)| *is_on);
    on.map(|(_, what, feature)| Tampering {
        what: what.to_owned(),
        mend: format!("ethtool -K {name} {feature} off"),
    })
    .collect()
}

fn joined_by_other_end(other: &OtherSide) -> Option<Tampering> {
    let [title, name] = other.names();
    let cuts_late = match other {
        OtherSide::Here(_, offloads) => offloads.cuts_late,
        OtherSide::Elsewhere(_) => true,
    };
    cuts_late.then(|| Tampering {
        what: format!(
            "the other end, {title}, leaves it to others to cut what it sends into packets (TSO, GSO)"
        ),
        mend: format!("ethtool -K {name} tso off gso off"),
    })
}

/// What switches those features off that are on; `None` if none is.
fn switches_off(are_on: [bool; 2], names: [&str; 2]) -> Option<String> {
    let on = are_on.into_iter().zip(names).filter(|(is_on, _)| *is_on);
    let switches: Vec<_> = on.map(|(_, name)| format!("{name} off")).collect();
    (!switches.is_empty()).then(|| switches.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mend(found: Option<Tampering>) -> Option<String> {
        found.map(|found| found.mend)
    }

    #[test]
    fn tags_are_hidden_by_an_interface_that_takes_them_out() {
        let mend_of =
            |strips_tags| mend(hidden_by_itself("eth0", &Offloads { strips_tags, ..Offloads::default() }));
        assert_eq!(mend_of([false; 2]), None);
        assert_eq!(mend_of([true, false]).as_deref(), Some("ethtool -K eth0 rxvlan off"));
        let both = Some("ethtool -K eth0 rxvlan off rx-vlan-stag-hw-parse off");
        assert_eq!(mend_of([true; 2]).as_deref(), both);
    }

    #[test]
    fn tags_are_hidden_by_the_other_end_of_a_pair() {
        let here = |inserts_tags, strips_tags| {
            let offloads = Offloads { inserts_tags, strips_tags, ..Offloads::default() };
            mend(hidden_by_other_end(&OtherSide::Here("near".to_owned(), offloads)))
        };
        assert_eq!(here([false; 2], [true; 2]), None);
        assert_eq!(here([true, false], [false; 2]).as_deref(), Some("ethtool -K near txvlan off"));
        let elsewhere = hidden_by_other_end(&OtherSide::Elsewhere(7)).expect("not known");
        assert!(elsewhere.what.contains("interface 7 of another network namespace"), "{elsewhere:?}");
        assert_eq!(elsewhere.mend, "ethtool -K ITS-NAME txvlan off tx-vlan-stag-hw-insert off");
    }

    #[test]
    fn a_program_has_the_other_end_cut_what_it_sends() {
        let link = |kind: &str| Link {
            hardware: 1,
            kind: kind.to_owned(),
            name: "far".to_owned(),
            ..Link::default()
        };
        let mends = |kind: &str, has_program| {
            let found = joined_packets(&link(kind), has_program).into_iter();
            found.map(|found| found.mend).collect::<Vec<_>>()
        };
        assert_eq!(mends("veth", false), ["ethtool -K ITS-NAME tso off gso off"]);
        for (kind, has_program) in [("veth", true), ("", true), ("", false)] {
            assert!(mends(kind, has_program).is_empty(), "{kind}");
        }
    }

    #[test]
    fn interfaces_that_lie_upon_others_hide_tags_and_tunnels_have_none() {
        let link = |hardware, kind: &str| Link { hardware, kind: kind.to_owned(), ..Link::default() };
        assert!(hidden_tags(&link(1, "bridge")).is_some_and(|found| found.mend.contains("below")));
        assert_eq!([link(65534, "tun"), link(772, "")].map(|link| hidden_tags(&link)), [None, None]);
    }
}
