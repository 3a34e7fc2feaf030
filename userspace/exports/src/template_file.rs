//! Templates on disk, so that a collector that starts anew need not wait for them.
//!
//! Takes a folder, gives a decoder the templates of an earlier run, and keeps those of this one: a file that is
//! written anew as a whole, beside the old one, and put into its place at once. A thread of its own writes and waits
//! for the disk, which may be slow; after a loss of power either the old file is there or the new one.

use std::fmt::Display;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::{Builder, JoinHandle};

use tapline_decode::ExportDecoder;
use tapline_decode::export::{SavedNumber, SavedTemplate};
use tapline_record::EventTime;

use crate::whole_file::{keep_names, put_whole};

/// Octets of the file that are read; it holds text of a few hundred a template.
const FILE_OCTETS_MAX: u64 = 64 << 20;

/// Nanoseconds between two writes, at least.
const WRITE_EVERY_NS: i64 = 1_000_000_000;

/// Writes that wait for the one that is going on; later ones have what those have and more.
const WRITES_WAITING_MAX: usize = 1;

/// First line of the file.
const HEADER: &str =
    "# tapline templates 1: address port transport version domain kind number enterprise.element.length…";

/// First line of the file of numbers.
const NUMBERS_HEADER: &str = "# tapline numbers 1: address port transport version domain what next received";

/// The file of an exporter's templates.
#[derive(Debug)]
pub struct TemplateFile {
    path: PathBuf,
    /// Whether numbers are kept besides, so that what is sent between two runs is missing.
    keeps_numbers: bool,
    /// Whether this run has been asked to keep anything yet.
    has_begun: bool,
    /// Changes of templates that the writer knows of, and when it was told.
    told: (u64, EventTime),
    writer: Option<Writer>,
}

/// The thread that writes.
#[derive(Debug)]
struct Writer {
    orders: SyncSender<Vec<SavedTemplate>>,
    thread: JoinHandle<io::Result<()>>,
}

/// What came of an earlier run's templates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// Templates taken in, provisionally.
    pub templates: u64,
    /// Numbers of exporters that are gone on with.
    pub numbers: u64,
    /// Lines that are neither, or for which there is no room.
    pub refused: u64,
}

impl TemplateFile {
    /// The file `name` in `folder`, which is made if need be.
    ///
    /// # Errors
    /// What the operating system says.
    pub(crate) fn in_folder(folder: &Path, name: &str) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let (path, told) = (folder.join(name), (0, EventTime::MIN));
        Ok(Self { path, keeps_numbers: false, has_begun: false, told, writer: None })
    }

    /// Keeps the exporters' numbers, too, at the end, and goes on with those of an earlier run: what is sent between
    /// the two is missing then.
    #[must_use]
    pub fn with_numbers(self) -> Self {
        Self { keeps_numbers: true, ..self }
    }

    /// Whether an earlier run left numbers to go on with.
    #[must_use]
    pub fn has_numbers(&self) -> bool {
        self.numbers().exists()
    }

    /// Removes numbers, so that they are gone after a loss of power, too.
    fn forget_numbers(&self) -> io::Result<()> {
        fs::remove_file(self.numbers())?;
        keep_names(&self.path)
    }

    fn numbers(&self) -> PathBuf {
        self.path.with_extension("numbers")
    }

    /// Gives the decoder the templates of the file, none if there is no file; and numbers, which are of the end of that
    /// run only, and are gone afterwards.
    ///
    /// # Errors
    /// When a file is there but cannot be read.
    pub fn load(&self, decoder: &mut ExportDecoder) -> io::Result<Restored> {
        let mut restored = Restored::default();
        for line in lines_of(&self.path)?.lines().filter(is_content) {
            let is_taken = line.parse::<SavedTemplate>().is_ok_and(|saved| decoder.restore(saved));
            *(if is_taken { &mut restored.templates } else { &mut restored.refused }) += 1;
        }
        if !self.keeps_numbers || !self.has_numbers() {
            return Ok(restored);
        }
        for line in lines_of(&self.numbers())?.lines().filter(is_content) {
            let is_taken = line.parse::<SavedNumber>().is_ok_and(|saved| decoder.resume(&saved));
            *(if is_taken { &mut restored.numbers } else { &mut restored.refused }) += 1;
        }
        self.forget_numbers()?;
        Ok(restored)
    }

    /// Has the decoder's templates written if they changed, now and then.
    ///
    /// # Errors
    /// What the operating system said of an earlier write.
    pub fn keep(&mut self, decoder: &ExportDecoder, now: EventTime) -> io::Result<()> {
        if !std::mem::replace(&mut self.has_begun, true) && self.keeps_numbers && self.has_numbers() {
            // Another listener, which ended when this one had begun, left them.
            self.forget_numbers()?;
        }
        if now < self.told.1.plus(WRITE_EVERY_NS) {
            return Ok(());
        }
        let changes = decoder.template_changes();
        if changes == self.told.0 {
            return Ok(());
        }
        match self.writer()?.orders.try_send(decoder.templates().collect()) {
            Ok(()) => self.told = (changes, now),
            Err(TrySendError::Full(_)) => self.told.1 = now,
            Err(TrySendError::Disconnected(_)) => return self.close(),
        }
        Ok(())
    }

    /// Has the decoder's templates written if they changed, and numbers, and waits until they are.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn end(&mut self, decoder: &ExportDecoder) -> io::Result<()> {
        if decoder.template_changes() != self.told.0 {
            // A writer that is gone says why when it is closed.
            let _ = self.writer()?.orders.send(decoder.templates().collect());
        }
        self.close()?;
        if self.keeps_numbers {
            write(&self.numbers(), NUMBERS_HEADER, decoder.numbers())?;
        }
        Ok(())
    }

    /// The writer, which is started when it is needed.
    fn writer(&mut self) -> io::Result<&Writer> {
        let writer = match self.writer.take() {
            Some(writer) => writer,
            None => Writer::start(self.path.clone())?,
        };
        Ok(self.writer.insert(writer))
    }

    /// Lets the writer end what it was told, and waits for that.
    fn close(&mut self) -> io::Result<()> {
        let Some(Writer { orders, thread }) = self.writer.take() else { return Ok(()) };
        drop(orders);
        thread.join().unwrap_or_else(|_| Err(io::Error::other("the thread that writes them died")))
    }
}

