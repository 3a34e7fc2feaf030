//! Why octets of export messages gave no rows, and how often.

use crate::reasons::reasons;

reasons! {
    /// Why octets of an export message gave no rows.
    Undecodable,
    /// How often export messages gave no rows, by reason.
    UndecodableCounts;

    /// Neither NetFlow v5, v7, v9, IPFIX nor sFlow v5.
    Version "version is unknown";
    Header "message ends within its header";
    Length "message claims more octets or records than it has";
    SetLength "length of a set is below 4 or beyond its message";
    Template "template is cut short, has no octets, or has more of them or of fields than is allowed";
    NoTemplate "template of a set never came";
    Record "set does not end with a record of its template";
    Reserved "set has a reserved number";
    Sample "sFlow sample is cut short";
    /// The cap on exporters, domains or templates was reached.
    Cap "cap on exporters or templates was reached";
}
