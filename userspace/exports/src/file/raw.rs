//! Export messages back to back, as they are stored without a capture around them.
//!
//! Takes a file, gives its messages, each with the time in its header. A message ends where its own
//! lengths say, if another one or the end follows; otherwise what follows up to the end belongs to it, as
//! in the payload of one datagram, or, if that is more than a datagram holds, the file is damaged there.

use std::io;
use std::net::{IpAddr, Ipv4Addr};

use tapline_decode::{Datagram, Sender, Transport};

use crate::protocol::{MESSAGE_OCTETS_MAX, Protocol};
use tapline_capture::{Damage, End, Octets};
use tapline_socket::is_passing;

/// As far as is looked to find the end of a message, and a header behind it.
const LOOK_OCTETS: usize = 2 * MESSAGE_OCTETS_MAX;

/// A file of messages, read from its beginning to its end.
pub(super) struct RawFile {
    name: String,
    source: Octets,
    /// What comes behind the octets that could be read; where, is not yet known.
    source_end: End,
    end: Option<End>,
    /// Messages whose end is missing.
    cut: u64,
}

/// Where a message ends.
struct Extent {
    octets: usize,
    /// The end of the file, if it comes behind this message.
    end: Option<End>,
    is_cut: bool,
}

impl RawFile {
    /// Whether a file begins with the version of an export protocol.
    pub(super) fn is_one(start: &[u8]) -> bool {
        Protocol::of_version(start).is_some()
    }

    pub(super) const fn new(name: String, source: Octets) -> Self {
        Self { name, source, source_end: End::Complete, end: None, cut: 0 }
    }

    /// The same file from its beginning; `None` for a pipe.
    pub(super) fn again(&self) -> Option<Self> {
        Some(Self::new(self.name.clone(), self.source.again()?))
    }

    /// Lends the next message to `visit`; `false` at the end, and when a pipe has none for now.
    pub(super) fn read(&mut self, visit: &mut impl FnMut(&Datagram<'_>)) -> bool {
        if self.end.is_some() || !self.look_ahead() {
            return false;
        }
        let octets = self.source.available();
        let Some(protocol) = Protocol::of_version(octets) else {
            self.end = Some(self.end_here());
            return false;
        };
        let extent = extent(protocol, octets, self.source.position());
        let payload = &octets[..extent.octets];
        let received = protocol.export_time(payload);
        visit(&Datagram { received, sender: sender(protocol), payload });
        self.source.consume(extent.octets);
        self.cut += u64::from(extent.is_cut);
        self.end = match extent.end {
            Some(End::Complete) => Some(self.end_here()),
            end => end,
        };
        true
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) const fn end(&self) -> Option<&End> {
        self.end.as_ref()
    }

    pub(super) const fn cut(&self) -> u64 {
        self.cut
    }

    pub(super) const fn source(&self) -> &Octets {
        &self.source
    }

    /// Makes so much available that the next message can be told; `false` when a pipe has none for now.
    fn look_ahead(&mut self) -> bool {
        if self.source.available().len() >= LOOK_OCTETS {
            return true;
        }
        match self.source.fill(LOOK_OCTETS) {
            Ok(_) => {}
            Err(error) if is_passing(&error) => return false,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                self.source_end = End::CutOff { at_octet: 0 };
            }
            Err(error) => {
                let reason = Damage::Unreadable(error.to_string());
                self.source_end = End::Damaged { at_octet: 0, reason };
            }
        }
        true
    }

    /// The end behind the last message, as the source says it.
    fn end_here(&self) -> End {
        let at_octet = self.source.position();
        match &self.source_end {
            _ if self.source.is_shortened() => End::Damaged { at_octet, reason: Damage::Shortened },
            End::Complete => End::Complete,
            End::CutOff { .. } => End::CutOff { at_octet },
            End::Damaged { reason, .. } => End::Damaged { at_octet, reason: reason.clone() },
        }
    }
}

/// Everything in raw files is from one exporter, so that templates and data may come in several files.
const fn sender(protocol: Protocol) -> Sender {
    let local = Sender::udp(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
    match protocol {
        Protocol::Ipfix => Sender { transport: Transport::File, ..local },
        _ => local,
    }
}

/// How far the first message of `octets` reaches, which stand at `position` in the file.
fn extent(protocol: Protocol, octets: &[u8], position: u64) -> Extent {
    let claim = protocol.message_octets(octets);
    let is_whole = octets.len() <= MESSAGE_OCTETS_MAX;
    let Some(following) = octets.get(claim..).filter(|_| claim <= MESSAGE_OCTETS_MAX) else {
        let end = End::CutOff { at_octet: position };
        let end = if is_whole { end } else { End::Damaged { at_octet: position, reason: Damage::NoMessage } };
        return Extent { octets: octets.len().min(MESSAGE_OCTETS_MAX), end: Some(end), is_cut: true };
    };
    if following.is_empty() {
        return Extent { octets: claim, end: Some(End::Complete), is_cut: false };
    }
    if is_start(following) {
        return Extent { octets: claim, end: None, is_cut: false };
    }
    if is_whole {
        return Extent { octets: octets.len(), end: Some(End::Complete), is_cut: false };
    }
    let end = End::Damaged { at_octet: position + claim as u64, reason: Damage::NoMessage };
    Extent { octets: claim, end: Some(end), is_cut: false }
}

/// Whether a message begins here, or as much of one as is left when a file is cut off.
fn is_start(octets: &[u8]) -> bool {
    Protocol::of(octets, MESSAGE_OCTETS_MAX).is_some()
}
