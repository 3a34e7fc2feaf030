//! Capture files: pcap and pcapng, plain or compressed, mapped or as a stream.
//!
//! Takes a path, gives its [`tapline_decode::Frame`]s in the file's own order, lent for the time of one call. Every
//! frame before a cut or a damage is
//! delivered, and how the file ended is said afterwards. Mapped and streamed reading share one
//! parser and give the same frames, counters and end for the same octets.

mod byte_order;
mod end;
mod followed;
mod link_type;
mod looks_like;
mod mapped;
mod merge;
mod octets;
mod open;
mod parser;
mod pcap;
mod pcapng;
mod pcapng_interface;
mod pipe;
mod scan;
mod shortened;
mod streamed;

use std::fmt;
use std::io::{self, Read};
use std::path::Path;

use tapline_decode::Frame;
use tapline_record::EventTime;
use tapline_socket::is_passing;

pub use end::{Counters, Damage, End};
pub use followed::{Beginning, Ending, FollowedFile};
pub use looks_like::looks_like;
pub use merge::CaptureSet;
pub use octets::Octets;
pub use open::{OpenError, check_standard_input};
pub use scan::TimeScan;

use parser::{Stop, Stretch, Until};
use pcap::Pcap;
use pcapng::Pcapng;

/// Frames after which a read returns at the latest, so that pages already read can be released.
const FRAMES_A_READ_MAX: u64 = 8192;

/// One capture file, read from its beginning to its end.
pub struct CaptureFile {
    name: String,
    source: Octets,
    format: Format,
    counters: Counters,
    end: Option<End>,
}

enum Format {
    Pcap(Pcap),
    Pcapng(Pcapng),
}

