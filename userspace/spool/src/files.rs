//! What a spool asks of a disk: so few operations that a simulated one can fail at each of them.

use std::fmt;
use std::io;

/// One folder.
pub(crate) trait Files: fmt::Debug + Send {
    /// Makes the folder, safe in the ones above it, unless it is there.
    fn make(&self) -> io::Result<()>;

    /// The names of all that is in it, in any order.
    fn names(&self) -> io::Result<Vec<String>>;

    /// Takes the folder for this process for as long as what it gives lives; `None` when another one has it.
    fn lock(&self, name: &str) -> io::Result<Option<Box<dyn Lock>>>;

    /// A new file, which is appended to; an error when there is one of the name.
    fn create(&self, name: &str) -> io::Result<Box<dyn File>>;

    /// A file to be read.
    fn open(&self, name: &str) -> io::Result<Box<dyn File>>;

    /// Gives a file another name.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes safe which files there are, and how they are called.
    fn sync(&self) -> io::Result<()>;
}

/// An open file.
pub(crate) trait File: fmt::Debug + Send {
    /// Appends all of these; after an error some may be there.
    fn append(&mut self, octets: &[u8]) -> io::Result<()>;

    /// Fills `octets` from this place on; an error when the file ends before.
    fn read_at(&self, octets: &mut [u8], place: u64) -> io::Result<()>;

    /// How many octets it has.
    fn length(&self) -> io::Result<u64>;

    /// Cuts off what is behind this place.
    fn cut_back(&mut self, length: u64) -> io::Result<()>;

    /// Makes its octets safe.
    fn sync(&self) -> io::Result<()>;

    /// Has it read from the disk from now on, not from what is left of it in memory.
    fn drop_cached(&self) -> io::Result<()>;
}

/// A folder that is ours until this is dropped.
pub(crate) trait Lock: fmt::Debug + Send {}

/// All octets of a file.
pub(crate) fn read_all(file: &dyn File) -> io::Result<Vec<u8>> {
    let length = usize::try_from(file.length()?).map_err(io::Error::other)?;
    let mut octets = vec![0; length];
    file.read_at(&mut octets, 0)?;
    Ok(octets)
}
