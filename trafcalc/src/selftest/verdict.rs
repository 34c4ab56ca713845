//! Compares counts with the truth. Pure.

use super::target::Target;
use crate::capture::{Bytes, Declined};

/// What the traffic programs of one scenario report.
#[derive(Clone, Copy, Debug)]
pub(super) struct Truth {
    pub(super) scenario: &'static str,
    /// The uid of the sender.
    pub(super) sender: u32,
    /// The uid of the receiver.
    pub(super) receiver: u32,
    /// Bytes that the kernel accepted, according to the sender's system calls.
    pub(super) sent: u64,
    /// Bytes taken off the stream, according to the receiver's system calls.
    pub(super) received: u64,
}

/// One true number and its count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) target: Target,
    pub(super) scenario: &'static str,
    /// The account, and which of its two counters.
    pub(super) bytes: &'static str,
    /// The truth.
    pub(super) truth: u64,
    /// The count.
    pub(super) counted: u64,
}

impl Row {
    /// A row for each direction. Bytes that the sender received or the receiver sent get a row only if any were counted: the truth is
    /// 0.
    pub(super) fn compare(target: Target, truth: &Truth, sender: Bytes, receiver: Bytes) -> Vec<Self> {
        let row =
            |bytes, truth_bytes, counted| Self { target, scenario: truth.scenario, bytes, truth: truth_bytes, counted };
        let mut rows = vec![row("sent", truth.sent, sender.sent), row("received", truth.received, receiver.received)];
        let strays = [row("sender received", 0, sender.received), row("receiver sent", 0, receiver.sent)];
        rows.extend(strays.into_iter().filter(|row| row.counted != 0));
        rows
    }

    /// Counted bytes minus true ones.
    pub(super) fn difference(&self) -> i128 {
        i128::from(self.counted) - i128::from(self.truth)
    }
}

/// The result of the self-test.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    /// The comparisons, in the order of the test.
    pub(super) rows: Vec<Row>,
    /// Targets that were not tested because they do not start here, one sentence each.
    pub(super) not_tested: Vec<String>,
}

impl Verdict {
    /// Adds targets that did not start, each sentence once.
    pub(super) fn decline(&mut self, declined: &[Declined]) {
        self.not_tested.extend(declined.iter().map(ToString::to_string));
        self.not_tested.dedup();
    }

    /// Whether every difference is 0.
    pub(super) fn is_exact(&self) -> bool {
        self.rows.iter().all(|row| row.difference() == 0)
    }

    /// The scenarios that are not exact, with their targets, each once.
    pub(super) fn wrong(&self) -> Vec<String> {
        let wrong = self.rows.iter().filter(|row| row.difference() != 0);
        let mut names: Vec<_> = wrong.map(|row| format!("{}: {}", row.target, row.scenario)).collect();
        names.dedup();
        names
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::capture::{Attach, BackendKind};

    const PACKET: Target = Target { backend: BackendKind::Packet, attach: None };
    const KPROBE: Target = Target { backend: BackendKind::Ebpf, attach: Some(Attach::Kprobe) };
    const TRUTH: Truth = Truth { scenario: "peek", sender: 1, receiver: 2, sent: 10, received: 10 };

    fn bytes(sent: u64, received: u64) -> Bytes {
        Bytes { sent, received }
    }

    /// Packet is exact, kprobe is wrong in both directions, tracepoint does not start.
    pub(in super::super) fn sample() -> Verdict {
        let mut rows = Row::compare(PACKET, &TRUTH, bytes(10, 0), bytes(0, 10));
        rows.extend(Row::compare(KPROBE, &TRUTH, bytes(9, 0), bytes(0, 12)));
        Verdict { rows, not_tested: vec!["ebpf (tracepoint): no".to_owned()] }
    }

    #[test]
    fn the_right_count_is_exact() {
        let verdict = Verdict { rows: Row::compare(PACKET, &TRUTH, bytes(10, 0), bytes(0, 10)), not_tested: vec![] };
        assert!(verdict.is_exact());
        assert_eq!(verdict.rows.len(), 2);
    }

    #[test]
    fn one_byte_too_many_or_too_few_in_any_counter_is_not() {
        let right = (bytes(10, 0), bytes(0, 10));
        for (sender, receiver, difference) in [
            (bytes(11, 0), right.1, 1),
            (bytes(9, 0), right.1, -1),
            (bytes(10, 1), right.1, 1),
            (right.0, bytes(1, 10), 1),
            (right.0, bytes(0, 0), -10),
        ] {
            let verdict = Verdict { rows: Row::compare(PACKET, &TRUTH, sender, receiver), not_tested: vec![] };
            assert!(!verdict.is_exact(), "{sender:?} {receiver:?}");
            assert_eq!(verdict.rows.iter().map(Row::difference).sum::<i128>(), difference);
            assert_eq!(verdict.wrong(), ["packet: peek"]);
        }
    }

    #[test]
    fn bytes_of_the_sender_in_the_account_of_the_receiver_are_not_right() {
        let verdict = Verdict { rows: Row::compare(PACKET, &TRUTH, bytes(0, 0), bytes(10, 10)), not_tested: vec![] };
        assert!(!verdict.is_exact());
    }

    #[test]
    fn a_backend_that_was_not_built_is_told_once() {
        let declined =
            || Declined { backend: BackendKind::Ebpf, attach: None, reason: crate::capture::CaptureError::NotBuilt };
        let mut verdict = Verdict::default();
        verdict.decline(&[declined(), declined(), declined()]);
        assert_eq!(verdict.not_tested, ["ebpf: this trafcalc was built without it"]);
    }
}