impl CaptureFile {
    /// Opens `path`; `-` is standard input. Compression is recognised by content, not by name.
    ///
    /// # Errors
    /// What stands in the way, with the file's name: missing, a directory, not permitted, empty, or
    /// no capture file.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let (name, source) = open::open(path)?;
        Self::begin(name, source)
    }

    /// Reads a capture from `reader`, such as a pipe; `name` is for messages.
    ///
    /// # Errors
    /// As for [`CaptureFile::open`].
    pub fn from_reader(name: &str, reader: impl Read + Send + 'static) -> Result<Self, OpenError> {
        let source = Octets::piped(reader).map_err(|error| OpenError::unreadable(name, error))?;
        Self::begin(name.to_owned(), source)
    }

    /// As [`CaptureFile::open`], but of a file that is no capture gives the name for messages and the
    /// octets.
    ///
    /// # Errors
    /// As for [`CaptureFile::open`], but for what the file is.
    pub fn open_or_octets(path: &Path) -> Result<Result<Self, (String, Octets)>, OpenError> {
        let (name, mut source) = open::open(path)?;
        wait_for_start(&name, &mut source)?;
        let start = source.available();
        let is_other = !start.is_empty() && Pcap::begin(start).is_none() && Pcapng::begin(start).is_none();
        if is_other { Ok(Err((name, source))) } else { Self::begin(name, source).map(Ok) }
    }

    fn begin(name: String, mut source: Octets) -> Result<Self, OpenError> {
        wait_for_start(&name, &mut source)?;
        let format = Format::recognise(&name, source.available())?;
        Ok(Self { name, source, format, counters: Counters::default(), end: None })
    }

    /// Lends up to `frames_max` (at least 1) next frames to `visit`; returns how many.
    ///
    /// May return fewer before the end, and none at the end or when a pipe has had none for a while:
    /// [`CaptureFile::end`] tells which.
    pub fn read(&mut self, frames_max: usize, visit: &mut impl FnMut(&Frame<'_>)) -> usize {
        self.read_until(Until { frames_max: frames_max as u64, latest: EventTime::MAX }, visit).0
    }

    /// How the file ended; `None` as long as frames may follow.
    #[must_use]
    pub const fn end(&self) -> Option<&End> {
        self.end.as_ref()
    }

    /// What was read so far.
    #[must_use]
    pub const fn counters(&self) -> Counters {
        self.counters
    }

    /// The path as it was given, or `standard input`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Octets of the file as it is stored (compressed ones for a compressed file) that were read.
    #[must_use]
    pub fn position_octets(&self) -> u64 {
        self.source.stored_position()
    }

    /// Octets of the file as it is stored; `None` for a pipe.
    #[must_use]
    pub fn total_octets(&self) -> Option<u64> {
        self.source.stored_total()
    }

    /// The same file from its beginning, without disturbing this reader; `None` for a pipe.
    fn again(&self) -> Option<Self> {
        Self::begin(self.name.clone(), self.source.again()?).ok()
    }

    /// Time of the next frame; `None` at the end, and when a pipe has had none for a while.
    fn next_time(&mut self) -> Option<EventTime> {
        self.read_until(Until { frames_max: 0, latest: EventTime::MIN }, &mut |_| {}).1
    }

    /// Reads on as far as `until`; gives the frames lent and, where it is known, the time of the next.
    fn read_until(&mut self, until: Until, visit: &mut impl FnMut(&Frame<'_>)) -> (usize, Option<EventTime>) {
        let until = Until { frames_max: until.frames_max.min(FRAMES_A_READ_MAX), ..until };
        while self.end.is_none() {
            let Stretch { octets, counters, stop } = self.parse(until, visit);
            self.source.consume(octets);
            self.counters += counters;
            let frames = counters.frames as usize;
            match stop {
                Stop::Paused(next) => return (frames, Some(next)),
                Stop::Damaged(reason) => self.end = Some(self.damaged(reason)),
                Stop::Short(_) if frames > 0 => return (frames, None),
                Stop::Short(octets) if self.fill(octets) => {}
                Stop::Short(_) => break,
            }
            if frames > 0 {
                return (frames, None);
            }
        }
        (0, None)
    }

    fn parse(&mut self, until: Until, visit: &mut impl FnMut(&Frame<'_>)) -> Stretch {
        let (octets, watch) = (self.source.available(), self.source.watch());
        match &mut self.format {
            Format::Pcap(pcap) => parser::parse(pcap, octets, watch, until, visit),
            Format::Pcapng(pcapng) => parser::parse(pcapng, octets, watch, until, visit),
        }
    }

    /// Makes `octets` available, or ends the file; `false` when there are none for now.
    fn fill(&mut self, octets: usize) -> bool {
        self.end = match self.source.fill(octets) {
            Err(error) if is_passing(&error) => return false,
            _ if self.source.has_lost_pages() => Some(self.damaged(Damage::Shortened)),
            Ok(true) => None,
            _ if self.source.is_shortened() => Some(self.damaged(Damage::Shortened)),
            Ok(false) if self.source.available().is_empty() => Some(End::Complete),
            Ok(false) => Some(End::CutOff { at_octet: self.source.position() }),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Some(End::CutOff { at_octet: self.source.position() })
            }
            Err(error) => Some(self.damaged(Damage::Unreadable(error.to_string()))),
        };
        true
    }

    fn damaged(&self, reason: Damage) -> End {
        let reason = if self.source.is_shortened() { Damage::Shortened } else { reason };
        End::Damaged { at_octet: self.source.position(), reason }
    }
}

/// Waits until so much is there that the format can be told, or the end.
fn wait_for_start(name: &str, source: &mut Octets) -> Result<(), OpenError> {
    loop {
        match source.fill(pcap::FILE_HEADER_OCTETS) {
            Err(error) if is_passing(&error) => {}
            Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => {
                return Err(OpenError::unreadable(name, error));
            }
            _ => return Ok(()),
        }
    }
}

impl fmt::Debug for CaptureFile {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, counters, end, .. } = self;
        let mut fields = formatter.debug_struct("CaptureFile");
        fields.field("name", name).field("counters", counters).field("end", end).finish_non_exhaustive()
    }
}

impl Format {
    fn recognise(name: &str, start: &[u8]) -> Result<Self, OpenError> {
        if start.is_empty() {
            return Err(OpenError::Empty { name: name.to_owned() });
        }
        let format = Pcap::begin(start).map(|begun| begun.map(Self::Pcap));
        let format = format.or_else(|| Pcapng::begin(start).map(|begun| begun.map(Self::Pcapng)));
        match format {
            Some(Ok(format)) => Ok(format),
            Some(Err(what)) => Err(OpenError::Unsupported { name: name.to_owned(), what }),
            None => Err(OpenError::foreign(name, start)),
        }
    }
}
