//! What two ends of a link say, and as which frames.
//!
//! A message's head is in `app_metadata`: the version, the kind, what `tapline-delivery` encodes. What it carries and
//! nobody here looks into is in `data_body`. A refusal is read whatever version it has, so that two versions that do
//! not understand each other can say so.

use super::flight::{FlightData, FlightDescriptor};
use super::octets::{Reader, Writer};
use crate::clock::ClockOffset;
use bytes::Bytes;
use tapline_delivery::{Covered, Head, Hello, Incarnation, Position, Refusal};

/// The version of what is said.
const VERSION: u8 = 1;

const HELLO: u8 = 1;
const WELCOME: u8 = 2;
const RECORD: u8 = 3;
const VERDICT: u8 = 4;
const COVERED: u8 = 5;
const ASK: u8 = 6;
const ANSWER: u8 = 7;
const ASSIGNMENTS: u8 = 8;
const REPORT: u8 = 9;
/// This number, and the form of what is behind it, stays in all versions.
const REFUSED: u8 = 255;

/// A message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Message {
    /// The first that a sender says.
    Hello(Greeting),
    /// The first that a receiver says to whom it listens to.
    Welcome(Welcome),
    /// A record, and its payload.
    Record(Head, Bytes),
    /// What is to be done about a record, where it was not just taken.
    Verdict(Position, Judged),
    /// Which records a checkpoint has.
    Covered(Covered),
    /// A sender is there, and asks what time it is.
    Ask(Ask),
    /// When that was.
    Answer(Answer),
    /// What the sender is to run, newest only.
    Assignments(Bytes),
    /// What the sender says of itself, newest only.
    Report(Bytes),
    /// The last that is said: why nobody listens.
    Refused(Refused),
}

/// What a sender says of itself first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Greeting {
    pub(crate) hello: Hello,
    /// Its program's version.
    pub(crate) version: String,
    /// Which versions its states have.
    pub(crate) states: String,
    pub(crate) report: Bytes,
    /// When it says it, by its clock.
    pub(crate) sent_ns: i64,
}

/// What a receiver says first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Welcome {
    pub(crate) covered: Covered,
    /// Its program's version.
    pub(crate) version: String,
    pub(crate) answer: Answer,
}

/// A sender is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ask {
    /// When it says it, by its clock.
    pub(crate) sent_ns: i64,
    /// How far its clock is off, as far as it knows by the answers before.
    pub(crate) clock: Option<ClockOffset>,
}

/// When somebody asked and was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    /// By the clock of who asked.
    pub(crate) sent_ns: i64,
    /// By the clock of who answers.
    pub(crate) received_ns: i64,
    /// The same, when the answer went.
    pub(crate) answered_ns: i64,
}

/// What is to be done about a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Judged {
    /// It need not come again.
    Refused {
        /// What the reason is counted as.
        name: String,
        /// The reason.
        why: String,
    },
    /// It is to come again.
    Later,
}

/// Why nobody listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    /// What the reason is counted as.
    pub(crate) name: String,
    /// The life that is listened to, where that is the reason.
    pub(crate) newest: Option<Incarnation>,
    /// The reason.
    pub(crate) why: String,
}

/// Why a frame is no message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unread {
    /// It is of another version.
    #[error(
        "it speaks version {0} of this link, and version {VERSION} is spoken here; let both ends run the same version"
    )]
    Version(u8),
    /// It is damaged, or nothing of ours.
    #[error("what it says is no message of this link; let both ends run the same version")]
    Garbage,
}

impl From<&Refusal> for Refused {
    fn from(refusal: &Refusal) -> Self {
        let newest = match refusal {
            Refusal::Fenced { newest, .. } => Some(*newest),
            Refusal::TwoMemories { incarnation } => Some(*incarnation),
            _ => None,
        };
        Self { name: refusal.name().to_owned(), newest, why: refusal.to_string() }
    }
}

impl Refused {
    /// Something that has nothing to do with records.
    pub(crate) fn new(name: &str, why: &impl ToString) -> Self {
        Self { name: name.to_owned(), newest: None, why: why.to_string() }
    }
}

impl Message {
    /// As a frame.
    pub(crate) fn into_frame(self) -> FlightData {
        let is_first = matches!(self, Self::Hello(_));
        let (head, body) = self.encode();
        FlightData {
            flight_descriptor: is_first.then(FlightDescriptor::ours),
            data_header: Bytes::new(),
            app_metadata: head,
            data_body: body,
        }
    }

