//! Whatever times a sender claims: what is of no use is mended, clocks that are off are put right, what is too late is
//! counted by exporter.

use crate::messages::{SENT, UPTIME, ipfix, octets, set, template, v5, v9};
use crate::rows::{RECEIVED, Row, columns, decoder, decoder_with, push};
use std::net::{IpAddr, Ipv4Addr};
use tapline_decode::export::{
    Datagram, EventTimeSource, ExportAccount, ExportDecoder, ExportOptions, ExtractCounts, Sender, Transport,
};
use tapline_record::EventTime;

const SENT_NS: i64 = SENT as i64 * 1_000_000_000;
const SECOND_NS: i64 = 1_000_000_000;
/// Milliseconds since 1970 at which the messages of tests are sent.
const SENT_MS: u64 = SENT as u64 * 1000;
const DAY_MS: u64 = 86_400_000;

fn account(decoder: &ExportDecoder) -> ExportAccount {
    decoder.accounts().next().unwrap()
}

#[test]
fn nonsense_in_times_is_mended() {
    let fields = [(22, 4), (21, 4)];
    let record = |start: u32, end: u32| octets().u32(start).u32(end).0;
    let records = [
        record(u32::MAX, UPTIME),
        record(UPTIME, UPTIME - 1000),
        record(UPTIME, UPTIME + 60_000),
        record(UPTIME.wrapping_sub(1 << 31).wrapping_add(5), UPTIME),
    ];
    let mut decoder = decoder();
    let rows = push(&mut decoder, &v9(0, &[set(0, &template(256, &fields)), set(256, &records.concat())]));
    let seconds = |row: usize| {
        let times = columns(&rows[row], &["start_time", "end_time", "ts"]);
        times
            .iter()
            .map(|time| time.parse().map_or(0, |time: i64| time - SENT_NS) / 1_000_000)
            .collect::<Vec<_>>()
    };
    assert!(!rows[0].contains_key("start_time"));
    assert_eq!(seconds(1), [-1000, -1000, -1000]);
    assert_eq!(seconds(2), [0, 0, 0]);
    assert_eq!(seconds(3)[1..], [0, 0]);
    assert_eq!(account(&decoder).extract.times_mended, 2);
}

#[test]
fn a_clock_that_is_off_is_corrected() {
    let year = 365 * 86_400;
    let mut message = v5(0, 1, 0);
    message[8..12].copy_from_slice(&(SENT - year).to_be_bytes());
    let mut decoder = decoder();
    let rows = push(&mut decoder, &message);
    let end = RECEIVED.0 - 3_000_000_000;
    assert_eq!(columns(&rows[0], &["end_time"]), [end.to_string()]);
    let account = account(&decoder);
    assert_eq!(account.clock_behind_ns, Some(i64::from(year) * 1_000_000_000 + 500_000_000));
    assert_eq!(account.extract.rows_shifted, 1);
}

#[test]
fn the_event_time_may_be_that_of_the_message() {
    let of = |event_time| {
        let mut decoder = decoder_with(ExportOptions { event_time, ..ExportOptions::default() });
        let rows = push(&mut decoder, &v5(0, 1, 0));
        assert_eq!(decoder.latest().map(|latest| latest.0.to_string()), rows[0].get("ts").cloned());
        rows[0]["ts"].parse::<i64>().unwrap()
    };
    assert_eq!(of(EventTimeSource::Export), SENT_NS + 500_000_000);
    assert_eq!(of(EventTimeSource::Receive), RECEIVED.0);
}

/// Number, octets and value of a field.
type Field = (u16, u16, u64);

/// An IPFIX message whose only record has these fields, each of this length and with this number.
fn of_fields(fields: &[Field]) -> Vec<u8> {
    let layout: Vec<_> = fields.iter().map(|&(id, length, _)| (id, length)).collect();
    let record: Vec<u8> = fields
        .iter()
        .flat_map(|&(_, length, number)| number.to_be_bytes()[8 - usize::from(length)..].to_vec())
        .collect();
    ipfix(0, &[set(2, &template(256, &layout)), set(256, &record)])
}

