//! A connection through an interface lives on while its frames are read as copies.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use tapline_decode::Direction;
use tapline_interface::live::{FrameSource, LiveOptions};

use crate::live_source::open;
use crate::namespace::{self, FAR, NEAR, ip};

const OCTETS: usize = 8 << 20;

/// Reads all that the other end sends, and sends it back, while its interface is read.
fn answer(own_id: &Sender<i32>, is_moved: &Receiver<()>) {
    if !namespace::unshare() {
        return;
    }
    // SAFETY: asks for this thread's number.
    own_id.send(unsafe { libc::gettid() }).unwrap();
    is_moved.recv().unwrap();
    assert!(ip(&["addr", "add", "10.9.0.2/24", "dev", FAR]) && ip(&["link", "set", FAR, "up"]));
    let listener = TcpListener::bind("10.9.0.2:7000").unwrap();
    let mut source = open(FAR, &LiveOptions::default());
    own_id.send(0).unwrap();
    let echo = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut received = vec![0; OCTETS];
        stream.read_exact(&mut received).unwrap();
        stream.write_all(&received).unwrap();
    });
    let mut frames = [0_u64; 2];
    while let Some(source) = &mut source {
        let read = count(&mut **source, &mut frames);
        if read == 0 && echo.is_finished() {
            let drops = source.counters().unwrap().drops;
            println!("frames received and sent: {frames:?}, {drops:?}");
            assert!(frames.iter().all(|frames| *frames > 100), "{frames:?}");
            break;
        }
    }
    echo.join().unwrap();
}

/// Counts frames with the connection's port, by direction.
fn count(source: &mut dyn FrameSource, frames: &mut [u64; 2]) -> usize {
    let port = 7000_u16.to_be_bytes();
    let read = source.read(1000, &mut |frame| {
        let is_of_connection =
            frame.bytes.get(34..38).is_some_and(|ports| ports.chunks(2).any(|p| p == port));
        frames[usize::from(frame.direction == Some(Direction::Egress))] += u64::from(is_of_connection);
    });
    read.unwrap()
}

#[test]
fn a_connection_lives_on_while_its_frames_are_read() {
    if !namespace::enter() {
        return;
    }
    let (send_id, id) = channel();
    let (send_moved, moved) = channel();
    let other = thread::spawn(move || answer(&send_id, &moved));
    let Ok(thread_id) = id.recv() else { return };
    assert!(ip(&["link", "set", FAR, "netns", &thread_id.to_string()]));
    assert!(ip(&["addr", "add", "10.9.0.1/24", "dev", NEAR]));
    send_moved.send(()).unwrap();
    assert_eq!(id.recv(), Ok(0));
    let sent: Vec<u8> = (0..OCTETS).map(|place| ((place * 31) >> 7) as u8).collect();
    let mut stream = TcpStream::connect("10.9.0.2:7000").unwrap();
    stream.write_all(&sent).unwrap();
    let mut received = Vec::new();
    stream.read_to_end(&mut received).unwrap();
    assert!(received == sent, "{} of {OCTETS} octets came back", received.len());
    other.join().unwrap();
}
