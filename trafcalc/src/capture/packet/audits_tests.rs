use super::super::finding::{Finding, Question, Standing};
use super::super::flows::Sighting;
use super::super::searches::Searches;
use super::super::testing::segment;
use super::*;
use crate::capture::Owner;

const UID: u32 = 1000;
const MIB: u32 = 1 << 20;

/// A connection that this host opened, with 2 MiB sent and 1 MiB received.
struct Bench {
    flows: Flows,
    time_ns: u64,
}

impl Bench {
    fn new() -> Self {
        let mut bench = Self { flows: Flows::new(8, Searches::default()), time_ns: 1 };
        let syn = Segment { syn: true, ack: None, ..segment(100, 0, 0) };
        bench.see(syn);
        let question = Question { endpoints: syn.endpoints, birth: 100, interface: 2 };
        let finding = Finding { question, standing: Standing::Owned(UID), inode: 0, listener: None, forwards: false };
        bench.flows.learn(&finding, 0);
        bench.see(segment(101, 501, 2 * MIB));
        bench.see(segment(101 + 2 * MIB, 501 + MIB, 0));
        assert_eq!(bench.credits(), Bytes { sent: 2 * u64::from(MIB), received: MIB.into() });
        bench
    }

    fn see(&mut self, segment: Segment) {
        self.time_ns += 1;
        self.flows.observe(&Sighting { segment, time_ns: self.time_ns, interface: 2 }, 0);
    }

    /// The kernel answers with these totals between two segments.
    fn tell(&mut self, acked: u64, queued: u32, received: u64) {
        self.flows.begin_audits();
        let questions = self.flows.take_doubts(64);
        assert_eq!(questions.len(), 1);
        self.time_ns += 1;
        let (cookie, is_closed, has_sent_fin, has_received_fin) = (1, false, false, false);
        let quiet_ms = 0;
        let totals = Totals { cookie, acked, queued, received, is_closed, has_sent_fin, has_received_fin, quiet_ms };
        self.flows.learn_totals(&questions[0], &totals, self.time_ns);
        self.time_ns += IN_QUEUE_NS;
    }

    fn credits(&mut self) -> Bytes {
        let credits = self.flows.take_credits();
        assert!(credits.iter().all(|(owner, _)| *owner == Owner::user(UID)), "{credits:?}");
        credits.first().map(|(_, bytes)| *bytes).unwrap_or_default()
    }

    fn audited(&self) -> (u64, u64) {
        (self.flows.health().audited, self.flows.health().audit_mismatches)
    }
}

#[test]
fn what_the_kernel_counted_between_two_segments_is_no_difference() {
    let mib = u64::from(MIB);
    for (acked, queued, received) in [(2 * mib + 1, 0, mib), (mib, 3 * MIB, mib + 700), (2 * mib + 10, 20, mib + 1_000)]
    {
        let mut bench = Bench::new();
        bench.tell(acked, queued, received);
        assert_eq!(bench.audited(), (0, 0), "only with the next segment");
        bench.see(segment(101 + 2 * MIB, 501 + MIB + 1_000, 50));
        assert_eq!(bench.audited(), (1, 0), "{acked} {queued} {received}");
        assert_eq!(bench.credits(), Bytes { sent: 50, received: 1_000 });
    }
}

#[test]
fn what_is_missing_is_credited_once() {
    let mib = u64::from(MIB);
    let mut bench = Bench::new();
    bench.tell(2 * mib + 4_001, 0, mib + 500);
    // A retransmission that acknowledges all received bytes except those that were missed.
    bench.see(segment(101, 501 + MIB, 10));
    assert_eq!(bench.credits(), Bytes { sent: 3_999, received: 500 });
    bench.see(segment(101 + 2 * MIB + 4_000, 501 + MIB + 30, 7));
    assert_eq!(bench.credits(), Bytes { sent: 8, received: 30 });
    let moved: Vec<_> = bench.flows.table.values().map(|flow| flow.moved).collect();
    assert_eq!(moved, [Bytes { sent: 2 * mib + 4_007, received: mib + 530 }]);
    assert_eq!(bench.audited(), (1, 1));
}

#[test]
fn what_is_too_much_is_told() {
    let mib = u64::from(MIB);
    for (acked, received) in [(2 * mib - 1, mib), (2 * mib, mib - 1)] {
        let mut bench = Bench::new();
        bench.tell(acked, 0, received);
        bench.see(segment(101 + 2 * MIB, 501 + MIB, 0));
        assert_eq!((bench.audited(), bench.credits()), ((1, 1), Bytes::default()));
    }
}

#[test]
fn a_connection_is_compared_again_when_it_has_moved() {
    let mut bench = Bench::new();
    bench.tell(2 * u64::from(MIB), 0, MIB.into());
    bench.flows.begin_audits();
    assert_eq!(bench.flows.take_doubts(64), []);
    bench.see(segment(101 + 2 * MIB, 501 + MIB, MIB));
    bench.flows.begin_audits();
    assert_eq!(bench.flows.take_doubts(64).len(), 1);
}

#[test]
fn an_acknowledgement_that_was_written_before_the_kernel_was_asked_decides_nothing() {
    let mut bench = Bench::new();
    bench.tell(2 * u64::from(MIB) + 1, 0, u64::from(MIB) + 600_000);
    bench.time_ns -= IN_QUEUE_NS;
    // It waited in a queue.
    bench.see(segment(101 + 2 * MIB, 501 + MIB, 0));
    assert_eq!((bench.audited(), bench.credits()), ((0, 0), Bytes::default()));
    bench.time_ns += IN_QUEUE_NS;
    bench.see(segment(101 + 2 * MIB, 501 + MIB + 600_000, 0));
    assert_eq!((bench.audited(), bench.credits()), ((1, 0), Bytes { sent: 0, received: 600_000 }));
}
