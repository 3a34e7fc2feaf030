//! What a file that is no capture looks like.
//!
//! Takes the first octets of a file, gives words for an error message.

/// Beginnings of files that people mistake for captures.
const KNOWN: &[(&[u8], &str)] = &[
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF8", "a GIF image"),
    (b"%PDF", "a PDF document"),
    (b"\x7fELF", "an ELF program or library"),
    (b"PK\x03\x04", "a ZIP archive; unpack it first"),
    (b"7z\xbc\xaf", "a 7-Zip archive; unpack it first"),
    (b"\xfd7zXZ", "an xz file; decompress it first"),
    (b"BZh", "a bzip2 file; decompress it first"),
    (b"\x04\x22\x4d\x18", "an LZ4 file; decompress it first"),
    (b"\x1f\x8b", "a gzip file within a compressed one"),
    (b"\x28\xb5\x2f\xfd", "a zstd file within a compressed one"),
    (b"snoop\0", "a snoop capture; convert it with editcap"),
    (b"TRSNIFF", "a Sniffer capture; convert it with editcap"),
    (b"GMBU", "a Network Monitor capture; convert it with editcap"),
    (b"RTSS", "a Network Monitor capture; convert it with editcap"),
    (b"\x0c\xa5", "an nfdump flow file"),
    (b"PAR1", "a Parquet file"),
    (b"ARROW1", "an Arrow file"),
    (b"SQLite format 3", "an SQLite database"),
    (b"\x00\x05", "NetFlow version 5 datagrams"),
    (b"\x00\x09", "NetFlow version 9 datagrams"),
    (b"\x00\x0a", "IPFIX messages"),
];

/// Octets shown of a file that is not known.
const SHOWN_OCTETS: usize = 8;

/// What a file that begins with `start` is, as far as it can be told.
#[must_use]
pub fn looks_like(start: &[u8]) -> String {
    if let Some((_, what)) = KNOWN.iter().find(|(magic, _)| start.starts_with(magic)) {
        return (*what).to_owned();
    }
    if start.iter().all(|octet| octet.is_ascii_graphic() || octet.is_ascii_whitespace()) {
        return "a text file".to_owned();
    }
    let shown: Vec<String> = start.iter().take(SHOWN_OCTETS).map(|octet| format!("{octet:02x}")).collect();
    format!("data that begins with {}", shown.join(" "))
}
