//! What a sampling rate is announced for, by name.

use super::enterprise::{IANA, V9_SCOPE};
use super::information_element as ie;
use super::v9_scope;

/// Scopes by which an exporter speaks of itself, whatever the number: addresses and processes. Where all say the
/// same, it holds for records that do not tell which of them made it.
const ITSELF: [u16; 4] =
    [ie::EXPORTER_IPV4_ADDRESS, ie::EXPORTER_IPV6_ADDRESS, ie::METERING_PROCESS_ID, ie::EXPORTING_PROCESS_ID];

/// What decides which rows a rate is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ScopeName {
    /// What took the packets (`samplerId`, `selectorId`).
    Sampler,
    /// The template of the records.
    Template,
    /// The interface that a flow was observed at: the output where its direction says so, the input else.
    Interface,
    /// The output interface of a flow that was observed there.
    OutputInterface,
    /// A field of the records: its enterprise and number. Of what NetFlow v9 calls scopes, the enterprise is
    /// `u32::MAX`; no record has them.
    Element(u32, u16),
}

impl ScopeName {
    /// The name in a report.
    #[must_use]
    pub fn text(self) -> String {
        match self {
            Self::Sampler => "sampler".into(),
            Self::Template => "template".into(),
            Self::Interface => "interface".into(),
            Self::OutputInterface => "output interface".into(),
            Self::Element(IANA, ie::EXPORTER_IPV4_ADDRESS | ie::EXPORTER_IPV6_ADDRESS) => {
                "exporter address".into()
            }
            Self::Element(IANA, ie::OBSERVATION_POINT_ID) => "observation point".into(),
            Self::Element(IANA, ie::LINE_CARD_ID) => "line card".into(),
            Self::Element(IANA, ie::METERING_PROCESS_ID) => "metering process".into(),
            Self::Element(IANA, ie::EXPORTING_PROCESS_ID) => "exporting process".into(),
            Self::Element(IANA, ie::SELECTION_SEQUENCE_ID) => "selection sequence".into(),
            Self::Element(V9_SCOPE, v9_scope::CACHE) => "cache".into(),
            Self::Element(V9_SCOPE, id) => format!("scope {id}"),
            Self::Element(IANA, id) => format!("element {id}"),
            Self::Element(enterprise, id) => format!("element {id} of enterprise {enterprise}"),
        }
    }

    /// Whether the exporter speaks of itself, whatever the number.
    pub(super) fn is_itself(self) -> bool {
        matches!(self, Self::Element(IANA, id) if ITSELF.contains(&id))
    }
}
