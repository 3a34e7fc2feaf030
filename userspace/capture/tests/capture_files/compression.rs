//! Compressed captures give what the plain ones give.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use tapline_capture::{CaptureFile, Damage, End};

use crate::reading::{Reading, both, mapped, piped, read};
use crate::written::{Big, Little, pcap, pcapng};

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

fn zstd(plain: &[u8]) -> Vec<u8> {
    zstd::encode_all(plain, 1).unwrap()
}

/// A zstd frame that decoders pass over, as parallel compressors write.
fn skippable() -> Vec<u8> {
    b"\x50\x2a\x4d\x18\x04\0\0\0skip".to_vec()
}

/// A capture whose octets do not compress well, and which is longer than the buffers.
fn large() -> Vec<u8> {
    let mut file = pcap(Little, &[0; 0]);
    let mut state = 1_u32;
    for second in 0..3_000 {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let frame: Vec<u8> = (0..state >> 21).map(|index| (state.wrapping_mul(index) >> 13) as u8).collect();
        file.extend(crate::written::pcap_record(Little, second, 0, &frame));
    }
    file
}

#[test]
fn gzip_and_zstd_equal_the_plain_file() {
    for plain in [pcap(Big, &[60, 0, 1514]), pcapng(Little, &[60, 0, 1514]), large()] {
        let expected = both(&plain);
        let (one, two) = plain.split_at(plain.len() / 3);
        let forms = [
            gzip(&plain),
            [gzip(one), gzip(two)].concat(),
            zstd(&plain),
            [zstd(one), zstd(two)].concat(),
            [skippable(), zstd(one), skippable(), zstd(two)].concat(),
        ];
        for form in forms {
            assert_eq!(mapped(&form).unwrap(), expected);
            assert_eq!(piped(&form, 1 << 16).unwrap(), expected);
            assert_eq!(piped(&form, 3).unwrap(), expected);
        }
    }
}

/// Whether `cut` has the first frames of `whole`, and ends with a cut.
fn is_cut(cut: &Reading, whole: &Reading) -> bool {
    matches!(cut.end, End::CutOff { .. }) && whole.frames.starts_with(&cut.frames)
}

#[test]
fn a_compressed_file_may_be_cut_at_any_octet() {
    let plain = pcap(Little, &[60, 61, 62, 63]);
    let whole = both(&plain);
    for packed in [gzip(&plain), zstd(&plain)] {
        for length in 4..packed.len() {
            let (cut, piped) = (mapped(&packed[..length]), piped(&packed[..length], 7));
            let Ok(cut) = cut else {
                assert!(piped.is_err(), "cut at {length}");
                continue;
            };
            assert!(is_cut(&cut, &whole), "cut at {length}: {:?}", cut.end);
            assert_eq!(cut, piped.unwrap(), "cut at {length}");
        }
    }
}

#[test]
fn a_cut_compressed_file_delivers_what_came_before() {
    let plain = large();
    let whole = both(&plain);
    for packed in [gzip(&plain), zstd(&plain)] {
        let cut = mapped(&packed[..packed.len() / 2]).unwrap();
        assert!(is_cut(&cut, &whole), "{:?}", cut.end);
        assert!(cut.frames.len() > 1_000, "{}", cut.frames.len());
    }
}

#[test]
fn a_wrong_checksum_is_told_after_all_frames() {
    let plain = pcap(Little, &[60, 61]);
    let mut packed = gzip(&plain);
    let at = packed.len() - 6;
    packed[at] ^= 1;
    let reading = mapped(&packed).unwrap();
    assert_eq!(reading.frames, both(&plain).frames);
    let octets = plain.len() as u64;
    assert!(
        matches!(reading.end, End::Damaged { at_octet, reason: Damage::Unreadable(_) } if at_octet == octets)
    );
}

#[test]
fn a_compressed_text_is_no_capture() {
    let error = mapped(&gzip(b"no capture, but text\n")).unwrap_err().to_string();
    assert!(error.contains("looks like a text file"), "{error}");
    let error = mapped(&gzip(&gzip(&pcap(Little, &[60])))).unwrap_err().to_string();
    assert!(error.contains("a gzip file within a compressed one"), "{error}");
    assert!(mapped(&gzip(b"")).unwrap_err().to_string().contains("is empty"));
}

#[test]
fn progress_counts_the_octets_as_they_are_stored() {
    let packed = gzip(&large());
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&packed).unwrap();
    let mut capture = CaptureFile::open(file.path()).unwrap();
    assert_eq!(capture.total_octets(), Some(packed.len() as u64));
    while capture.read(100, &mut |_| {}) > 0 {
        assert!(capture.position_octets() <= packed.len() as u64);
    }
    assert_eq!(capture.position_octets(), packed.len() as u64);
    let pipe = CaptureFile::from_reader("pipe", std::io::Cursor::new(packed)).unwrap();
    assert_eq!(pipe.total_octets(), None);
    assert!(pipe.position_octets() > 0);
    assert_eq!(read(pipe).frames.len(), 3_000);
}
