//! The loop with a scripted backend and a scripted log: no time passes, nothing sleeps.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use serde_json::Value;

use super::life::epoch;
use super::*;
use crate::capture::{Attach, BackendKind, Bytes, CaptureError, Declined, Method, Owner, Tried};
use crate::service::exit::Exit;
use crate::sinks::{Destination, Json, Log, SinkError};

struct Script(VecDeque<Result<Batch, CaptureError>>);

impl Script {
    fn next(&mut self) -> Result<Batch, CaptureError> {
        self.0.pop_front().unwrap_or_else(|| Ok(Batch::default()))
    }
}

impl Backend for Script {
    fn kind(&self) -> BackendKind {
        BackendKind::Packet
    }

    fn attach_and_method(&self) -> Option<(Attach, Method)> {
        None
    }

    fn collect(&mut self) -> Result<Batch, CaptureError> {
        self.next()
    }

    fn want(&mut self, _: &[u32]) -> Result<(), CaptureError> {
        Ok(())
    }

    fn set_subordinates(&mut self, _: &[capture::SubordinateRange]) -> Result<(), CaptureError> {
        Ok(())
    }

    fn finish(&mut self) -> Result<Batch, CaptureError> {
        self.next()
    }
}

#[derive(Default)]
struct Paper {
    text: String,
    refuses: Option<fn() -> SinkError>,
    refuses_to_reopen: bool,
    reopened: u32,
}

struct Shared(Arc<Mutex<Paper>>);

impl Destination for Shared {
    fn append(&mut self, records: &[u8]) -> Result<(), SinkError> {
        let mut paper = self.0.lock().unwrap();
        if let Some(refusal) = paper.refuses {
            return Err(refusal());
        }
        paper.text.push_str(std::str::from_utf8(records).unwrap());
        Ok(())
    }

    fn reopen(&mut self) -> Result<(), SinkError> {
        let mut paper = self.0.lock().unwrap();
        if paper.refuses_to_reopen {
            return Err(full_disk());
        }
        paper.reopened += 1;
        Ok(())
    }
}

fn full_disk() -> SinkError {
    SinkError::Write { path: "log".into(), source: std::io::ErrorKind::StorageFull.into() }
}

#[expect(clippy::unnecessary_wraps, reason = "a step of a script may also be an error")]
fn batch(credits: &[(u32, u64, u64)]) -> Result<Batch, CaptureError> {
    let credits = credits.iter().map(|&(uid, sent, received)| (Owner::user(uid), Bytes { sent, received })).collect();
    Ok(Batch { credits, ..Batch::default() })
}

/// A daemon, its log, and the two clocks.
struct Bench {
    daemon: Daemon,
    paper: Arc<Mutex<Paper>>,
    now: Now,
}

impl Bench {
    fn new(script: impl IntoIterator<Item = Result<Batch, CaptureError>>) -> Self {
        let paper = Arc::new(Mutex::new(Paper::default()));
        let now = Now { wall: SystemTime::UNIX_EPOCH, monotonic: Instant::now(), since_boot: Duration::ZERO };
        let reason = CaptureError::NotBuilt;
        let started = Started {
            backend: Box::new(Script(script.into_iter().collect())),
            declined: vec![Declined { backend: BackendKind::Ebpf, attach: Some(Attach::Kprobe), reason }],
        };
        let log = Log::new(Json, Box::new(Shared(Arc::clone(&paper))));
        let writing = Writing::start(log, None, counting(&Script(VecDeque::new())), || (), None)
            .unwrap_or_else(|error| panic!("{error}"));
        let daemon = Daemon::new(started, writing, None, epoch(now.wall), now, By::USER, None);
        Self { daemon, paper, now }
    }

    /// Lets ten seconds pass and an event happen.
    fn after_10s(&mut self, event: Event) -> Flow {
        self.now.wall += Duration::from_secs(10);
        self.now.monotonic += Duration::from_secs(10);
        self.now.since_boot += Duration::from_secs(10);
        let flow = self.daemon.handle(event, self.now);
        self.daemon.writing.settle();
        flow
    }