/// When, in milliseconds after the message was sent, the only row of a message started, ended and is said to have
/// happened, and whether it was mended.
fn times_of(decoder: &mut ExportDecoder, message: &[u8]) -> ([Option<i64>; 3], u64) {
    let rows = push(decoder, message);
    let time = |name| Some((rows[0].get(name)?.parse::<i64>().unwrap() - SENT_NS) / 1_000_000);
    (["start_time", "end_time", "ts"].map(time), account(decoder).extract.times_mended)
}

#[test]
fn absolute_times_are_mended() {
    const NTP_1970: u64 = 2_208_988_800 << 32;
    let ago = |ms: u64| SENT_MS - ms;
    let cases: [(&str, &[Field], _); 15] = [
        (
            "as it should be",
            &[(152, 8, ago(9000)), (153, 8, ago(2000))],
            ([Some(-9000), Some(-2000), Some(-2000)], 0),
        ),
        ("only a start", &[(152, 8, ago(9000))], ([Some(-9000), None, Some(-9000)], 0)),
        ("only a start, ahead", &[(152, 8, SENT_MS + 7_200_000)], ([Some(0), None, Some(0)], 1)),
        ("only a start, a century ahead", &[(152, 8, u64::MAX)], ([Some(0), None, Some(0)], 1)),
        ("an event ahead", &[(323, 8, SENT_MS + 3_000)], ([None, None, Some(0)], 1)),
        ("an event ahead, in seconds", &[(322, 4, u64::from(SENT) + 86_400)], ([None, None, Some(0)], 1)),
        ("an event a little ahead", &[(323, 8, SENT_MS + 1_500)], ([None, None, Some(1500)], 0)),
        ("an event counted from boot", &[(323, 8, 864_000_000)], ([None, None, Some(0)], 1)),
        ("the same by NTP", &[(324, 8, NTP_1970 + (864_000 << 32))], ([None, None, Some(0)], 1)),
        ("zeros", &[(152, 8, 0), (153, 8, 0)], ([None, None, Some(0)], 1)),
        ("a year ago", &[(153, 8, ago(365 * DAY_MS))], ([None, Some(-365 * DAY_MS as i64), Some(0)], 1)),
        ("hours ago", &[(153, 8, ago(10_000_000))], ([None, Some(-10_000_000), Some(-10_000_000)], 0)),
        ("ended just now", &[(158, 4, 3_000_000), (159, 4, 0)], ([Some(-3000), Some(0), Some(0)], 0)),
        ("uptimes of nobody knows what", &[(22, 4, 5000), (21, 4, 6000)], ([None, None, Some(0)], 1)),
        ("no time at all", &[(1, 4, 7)], ([None, None, Some(0)], 0)),
    ];
    for (what, fields, expected) in cases {
        assert_eq!(times_of(&mut decoder(), &of_fields(fields)), expected, "{what}");
    }
}

#[test]
fn of_several_fields_the_one_that_is_believed_counts() {
    let uptime = |ago: u64| u64::from(UPTIME) - ago;
    let v9_of = |fields: &[Field]| {
        let message = of_fields(fields);
        let mut v9 = v9(0, &[]);
        v9.extend(&message[16..]);
        // The numbers of sets of templates differ.
        v9[21] = 0;
        v9
    };
    let both = |absolute| {
        v9_of(&[(152, 8, absolute), (153, 8, absolute), (22, 4, uptime(9000)), (21, 4, uptime(2000))])
    };
    let by_uptime = ([Some(-9000), Some(-2000), Some(-2000)], 0);
    for absolute in [0, 864_000_000, u64::MAX] {
        assert_eq!(times_of(&mut decoder(), &both(absolute)), by_uptime, "{absolute}");
    }
    let given = SENT_MS - 5000;
    assert_eq!(times_of(&mut decoder(), &both(given)), ([Some(-5000); 3], 0));
    let seconds = [(153, 8, 0), (151, 4, u64::from(SENT) - 3)];
    assert_eq!(times_of(&mut decoder(), &of_fields(&seconds)), ([None, Some(-3000), Some(-3000)], 0));
}

