use std::collections::BTreeMap;
use std::fs;

use proptest::collection::vec;
use proptest::prelude::*;

use super::super::{commit, schema};
use super::*;

#[derive(Clone, Debug)]
enum Step {
    /// A report this many seconds later, in which accounts (uid, name, whether of a program, bytes) moved.
    Report(i64, Vec<(u32, usize, bool, u64)>),
    /// A report whose transaction is cut off before it ends.
    Cut(Vec<(u32, usize, bool, u64)>),
    /// The service is killed and restarted with the files on the disk at that moment, in one of the zones.
    Kill(usize),
    /// The same during a report.
    KillWithin(usize, Vec<(u32, usize, bool, u64)>),
    /// The service is stopped and restarted.
    Restart(usize),
}

/// Hours in these zones begin at :00, :30 and :15, also at the change to summer time: Lord Howe's clocks change by half
/// an hour.
const ZONES: [&str; 4] = ["Europe/Berlin", "Asia/Kolkata", "Asia/Kathmandu", "Australia/Lord_Howe"];

const NAMES: [Option<&str>; 3] = [None, Some("ada"), Some("bob")];

fn rows() -> impl Strategy<Value = Vec<(u32, usize, bool, u64)>> {
    vec((0_u32..4, 0..NAMES.len(), any::<bool>(), 0_u64..1 << 40), 0..6)
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0_i64..200, rows()).prop_map(|(seconds, rows)| Step::Report(seconds, rows)),
        4 => (-4000_i64..90_000, rows()).prop_map(|(seconds, rows)| Step::Report(seconds, rows)),
        1 => rows().prop_map(Step::Cut),
        1 => (0..ZONES.len()).prop_map(Step::Kill),
        1 => (0..ZONES.len(), rows()).prop_map(|(zone, rows)| Step::KillWithin(zone, rows)),
        1 => (0..ZONES.len()).prop_map(Step::Restart),
    ]
}

fn keys(rows: &[(u32, usize, bool, u64)]) -> Vec<(AccountKey, Bytes)> {
    rows.iter()
        .map(|(uid, name, is_program, moved)| {
            let key = user(*uid, NAMES[*name]);
            let program = AccountKey { program: Some("curl".into()), ..key.clone() };
            (if *is_program { program } else { key }, bytes(*moved, *moved / 3))
        })
        .collect()
}

/// What the book should contain, computed in the simplest way.
#[derive(Default)]
struct Truth {
    users: BTreeMap<u32, String>,
    totals: BTreeMap<AccountKey, (u64, u64)>,
    /// The sums by kind of row and by its beginning.
    rows: BTreeMap<(&'static str, String), (u64, u64)>,
}

impl Truth {
    /// Adds a report on the minute that ends at `end`.
    fn report(&mut self, end: SystemTime, zone: &TimeZone, moved: &[(AccountKey, Bytes)]) {
        let rows = borders::rows_before(end - Duration::from_secs(30), zone);
        let begins = [("fine", rows.fine_s.to_string()), ("hour", rows.hour_s.to_string()), ("day", rows.date)];
        for ((_, bytes), begin) in moved
            .iter()
            .filter(|(_, bytes)| !bytes.is_zero())
            .flat_map(|one| begins.iter().map(move |begin| (one, begin)))
        {
            let sum = self.rows.entry(begin.clone()).or_default();
            *sum = (sum.0 + bytes.sent, sum.1 + bytes.received);
        }
        for (uid, name) in moved.iter().filter_map(|(key, _)| Some((key.uid?, key.user.clone()?))) {
            for (mut key, had) in std::mem::take(&mut self.totals) {
                if (key.uid, &key.user) == (Some(uid), &None) {
                    key.user = Some(name.clone());
                }
                self.add(key, had);
            }
            self.users.insert(uid, name);
        }
        for (key, moved) in moved.iter().filter(|(_, moved)| !moved.is_zero()) {
            let user = key.user.clone().or_else(|| self.users.get(&key.uid?).cloned());
            self.add(AccountKey { user, ..key.clone() }, (moved.sent, moved.received));
        }
    }

    fn add(&mut self, key: AccountKey, (sent, received): (u64, u64)) {
        let sum = self.totals.entry(key).or_default();
        *sum = (sum.0 + sent, sum.1 + received);
    }

