use std::io::{BufRead as _, BufReader, Read as _, Write as _};

use proptest::prelude::*;
use serde_json::Value;

use super::super::reader::{MAX_REQUEST_BYTES, MAX_WAITING_BYTES};
use super::super::stream::{Booked, Message, Sample};
use super::*;
use crate::capture::{By, Bytes, Health, Owner};
use crate::ledger::{Account, Snapshot};
use crate::report::{AccountTotals, Beside, Errors, Names, Period, Report, Scope, Summary, UserName, samples};

const ALICE: u32 = 1000;
const BOB: u32 = 1001;
const SECOND: Duration = Duration::from_secs(1);

/// Each user's name contains its number.
struct Numbered;

impl Names for Numbered {
    fn user(&mut self, uid: u32) -> UserName {
        UserName::Known(format!("user{uid}"))
    }

    fn exe(&mut self, _: crate::capture::Process, _: &str) -> Option<String> {
        None
    }
}

fn hello() -> Hello {
    Hello {
        schema: super::super::stream::SCHEMA,
        version: "1".into(),
        epoch: 7,
        interval_s: 60.0,
        zone: Some("Europe/Vienna".to_owned()),
        by: By::USER.dimensions().map(|dimension| dimension.name().into()).collect(),
        classes: Vec::new(),
        backend: "packet".into(),
        attach: None,
        method: None,
        only_uid: None,
    }
}

fn snapshot(accounts: &[(u32, u64)]) -> Snapshot {
    let account = |&(uid, sent)| {
        let bytes = Bytes { sent, received: 0 };
        Account { owner: Owner::user(uid), total: bytes, moved: bytes, of_life: bytes }
    };
    let sum = Bytes { sent: accounts.iter().map(|account| account.1).sum(), received: 0 };
    Snapshot {
        accounts: accounts.iter().map(account).collect(),
        total: sum,
        moved: sum,
        unattributed: Bytes { sent: 5, received: 0 },
        health: Health { gaps: 3, ..Health::default() },
    }
}

fn period() -> Period {
    Period { seq: 1, end: samples::start(), length: SECOND, step_s: None }
}

/// A report in which users sent these bytes.
fn report(accounts: &[(u32, u64)]) -> Report {
    let source = samples::source();
    Report::new(&snapshot(accounts), Scope::All, period(), &source, Errors::default(), &mut Numbered)
}

fn told_of(report: &Report) -> Told {
    Told { report: Some(report.clone()), ..Told::default() }
}

/// A look at these accounts, of a service with a book.
fn look(date: &str, accounts: &[(u32, u64)]) -> Look {
    let (snapshot, source) = (snapshot(accounts), samples::source());
    let totals = |account: &Account| {
        (AccountTotals::new(account, period(), &source, &mut Numbered), [account.moved.sent, 0, account.total.sent, 0])
    };
    let booked = |&(uid, sent): &(u32, u64)| Booked {
        uid: Some(uid),
        user: Some(format!("user{uid}")),
        account: None,
        program: None,
        unit: None,
        class: None,
        sent_bytes_today: sent,
        received_bytes_today: 0,
        sent_bytes_month: sent,
        received_bytes_month: 0,
    };
    Look {
        at_s: 1.5,
        summary: Summary::new(&snapshot, period(), &source, Errors::default()),
        accounts: snapshot.accounts.iter().map(totals).collect(),
        booked: Some((date.to_owned(), accounts.iter().map(booked).collect())),
    }
}

/// The clients, and a clock.
struct Bench {
    readers: Readers,
    now: Instant,
}

impl Bench {
    fn new() -> Self {
        Self { readers: Readers::new(hello()), now: Instant::now() }
    }

    /// A client whose socket does not block.
    fn connect(&mut self, view: View) -> UnixStream {
        let (client, server) = UnixStream::pair().unwrap();
        client.set_nonblocking(true).unwrap();
        self.readers.admit(server, view);
        client
    }

    /// A client that has asked for samples.
    fn sampling(&mut self, view: View, request: &str) -> UnixStream {
        let client = self.connect(view);
        self.send(&client, request.as_bytes());
        client
    }

