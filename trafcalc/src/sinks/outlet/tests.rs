use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

use super::*;
use crate::report::samples;
use crate::sinks::{Destination, Json, Log, Piece};

/// A reader that takes a record only when it is allowed to.
struct Slow {
    lets: Receiver<Result<(), SinkError>>,
    written: Sender<String>,
}

impl Destination for Slow {
    fn append(&mut self, records: &[u8]) -> Result<(), SinkError> {
        self.lets.recv().unwrap_or(Ok(()))?;
        let _ = self.written.send(String::from_utf8(records.to_vec()).unwrap());
        Ok(())
    }
}

struct Bench {
    outlet: Outlet<Piece>,
    lets: Sender<Result<(), SinkError>>,
    written: Receiver<String>,
    gone: Arc<AtomicBool>,
}

impl Bench {
    fn new() -> Self {
        let ((lets, let_through), (write, written)) = (channel(), channel());
        let gone = Arc::new(AtomicBool::new(false));
        let note = Arc::clone(&gone);
        let log = Log::new(Json, Box::new(Slow { lets: let_through, written: write }));
        let outlet = Outlet::start(log, move || note.store(true, Ordering::SeqCst)).unwrap();
        Self { outlet, lets, written, gone }
    }

    fn tell(&self, seq: u64) {
        let mut report = samples::report();
        report.summary.stamp.seq = seq;
        self.outlet.tell(Piece::Report(Box::new(report)));
    }

    /// The numbers of the reports that were written, and the sum of the bytes that alice sent in them.
    fn told(&self) -> (Vec<u64>, u64) {
        let texts: Vec<_> = self.written.try_iter().collect();
        let records = texts.iter().flat_map(|text| text.lines());
        let records: Vec<serde_json::Value> = records.map(|line| serde_json::from_str(line).unwrap()).collect();
        let seqs =
            records.iter().filter(|record| record["type"] == "summary").map(|record| record["seq"].as_u64().unwrap());
        let sent =
            records.iter().filter(|record| record["uid"] == 1000).map(|record| record["sent_bytes"].as_u64().unwrap());
        (seqs.collect(), sent.sum())
    }
}

#[test]
fn nobody_waits_for_a_reader_that_takes_nothing_and_nothing_is_lost() {
    let mut bench = Bench::new();
    for seq in 1..=200 {
        bench.tell(seq);
    }
    let condition = bench.outlet.watch().condition();
    assert_eq!((condition.waiting, condition.errors_total), (MAX_WAITING, 0));
    assert!(condition.waiting_s.is_some());
    drop(std::mem::replace(&mut bench.lets, channel().0));
    bench.outlet.settle();
    let (seqs, sent) = bench.told();
    assert_eq!(seqs.len(), MAX_WAITING);
    assert_eq!((seqs[0], seqs[62], seqs[63]), (1, 63, 200), "what came when there was no room is one report");
    assert_eq!(sent, 200 * 123);
    assert_eq!(bench.outlet.watch().condition().waiting, 0);
}

#[test]
fn what_a_reader_never_took_is_said_at_the_end() {
    let bench = Bench::new();
    bench.tell(1);
    bench.tell(2);
    let Untaken { items, reason } = bench.outlet.finish(Duration::from_millis(10)).unwrap_err();
    assert!(matches!(reason, SinkError::Stuck));
    assert_eq!(items.len(), 2);
}

#[test]
fn what_failed_is_tried_again_with_the_next_and_before_it() {
    let bench = Bench::new();
    bench.lets.send(Err(SinkError::Stuck)).unwrap();
    bench.tell(1);
    bench.outlet.settle();
    let condition = bench.outlet.watch().condition();
    assert_eq!((condition.waiting, condition.errors_total), (1, 1));
    assert!(condition.error.is_some());
    bench.lets.send(Ok(())).unwrap();
    bench.lets.send(Ok(())).unwrap();
    bench.tell(2);
    bench.outlet.settle();
    assert_eq!(bench.told().0, [1, 2]);
    assert_eq!(bench.outlet.watch().condition().error, None);
}

#[test]
fn a_reader_that_has_gone_is_told_and_is_no_failure() {
    let bench = Bench::new();
    bench.lets.send(Err(SinkError::ReaderGone)).unwrap();
    bench.tell(1);
    bench.outlet.settle();
    assert!(bench.gone.load(Ordering::SeqCst));
    assert_eq!(bench.outlet.watch().condition().errors_total, 0);
    bench.outlet.finish(Duration::from_secs(5)).unwrap();
}