impl Writer {
    fn start(path: PathBuf) -> io::Result<Self> {
        let (orders, to_write) = sync_channel(WRITES_WAITING_MAX);
        let thread = Builder::new().name("templates".into()).spawn(move || write_all(&path, &to_write))?;
        Ok(Self { orders, thread })
    }
}

/// The text of a file; nothing where there is none.
fn lines_of(path: &Path) -> io::Result<String> {
    let mut octets = vec![];
    match File::open(path) {
        Ok(file) => file.take(FILE_OCTETS_MAX).read_to_end(&mut octets)?,
        Err(error) if error.kind() == ErrorKind::NotFound => 0,
        Err(error) => return Err(error),
    };
    Ok(String::from_utf8_lossy(&octets).into_owned())
}

/// Whether a line is more than a remark.
fn is_content(line: &&str) -> bool {
    !line.starts_with('#') && !line.is_empty()
}

fn write_all(path: &Path, orders: &Receiver<Vec<SavedTemplate>>) -> io::Result<()> {
    orders.iter().try_for_each(|templates| write(path, HEADER, templates))
}

/// Puts a new file into the place of the old one.
fn write(path: &Path, header: &str, lines: impl IntoIterator<Item = impl Display>) -> io::Result<()> {
    put_whole(path, |file| {
        writeln!(file, "{header}")?;
        lines.into_iter().try_for_each(|line| writeln!(file, "{line}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{IpAddr, Ipv4Addr};
    use tapline_decode::{Datagram, ExportOptions, Sender};

    /// A v9 message with the template 256 of a source address.
    const MESSAGE: [u8; 32] = [
        0, 9, 0, 1, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 7, // header
        0, 0, 0, 12, 1, 0, 0, 1, 0, 8, 0, 4, // set
    ];

    fn decoder() -> ExportDecoder {
        ExportDecoder::new(&[], 64, ExportOptions::default())
    }

    fn template_of(decoder: &ExportDecoder) -> Vec<String> {
        decoder.templates().map(|template| template.to_string()).collect()
    }

    #[test]
    fn what_was_kept_is_restored() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = TemplateFile::in_folder(&folder.path().join("state"), "templates").unwrap();
        assert_eq!(file.load(&mut decoder()).unwrap(), Restored::default());
        let mut before = decoder();
        let sender = Sender::udp(IpAddr::V4(Ipv4Addr::LOCALHOST), 2055);
        before.push(&Datagram { received: EventTime(0), sender, payload: &MESSAGE });
        file.keep(&before, EventTime(5)).unwrap();
        file.end(&before).unwrap();
        let mut after = decoder();
        assert_eq!(file.load(&mut after).unwrap(), Restored { templates: 1, ..Restored::default() });
        assert_eq!(template_of(&after), template_of(&before));
        assert_eq!(template_of(&after), ["127.0.0.1 2055 udp 9 7 data 256 0.8.4"]);
    }

    #[test]
    fn numbers_are_gone_on_with_once() {
        let folder = tempfile::tempdir().unwrap();
        let file = || TemplateFile::in_folder(folder.path(), "templates").unwrap().with_numbers();
        let sender = Sender::udp(IpAddr::V4(Ipv4Addr::LOCALHOST), 2055);
        // Of v5, with one flow.
        let message = |sequence: u32| {
            let mut message = [0; 72];
            (message[1], message[3]) = (5, 1);
            message[16..20].copy_from_slice(&sequence.to_be_bytes());
            message
        };
        let mut before = decoder();
        before.push(&Datagram { received: EventTime(5), sender, payload: &message(1_000_001) });
        file().end(&before).unwrap();
        assert!(file().has_numbers());
        // A run without a message leaves what it was given.
        let mut between = decoder();
        assert_eq!(file().load(&mut between).unwrap().numbers, 1);
        assert!(!file().has_numbers(), "they are of one moment");
        file().end(&between).unwrap();
        let mut after = decoder();
        let restored = file().load(&mut after).unwrap();
        assert_eq!(restored, Restored { templates: 0, numbers: 1, refused: 0 });
        // Three flows later.
        after.push(&Datagram { received: EventTime(9), sender, payload: &message(1_000_005) });
        assert_eq!(after.accounts().map(|account| account.sequence.lost).sum::<u64>(), 3);
        let [missed] = after.take_missed()[..] else { panic!("nothing is missed") };
        assert_eq!((missed.since, missed.until, missed.records), (EventTime(5), EventTime(9), Some(3)));
        assert_eq!(after.missing_records(), 0, "what went missing before is told by itself");
        assert!(after.take_missed().is_empty());
        // One that has begun anew meanwhile does not tell how much it sent before.
        file().end(&after).unwrap();
        let mut anew = decoder();
        file().load(&mut anew).unwrap();
        anew.push(&Datagram { received: EventTime(20), sender, payload: &message(0) });
        let [missed] = anew.take_missed()[..] else { panic!("nothing is said") };
        assert_eq!((missed.since, missed.until, missed.records), (EventTime(9), EventTime(20), None));
        anew.push(&Datagram { received: EventTime(21), sender, payload: &message(1) });
        assert!(anew.take_missed().is_empty(), "it is said once");
    }

    #[test]
    fn the_last_change_is_kept_however_soon_the_end_comes() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = TemplateFile::in_folder(folder.path(), "templates").unwrap();
        let mut decoder = decoder();
        for (port, now) in [(1, EventTime(5)), (2, EventTime(6))] {
            let sender = Sender::udp(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
            decoder.push(&Datagram { received: EventTime(0), sender, payload: &MESSAGE });
            file.keep(&decoder, now).unwrap();
        }
        file.end(&decoder).unwrap();
        assert_eq!(file.load(&mut self::decoder()).unwrap().templates, 2);
    }

    #[test]
    fn what_cannot_be_written_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        let mut file = TemplateFile::in_folder(&state, "templates").unwrap();
        fs::remove_dir(&state).unwrap();
        let mut decoder = decoder();
        let mut failure = None;
        for second in 0..1000 {
            let sender = Sender::udp(IpAddr::V4(Ipv4Addr::LOCALHOST), second);
            decoder.push(&Datagram { received: EventTime(0), sender, payload: &MESSAGE });
            failure = failure.or(file.keep(&decoder, EventTime(i64::from(second) * WRITE_EVERY_NS)).err());
        }
        let failure = failure.or(file.end(&decoder).err());
        assert_eq!(failure.map(|failure| failure.kind()), Some(ErrorKind::NotFound));
    }

    #[test]
    fn a_damaged_file_gives_what_can_be_read() {
        let folder = tempfile::tempdir().unwrap();
        let lines =
            "# x\n1.2.3.4 1 udp 9 7 data 256 0.8.4\nnonsense\n1.2.3.4 1 udp 5 7 data 256 0.8.4\n1.2.3";
        fs::write(folder.path().join("templates"), [lines.as_bytes(), &[0xff]].concat()).unwrap();
        let file = TemplateFile::in_folder(folder.path(), "templates").unwrap();
        assert_eq!(
            file.load(&mut decoder()).unwrap(),
            Restored { templates: 1, refused: 3, ..Restored::default() }
        );
    }
}
