//! The link of one sensor: what it says goes to the thread "aggregator", what that says goes back.
//!
//! Whatever it says, it has no more under way than it may, and holds up nobody else: records wait with it until there
//! is room, and whoever does not read what is said to him is let go of.

use super::identity::Vouched;
use super::owner::{Event, Greeted, Incoming, Said};
use super::server::{Caller, Front};
use super::tokens::is_name;
use crate::clock::wall_ns;
use crate::wire::{Answer, FlightData, Greeting, Message, PAYLOAD_OCTETS_MAX, Refused, Unread};
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;
use tapline_delivery::Covered;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::time::timeout;
use tonic::{Status, Streaming};

/// Messages of a link that the thread "aggregator" has not taken, or whose verdicts were not sent.
const UNDER_WAY_MAX: usize = 256;
/// What is said to a sensor besides verdicts.
const SAID_BESIDES: usize = 8;
/// Answers to a sensor that asks what time it is.
const ANSWERS_MAX: usize = 4;
/// How long a sensor may take until it says who it is.
const GREETS_WITHIN: Duration = Duration::from_secs(10);
/// How long it may say nothing; it asks each second.
const SILENT_MAX: Duration = Duration::from_secs(30);
/// How long it may take nothing.
const TAKEN_WITHIN: Duration = Duration::from_secs(30);
/// How long is read on when the last was said, so that it arrives.
const LINGERS_FOR: Duration = Duration::from_secs(2);
/// A permit is of so many octets.
const KIB: usize = 1 << 10;

type Room = Option<OwnedSemaphorePermit>;
type Out = mpsc::Sender<Result<FlightData, Status>>;

/// What is said on a link.
struct Heard {
    said: mpsc::Receiver<Said>,
    covered: watch::Receiver<Option<Covered>>,
    answers: mpsc::Receiver<Answer>,
    assignments: watch::Receiver<Option<Bytes>>,
}

/// Serves a link until it ends.
pub(crate) async fn run(
    (number, caller, vouched): (u64, Caller, Vouched),
    front: Arc<Front>,
    mut incoming: Streaming<FlightData>,
    out: Out,
) {
    let refused = match greeting(&mut incoming, &front).await {
        Ok((greeting, room)) => {
            let sensor = vouched.who(&greeting.hello.name);
            let (said, of_said) = mpsc::channel(UNDER_WAY_MAX + SAID_BESIDES);
            let (covered, of_covered) = watch::channel(None);
            let (answer, answers) = mpsc::channel(ANSWERS_MAX);
            let (address, octets) = (caller.address, Arc::clone(&caller.octets));
            let received_ns = wall_ns();
            let greeted = Greeted { sensor, greeting, address, octets, received_ns, said, covered };
            let greeted = Event { link: number, what: Incoming::Greeted(Box::new(greeted)), room };
            let greeted = front.events.send(greeted);
            let assignments = front.assignments.clone();
            let heard = Heard { said: of_said, covered: of_covered, answers, assignments };
            match greeted.await {
                Ok(()) => exchange(number, &front, &mut incoming, (&out, heard, answer)).await,
                Err(_) => None,
            }
        }
        Err(refused) => refused.inspect(|(name, _)| front.refuse(name)),
    };
    if let Some((name, why)) = refused {
        say(&out, Message::Refused(Refused::new(name, &why))).await;
    }
    drop(out);
    // What was said last arrives only when what is said to us is taken.
    let _ = timeout(LINGERS_FOR, async { while matches!(incoming.message().await, Ok(Some(_))) {} }).await;
    caller.done.notify_one();
}

