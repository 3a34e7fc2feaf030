//! Frames of a port that only receives copies, through `AF_XDP` on all its queues.
//!
//! Takes an interface, attaches the capture program, gives the frames that it redirects, with the program's time,
//! in order within a queue. Frames that the program's filter left out, those that it could not redirect, and those that
//! found no memory or no room, are counted: seen by the program = filtered + unwanted + read + dropped + on their way.
//! Several may share the queues of an interface out; the first of them counts what the program does.

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tapline_decode::{Direction, Frame, LinkType};
use tapline_ebpf_common::FrameStamp;
use tapline_record::EventTime;

use super::Promiscuous;
use super::calendar::Calendar;
use super::xdp_plan::{Obstacle, driver_name, no_queue, plan, refused};
use super::xdp_queue::{UmemShape, XdpQueue};
use super::xdp_shares::{Common, Numbered as _, Share, gone};
use super::{Description, FrameSource, LiveCounters, LiveError, LiveMode, LiveOptions, WAIT_MS};
use crate::kernel::{
    AttachMode, CardUse, Clock, Counters, KernelCapture, KernelError, KernelOptions, PaneGrid, SharedFilter,
    SharedPreFilter, Tally, ToldCalendar, monotonic_ns,
};
use crate::link::{self, Link};
use tapline_socket::Poll;
use tapline_socket::is_passing;
use tapline_socket::option;

/// How long frames gather when the rings were just emptied; these have room for many times as long.
const GATHER: Duration = Duration::from_micros(100);

/// Longest wait of a reader that a queue is on its way to or from, ms.
const MOVE_WAIT_MS: u16 = 1;

/// An interface that is read through `AF_XDP`, or some queues of one.
pub struct XdpSource {
    /// The queues that it reads now.
    share: Share<XdpQueue>,
    /// The one to read next.
    next: usize,
    poll: Poll,
    /// The last read found frames.
    is_flowing: bool,
    link: Link,
    calendar: Calendar,
    /// The program, as the first reader knows it.
    program: Option<Program>,
    filter: SharedFilter,
    snap_octets: usize,
    description: Description,
    counters: LiveCounters,
}

/// What a source knows of the program in front of it.
struct Program {
    /// What it is told of the calendar.
    calendar: ToldCalendar,
    /// What it counts, and had counted before the source was there.
    tally: Tally,
    before: Counters,
    prefilter: SharedPreFilter,
}

/// Queues that a program redirects to.
struct Begun {
    queues: Vec<XdpQueue>,
    promiscuous: Option<Promiscuous>,
    description: Description,
    program: Program,
    filter: SharedFilter,
}

impl Begun {
    /// Opens so many queues, and lets the program redirect to them.
    fn with(
        program: &mut KernelCapture,
        link: &Link,
        options: &LiveOptions,
        (queues, shape): (u32, UmemShape),
    ) -> Result<Self, Obstacle> {
        let queues = open_queues(link, queues, shape)?;
        for queue in &queues {
            program.set_socket(queue.number(), queue.socket()).map_err(LiveError::Kernel)?;
        }
        let promiscuous = options.is_promiscuous.then(|| Promiscuous::of(link)).transpose()?;
        let description = describe(link, &queues, program.card())?;
        program.set_packets_wanted(true);
        program.set_mirror(true);
        let filter = program.filter();
        let program = Program {
            calendar: program.calendar().map_err(LiveError::Kernel)?,
            tally: program.tally(),
            before: program.counters(),
            prefilter: program.prefilter(),
        };
        Ok(Self { queues, promiscuous, description, program, filter })
    }
}

impl XdpSource {
    /// Begins to read an interface; its program is this source's own.
    pub(super) fn open(link: &Link, options: &LiveOptions) -> Result<Self, Obstacle> {
        let plan = plan(link, options)?;
        let mut program = load(options)?;
        program.attach(&link.name, AttachMode::Native).map_err(|error| refused(&link.name, error))?;
        let begun = Begun::with(&mut program, link, options, plan)?;
        Ok(Self::new(link, options, begun, Some(program)))
    }

    /// Begins to read an interface that a program is attached to already, whose owner keeps it.
    pub(super) fn open_on(
        program: &mut KernelCapture,
        link: &Link,
        options: &LiveOptions,
    ) -> Result<Self, Obstacle> {
        let plan = plan(link, options)?;
        let begun = Begun::with(program, link, options, plan)?;
        Ok(Self::new(link, options, begun, None))
    }

