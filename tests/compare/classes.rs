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
        write!(formatter, "frame {number}, {column}: tapline '{ours}', tshark '{theirs}' ({})", frame.protocols)
    }
}

/// Why tapline is right, or what tshark cannot say.
struct Class<T> {
    name: &'static str,
    reason: &'static str,
    applies: T,
}

const CLASSES: [Class<fn(&Difference<'_>) -> bool>; 1] = [Class {
    name: "extension header beyond its packet",
    reason: "the options are longer than the packet, so nothing is behind them",
    applies: |difference| {
        difference.file == "fuzz-2006-06-26-2594.pcap" && difference.number == 669 && difference.column == "protocol"
    },
}];

const EXPORTS: [Class<fn(&Value, &Counts, &Counts) -> bool>; 1] = [Class {
    name: "records that waited, and second rows",
    reason: "tshark reads in one pass and shows a biflow once; every value that it shows is there",
    applies: |account, ours, theirs| {
        let exporters = || account["exporters"].as_array().into_iter().flatten();
        let number = |exporter: &Value, key: &str| exporter[key].as_u64().unwrap_or(0);
        let has_more_rows = exporters().any(|exporter| number(exporter, "rows") > number(exporter, "records"));
        let has_waited = exporters().any(|exporter| exporter["remarks"].to_string().contains("waited"));
        let holds_all =
            theirs.iter().all(|(value, count)| ours.get(value).is_some_and(|found| found >= count));
        (has_more_rows || has_waited) && holds_all
    },
}];

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