    fn encode(self) -> (Bytes, Bytes) {
        let begin = |kind| Writer::new(&[VERSION, kind]);
        match self {
            Self::Hello(greeting) => {
                let mut head = begin(HELLO);
                head.octets(&greeting.hello.encode());
                head.text(&greeting.version);
                head.text(&greeting.states);
                head.i64(greeting.sent_ns);
                (head.done(), greeting.report)
            }
            Self::Welcome(welcome) => {
                let mut head = begin(WELCOME);
                head.octets(&welcome.covered.encode());
                head.text(&welcome.version);
                welcome.answer.write(&mut head);
                (head.done(), Bytes::new())
            }
            Self::Record(record, payload) => {
                let mut head = begin(RECORD);
                head.octets(&record.encode());
                (head.done(), payload)
            }
            Self::Verdict(position, judged) => (verdict(position, judged, begin(VERDICT)), Bytes::new()),
            Self::Covered(covered) => {
                let mut head = begin(COVERED);
                head.octets(&covered.encode());
                (head.done(), Bytes::new())
            }
            Self::Ask(ask) => (ask.head(begin(ASK)), Bytes::new()),
            Self::Answer(answer) => {
                let mut head = begin(ANSWER);
                answer.write(&mut head);
                (head.done(), Bytes::new())
            }
            Self::Assignments(octets) => (begin(ASSIGNMENTS).done(), octets),
            Self::Report(octets) => (begin(REPORT).done(), octets),
            Self::Refused(Refused { name, newest, why }) => {
                let mut head = begin(REFUSED);
                head.text(&name);
                head.u64(newest.map_or(0, |newest| newest.0));
                head.text(&why);
                (head.done(), Bytes::new())
            }
        }
    }

    /// Of a frame.
    ///
    /// # Errors
    /// A sentence, when it is none.
    pub(crate) fn of(frame: FlightData) -> Result<Self, Unread> {
        let mut head = Reader(frame.app_metadata);
        let (version, kind) = head.u8().zip(head.u8()).ok_or(Unread::Garbage)?;
        if version != VERSION && kind != REFUSED {
            return Err(Unread::Version(version));
        }
        let message = read(kind, &mut head, frame.data_body).ok_or(Unread::Garbage)?;
        if head.is_done() || kind == REFUSED { Ok(message) } else { Err(Unread::Garbage) }
    }
}

fn read(kind: u8, head: &mut Reader, body: Bytes) -> Option<Message> {
    Some(match kind {
        HELLO => Message::Hello(Greeting {
            hello: Hello::decode(&head.octets()?).ok()?,
            version: head.text()?,
            states: head.text()?,
            report: body,
            sent_ns: head.i64()?,
        }),
        WELCOME => Message::Welcome(Welcome {
            covered: Covered::decode(&head.octets()?).ok()?,
            version: head.text()?,
            answer: Answer::read(head)?,
        }),
        RECORD => Message::Record(Head::decode(&head.octets()?).ok()?, body),
        VERDICT => {
            let incarnation = Incarnation(head.u64()?);
            let position = Position { incarnation, number: head.u64()? };
            let (name, why) = (head.text()?, head.text()?);
            let judged = if name.is_empty() { Judged::Later } else { Judged::Refused { name, why } };
            Message::Verdict(position, judged)
        }
        COVERED => Message::Covered(Covered::decode(&head.octets()?).ok()?),
        ASK => Message::Ask(Ask::read(head)?),
        ANSWER => Message::Answer(Answer::read(head)?),
        ASSIGNMENTS => Message::Assignments(body),
        REPORT => Message::Report(body),
        REFUSED => {
            let (name, newest) = (head.text()?, head.u64()?);
            let newest = (newest > 0).then_some(Incarnation(newest));
            Message::Refused(Refused { name, newest, why: head.text()? })
        }
        _ => return None,
    })
}

fn verdict(position: Position, judged: Judged, mut head: Writer) -> Bytes {
    head.u64(position.incarnation.0);
    head.u64(position.number);
    let (name, why) = match judged {
        Judged::Refused { name, why } => (name, why),
        Judged::Later => (String::new(), String::new()),
    };
    head.text(&name);
    head.text(&why);
    head.done()
}