#[test]
fn uptimes_of_zero_are_none() {
    let mut zero = v5(0, 1, 0);
    zero[24 + 24..24 + 32].fill(0);
    assert_eq!(times_of(&mut decoder(), &zero), ([None, None, Some(500)], 1));
    let mut start = v5(0, 1, 0);
    start[24 + 24..24 + 28].fill(0);
    assert_eq!(times_of(&mut decoder(), &start), ([None, Some(-2500), Some(-2500)], 0));
}

#[test]
fn an_archive_may_be_old() {
    let message = of_fields(&[(153, 8, SENT_MS - 365 * DAY_MS)]);
    let sender = Sender { transport: Transport::File, ..Sender::udp(IpAddr::V4(Ipv4Addr::LOCALHOST), 0) };
    let mut decoder = decoder();
    decoder.push(&Datagram { received: EventTime(SENT_NS), sender, payload: &message });
    let year = 365 * DAY_MS as i64 * 1_000_000;
    assert_eq!(
        (decoder.latest(), account(&decoder).extract.times_mended),
        (Some(EventTime(SENT_NS - year)), 0)
    );
}

/// A v5 message whose exporter's clock shows so many seconds.
fn v5_sent(seconds: u32) -> Vec<u8> {
    let mut message = v5(0, 1, 0);
    message[8..12].copy_from_slice(&seconds.to_be_bytes());
    message
}

#[test]
fn no_clock_puts_rows_ahead_of_their_arrival() {
    for event_time in [EventTimeSource::Flow, EventTimeSource::Export, EventTimeSource::Receive] {
        let mut decoder = decoder_with(ExportOptions { event_time, ..ExportOptions::default() });
        for seconds in [0, 1, SENT - 7200, SENT - 500, SENT, SENT + 20, SENT + 7200, u32::MAX, SENT, 0] {
            let ts = |row: &Row| row["ts"].parse::<i64>().unwrap();
            let age_s = (RECEIVED.0 - ts(&push(&mut decoder, &v5_sent(seconds))[0])) as f64 / 1e9;
            assert!((-30.0..=10.0).contains(&age_s), "{event_time:?}, clock {seconds}: {age_s} s");
        }
        assert!(decoder.latest().unwrap() <= RECEIVED.plus(30 * SECOND_NS));
    }
}

#[test]
fn who_is_late_is_counted_by_exporter() {
    let mut decoder = decoder();
    let push = |decoder: &mut ExportDecoder, from: u8, clock: u32| {
        let sender = Sender::udp(IpAddr::V4(Ipv4Addr::new(192, 0, 2, from)), 2055);
        decoder.push(&Datagram { received: RECEIVED, sender, payload: &v5_sent(clock) });
    };
    let late = |decoder: &ExportDecoder| -> Vec<_> {
        let extract = |account: ExportAccount| account.extract;
        let late = |ExtractCounts { rows_late, late_ns_max, .. }| (rows_late, late_ns_max / 1_000_000);
        decoder.accounts().map(extract).map(late).collect()
    };
    push(&mut decoder, 1, SENT - 20);
    assert_eq!(late(&decoder), [(0, 0)], "nothing is closed yet");
    decoder.note_closed(RECEIVED.plus(-10 * SECOND_NS));
    push(&mut decoder, 1, SENT - 20);
    push(&mut decoder, 1, SENT - 25);
    push(&mut decoder, 2, SENT);
    // A record of v5 ends three seconds before its message, which is half a second younger than its header says.
    assert_eq!(late(&decoder), [(2, 18_500), (0, 0)]);
}
