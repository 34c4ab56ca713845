use std::collections::BTreeMap;
use std::fs;

use proptest::collection::vec;
use proptest::prelude::*;

use super::super::{commit, schema};
use super::*;

#[derive(Clone, Debug)]
enum Step {
    /// So many seconds later a report, in which accounts (uid, name, whether of a program, bytes) moved.
    Report(i64, Vec<(u32, usize, bool, u64)>),
    /// One that is cut off before its transaction ends.
    Cut(Vec<(u32, usize, bool, u64)>),
    /// The service is killed and started again, on what is on the disk then.
    Kill,
    /// The same, in the middle of a report.
    KillWithin(Vec<(u32, usize, bool, u64)>),
    /// It is stopped and started again.
    Restart,
}

const NAMES: [Option<&str>; 3] = [None, Some("ada"), Some("bob")];

fn rows() -> impl Strategy<Value = Vec<(u32, usize, bool, u64)>> {
    vec((0_u32..4, 0..NAMES.len(), any::<bool>(), 0_u64..1 << 40), 0..6)
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (-4000_i64..90_000, rows()).prop_map(|(seconds, rows)| Step::Report(seconds, rows)),
        1 => rows().prop_map(Step::Cut),
        1 => Just(Step::Kill),
        1 => rows().prop_map(Step::KillWithin),
        1 => Just(Step::Restart),
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

/// What the book should say, reckoned as simply as can be.
#[derive(Default)]
struct Truth {
    users: BTreeMap<u32, String>,
    totals: BTreeMap<AccountKey, (u64, u64)>,
}

impl Truth {
    fn report(&mut self, moved: &[(AccountKey, Bytes)]) {
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

/// Files as they are on the disk at this moment, in a folder of their own.
fn copy(path: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for end in ["", "-wal"] {
        fs::copy(beside(path, end), beside(&to.join("book.db"), end)).unwrap();
    }
}

fn within(book: &mut Book, report: &Commit, act: impl FnOnce()) {
    // Pages go to the disk before the transaction ends.
    book.connection.pragma_update(None, "cache_size", 2).unwrap();
    let transaction = schema::write(&mut book.connection).unwrap();
    commit::book(&transaction, book.epoch, &book.zone, &mut book.accounts, report).unwrap();
    act();
    drop(transaction);
    book.accounts.forget();
}

fn run(steps: &[Step]) -> Result<(), TestCaseError> {
    let folder = tempfile::tempdir().unwrap();
    let home = |life: usize| folder.path().join(life.to_string()).join("book.db");
    let start =
        |path: &Path| Book::open(&Opening { zone: TimeZone::get("Asia/Kolkata").unwrap(), ..opening(path) }).unwrap();
    let mut truth = Truth::default();
    let (mut now, mut path) = (at(BEGIN_S), home(0));
    let mut book = start(&path).0;
    for (place, step) in steps.iter().enumerate() {
        let seq = u64::try_from(place).unwrap();
        let life = place + 1;
        match step {
            Step::Report(seconds, rows) => {
                now = borders::time(borders::micros(now) + seconds * 1_000_000);
                book.commit(&super::commit(seq, now, &keys(rows))).unwrap();
                truth.report(&keys(rows));
                continue;
            }
            Step::Cut(rows) => {
                within(&mut book, &super::commit(seq, now, &keys(rows)), || ());
                continue;
            }
            Step::Kill => copy(&path, home(life).parent().unwrap()),
            Step::KillWithin(rows) => {
                within(&mut book, &super::commit(seq, now, &keys(rows)), || copy(&path, home(life).parent().unwrap()));
            }
            Step::Restart => {
                drop(book);
                book = start(&path).0;
                continue;
            }
        }
        drop(book);
        path = home(life);
        book = start(&path).0;
    }
    for table in ["fine", "hour", "day", "total", "report"] {
        prop_assert_eq!(sums(&book, table), truth.sum(), "{}", table);
    }
    drop(book);
    let opened = start(&path).1;
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