    fn sum(&self) -> Bytes {
        self.totals.values().fold(Bytes::default(), |sum, had| bytes(sum.sent + had.0, sum.received + had.1))
    }
}

/// Copies the files as they are on the disk at this moment to a new folder.
fn copy(path: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for end in ["", "-wal"] {
        fs::copy(beside(path, end), beside(&to.join("book.db"), end)).unwrap();
    }
}

fn within(book: &mut Book, report: &Commit, act: impl FnOnce()) {
    // A small cache makes SQLite write pages before the transaction ends.
    book.connection.pragma_update(None, "cache_size", 2).unwrap();
    let transaction = schema::write(&mut book.connection).unwrap();
    commit::book(&transaction, book.epoch, &book.zone, &mut book.accounts, report).unwrap();
    act();
    drop(transaction);
    book.accounts.forget();
}

/// The book's sums by kind of row and by its beginning.
fn rows_of(book: &Book) -> BTreeMap<(&'static str, String), (u64, u64)> {
    let mut rows = BTreeMap::new();
    for (table, begin) in [("fine", "start_s"), ("hour", "start_s"), ("day", "date")] {
        let sql = format!("SELECT CAST({begin} AS TEXT), sum(sent), sum(received) FROM {table} GROUP BY {begin}");
        let mut ask = book.connection.prepare(&sql).unwrap();
        let read = ask.query_map([], |row| Ok(((table, row.get(0)?), (row.get(1)?, row.get(2)?)))).unwrap();
        rows.extend(read.map(Result::unwrap));
    }
    rows
}

/// The sums of each account in a table.
fn by_account(book: &Book, table: &str) -> Vec<(i64, u64, u64)> {
    let sql = format!("SELECT account, sum(sent), sum(received) FROM {table} GROUP BY account ORDER BY account");
    let mut ask = book.connection.prepare(&sql).unwrap();
    ask.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap().map(Result::unwrap).collect()
}

/// The rows that a reader gets, which must be in order of time.
fn read(path: &Path) -> BTreeMap<(&'static str, String), (u64, u64)> {
    let reader = Reader::open(path).unwrap();
    let mut rows = BTreeMap::new();
    for (tier, table) in [(Tier::Fine, "fine"), (Tier::Hour, "hour"), (Tier::Day, "day")] {
        let mut last_s = i64::MIN;
        let each = |start_s: i64, _, moved: Bytes| {
            assert!(start_s >= last_s, "in the order of time");
            last_s = start_s;
            let begin = if tier == Tier::Day {
                borders::date_of(start_s, &TimeZone::UTC).to_string()
            } else {
                start_s.to_string()
            };
            let sum: &mut (u64, u64) = rows.entry((table, begin)).or_default();
            *sum = (sum.0 + moved.sent, sum.1 + moved.received);
        };
        reader.rows(tier, &(0..1 << 40), &TimeZone::UTC, each).unwrap();
    }
    rows
}

fn run(steps: &[Step]) -> Result<(), TestCaseError> {
    let folder = tempfile::tempdir().unwrap();
    let home = |life: usize| folder.path().join(life.to_string()).join("book.db");
    let zone_of = |place: usize| TimeZone::get(ZONES[place]).unwrap();
    let start = |path: &Path, zone: &TimeZone| Book::open(&Opening { zone: zone.clone(), ..opening(path) }).unwrap();
    let mut zone = zone_of(0);
    let mut truth = Truth::default();
    let (mut now, mut path) = (at(BEGIN_S), home(0));
    let mut book = start(&path, &zone).0;
    for (place, step) in steps.iter().enumerate() {
        let seq = u64::try_from(place).unwrap();
        let life = place + 1;
        match step {
            Step::Report(seconds, rows) => {
                now = borders::time(borders::micros(now) + seconds * 1_000_000);
                book.commit(&super::commit(seq, now, &keys(rows))).unwrap();
                truth.report(now, &zone, &keys(rows));
                continue;
            }
            Step::Cut(rows) => {
                within(&mut book, &super::commit(seq, now, &keys(rows)), || ());
                continue;
            }
            Step::Kill(next) => {
                copy(&path, home(life).parent().unwrap());
                zone = zone_of(*next);
            }
            Step::KillWithin(next, rows) => {
                within(&mut book, &super::commit(seq, now, &keys(rows)), || copy(&path, home(life).parent().unwrap()));
                zone = zone_of(*next);
            }
            Step::Restart(next) => {
                drop(book);
                zone = zone_of(*next);
                book = start(&path, &zone).0;
                continue;
            }
        }
        drop(book);
        path = home(life);
        book = start(&path, &zone).0;
    }
    for table in ["fine", "hour", "day", "total", "report"] {
        prop_assert_eq!(sums(&book, table), truth.sum(), "{}", table);
    }
    prop_assert_eq!(rows_of(&book), truth.rows.clone());
    prop_assert_eq!(read(&path), truth.rows.clone());
    for table in ["fine", "hour", "day"] {
        prop_assert_eq!(by_account(&book, table), by_account(&book, "total"), "{}", table);
    }
    drop(book);
    let opened = start(&path, &zone).1;
    let totals: BTreeMap<_, _> = opened.totals.into_iter().map(|(key, had)| (key, (had.sent, had.received))).collect();
    prop_assert_eq!(totals, truth.totals);
    prop_assert_eq!(opened.set_aside, None);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_all_sums_are_the_truth(steps in vec(step(), 0..30)) {
        run(&steps)?;
    }
}
