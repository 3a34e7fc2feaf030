//! The messages of clients, read in full or not at all.

use crate::said::{Ended, Said};
use bytes::{Buf as _, Bytes};
use pgwire::messages::extendedquery::Bind;

/// Parameters of a statement.
const PARAMETERS_MAX: usize = 1000;

/// What a client asks.
#[derive(Debug)]
pub(crate) enum Message {
    /// Statements, to be answered at once.
    Query(String),
    /// A statement to be kept under a name; of its parameters the types that the client knows, else 0.
    Parse { name: String, sql: String, types: Vec<u32> },
    /// Values for a statement's parameters.
    Bind(Bind),
    /// What columns a statement or a portal has.
    Describe(Target),
    /// The next so many rows of a portal; all of them where it is 0.
    Execute { portal: String, rows_max: usize },
    /// That something is needed no more.
    Close(Target),
    /// To have what was answered.
    Flush,
    /// To go on after what was asked, whatever became of it.
    Sync,
    /// The end.
    Terminate,
    /// What nobody here asked for, and which means nothing by itself.
    Stray,
}

/// A statement, or one with values: a portal.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Statement(String),
    Portal(String),
}

/// Reads a message.
///
/// # Errors
/// When it is none, after which nothing can be known of what follows.
pub(crate) fn read(kind: u8, body: Bytes) -> Result<Message, Ended> {
    let mut body = Body(body);
    let message = body.message(kind).filter(|_| body.0.is_empty());
    message.ok_or_else(|| {
        let kind = char::from(kind).escape_default();
        Said::last("08P01", format!("a message of the kind `{kind}` is not as the protocol has it")).into()
    })
}

/// What is left of a message.
pub(crate) struct Body(pub(crate) Bytes);

impl Body {
    fn message(&mut self, kind: u8) -> Option<Message> {
        Some(match kind {
            b'Q' => Message::Query(self.text()?),
            b'P' => Message::Parse { name: self.text()?, sql: self.text()?, types: self.list(Self::u32)? },
            b'B' => Message::Bind(self.bind()?),
            b'D' => Message::Describe(self.target()?),
            b'E' => {
                Message::Execute { portal: self.text()?, rows_max: usize::try_from(self.i32()?).unwrap_or(0) }
            }
            b'C' => Message::Close(self.target()?),
            b'H' => Message::Flush,
            b'S' => Message::Sync,
            b'X' => Message::Terminate,
            // Of a COPY that was refused, and passwords that nobody asked for.
            b'c' | b'd' | b'f' | b'p' => {
                self.0.clear();
                Message::Stray
            }
            _ => return None,
        })
    }

    fn bind(&mut self) -> Option<Bind> {
        let (portal, statement) = (self.text()?, self.text()?);
        let formats = self.list(Self::i16)?;
        let values = self.list(Self::value)?;
        let known = formats.len() <= 1 || formats.len() == values.len();
        let results = self.list(Self::i16)?;
        (known && values.len() <= PARAMETERS_MAX)
            .then(|| Bind::new(Some(portal), Some(statement), formats, values, results))
    }

    /// A parameter's value; NULL is `None` in it.
    fn value(&mut self) -> Option<Option<Bytes>> {
        match self.i32()? {
            -1 => Some(None),
            octets => self.octets(usize::try_from(octets).ok()?).map(Some),
        }
    }

    fn target(&mut self) -> Option<Target> {
        match self.octets(1)?.first()? {
            b'S' => self.text().map(Target::Statement),
            b'P' => self.text().map(Target::Portal),
            _ => None,
        }
    }

    fn list<T>(&mut self, item: fn(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let count = self.octets(2)?.get_u16();
        // Nothing is reserved for what may not be there.
        (0..count).map(|_| item(self)).collect()
    }

    /// Text up to a zero.
    pub(crate) fn text(&mut self) -> Option<String> {
        let end = self.0.iter().position(|&octet| octet == 0)?;
        let text = self.octets(end)?;
        self.0.advance(1);
        String::from_utf8(text.to_vec()).ok()
    }

    fn octets(&mut self, count: usize) -> Option<Bytes> {
        (count <= self.0.len()).then(|| self.0.split_to(count))
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.octets(4).map(|mut octets| octets.get_u32())
    }

    fn i32(&mut self) -> Option<i32> {
        self.octets(4).map(|mut octets| octets.get_i32())
    }

    fn i16(&mut self) -> Option<i16> {
        self.octets(2).map(|mut octets| octets.get_i16())
    }
}

/// What a client begins to show who it is with, and what it says there; of the messages of a password.
pub(crate) fn read_mechanism(body: Bytes) -> Option<(String, Bytes)> {
    let mut body = Body(body);
    let mechanism = body.text()?;
    let said = body.value()??;
    body.0.is_empty().then_some((mechanism, said))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BIND: &[u8] = b"p\0s\0\0\x01\0\0\0\x02\0\0\0\x01a\xff\xff\xff\xff\0\x01\0\x01";

    #[test]
    fn messages_are_read_in_full() {
        assert!(matches!(read(b'Q', Bytes::from_static(b"a\0")), Ok(Message::Query(sql)) if sql == "a"));
        let Ok(Message::Bind(bind)) = read(b'B', Bytes::from_static(BIND)) else {
            unreachable!("it is whole")
        };
        assert_eq!(bind.parameters, [Some(Bytes::from_static(b"a")), None]);
        assert_eq!(bind.result_column_format_codes, [1]);
        let described = read(b'D', Bytes::from_static(b"Ss\0"));
        assert!(matches!(described, Ok(Message::Describe(Target::Statement(name))) if name == "s"));
        let executed = read(b'E', Bytes::from_static(b"\0\xff\xff\xff\xff"));
        assert!(matches!(executed, Ok(Message::Execute { rows_max: 0, .. })));
    }

    #[test]
    fn whatever_is_cut_off_or_changed_is_refused_or_read() {
        for end in 0..BIND.len() {
            assert!(read(b'B', Bytes::copy_from_slice(&BIND[..end])).is_err(), "{end}");
        }
        for kind in 0..=u8::MAX {
            for place in 0..BIND.len() {
                let mut octets = BIND.to_vec();
                octets[place] ^= 0xff;
                let _ = read(kind, octets.into());
            }
        }
        assert!(read(b'Q', Bytes::from_static(b"a\0b\0")).is_err(), "there is more");
        assert!(read(b'Q', Bytes::from_static(b"\xff\0")).is_err(), "it is no text");
    }
}
