//! Writes capture files in the pcap format (draft-ietf-opsawg-pcap).
//!
//! Takes frames with their time, gives the bytes of a file: a header of 24 octets, then for every frame a
//! record header of 16 octets and as much of the frame as the snap length allows.

use std::io::{self, Write};

/// The link type of Ethernet frames.
pub const LINK_TYPE_ETHERNET: u32 = 1;

/// The fraction of a second that timestamps count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// Microseconds, the classic format.
    Micro,
    /// Nanoseconds.
    Nano,
}

/// The order of the octets in the file's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ByteOrder {
    /// Least significant octet first.
    Little,
    /// Most significant octet first.
    Big,
}

/// What a capture file looks like.
#[derive(Clone, Copy, Debug)]
pub struct PcapFormat {
    /// The fraction of a second that timestamps count; what is finer is cut off.
    pub precision: Precision,
    /// The order of the octets in the file's numbers.
    pub byte_order: ByteOrder,
    /// The link type, as registered with tcpdump.org.
    pub link_type: u32,
    /// Octets of a frame that are kept at most.
    pub snap_length_octets: u32,
}

impl Default for PcapFormat {
    /// Whole Ethernet frames, nanoseconds, little endian.
    fn default() -> Self {
        Self {
            precision: Precision::Nano,
            byte_order: ByteOrder::Little,
            link_type: LINK_TYPE_ETHERNET,
            snap_length_octets: 262_144,
        }
    }
}

/// Writes frames to a file or any other sink; buffer the sink.
#[derive(Debug)]
pub struct PcapWriter<W> {
    sink: W,
    format: PcapFormat,
}

impl<W: Write> PcapWriter<W> {
    /// Writes the file header.
    ///
    /// # Errors
    /// When the sink cannot be written.
    pub fn new(mut sink: W, format: PcapFormat) -> io::Result<Self> {
        let magic = match format.precision {
            Precision::Micro => 0xa1b2_c3d4,
            Precision::Nano => 0xa1b2_3c4d,
        };
        let version = match format.byte_order {
            ByteOrder::Little => 0x0004_0002,
            ByteOrder::Big => 0x0002_0004,
        };
        sink.write_all(words(format.byte_order, [magic, version, 0, 0]).as_flattened())?;
        sink.write_all(
            words(format.byte_order, [format.snap_length_octets, format.link_type]).as_flattened(),
        )?;
        Ok(Self { sink, format })
    }

    /// Writes one frame; `time_ns` counts nanoseconds since 1970 and is cut off at the year 2106.
    ///
    /// # Errors
    /// When the sink cannot be written.
    pub fn write(&mut self, time_ns: u64, frame: &[u8]) -> io::Result<()> {
        let kept = frame.len().min(self.format.snap_length_octets as usize);
        let fraction_ns = (time_ns % 1_000_000_000) as u32;
        let fraction = match self.format.precision {
            Precision::Micro => fraction_ns / 1000,
            Precision::Nano => fraction_ns,
        };
        let seconds = (time_ns / 1_000_000_000) as u32;
        let header = [seconds, fraction, kept as u32, frame.len() as u32];
        self.sink.write_all(words(self.format.byte_order, header).as_flattened())?;
        self.sink.write_all(&frame[..kept])
    }

    /// Flushes the sink and gives it back.
    ///
    /// # Errors
    /// When the sink cannot be flushed.
    pub fn finish(mut self) -> io::Result<W> {
        self.sink.flush()?;
        Ok(self.sink)
    }
}

/// The octets of each number.
fn words<const N: usize>(order: ByteOrder, numbers: [u32; N]) -> [[u8; 4]; N] {
    numbers.map(|number| match order {
        ByteOrder::Little => number.to_le_bytes(),
        ByteOrder::Big => number.to_be_bytes(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one_frame(format: PcapFormat) -> Vec<u8> {
        let mut writer = PcapWriter::new(Vec::new(), format).unwrap();
        writer.write(1_000_000_002_000_003_004, &[7; 5]).unwrap();
        writer.finish().unwrap()
    }

    #[test]
    fn nanoseconds_little_endian() {
        let file = one_frame(PcapFormat::default());
        assert_eq!(file[..8], [0x4d, 0x3c, 0xb2, 0xa1, 2, 0, 4, 0]);
        assert_eq!(file[24..32], [2, 0xca, 0x9a, 0x3b, 0xbc, 0x0b, 0, 0]);
        assert_eq!(file[32..], [5, 0, 0, 0, 5, 0, 0, 0, 7, 7, 7, 7, 7]);
    }

    #[test]
    fn microseconds_big_endian_cut_short() {
        let format = PcapFormat {
            precision: Precision::Micro,
            byte_order: ByteOrder::Big,
            snap_length_octets: 3,
            ..PcapFormat::default()
        };
        let file = one_frame(format);
        assert_eq!(file[..8], [0xa1, 0xb2, 0xc3, 0xd4, 0, 2, 0, 4]);
        assert_eq!(file[28..], [0, 0, 0, 3, 0, 0, 0, 3, 0, 0, 0, 5, 7, 7, 7]);
    }
}