/// Why nobody listens, as it is counted and as a sentence.
type Why = (&'static str, String);

async fn exchange(
    number: u64,
    front: &Front,
    incoming: &mut Streaming<FlightData>,
    (out, heard, answer): (&Out, Heard, mpsc::Sender<Answer>),
) -> Option<Why> {
    let why = tokio::select! {
        why = read(number, front, incoming, &answer) => why,
        () = write(out, heard) => None,
    };
    let garbage = why.as_ref().map(|(name, _)| *name);
    // Where nobody hears it, nobody has to.
    let _ = front.events.send(Event { link: number, what: Incoming::Gone(garbage), room: None }).await;
    why
}

/// The first that a sensor says; `Err(None)` where it is gone.
async fn greeting(
    incoming: &mut Streaming<FlightData>,
    front: &Front,
) -> Result<(Greeting, Room), Option<Why>> {
    let late = || Some(("silent", "it did not say who it is".to_owned()));
    let frame = timeout(GREETS_WITHIN, incoming.message()).await.map_err(|_| late())?;
    let frame = frame.map_err(|status| of_status(&status))?.ok_or(None)?;
    let room = room(&frame, front).await;
    match Message::of(frame).map_err(|unread| Some(of_unread(&unread)))? {
        Message::Hello(greeting) if !is_name(greeting.hello.name.as_str()) => {
            let why = "a sensor is called by one word of 128 octets at most; call it otherwise";
            Err(Some(("no_name", why.to_owned())))
        }
        Message::Hello(greeting) if greeting.report.len() > PAYLOAD_OCTETS_MAX => {
            Err(Some(too_long("a report")))
        }
        Message::Hello(greeting) => Ok((greeting, room)),
        _ => {
            let why = tapline_delivery::Refusal::NotGreeted;
            Err(Some((why.name(), why.to_string())))
        }
    }
}

/// Takes what a sensor says until it is gone, or says what no sensor says.
async fn read(
    number: u64,
    front: &Front,
    incoming: &mut Streaming<FlightData>,
    answer: &mpsc::Sender<Answer>,
) -> Option<Why> {
    let places = Arc::new(Semaphore::new(UNDER_WAY_MAX));
    loop {
        let frame = match timeout(SILENT_MAX, incoming.message()).await {
            Ok(Ok(frame)) => frame?,
            Ok(Err(status)) => return of_status(&status),
            Err(_) => return Some(("silent", "it said nothing for too long".to_owned())),
        };
        // Before it has its place, it takes no room of others: whoever does not listen to verdicts holds up himself.
        let place = Arc::clone(&places).acquire_owned().await.ok()?;
        let room = room(&frame, front).await;
        let what = match Message::of(frame) {
            Ok(Message::Record(head, payload)) => Incoming::Record(Box::new(head), payload, place),
            Ok(Message::Ask(ask)) => {
                let received_ns = wall_ns();
                let answered = Answer { sent_ns: ask.sent_ns, received_ns, answered_ns: received_ns };
                // Whoever asks more often than he listens is not answered.
                let _ = answer.try_send(answered);
                Incoming::Alive(ask.clock)
            }
            Ok(Message::Report(octets)) if octets.len() > PAYLOAD_OCTETS_MAX => {
                return Some(too_long("a report"));
            }
            Ok(Message::Report(octets)) => Incoming::Report(octets),
            Ok(_) => return Some(of_unread(&Unread::Garbage)),
            Err(unread) => return Some(of_unread(&unread)),
        };
        front.events.send(Event { link: number, what, room }).await.ok()?;
    }
}

/// Waits until there is room for a frame besides those of all others that nobody has taken yet.
async fn room(frame: &FlightData, front: &Front) -> Room {
    let octets = frame.app_metadata.len() + frame.data_body.len();
    let kib = u32::try_from(octets.div_ceil(KIB)).unwrap_or(u32::MAX);
    Arc::clone(&front.room).acquire_many_owned(kib).await.ok()
}

/// Says what there is to say until there is nothing any more.
async fn write(out: &Out, mut heard: Heard) {
    let Some(first) = heard.said.recv().await else { return };
    if !say(out, first.message).await {
        return;
    }
    loop {
        let (message, _place) = tokio::select! {
            said = heard.said.recv() => match said {
                Some(Said { message, place }) => (Some(message), place),
                None => return,
            },
            Ok(()) = heard.covered.changed() => {
                (heard.covered.borrow_and_update().clone().map(Message::Covered), None)
            }
            Ok(()) = heard.assignments.changed() => {
                (heard.assignments.borrow_and_update().clone().map(Message::Assignments), None)
            }
            Some(answer) = heard.answers.recv() => {
                (Some(Message::Answer(Answer { answered_ns: wall_ns(), ..answer })), None)
            }
        };
        if let Some(message) = message
            && !say(out, message).await
        {
            return;
        }
    }
}

/// Says something; whether it was taken.
async fn say(out: &Out, message: Message) -> bool {
    matches!(timeout(TAKEN_WITHIN, out.send(Ok(message.into_frame()))).await, Ok(Ok(())))
}

fn too_long(what: &str) -> Why {
    ("too_long", format!("{what} has {PAYLOAD_OCTETS_MAX} octets at most"))
}

fn of_unread(unread: &Unread) -> Why {
    let name = match unread {
        Unread::Version(_) => "another_version",
        Unread::Garbage => "garbage",
    };
    (name, unread.to_string())
}

/// What is no frame is told; that a connection broke is not.
fn of_status(status: &Status) -> Option<Why> {
    let code = status.code();
    let is_garbage = [tonic::Code::InvalidArgument, tonic::Code::OutOfRange, tonic::Code::ResourceExhausted];
    is_garbage.contains(&code).then(|| ("garbage", format!("what it says is no frame: {}", status.message())))
}
