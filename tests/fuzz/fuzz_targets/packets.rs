//! Packets of any content, whole or cut off: never a panic, never more payload than the packet was long, and nothing
//! that comes from the net is credited to anybody.
#![no_main]

use libfuzzer_sys::fuzz_target;
use trafcalc::capture::packet::flows::{Flows, Sighting};
use trafcalc::capture::packet::searches::Searches;
use trafcalc::capture::packet::segment::{Direction, NotASegment, parse};

// Each packet is a byte of length and a byte of surplus (how much longer it was than what was captured), then itself.
fuzz_target!(|data: &[u8]| {
    let mut flows = Flows::new(8, Searches::default());
    let mut ours = Flows::new(2, Searches::default());
    let mut rest = data;
    let mut malformed = 0;
    while let [length, surplus, tail @ ..] = rest {
        let (packet, tail) = tail.split_at(tail.len().min(usize::from(*length)));
        rest = tail;
        let packet_bytes = u32::try_from(packet.len()).unwrap() + u32::from(*surplus);
        match parse(packet, packet_bytes, Direction::Incoming) {
            Ok(segment) => {
                assert!(segment.payload_bytes < packet_bytes);
                flows.observe(&Sighting { segment, time_ns: 1, interface: 1 }, 0);
            }
            Err(NotASegment::Malformed) => {
                malformed += 1;
                flows.observe_malformed();
            }
            Err(NotASegment::NotTcp) => {}
        }
        if let Ok(segment) = parse(packet, packet_bytes, Direction::Outgoing) {
            ours.observe(&Sighting { segment, time_ns: 1, interface: 1 }, 0);
        }
    }
    ours.conclude();
    flows.conclude();
    assert!(flows.take_credits().is_empty());
    assert_eq!(flows.health().malformed_packets, malformed);
});
