//! DNS messages (RFC 1035).
//!
//! Takes a question and its answers, gives the payload of a datagram.

use std::net::IpAddr;

use super::Payload;

/// A question for the address of a name.
#[derive(Clone, Debug)]
pub struct Question {
    /// The number that ties an answer to its question.
    pub id: u16,
    /// The name, labels separated by dots.
    pub name: String,
    /// Ask for AAAA, not for A.
    pub ipv6: bool,
}

/// What a server answers.
#[derive(Clone, Debug)]
pub enum Answer {
    /// The address of the name.
    Address(IpAddr),
    /// The name has no address of this kind.
    NoData,
    /// There is no such name.
    NoSuchName,
}

impl Question {
    /// The question as a client sends it.
    #[must_use]
    pub fn query(&self) -> Payload {
        const RECURSION_DESIRED: u16 = 0x0100;
        Payload::from(self.message(RECURSION_DESIRED, 0))
    }

    /// The message that answers it.
    #[must_use]
    pub(crate) fn response(&self, answer: &Answer) -> Payload {
        const RESPONSE_BY_RECURSION: u16 = 0x8180;
        const NO_SUCH_NAME: u16 = 3;
        match answer {
            Answer::Address(address) => {
                let mut message = self.message(RESPONSE_BY_RECURSION, 1);
                append_record(*address, &mut message);
                Payload::from(message)
            }
            Answer::NoData => Payload::from(self.message(RESPONSE_BY_RECURSION, 0)),
            Answer::NoSuchName => Payload::from(self.message(RESPONSE_BY_RECURSION | NO_SUCH_NAME, 0)),
        }
    }

    /// A header and the question.
    fn message(&self, flags: u16, answers: u16) -> Vec<u8> {
        let kind = if self.ipv6 { TYPE_AAAA } else { TYPE_A };
        let mut message = Vec::with_capacity(64);
        for word in [self.id, flags, 1, answers, 0, 0] {
            message.extend_from_slice(&word.to_be_bytes());
        }
        for label in self.name.split('.') {
            message.push(label.len() as u8);
            message.extend_from_slice(label.as_bytes());
        }
        message.push(0);
        message.extend_from_slice(&kind.to_be_bytes());
        message.extend_from_slice(&CLASS_INTERNET.to_be_bytes());
        message
    }
}

const TYPE_A: u16 = 1;
const TYPE_AAAA: u16 = 28;
const CLASS_INTERNET: u16 = 1;

/// Appends a resource record for the name in the question.
fn append_record(address: IpAddr, message: &mut Vec<u8>) {
    const POINTER_TO_QUESTION: u16 = 0xc00c;
    const TIME_TO_LIVE_S: u32 = 300;
    let (kind, octets) = match address {
        IpAddr::V4(v4) => (TYPE_A, v4.octets().to_vec()),
        IpAddr::V6(v6) => (TYPE_AAAA, v6.octets().to_vec()),
    };
    for word in [POINTER_TO_QUESTION, kind, CLASS_INTERNET] {
        message.extend_from_slice(&word.to_be_bytes());
    }
    message.extend_from_slice(&TIME_TO_LIVE_S.to_be_bytes());
    message.extend_from_slice(&(octets.len() as u16).to_be_bytes());
    message.extend_from_slice(&octets);
}