    fn send(&mut self, mut client: &UnixStream, bytes: &[u8]) {
        // It may have been refused already.
        let _ = client.write_all(bytes);
        self.serve();
    }

    /// Does what the thread does after `poll`.
    fn serve(&mut self) {
        for reader in self.readers.all() {
            if reader.listens() {
                reader.hear(self.now);
            }
            reader.write();
        }
        self.readers.sweep();
    }

    /// Reads and serves in turn until nothing more comes.
    fn reads_all(&mut self, client: &UnixStream) -> Vec<Message> {
        let mut lines = String::new();
        loop {
            let more = text(client);
            if more.is_empty() {
                return lines.lines().map(|line| Message::parse(line).unwrap()).collect();
            }
            lines += &more;
            self.serve();
        }
    }

    fn looks(&mut self, accounts: &[(u32, u64)]) {
        self.now += SECOND;
        self.readers.look(look("2026-11-26", accounts), self.now);
    }
}

/// What a client was sent since it last read.
fn told(client: &UnixStream) -> Vec<Message> {
    text(client).lines().map(|line| Message::parse(line).unwrap_or_else(|error| panic!("{line}: {error}"))).collect()
}

fn text(mut client: &UnixStream) -> String {
    let mut bytes = Vec::new();
    // It ends with an error while more may come.
    let _ = client.read_to_end(&mut bytes);
    String::from_utf8(bytes).unwrap()
}

fn only_sample(client: &UnixStream) -> Sample {
    match &told(client)[..] {
        [Message::Sample(sample)] => (**sample).clone(),
        other => panic!("{other:?}"),
    }
}

fn totals(sample: &Sample) -> Vec<(Option<u32>, u64)> {
    let mut totals: Vec<_> = sample.accounts.iter().map(|account| (account.uid, account.sent_bytes)).collect();
    totals.sort_unstable();
    totals
}

const EVERY: &str = "{\"every_ms\":1000}\n";

#[test]
fn a_client_is_greeted_and_then_told_the_records_of_the_log() {
    let mut bench = Bench::new();
    let client = bench.connect(View::All);
    assert_eq!(told(&client), [Message::Hello(Box::new(hello()))]);
    let report = samples::report();
    let mut log = b"{\"type\":\"gap\"}\n".to_vec();
    let (gaps, quotas) = (log.clone(), b"{\"type\":\"quota\"}\n".to_vec());
    log.extend_from_slice(&quotas);
    Json.encode(&report, &mut log);
    let ordinary = bench.connect(View::Only(BOB));
    text(&ordinary);
    bench.readers.report(&Told { beside: Beside { gaps, quotas }, report: Some(report) });
    assert_eq!(text(&client).as_bytes(), log);
    let seen = text(&ordinary);
    assert!(seen.starts_with("{\"type\":\"gap\"}\n") && !seen.contains("quota"), "{seen}");
    bench.looks(&[(ALICE, 1)]);
    assert_eq!(told(&client), [], "samples are for those who ask");
}

#[test]
fn the_first_sample_has_all_accounts_and_a_later_one_what_moved() {
    let mut bench = Bench::new();
    let client = bench.sampling(View::All, EVERY);
    told(&client);
    bench.looks(&[(ALICE, 1), (BOB, 2)]);
    let first = only_sample(&client);
    assert_eq!(totals(&first), [(Some(ALICE), 1), (Some(BOB), 2)]);
    assert_eq!((first.date.as_deref(), first.booked.len(), first.summary.health.gaps), (Some("2026-11-26"), 2, 3));
    bench.looks(&[(ALICE, 1), (BOB, 7)]);
    let second = only_sample(&client);
    assert_eq!((totals(&second), second.booked.len()), (vec![(Some(BOB), 7)], 1));
    let late = bench.sampling(View::All, EVERY);
    told(&late);
    bench.looks(&[(ALICE, 1), (BOB, 7)]);
    assert_eq!(totals(&only_sample(&client)), []);
    assert_eq!(totals(&only_sample(&late)), [(Some(ALICE), 1), (Some(BOB), 7)], "it is his first");
}

