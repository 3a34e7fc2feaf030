//! Frames against their own claims; the tshark test checks them against someone else's reading.

use super::*;

fn udp(src_ip: &str, dst_ip: &str, payload: Payload) -> Frame {
    let link = Link { src_mac: Mac::local(1), dst_mac: Mac::local(2), vlan: None };
    let transport = Transport::Udp(Udp { src_port: 1000, dst_port: 2000 });
    let packet = Packet {
        src_ip: src_ip.parse().unwrap(),
        dst_ip: dst_ip.parse().unwrap(),
        ttl: 64,
        transport,
        payload,
    };
    Frame { link, body: Body::Ip(packet) }
}

fn bytes(frame: &Frame) -> Vec<u8> {
    let mut out = Vec::new();
    frame.write(&mut out);
    out
}

#[test]
fn claims_are_kept_and_checksums_add_up_to_zero() {
    for (src, dst, header) in [("192.0.2.1", "192.0.2.2", 20), ("2001:db8::1", "2001:db8::2", 40)] {
        for octets in [0, 1, 18, 700, 1001] {
            let frame = udp(src, dst, Payload::new(vec![0xab; 3], octets));
            let out = bytes(&frame);
            let octets = frame.packet().unwrap().octets();
            assert_eq!(out.len(), frame.frame_octets());
            let segment = &out[14 + header..14 + octets];
            let pseudo =
                checksum::pseudo_header(src.parse().unwrap(), dst.parse().unwrap(), 17, segment.len());
            assert_eq!(checksum::finish(pseudo + checksum::sum(segment)), 0, "{src} {octets}");
        }
    }
}

#[test]
fn short_frames_are_padded_and_tags_are_written() {
    let mut frame = udp("192.0.2.1", "192.0.2.2", Payload::default());
    assert_eq!(bytes(&frame).len(), 60);
    frame.link.vlan = Some(40);
    assert_eq!(bytes(&frame)[12..18], [0x81, 0, 0, 40, 8, 0]);
    assert_eq!(bytes(&frame).len(), 60);
}

#[test]
fn a_frame_is_appended() {
    let frame = udp("192.0.2.1", "192.0.2.2", Payload::filler(10));
    let mut out = vec![9; 100];
    frame.write(&mut out);
    assert_eq!(out[..100], [9; 100]);
    assert_eq!(out[100..], bytes(&frame));
}
