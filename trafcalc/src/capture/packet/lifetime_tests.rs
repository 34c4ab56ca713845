use super::super::flows::Flows;
use super::super::searches::Searches;
use super::super::segment::Segment;
use super::super::testing::{Timed, segment, show_rings, sighting};

const MS: u64 = 1_000_000;
const GB: u32 = 1_000_000_000;

/// A connection that sends `bytes`, 64 KiB every millisecond. Returns its anchors, and all its data.
fn transfer(bytes: u32) -> (Vec<Timed>, Vec<Timed>) {
    const CHUNK: u32 = 65_536;
    let syn = Segment { syn: true, ack: None, ..segment(100, 0, 0) };
    let data: Vec<_> =
        (0..bytes / CHUNK).map(|n| ((2 + u64::from(n)) * MS, segment(101 + n * CHUNK, 501, CHUNK))).collect();
    let end = 101 + bytes / CHUNK * CHUNK;
    // One segment every 256 MiB, as the filter of anchors lets it through.
    let milestones = data.iter().filter(|(_, segment)| segment.seq % (1 << 28) < CHUNK).copied();
    let last_ms = 10 + data.len() as u64;
    let fin = Segment { fin: true, ..segment(end, 502, 0) };
    let anchors = [(MS, syn)].into_iter().chain(milestones).chain([(last_ms * MS, fin)]).collect();
    (anchors, data)
}

fn sent(flows: &mut Flows) -> u64 {
    flows.conclude();
    flows.take_credits().iter().map(|(_, bytes)| bytes.sent).sum()
}

#[test]
fn segments_that_are_read_long_after_the_end_of_their_connection_count_once() {
    for gigabytes in 1..=4 {
        let (anchors, data) = transfer(gigabytes * GB);
        let mut flows = Flows::new(8, Searches::default());
        let bulk: Vec<_> = data.iter().filter(|segment| !anchors.contains(segment)).copied().collect();
        show_rings(&mut flows, &anchors, &bulk);
        assert_eq!(sent(&mut flows), data.len() as u64 * 65_536, "{gigabytes} GB");
    }
}

#[test]
fn the_anchors_alone_have_all_bytes() {
    for gigabytes in 1..=4 {
        let (anchors, data) = transfer(gigabytes * GB);
        let mut flows = Flows::new(8, Searches::default());
        show_rings(&mut flows, &anchors, &[]);
        assert_eq!(sent(&mut flows), data.len() as u64 * 65_536, "{gigabytes} GB");
    }
}

#[test]
fn a_clock_that_is_set_back_stops_nothing() {
    let (anchors, data) = transfer(GB);
    let mut flows = Flows::new(8, Searches::default());
    let all = anchors[..1].iter().chain(&data).chain(&anchors[anchors.len() - 1..]);
    for (number, &(time_ns, segment)) in all.enumerate() {
        // Set back by an hour midway.
        let time_ns = if number < 5_000 { time_ns + 3_600_000 * MS } else { time_ns };
        flows.observe(&sighting((time_ns, segment)), 5_000 + number as u64);
    }
    assert_eq!(sent(&mut flows), data.len() as u64 * 65_536);
}
