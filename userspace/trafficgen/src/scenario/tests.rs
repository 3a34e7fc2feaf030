//! The scenario keeps what it promises.

use std::collections::BTreeSet;

use super::*;

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let write = |seed| branch_office(seed).write_pcap(Vec::new(), PcapFormat::default()).unwrap();
    assert!(write(1) == write(1));
    assert!(write(1) != write(2));
}

#[test]
fn frames_are_in_time_order_and_within_the_scenario() {
    let frames = branch_office(1).frames;
    assert!(frames.is_sorted_by_key(|frame| frame.time_ns));
    assert!(frames.first().unwrap().time_ns >= START_NS);
    assert!(frames.last().unwrap().time_ns < START_NS + DURATION_NS);
}

#[test]
fn the_file_holds_what_the_truth_counts() {
    let Scenario { frames, truth } = branch_office(7);
    let mut bytes = Vec::new();
    let mut frame_octets = 0;
    for frame in &frames {
        bytes.clear();
        frame.frame.write(&mut bytes);
        assert_eq!(bytes.len(), frame.frame.frame_octets());
        frame_octets += bytes.len() as u64;
    }
    assert_eq!((frames.len() as u64, frame_octets), (truth.frames, truth.frame_octets));
    assert!((200_000..400_000).contains(&truth.frames), "{}", truth.frames);
    assert!(truth.tagged_frames > truth.frames / 20);
    assert_eq!(truth.protocols.keys().collect::<Vec<_>>(), [&1, &6, &17, &58]);
}

#[test]
fn the_sweep_is_within_one_minute_and_inconspicuous() {
    let Scenario { frames, truth } = branch_office(3);
    let sweep = &truth.sweep;
    assert!(sweep.targets.iter().collect::<BTreeSet<_>>().len() >= 500);
    let is_probe = |frame: &&TimedFrame| {
        frame
            .frame
            .packet()
            .is_some_and(|packet| packet.src_ip == sweep.source && sweep.targets.contains(&packet.dst_ip))
    };
    let probes: Vec<_> = frames.iter().filter(is_probe).collect();
    assert_eq!(probes.len(), sweep.targets.len());
    let minutes: BTreeSet<_> = probes.iter().map(|probe| probe.time_ns / (60 * SECOND_NS)).collect();
    assert_eq!(minutes.len(), 1);
    let octets: usize = probes.iter().map(|probe| probe.frame.frame_octets()).sum();
    assert!((octets as u64) < truth.frame_octets / 1000);
}

#[test]
fn the_heavy_talker_takes_the_lions_share_meanwhile() {
    let Scenario { frames, truth } = branch_office(3);
    let talker = &truth.heavy_talker;
    let (mut own, mut all) = (0, 0);
    for TimedFrame { time_ns, frame } in &frames {
        let Some(packet) = frame.packet() else { continue };
        let octets = if (talker.start_ns..=talker.end_ns).contains(time_ns) { packet.octets() } else { 0 };
        all += octets;
        own += if packet.src_ip == talker.source { octets } else { 0 };
    }
    assert!(own * 100 > all * 55, "{own} of {all}");
    assert!(talker.end_ns - talker.start_ns >= 30 * SECOND_NS);
}
