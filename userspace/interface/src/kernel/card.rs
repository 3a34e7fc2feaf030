//! What a program takes from the card of its interface, besides frames.

/// What a program takes from the card, or the driver, of the interface that it is attached to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CardUse {
    /// VLAN tags that stand beside frames.
    pub tags: bool,
    /// Why it does not take all that the driver tells, or what it lacks for that; a sentence without its full stop.
    pub drawback: Option<String>,
}