impl Ask {
    fn head(self, mut head: Writer) -> Bytes {
        head.i64(self.sent_ns);
        head.u64(self.clock.is_some().into());
        let ClockOffset { ahead_ns, uncertainty_ns } = self.clock.unwrap_or_default();
        head.i64(ahead_ns);
        head.i64(uncertainty_ns);
        head.done()
    }

    fn read(head: &mut Reader) -> Option<Self> {
        let (sent_ns, is_known) = (head.i64()?, head.u64()? == 1);
        let clock = ClockOffset { ahead_ns: head.i64()?, uncertainty_ns: head.i64()? };
        Some(Self { sent_ns, clock: is_known.then_some(clock) })
    }
}

impl Answer {
    fn write(self, head: &mut Writer) {
        head.i64(self.sent_ns);
        head.i64(self.received_ns);
        head.i64(self.answered_ns);
    }

    fn read(head: &mut Reader) -> Option<Self> {
        Some(Self { sent_ns: head.i64()?, received_ns: head.i64()?, answered_ns: head.i64()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tapline_delivery::{Kind, Lineage, SensorName};

    fn messages() -> Vec<Message> {
        let position = Position { incarnation: Incarnation(3), number: 2 };
        let hello = Hello {
            name: SensorName::new("pop-1"),
            lineage: Lineage(1),
            incarnation: Incarnation(3),
            kept_after: Position::START,
            gaps: vec![],
            leaves: None,
        };
        let text = |text: &str| text.to_owned();
        let report = Bytes::from_static(b"a report");
        let answer = Answer { sent_ns: -1, received_ns: 2, answered_ns: 3 };
        let head = Head { position, after: Position::START, ends_cut: true, kind: Kind::Gone(vec![]) };
        let covered = Covered { lineage: Lineage(1), mark: position, above: vec![] };
        let refused = Judged::Refused { name: text("too_late"), why: text("it comes too late") };
        let clock = Some(ClockOffset { ahead_ns: -5, uncertainty_ns: 6 });
        vec![
            Message::Hello(Greeting { hello, version: text("0.1"), states: text("1"), report, sent_ns: 9 }),
            Message::Welcome(Welcome { covered: covered.clone(), version: text("0.1"), answer }),
            Message::Record(head, Bytes::from_static(b"states")),
            Message::Verdict(position, refused),
            Message::Verdict(position, Judged::Later),
            Message::Covered(covered),
            Message::Ask(Ask { sent_ns: 8, clock }),
            Message::Ask(Ask { sent_ns: 8, clock: None }),
            Message::Answer(answer),
            Message::Assignments(Bytes::from_static(b"queries")),
            Message::Report(Bytes::new()),
            Message::Refused((&Refusal::Fenced { own: Incarnation(1), newest: Incarnation(2) }).into()),
        ]
    }

    #[test]
    fn messages_come_back_as_they_were_and_no_part_of_a_head_is_one() {
        for message in messages() {
            let frame = message.clone().into_frame();
            assert_eq!(Message::of(frame.clone()), Ok(message));
            for length in 0..frame.app_metadata.len() {
                let part = FlightData { app_metadata: frame.app_metadata.slice(..length), ..frame.clone() };
                assert_eq!(Message::of(part), Err(Unread::Garbage));
            }
        }
    }

    #[test]
    fn another_version_is_told_and_its_refusals_are_read() {
        for message in messages() {
            let mut frame = message.clone().into_frame();
            let mut head = frame.app_metadata.to_vec();
            head[0] = 9;
            frame.app_metadata = [&head[..], b"more"].concat().into();
            match message {
                Message::Refused(_) => assert_eq!(Message::of(frame), Ok(message)),
                _ => assert_eq!(Message::of(frame), Err(Unread::Version(9))),
            }
        }
        assert!(Unread::Version(9).to_string().contains("version 9 of this link, and version 1"));
    }

    #[test]
    fn texts_that_are_too_long_are_cut_off_at_a_character() {
        let Message::Refused(refused) =
            Message::of(Message::Refused(Refused::new("x", &"é".repeat(4000))).into_frame()).unwrap()
        else {
            panic!("it is another message")
        };
        assert_eq!(refused.why.len(), 4096);
    }
}