    /// The only reader of these queues; with the program, if it is its own.
    fn new(link: &Link, options: &LiveOptions, begun: Begun, own: Option<KernelCapture>) -> Self {
        let Begun { queues, promiscuous, description, program, filter } = begun;
        Self {
            share: Share::of_one(queues, Common::keeping(own, promiscuous)),
            next: 0,
            poll: Poll::default(),
            is_flowing: false,
            link: link.clone(),
            calendar: Calendar::new(),
            program: Some(program),
            filter,
            snap_octets: options.snap_octets.max(1) as usize,
            description,
            counters: LiveCounters::default(),
        }
    }

    /// Another reader of the interface, which has this share of the queues.
    fn beside(&self, share: Share<XdpQueue>) -> Self {
        Self {
            share,
            next: 0,
            poll: Poll::default(),
            is_flowing: false,
            link: self.link.clone(),
            calendar: self.calendar.clone(),
            program: None,
            filter: Arc::clone(&self.filter),
            snap_octets: self.snap_octets,
            description: self.description.clone(),
            counters: LiveCounters::default(),
        }
    }

    /// Lends what is in the rings, beginning with another queue each time; returns how many frames that were.
    fn lend(&mut self, frames_max: usize, visit: &mut dyn FnMut(&Frame<'_>)) -> io::Result<usize> {
        let now_ns = monotonic_ns();
        let clock = self.calendar.clock(now_ns);
        if let Some(program) = &mut self.program {
            program.calendar.follow(clock);
        }
        let mut frames = 0;
        let queues = self.share.queues_mut();
        for _ in 0..queues.len() {
            // There may be fewer than before.
            self.next %= queues.len();
            let (counters, link, snap_octets) = (&mut self.counters, &self.link, self.snap_octets);
            let mut lend = |stamp: Option<FrameStamp>, bytes: &[u8]| {
                let cut_octets = stamp.map_or(0, |stamp| stamp.cut_octets);
                let frame = Frame {
                    ts: EventTime(utc_ns(stamp, clock, now_ns) as i64),
                    link: LinkType::Ethernet,
                    direction: Some(Direction::Ingress),
                    interface: Some(&link.name),
                    original_octets: (bytes.len() as u32).saturating_add(cut_octets),
                    bytes: bytes.get(..snap_octets).unwrap_or(bytes),
                };
                counters.count(&frame, cut_octets);
                visit(&frame);
            };
            frames += queues[self.next].lend(frames_max - frames, &mut lend)?;
            self.next += 1;
            if frames == frames_max {
                break;
            }
        }
        Ok(frames)
    }

    /// Waits for frames; this also tells a driver that there is memory for them.
    fn wait(&mut self) -> io::Result<()> {
        if self.is_flowing {
            // Waking up for each frame costs more than the frame does.
            thread::sleep(GATHER);
        }
        let wait_ms = if self.share.has_its() { WAIT_MS } else { MOVE_WAIT_MS };
        match self.poll.wait(self.share.queues().iter().map(XdpQueue::socket), wait_ms) {
            Err(error) if !is_passing(&error) => return Err(error),
            _ => {}
        }
        for queue in self.share.queues() {
            if let Some(error) = option::taken_error(queue.socket())? {
                self.share.common().note_gone();
                return Err(of_socket(&self.link.name, error));
            }
        }
        self.share.common().check(&self.link.name)
    }
}

impl FrameSource for XdpSource {
    fn read(&mut self, frames_max: usize, visit: &mut dyn FnMut(&Frame<'_>)) -> io::Result<usize> {
        self.share.look_up();
        let mut frames = self.lend(frames_max, visit)?;
        if frames == 0 {
            self.wait()?;
            self.share.look_up();
            frames = self.lend(frames_max, visit)?;
        }
        self.is_flowing = frames > 0;
        Ok(frames)
    }

    fn counters(&mut self) -> io::Result<LiveCounters> {
        let drops = &mut self.counters.drops;
        for queue in self.share.queues_mut() {
            let [memory, ring, starved] = queue.newly_dropped()?;
            drops.memory += memory;
            drops.ring += ring;
            self.counters.starved += starved;
        }
        if let Some(program) = &self.program {
            let since = program.tally.counters().since(&program.before);
            drops.program = since.unredirected_packets;
            self.counters.filtered = since.filtered_packets;
            self.counters.stamped = since.stamped_packets;
            self.counters.mistrusted = since.mistrusted_packets;
            self.counters.unwanted = since.unwanted_packets + since.unread_packets;
            if let Some(link) = link::find(&self.link.name)? {
                drops.miss(&link, &self.link);
            }
        }
        Ok(self.counters)
    }

    fn description(&self) -> &Description {
        &self.description
    }

    fn share_out(mut self: Box<Self>, readers: usize) -> Vec<Box<dyn FrameSource>> {
        let others = self.share.share_out(u32::try_from(readers).unwrap_or(u32::MAX));
        self.description.readers = self.share.readers();
        let others: Vec<Self> = others.into_iter().map(|share| self.beside(share)).collect();
        let first: Box<dyn FrameSource> = self;
        let others = others.into_iter().map(|other| Box::new(other) as Box<dyn FrameSource>);
        std::iter::once(first).chain(others).collect()
    }

    fn may_gather(&self, are_gathered: bool) -> bool {
        self.share.may_gather(are_gathered)
    }

    fn gather(&mut self, are_gathered: bool) {
        self.share.gather(are_gathered);
    }

    fn lent_until_ns(&self) -> u64 {
        self.share.queues().iter().map(XdpQueue::lent_until_ns).min().unwrap_or(u64::MAX)
    }

    fn prefilter(&self) -> Option<SharedPreFilter> {
        self.program.as_ref().map(|program| Arc::clone(&program.prefilter))
    }

    fn filter(&self) -> Option<SharedFilter> {
        Some(Arc::clone(&self.filter))
    }
}

/// Loads the program; the frames' times are whole µs after the start of their panes, so there must be panes.
fn load(options: &LiveOptions) -> Result<KernelCapture, Obstacle> {
    let panes = match options.kernel.panes {
        PaneGrid { length_ns: 0, .. } => Clock::measure().grid(PaneGrid::LENGTH_NS_MAX, monotonic_ns()),
        panes => panes,
    };
    KernelCapture::load(&KernelOptions { panes, ..options.kernel.clone() }).map_err(|error| match error {
        KernelError::NotBuilt => Obstacle::Unsuitable(error.to_string()),
        error => Obstacle::Fault(error.into()),
    })
}

/// When a frame came, UTC in ns since 1970: by the card's clock, or by the program's, which stands so.
fn utc_ns(stamp: Option<FrameStamp>, clock: Clock, now_ns: u64) -> u64 {
    match stamp {
        Some(FrameStamp { card_ns: 0, ts_ns, .. }) => clock.utc_ns(ts_ns),
        Some(FrameStamp { card_ns, .. }) => card_ns,
        None => clock.utc_ns(now_ns),
    }
}

fn open_queues(link: &Link, count: u32, shape: UmemShape) -> Result<Vec<XdpQueue>, Obstacle> {
    let open = |queue| {
        let opened = XdpQueue::open(link.index, queue, shape);
        opened.map_err(|error| no_queue(link, (queue, count), shape, error))
    };
    (0..count).map(open).collect()
}

fn describe(link: &Link, queues: &[XdpQueue], card: &CardUse) -> Result<Description, LiveError> {
    let failed = |error| LiveError::new(&link.name, "asking its sockets", error);
    let mut copies = 0;
    for queue in queues {
        copies += usize::from(!queue.is_zero_copy().map_err(failed)?);
    }
    let driver = driver_name(&link.name);
    let mode = if copies == 0 { LiveMode::XdpZeroCopy } else { LiveMode::XdpCopy };
    let reasons = match copies {
        0 => Vec::new(),
        _ => vec![format!("the driver {driver} has no AF_XDP without copying")],
    };
    let (interface, queues, card) = (link.name.clone(), queues.len() as u32, card.clone());
    Ok(Description { interface, mode, queues, readers: 1, card, reasons })
}

/// A socket's error means that its interface is gone.
fn of_socket(interface: &str, error: io::Error) -> io::Error {
    if error.raw_os_error() == Some(libc::ENETDOWN) { gone(interface) } else { error }
}