    fn paper(&self) -> MutexGuard<'_, Paper> {
        self.paper.lock().unwrap()
    }

    fn goes_on_after_10s(&mut self, event: Event) {
        assert!(self.after_10s(event).is_continue());
    }

    fn exit_after_10s(&mut self, event: Event) -> Exit {
        match self.after_10s(event) {
            Flow::Break(end) => end.map_or_else(|failure| failure.exit(), |()| Exit::Done),
            Flow::Continue(()) => panic!("the service goes on"),
        }
    }

    /// The records written since the last call.
    fn records(&self) -> Vec<Value> {
        let text = std::mem::take(&mut self.paper().text);
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// The numbers of one record: uid (none in a summary), bytes of the period, bytes since the start.
fn numbers(record: &Value) -> (Option<u64>, [u64; 4]) {
    let field = |name: &str| record[name].as_u64().unwrap();
    let bytes = ["sent_bytes", "received_bytes", "sent_bytes_total", "received_bytes_total"].map(field);
    (record["uid"].as_u64(), bytes)
}

#[test]
fn each_interval_tells_what_moved_and_the_last_report_tells_all() {
    let mut bench = Bench::new([batch(&[(1, 10, 20)]), batch(&[(2, 5, 0)]), batch(&[]), batch(&[(2, 1, 1)])]);
    bench.goes_on_after_10s(Event::Tick);
    let first = bench.records();
    assert_eq!(first.iter().map(numbers).collect::<Vec<_>>(), [(Some(1), [10, 20, 10, 20]), (None, [10, 20, 10, 20])]);
    assert_eq!(first[1]["declined"][0], "ebpf (kprobe): this trafcalc was built without it");
    assert_eq!(first[0]["epoch"], 0, "milliseconds since 1970");

    bench.goes_on_after_10s(Event::ReportNow);
    assert_eq!(
        bench.records().iter().map(numbers).collect::<Vec<_>>(),
        [(Some(2), [5, 0, 5, 0]), (None, [5, 0, 15, 20])]
    );

    bench.goes_on_after_10s(Event::Tick);
    let third = bench.records();
    assert_eq!(third.iter().map(numbers).collect::<Vec<_>>(), [(None, [0, 0, 15, 20])]);
    assert_eq!((third[0]["seq"].as_u64(), third[0].get("declined")), (Some(3), None), "told once");

    assert_eq!(bench.exit_after_10s(Event::Stop), Exit::Done);
    assert_eq!(
        bench.records().iter().map(numbers).collect::<Vec<_>>(),
        [(Some(1), [0, 0, 10, 20]), (Some(2), [1, 1, 6, 1]), (None, [1, 1, 16, 21])]
    );
}

#[test]
fn what_a_full_disk_refused_is_written_when_there_is_room() {
    let mut bench = Bench::new([batch(&[(1, 1, 0)]), batch(&[(1, 2, 0)]), batch(&[(2, 4, 0)]), batch(&[(1, 8, 0)])]);
    bench.goes_on_after_10s(Event::Tick);
    bench.paper().refuses = Some(full_disk);
    bench.goes_on_after_10s(Event::Tick);
    bench.goes_on_after_10s(Event::Tick);
    bench.paper().refuses = None;
    bench.records();

    bench.goes_on_after_10s(Event::Tick);
    let records = bench.records();
    assert_eq!(
        records.iter().map(numbers).collect::<Vec<_>>(),
        [
            (Some(1), [2, 0, 3, 0]),
            (None, [2, 0, 3, 0]),
            (Some(2), [4, 0, 4, 0]),
            (None, [4, 0, 7, 0]),
            (Some(1), [8, 0, 11, 0]),
            (None, [8, 0, 15, 0])
        ]
    );
    assert_eq!(records.iter().map(|record| record["seq"].as_u64().unwrap()).collect::<Vec<_>>(), [2, 2, 3, 3, 4, 4]);
    assert_eq!(records[5]["log_errors_total"], 2);
}

#[test]
fn a_clock_that_is_set_is_told_and_moves_no_length_of_time() {
    let mut bench = Bench::new([]);
    bench.goes_on_after_10s(Event::Tick);
    bench.records();
    bench.now.wall += Duration::from_hours(1);
    bench.goes_on_after_10s(Event::Tick);
    let records = bench.records();
    assert_eq!((records[0]["type"].as_str(), records[0]["step_s"].as_f64()), (Some("clock"), Some(3_600.0)));
    assert_eq!(records[1]["interval_s"], 10.0);
    assert_eq!(records[1]["time"], "1970-01-01T01:00:20.000Z");
    assert_eq!(records[1]["since"], "1970-01-01T01:00:00.000Z", "by the clock as it is set now");
    assert_eq!(records[0]["seq"], records[1]["seq"]);

    bench.now.wall -= Duration::from_hours(2);
    bench.goes_on_after_10s(Event::Collect);
    bench.now.wall += Duration::from_millis(300);
    bench.goes_on_after_10s(Event::Tick);
    let records = bench.records();
    assert_eq!((records.len(), records[0]["step_s"].as_f64()), (2, Some(-7_200.0)), "a little is no step");
    assert_eq!(records[1]["time"], "1969-12-31T23:00:40.300Z");
    assert_eq!(records[1]["since"], "1969-12-31T23:00:00.000Z");

    bench.goes_on_after_10s(Event::Tick);
    assert_eq!(bench.records().len(), 1);
}

#[test]
fn a_log_that_cannot_be_reopened_is_tried_again_at_each_report() {
    let mut bench = Bench::new([]);
    bench.paper().refuses_to_reopen = true;
    bench.goes_on_after_10s(Event::Reopen);
    bench.goes_on_after_10s(Event::Tick);
    assert_eq!(bench.records()[0]["log_errors_total"], 1);
    bench.paper().refuses_to_reopen = false;
    bench.goes_on_after_10s(Event::Tick);
    bench.goes_on_after_10s(Event::Tick);
    assert_eq!(bench.records()[1]["log_errors_total"], 2);
    assert_eq!(bench.paper().reopened, 1);
}

#[test]
fn a_backend_that_dies_leaves_a_last_report() {
    let died = || CaptureError::System { what: "reading", source: std::io::ErrorKind::NetworkDown.into() };
    for (script, event) in [
        (vec![batch(&[(1, 1, 0)]), batch(&[(1, 2, 0)])], Event::BackendDied(died())),
        (vec![batch(&[(1, 1, 0)]), Err(died()), batch(&[(1, 2, 0)])], Event::Tick),
    ] {
        let mut bench = Bench::new(script);
        bench.goes_on_after_10s(Event::Tick);
        bench.records();
        assert_eq!(bench.exit_after_10s(event), Exit::Unavailable);
        assert_eq!(
            bench.records().iter().map(numbers).collect::<Vec<_>>(),
            [(Some(1), [2, 0, 3, 0]), (None, [2, 0, 3, 0])]
        );
    }
}

#[test]
fn a_thread_that_ends_unexpectedly_is_a_bug() {
    let mut bench = Bench::new([]);
    assert_eq!(bench.exit_after_10s(Event::BackendDied(CaptureError::ThreadEnded("reader"))), Exit::Bug);
}

#[test]
fn a_backend_that_cannot_finish_still_leaves_what_was_counted() {
    let mut bench = Bench::new([batch(&[(1, 1, 0)]), Err(CaptureError::ThreadEnded("reader"))]);
    bench.goes_on_after_10s(Event::Tick);
    bench.records();
    assert_eq!(bench.exit_after_10s(Event::Stop), Exit::Bug);
    assert_eq!(
        bench.records().iter().map(numbers).collect::<Vec<_>>(),
        [(Some(1), [0, 0, 1, 0]), (None, [0, 0, 1, 0])]
    );
}

#[test]
fn a_last_report_that_is_lost_is_not_a_good_end() {
    let mut bench = Bench::new([batch(&[(1, 1, 0)])]);
    bench.paper().refuses = Some(full_disk);
    assert_eq!(bench.exit_after_10s(Event::Stop), Exit::OutputLost);
}

#[test]
fn a_reader_that_has_gone_ends_the_service_quietly() {
    let mut bench = Bench::new([]);
    bench.paper().refuses = Some(|| SinkError::ReaderGone);
    bench.goes_on_after_10s(Event::Tick);
    assert_eq!(bench.exit_after_10s(Event::ReaderGone), Exit::Done);
}

#[test]
fn a_missing_privilege_counts_where_the_least_demanding_backend_wants_it() {
    let declined = |backend, reason| Declined { backend, attach: None, reason };
    let privilege = || CaptureError::Privilege { what: "it", capability: "CAP_NET_RAW" };
    let exit = |declined| Failure::NoBackend(Tried(declined)).exit();
    let ebpf = || declined(BackendKind::Ebpf, privilege());
    assert_eq!(exit(vec![ebpf(), declined(BackendKind::Packet, privilege())]), Exit::Privilege);
    let elsewhere = CaptureError::NoKprobes;
    assert_eq!(exit(vec![ebpf(), declined(BackendKind::Packet, elsewhere)]), Exit::Unavailable);
}

/// The numbers of the summary in the status.
fn told(bench: &Bench) -> (Option<u64>, [u64; 4]) {
    numbers(&serde_json::to_value(bench.daemon.latest.get()).unwrap())
}

#[test]
fn whoever_asks_is_told_of_the_last_report_or_of_what_came_after() {
    let mut bench = Bench::new([batch(&[(1, 10, 20)]), batch(&[(1, 1, 2)]), batch(&[(1, 0, 0)])]);
    assert_eq!(told(&bench), (None, [0; 4]));
    bench.goes_on_after_10s(Event::Tick);
    assert_eq!(told(&bench), (None, [10, 20, 10, 20]));
    bench.records();
    bench.goes_on_after_10s(Event::Collect);
    assert_eq!(told(&bench), (None, [1, 2, 11, 22]));
    assert_eq!(bench.daemon.latest.get().declined, ["ebpf (kprobe): this trafcalc was built without it"]);
    assert!(bench.records().is_empty());
    bench.goes_on_after_10s(Event::Tick);
    assert_eq!(numbers(&bench.records()[0]), (Some(1), [1, 2, 11, 22]));
}

#[test]
fn whoever_asks_hears_at_once_of_a_log_that_cannot_be_written() {
    let mut bench = Bench::new([batch(&[(1, 1, 0)])]);
    bench.paper().refuses = Some(full_disk);
    bench.goes_on_after_10s(Event::Tick);
    let condition = bench.daemon.writing.watch().0.condition();
    assert_eq!((condition.waiting, condition.errors_total), (1, 1));
    assert_eq!(told(&bench), (None, [1, 0, 1, 0]));
}

#[test]
fn an_interface_that_is_not_there_is_told_while_it_is_not() {
    let absent = Batch { absent_interfaces: vec!["eth9".to_owned()], ..Batch::default() };
    let mut bench = Bench::new([Ok(absent), batch(&[])]);
    bench.goes_on_after_10s(Event::Tick);
    assert_eq!(bench.records()[0]["waiting_for"], serde_json::json!(["interface eth9"]));
    bench.goes_on_after_10s(Event::Tick);
    assert_eq!(bench.records()[0].get("waiting_for"), None);
}

mod cost;
mod gaps;
mod noted;
mod samples;