#[test]
fn another_day_tells_all_that_is_booked_anew() {
    let mut bench = Bench::new();
    let client = bench.sampling(View::All, EVERY);
    bench.looks(&[(ALICE, 1)]);
    told(&client);
    bench.now += SECOND;
    bench.readers.look(look("2026-11-27", &[(ALICE, 1)]), bench.now);
    let sample = only_sample(&client);
    assert_eq!((totals(&sample), sample.booked.len()), (vec![], 1));
}

#[test]
fn each_client_has_samples_as_often_as_he_asked() {
    let mut bench = Bench::new();
    let often = bench.sampling(View::All, EVERY);
    let seldom = bench.sampling(View::All, "{\"every_ms\": 3000}\n");
    told(&often);
    told(&seldom);
    let counts: Vec<_> = (0..4)
        .map(|_| {
            bench.looks(&[(ALICE, 1)]);
            (told(&often).len(), told(&seldom).len())
        })
        .collect();
    assert_eq!(counts, [(1, 1), (1, 0), (1, 0), (1, 1)]);
    assert_eq!(bench.readers.every(), Some(SECOND));
    drop(often);
    bench.looks(&[(ALICE, 2)]);
    bench.serve();
    assert_eq!(bench.readers.every(), Some(3 * SECOND), "who has gone wants none");
}

#[test]
fn a_user_outside_the_group_is_told_of_himself_alone() {
    let mut bench = Bench::new();
    let client = bench.sampling(View::Only(ALICE), EVERY);
    match &told(&client)[..] {
        [Message::Hello(hello)] => assert_eq!(hello.only_uid, Some(ALICE)),
        other => panic!("{other:?}"),
    }
    bench.looks(&[(ALICE, 3), (BOB, 77)]);
    let sample = only_sample(&client);
    assert_eq!((totals(&sample), sample.booked.len()), (vec![(Some(ALICE), 3)], 1));
    let Summary { accounts, sent_bytes, sent_bytes_total, unattributed_bytes_total, health, .. } = sample.summary;
    assert_eq!((accounts, sent_bytes, sent_bytes_total, unattributed_bytes_total), (1, 3, 3, 0));
    assert_eq!(health, Health::default());
    bench.readers.report(&told_of(&report(&[(ALICE, 3), (BOB, 77)])));
    match &told(&client)[..] {
        [Message::Account(account), Message::Summary(summary)] => {
            assert_eq!((account.uid, summary.accounts, summary.sent_bytes), (Some(ALICE), 1, 3));
        }
        other => panic!("{other:?}"),
    }
    let nobody = bench.sampling(View::Only(5), EVERY);
    told(&nobody);
    bench.looks(&[(ALICE, 4), (BOB, 78)]);
    let sample = only_sample(&nobody);
    assert_eq!((totals(&sample), sample.summary.sent_bytes_total), (vec![], 0));
}

