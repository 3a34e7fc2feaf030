//! Differences from tshark that are explained, by class.

use harness::cflow::Counts;
use harness::tshark::Frame;
use serde_json::Value;
use std::fmt;

/// A value of one frame that tshark and tapline do not agree on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Difference<'a> {
    pub(crate) file: &'a str,
    /// From 1, as tshark counts.
    pub(crate) number: usize,
    pub(crate) column: &'a str,
    pub(crate) ours: &'a str,
    pub(crate) theirs: &'a str,
    pub(crate) frame: &'a Frame,
}

impl fmt::Display for Difference<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { number, column, ours, theirs, frame, .. } = self;
        write!(
            formatter,
            "frame {number}, {column}: tapline '{ours}', tshark '{theirs}' ({})",
            frame.protocols
        )
    }
}

/// Why tapline is right, or what tshark cannot say.
struct Class<T> {
    name: &'static str,
    reason: &'static str,
    applies: T,
}

/// Looks at a difference in one frame.
type OfFrames = fn(&Difference<'_>) -> bool;

/// Link layers that tapline counts by name, and does not look into.
const UNREAD: [&str; 6] = ["vntag", "cmd", "hsr", "ieee8021cb", "macsec", "wlan"];

const CLASSES: [Class<OfFrames>; 6] = [
    Class {
        name: "extension header beyond its packet",
        reason: "the options are longer than the packet, so nothing is behind them",
        applies: |difference| {
            let is_it = difference.file == "fuzz-2006-06-26-2594.pcap" && difference.number == 669;
            is_it && difference.column == "protocol"
        },
    },
    Class {
        name: "options of IPv6 behind IPv4",
        reason: "hop-by-hop options follow an IPv6 header only (RFC 8200 4.3); IPv4's protocol is the number in its header",
        applies: |difference| {
            let is_behind = difference.frame.protocols.contains(":ip:ipv6.hopopts");
            is_behind && difference.column == "protocol" && difference.ours == "0"
        },
    },
    Class {
        name: "IPv4 header that tshark gives up",
        reason: "its length is impossible, so tshark shows no addresses; the row has what the header claims",
        applies: |difference| {
            let is_given_up = difference.frame.protocols.ends_with(":ip");
            is_given_up && difference.theirs.is_empty() && difference.column == "octets"
        },
    },
    Class {
        name: "UDP that is no tunnel",
        reason: "VXLAN without its flag, or from a port that belongs to another service: tshark dissects it all the same",
        applies: |difference| {
            let is_inner = difference.column.starts_with("inner_") && difference.ours.is_empty();
            is_inner && ["vxlan", "geneve", "gtp"].iter().any(|name| is_in(difference.frame, name))
        },
    },
    Class {
        name: "link layer that is not read",
        reason: "the frame is a row whose columns are NULL, and its kind is counted by name",
        applies: |difference| {
            difference.ours.is_empty() && UNREAD.iter().any(|name| is_in(difference.frame, name))
        },
    },
    Class {
        name: "IPv6 announced as IPv4",
        reason: "protocol 4 with a packet of version 6 in it: tshark lists both headers, and only the second has addresses",
        applies: |difference| {
            let is_handed_on = difference.frame.protocols.contains(":ip:ip:ipv6");
            is_handed_on && difference.column.starts_with("inner_") && difference.theirs.is_empty()
        },
    },
];

/// Whether a protocol is one of a frame's.
fn is_in(frame: &Frame, protocol: &str) -> bool {
    frame.protocols.split(':').any(|name| name == protocol)
}

/// Looks at the account of a run, our values of a column and theirs.
type OfExports = fn(&Value, &Counts, &Counts) -> bool;

const EXPORTS: [Class<OfExports>; 3] = [UNUSED_FAMILY, MORE_ROWS, MISFITS];

const UNUSED_FAMILY: Class<OfExports> = Class {
    name: "fields of the other address family",
    reason: "records have fields for both families; the column holds the one that is not zero",
    applies: |_, ours, theirs| {
        let used = |counts: &Counts| {
            let mut counts = counts.clone();
            counts.retain(|value, _| !["0.0.0.0", "::"].contains(&value.as_str()));
            counts
        };
        !used(theirs).is_empty() && used(ours) == used(theirs)
    },
};

const MORE_ROWS: Class<OfExports> = Class {
    name: "records that waited, and second rows",
    reason: "tshark reads in one pass and shows a biflow once; every value that it shows is there",
    applies: |account, ours, theirs| {
        let exporters = || account["exporters"].as_array().into_iter().flatten();
        let number = |exporter: &Value, key: &str| exporter[key].as_u64().unwrap_or(0);
        let has_more_rows =
            exporters().any(|exporter| number(exporter, "rows") > number(exporter, "records"));
        let has_waited = exporters().any(|exporter| exporter["remarks"].to_string().contains("waited"));
        (has_more_rows || has_waited) && holds_all(ours, theirs)
    },
};

const MISFITS: Class<OfExports> = Class {
    name: "sets that their template does not fill",
    reason: "tshark reads records of them all the same; they wait for a template that fits, and are counted if none comes",
    applies: |account, ours, theirs| {
        let exporters = account["exporters"].as_array().into_iter().flatten();
        let told = [
            "set does not end with a record of its template",
            "sets whose template never came",
            "template is cut short",
        ];
        let mut remarks = exporters.map(|exporter| exporter["remarks"].to_string());
        remarks.any(|remarks| told.iter().any(|told| remarks.contains(told))) && holds_all(theirs, ours)
    },
};

/// Whether the first has every value of the second, as often at least.
fn holds_all(counts: &Counts, others: &Counts) -> bool {
    others.iter().all(|(value, count)| counts.get(value).is_some_and(|found| found >= count))
}

/// The class of a frame's difference.
pub(crate) fn class(difference: &Difference<'_>) -> Option<&'static str> {
    CLASSES.iter().find(|class| (class.applies)(difference)).map(|class| class.name)
}

/// The class of a difference in one column of exports.
pub(crate) fn exports_class(account: &Value, ours: &Counts, theirs: &Counts) -> Option<&'static str> {
    EXPORTS.iter().find(|class| (class.applies)(account, ours, theirs)).map(|class| class.name)
}

/// The reason of the class of this name.
pub(crate) fn reason(name: &str) -> &'static str {
    let frames = CLASSES.iter().map(|class| (class.name, class.reason));
    let mut all = frames.chain(EXPORTS.iter().map(|class| (class.name, class.reason)));
    all.find(|(class, _)| *class == name).map_or("", |(_, reason)| reason)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// The class of a difference in a frame of these protocols.
    fn class_of(protocols: &str, column: &str, ours: &str, theirs: &str) -> Option<&'static str> {
        let frame = Frame::of_protocols(protocols);
        class(&Difference { file: "a.pcap", number: 1, column, ours, theirs, frame: &frame })
    }

    /// These values, each once.
    fn counts(values: &[&str]) -> Counts {
        values.iter().map(|value| ((*value).to_owned(), 1)).collect()
    }

    #[test]
    fn classes_are_narrow() {
        let tunnel = "eth:ethertype:ip:udp:vxlan:eth:ethertype:ip:tcp";
        let cases = [
            ("eth:ethertype:ip:ipv6.hopopts", "protocol", "0", "17", Some("options of IPv6 behind IPv4")),
            ("eth:ethertype:ipv6:ipv6.hopopts", "protocol", "0", "17", None),
            ("eth:ethertype:ip", "octets", "40", "", Some("IPv4 header that tshark gives up")),
            ("eth:ethertype:ip", "octets", "40", "41", None),
            ("eth:ethertype:ip:udp", "octets", "40", "", None),
            (tunnel, "inner_src_ip", "", "10.0.0.1", Some("UDP that is no tunnel")),
            (tunnel, "inner_src_ip", "10.0.0.2", "10.0.0.1", None),
            (tunnel, "src_ip", "", "10.0.0.1", None),
            ("eth:ethertype:ip:ip:ipv6:tcp", "inner_src_ip", "::1", "", Some("IPv6 announced as IPv4")),
            ("eth:ethertype:ip:ipv6:tcp", "inner_src_ip", "::1", "", None),
            ("eth:ethertype:cmd:ethertype:ip:udp", "ttl", "", "64", Some("link layer that is not read")),
            ("eth:ethertype:cmd:ethertype:ip:udp", "ttl", "63", "64", None),
            ("eth:ethertype:vlan:ethertype:ip:udp", "ttl", "", "64", None),
        ];
        for (protocols, column, ours, theirs, expected) in cases {
            assert_eq!(class_of(protocols, column, ours, theirs), expected, "{protocols} {column}");
        }
    }

    #[test]
    fn zeros_of_the_other_family_are_explained_and_nothing_else() {
        let ours = counts(&["10.0.0.1"]);
        let class = |theirs: &[&str]| exports_class(&Value::Null, &ours, &counts(theirs));
        assert_eq!(class(&["10.0.0.1", "0.0.0.0", "::"]), Some("fields of the other address family"));
        assert_eq!(class(&["10.0.0.2", "::"]), None);
    }

    #[test]
    fn what_a_misfit_hides_is_explained_only_where_it_is_told() {
        let told = json!({"exporters": [{"remarks": ["1 sets whose template never came"]}]});
        let class = |account: &Value, ours: &[&str]| {
            exports_class(account, &counts(ours), &counts(&["10.0.0.1", "10.0.0.2"]))
        };
        assert_eq!(class(&told, &["10.0.0.1"]), Some("sets that their template does not fill"));
        assert_eq!(class(&told, &["10.0.0.3"]), None);
        assert_eq!(class(&Value::Null, &["10.0.0.1"]), None);
    }

    #[test]
    fn every_class_has_a_reason() {
        let names = CLASSES.iter().map(|class| class.name).chain(EXPORTS.iter().map(|class| class.name));
        assert!(names.into_iter().all(|name| reason(name).len() > 20));
    }
}
