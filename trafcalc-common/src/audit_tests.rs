#![expect(clippy::cast_possible_truncation, reason = "numbers are counted modulo 2^32")]

use super::*;
use proptest::prelude::*;

/// A connection that is over: what its two ends did, and how far it came.
#[derive(Clone, Debug)]
struct Life {
    /// Numbers of the SYN of this side and of the peer's.
    syns: (u32, u32),
    /// Whether this side connected.
    connected: bool,
    written: u64,
    /// How many of the written bytes were acknowledged.
    acked: u64,
    /// It is acknowledged where all that was written before it is.
    has_own_fin: bool,
    read: u64,
    unread: u64,
    has_peers_fin: bool,
}

prop_compose! {
    fn lives()(
        syns: (u32, u32), connected: bool, acked in 0u64..1 << 50, queued in prop_oneof![Just(0), 0u64..1 << 30],
        has_own_fin: bool,
        read in 0u64..1 << 50, unread in prop_oneof![Just(0), 0u64..1 << 30], has_peers_fin: bool,
    ) -> Life {
        Life { syns, connected, written: acked + queued, acked, has_own_fin, read, unread, has_peers_fin }
    }
}

impl Life {
    /// As a stream ends whose cursors credited what was written and read.
    fn stream(&self) -> Stream {
        let first = |syn: u32| u64::from(syn.wrapping_add(1));
        // As `Numbers::sent_origin` has it, which adds the SYN to a position.
        let sent_base = if self.connected { u64::from(self.syns.0) } else { first(self.syns.0) };
        let flag = |flag, is_set| if is_set { flag } else { 0 };
        Stream {
            sent: sent_base + u64::from(self.connected) + self.written,
            received: first(self.syns.1) + self.read,
            sent_base,
            received_base: first(self.syns.1),
            flags: flag(Stream::SYN_ACKED, self.connected) | flag(Stream::OWN_FIN, self.has_own_fin),
            ..Stream::default()
        }
    }

    /// As the kernel keeps them.
    fn numbers(&self) -> Numbers {
        let acked = self.acked + u64::from(self.has_own_fin && self.acked == self.written);
        let peers_fin = u64::from(self.has_peers_fin);
        let read = self.read + if self.unread == 0 { peers_fin } else { 0 };
        let first = |syn: u32| syn.wrapping_add(1);
        Numbers {
            write_seq: first(self.syns.0).wrapping_add(self.written as u32).wrapping_add(self.has_own_fin.into()),
            snd_una: first(self.syns.0).wrapping_add(acked as u32),
            bytes_acked: acked + u64::from(self.connected),
            copied_seq: first(self.syns.1).wrapping_add(read as u32),
            rcv_nxt: first(self.syns.1).wrapping_add((self.read + self.unread + peers_fin) as u32),
            bytes_received: self.read + self.unread + peers_fin,
        }
    }

    fn audit(&self, stream: &Stream) -> Audit {
        Audit::new(stream, &self.numbers(), self.has_peers_fin)
    }
}

proptest! {
    /// Whatever became of a connection, the kernel says what was written and read, and that is what was credited.
    #[test]
    fn a_connection_that_was_counted_right_agrees(life in lives()) {
        let audit = life.audit(&life.stream());
        prop_assert_eq!(audit.kernel.sent as u32, life.written as u32);
        prop_assert_eq!(audit.kernel.received as u32, life.read as u32);
        prop_assert!(audit.agrees(), "{:?}", audit);
    }

    /// A FIN that was taken for a byte, a byte that was missed, and a wrap of the numbers that was.
    #[test]
    fn bytes_too_many_or_too_few_are_found(
        life in lives(), off in prop_oneof![Just(1i64), Just(-1), Just(1 << 32), -(1i64 << 31)..-1], is_sent: bool,
    ) {
        let mut stream = life.stream();
        let cursor = if is_sent { &mut stream.sent } else { &mut stream.received };
        *cursor = cursor.wrapping_add_signed(off);
        prop_assert!(!life.audit(&stream).agrees());
    }

    /// Cursors whose base is from an earlier life of this piece of memory have credited the way between the two.
    #[test]
    fn a_stream_of_another_connection_is_found(life in lives(), other in 1u32.., is_sent: bool) {
        let mut stream = life.stream();
        let base = if is_sent { &mut stream.sent_base } else { &mut stream.received_base };
        *base += u64::from(other);
        prop_assert!(!life.audit(&stream).agrees());
    }
}

#[test]
fn each_word_of_the_evidence_stands_under_its_name() {
    let stream = Stream { sent: 1, sent_base: 2, flags: 3, ..Stream::default() };
    let numbers = Numbers { bytes_acked: 4, bytes_received: 5, ..Numbers::default() };
    let audit = Audit::new(&stream, &numbers, false);
    let evidence = audit.evidence(&stream, &numbers);
    let of = |name| evidence[EVIDENCE.iter().position(|known| *known == name).unwrap()];
    assert_eq!((of("sent"), of("sent_base"), of("flags")), (1, 2, 3));
    assert_eq!((of("bytes_acked"), of("bytes_received"), of("kernel_sent")), (4, 5, audit.kernel.sent));
}