#[test]
fn who_does_not_read_has_samples_dropped_and_is_told_how_many() {
    let mut bench = Bench::new();
    let client = bench.sampling(View::All, EVERY);
    // Large enough that the first few fill the kernel's buffer.
    let crowd: Vec<_> = (0..2_000).map(|uid| (uid, 1)).collect();
    let moved = |look: u64| crowd.iter().map(|(uid, _)| (*uid, look)).collect::<Vec<_>>();
    for look in 1..=20 {
        bench.looks(&moved(look));
    }
    let messages = bench.reads_all(&client);
    let samples = messages.iter().filter(|message| matches!(message, Message::Sample(_))).count() as u64;
    match messages.last() {
        Some(Message::Dropped(dropped)) => assert_eq!((dropped.samples + samples, dropped.reports), (20, 0)),
        other => panic!("{other:?}"),
    }
    assert!(samples < 20);
    bench.looks(&moved(20));
    match &bench.reads_all(&client)[..] {
        [Message::Sample(sample)] => {
            assert_eq!(sample.accounts.len(), 2_000, "what moved in those that were dropped is told with the next");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn sixteen_who_never_read_take_a_bounded_room_and_reports_go_on() {
    let mut bench = Bench::new();
    let silent: Vec<_> = (0..MAX_READERS).map(|_| bench.sampling(View::All, EVERY)).collect();
    assert_eq!(bench.readers.count(), MAX_READERS);
    let crowd: Vec<_> = (0..1_000).map(|uid| (uid, 1)).collect();
    let report = report(&crowd);
    let length = encode(&told_of(&report), View::All).len();
    for _ in 0..100 {
        bench.looks(&crowd);
        bench.readers.report(&told_of(&report));
    }
    for reader in bench.readers.all() {
        assert!(reader.waiting_bytes() <= MAX_WAITING_BYTES.max(2 * length), "{}", reader.waiting_bytes());
        assert!(reader.waiting_bytes() > 0, "it has room for all of it");
    }
    drop(silent);
    bench.serve();
    assert_eq!(bench.readers.count(), 0);
}

#[test]
fn nobody_can_keep_out_the_others() {
    let mut bench = Bench::new();
    let refusal = |client: &UnixStream| match told(client).last() {
        Some(Message::Refusal(refusal)) => Some(refusal.error.to_string()),
        _ => None,
    };
    let mut clients: Vec<_> = (0..MAX_OF_USER).map(|_| bench.connect(View::Only(ALICE))).collect();
    assert_eq!(refusal(&bench.connect(View::Only(ALICE))).unwrap(), "there are 4 clients of this user already");
    for uid in 0..20 {
        clients.push(bench.connect(View::Only(uid)));
    }
    assert_eq!(bench.readers.count(), MAX_ORDINARY);
    let last = bench.connect(View::Only(50));
    assert_eq!(refusal(&last).unwrap(), "there are 12 clients outside the service's group already");
    for _ in MAX_ORDINARY..MAX_READERS {
        let client = bench.connect(View::All);
        assert_eq!(refusal(&client), None);
        clients.push(client);
    }
    assert_eq!(refusal(&bench.connect(View::All)).unwrap(), "there are 16 clients already");
    assert_eq!(text(&last), "", "a refused connection is closed");
}

#[test]
fn a_line_that_is_wrong_ends_the_connection_with_the_reason() {
    let long = format!("{{\"every_ms\":{}1000}}\n", " ".repeat(MAX_REQUEST_BYTES));
    for (line, reason) in [
        ("{\"every_ms\":999}\n", "every_ms may be 1000 to 86400000"),
        ("{\"every_ms\":86400001}\n", "every_ms may be 1000 to 86400000"),
        ("{\"every_ms\":-1}\n", "the line is not understood"),
        ("{\"every_ms\":1000,\"uid\":0}\n", "the line is not understood"),
        ("\n", "the line is not understood"),
        (&long, "the line is longer than 256 bytes"),
        (&long[..260], "the line is longer than 256 bytes"),
        ("{\"every_ms\":1000}\n{\"every_ms\":1000}\n", "a client may send one line only"),
    ] {
        let mut bench = Bench::new();
        let client = bench.sampling(View::All, line);
        match &told(&client)[..] {
            [Message::Hello(_), Message::Refusal(refusal)] => {
                assert!(refusal.error.starts_with(reason), "{line}: {refusal:?}");
            }
            other => panic!("{line}: {other:?}"),
        }
        assert_eq!(bench.readers.count(), 0, "{line}");
    }
    let mut bench = Bench::new();
    let client = bench.sampling(View::All, EVERY);
    bench.send(&client, b"x");
    assert!(matches!(told(&client)[..], [_, Message::Refusal(_)]), "a second line");
}

#[test]
fn a_line_may_come_in_parts_and_a_client_may_say_that_no_more_comes() {
    let mut bench = Bench::new();
    let client = bench.connect(View::All);
    for part in EVERY.as_bytes().chunks(3) {
        assert_eq!(bench.readers.every(), None);
        bench.send(&client, part);
    }
    assert_eq!(bench.readers.every(), Some(SECOND));
    client.shutdown(std::net::Shutdown::Write).unwrap();
    bench.serve();
    told(&client);
    bench.looks(&[(ALICE, 1)]);
    assert_eq!(totals(&only_sample(&client)), [(Some(ALICE), 1)]);
}

/// What a hostile client may send: bytes, text, and lines that look like requests.
fn requests() -> impl Strategy<Value = Vec<u8>> {
    let bytes = prop::collection::vec(any::<u8>(), 0..700);
    let text = any::<String>().prop_map(String::into_bytes);
    let words = prop::sample::select(vec![
        "every_ms",
        "every_ms",
        "uid",
        "only_uid",
        "view",
        "type",
        "user",
        "class",
        "\\u0065very_ms",
    ]);
    let value = prop_oneof![
        any::<i64>().prop_map(|number| number.to_string()),
        Just("1000".to_owned()),
        Just("null".to_owned()),
        Just("\"all\"".to_owned()),
        any::<String>().prop_map(|text| serde_json::to_string(&text).unwrap()),
    ];
    let fields = prop::collection::vec((words, value), 0..4);
    let object = fields.prop_map(|fields| {
        let fields: Vec<_> = fields.into_iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
        format!("{{{}}}\n", fields.join(",")).into_bytes()
    });
    prop::collection::vec(prop_oneof![bytes, text, object, Just(EVERY.as_bytes().to_vec())], 0..4)
        .prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_that_a_user_sends_shows_him_another(sent in requests(), cuts in prop::collection::vec(1_usize..400, 0..4)) {
        let mut bench = Bench::new();
        let client = bench.connect(View::Only(ALICE));
        let mut seen = String::new();
        let mut rest = &sent[..];
        for cut in cuts.into_iter().chain([usize::MAX]) {
            let (part, more) = rest.split_at(cut.min(rest.len()));
            rest = more;
            bench.send(&client, part);
            bench.looks(&[(ALICE, 1), (BOB, 123_454_321)]);
            bench.readers.report(&told_of(&report(&[(ALICE, 1), (BOB, 123_454_321)])));
            seen += &text(&client);
        }
        prop_assert!(bench.readers.count() <= 1);
        prop_assert!(!seen.contains("user1001") && !seen.contains("1234543"), "{seen}");
        for line in BufReader::new(seen.as_bytes()).lines() {
            let record: Value = serde_json::from_str(&line.unwrap()).unwrap();
            let kind = record["type"].as_str().unwrap();
            prop_assert!(["hello", "sample", "account", "summary", "error"].contains(&kind), "{record}");
            prop_assert!(kind != "hello" || record["only_uid"] == ALICE, "{record}");
            let rows = [&record["accounts"], &record["booked"]].map(Value::as_array).into_iter().flatten().flatten();
            for record in rows.chain([&record]) {
                prop_assert!(record.get("uid").is_none_or(|uid| *uid == ALICE), "{record}");
            }
        }
    }
}

fn processor_time() -> Duration {
    nix::time::clock_gettime(nix::time::ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap().into()
}

/// Prints what sending a sample costs, of 1,000 accounts that all moved, to one client and to sixteen.
#[test]
#[ignore = "measures; run it optimised, with --nocapture"]
fn figures() {
    const LOOKS: u32 = 200;
    for clients in [1, MAX_READERS] {
        let mut bench = Bench::new();
        let clients: Vec<_> = (0..clients).map(|_| bench.sampling(View::All, EVERY)).collect();
        let mut took = Duration::ZERO;
        for number in 1..=LOOKS {
            let crowd: Vec<_> = (0..1_000).map(|uid| (uid, u64::from(number))).collect();
            let look = look("2026-11-26", &crowd);
            bench.now += SECOND;
            let begin = processor_time();
            bench.readers.look(look, bench.now);
            took += processor_time().saturating_sub(begin);
            for client in &clients {
                bench.reads_all(client);
            }
        }
        println!("a sample of 1,000 accounts for {} clients: {:?} of processor time", clients.len(), took / LOOKS);
    }
}

#[test]
fn who_sees_only_himself_orders_no_expensive_looks() {
    for (by, seconds) in [(By::USER, 1), (By::UNIT, 10), (By::PROCESS, 10)] {
        let mut bench = Bench::new();
        bench.readers.hello.by = by.dimensions().map(|dimension| dimension.name().into()).collect();
        let _ordinary = bench.sampling(View::Only(ALICE), EVERY);
        assert_eq!(bench.readers.every(), Some(Duration::from_secs(seconds)));
        let _admin = bench.sampling(View::All, EVERY);
        assert_eq!(bench.readers.every(), Some(Duration::from_secs(1)));
    }
}
