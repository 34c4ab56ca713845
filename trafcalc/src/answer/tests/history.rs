//! Books whose exact content is known.

use super::*;

/// Time, account and bytes.
pub(super) type Booked = (Timestamp, AccountKey, Bytes);

/// Two epochs of a service in Berlin, across the end of summer time, and everything that was booked.
pub(super) struct History {
    _folder: tempfile::TempDir,
    pub path: PathBuf,
    /// What moved, when, and by which account.
    pub truth: Vec<Booked>,
    until: Timestamp,
}

pub(super) const BERLIN: &str = "Europe/Berlin";
/// In the evening in UTC, after midnight in Berlin.
pub(super) const BEGIN: &str = "2026-10-10T22:10:00Z";
pub(super) const GAP: (&str, &str) = ("2026-11-04T03:12:30Z", "2026-11-06T11:00:00Z");
pub(super) const END: &str = "2026-11-26T08:03:00Z";

pub(super) fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub(super) fn system(at: Timestamp) -> SystemTime {
    at.try_into().unwrap()
}

pub(super) fn zone(name: &str) -> TimeZone {
    TimeZone::get(name).unwrap()
}

pub(super) fn account(uid: u32, user: Option<&str>, unit: Option<&str>, program: Option<&str>) -> AccountKey {
    let (program, unit) = (program.map(Arc::from), unit.map(Arc::from));
    AccountKey { kind: AccountKind::User, uid: Some(uid), user: user.map(str::to_owned), program, unit, class: None }
}

pub(super) fn nobody(kind: AccountKind) -> AccountKey {
    AccountKey { kind, uid: None, user: None, program: None, unit: None, class: None }
}

pub(super) fn accounts() -> Vec<AccountKey> {
    vec![
        account(1000, Some("alice"), None, None),
        account(1000, Some("alice"), Some("nginx.service"), Some("nginx")),
        account(1000, Some("alice"), Some("ssh.service"), Some("sshd")),
        account(1001, Some("bob"), Some("ssh.service"), Some("sshd")),
        // The same uid, given to another user.
        account(1001, Some("carol"), Some("ssh.service"), Some("rsync")),
        account(1005, None, None, Some("curl")),
        nobody(AccountKind::Unattributed),
        nobody(AccountKind::Other),
    ]
}

/// Reproducible pseudo-random numbers.
pub(super) struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

pub(super) fn opening(path: &Path, zone: TimeZone, now: Timestamp) -> Opening<'_> {
    Opening {
        path,
        zone,
        billing_day: 1,
        boot_id: "boot",
        version: "0.1.0",
        settings: "{}",
        sinks: &[],
        now: system(now),
    }
}

pub(super) fn commit(seq: u64, middle: Timestamp, moved: Vec<Moved>) -> Commit {
    let (middle, half) = (system(middle), Duration::from_millis(500));
    Commit {
        seq,
        start: middle - half,
        end: middle + half,
        monotonic: half * 2,
        moved,
        baseline: None,
        health: "{}".to_owned(),
        records: None,
        gaps: Vec::new(),
        open: crate::capture::OpenNotes::default(),
        ended: false,
    }
}

impl History {
    /// Both epochs in Berlin. Made once, then copied.
    pub fn of_berlin() -> Self {
        static MADE: OnceLock<(Vec<u8>, Vec<Booked>)> = OnceLock::new();
        let (book, truth) = MADE.get_or_init(|| {
            let made = Self::of([BERLIN; 2]);
            (std::fs::read(&made.path).unwrap(), made.truth)
        });
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("book.db");
        std::fs::write(&path, book).unwrap();
        Self { _folder: folder, path, truth: truth.clone(), until: time(END) }
    }

    /// An epoch in each of `zones`.
    pub fn of(zones: [&str; 2]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("book.db");
        let mut history = Self { _folder: folder, path, truth: Vec::new(), until: time(END) };
        history.live(zones[0], time(BEGIN), time(GAP.0), None);
        let gap = Gap { from: system(time(GAP.0)), to: system(time(GAP.1)), cause: "the host went down".to_owned() };
        history.live(zones[1], time(GAP.1), time(END), Some(gap));
        history
    }

    fn live(&mut self, zone_name: &str, from: Timestamp, to: Timestamp, gap: Option<Gap>) {
        let path = self.path.clone();
        let (mut book, _) = Book::open(&opening(&path, zone(zone_name), from)).unwrap();
        let (accounts, mut numbers) = (accounts(), Numbers(from.as_second().unsigned_abs()));
        let (mut at, mut gap) = (from, gap.into_iter().collect::<Vec<_>>());
        for seq in 1.. {
            let middle = at + Duration::from_millis(1_000 * numbers.below(4_000) + 500);
            if middle >= to {
                break;
            }
            at = middle;
            let moved = (0..numbers.below(4)).map(|_| {
                let account = accounts[usize::try_from(numbers.below(8)).unwrap()].clone();
                Moved { account, bytes: Bytes { sent: numbers.below(1 << 30), received: numbers.below(1 << 31) } }
            });
            let moved: Vec<_> = moved.collect();
            self.truth.extend(moved.iter().map(|moved| (middle, moved.account.clone(), moved.bytes)));
            book.commit(&Commit { gaps: std::mem::take(&mut gap), ..commit(seq, middle, moved) }).unwrap();
        }
        let last = to - Duration::from_millis(500);
        book.commit(&Commit { ended: true, ..commit(1_000_000, last, Vec::new()) }).unwrap();
        for _ in 0..60 {
            book.trim(system(to)).unwrap();
        }
    }

    pub fn ask(&self, question: &Question) -> Result<Answer, AnswerError> {
        ask(&Reader::open(&self.path).unwrap(), question, self.until)
    }

    pub fn ask_at(&self, now: &str, question: &Question) -> Result<Answer, AnswerError> {
        ask(&Reader::open(&self.path).unwrap(), question, time(now))
    }

    /// The expected figures of a period by part and owner, computed in the simplest way.
    fn truth(&self, question: &Question, period: &Range<i64>, zone: &TimeZone) -> BTreeMap<(String, Whose), Bytes> {
        let mut truth: BTreeMap<_, Bytes> = BTreeMap::new();
        for (at, key, bytes) in &self.truth {
            if period.contains(&at.as_second()) && is_wanted(key, &question.only) {
                let part = part_name(*at, question, zone);
                *truth.entry((part, whose(key, &question.by))).or_default() += *bytes;
            }
        }
        truth
    }

    /// Asks, and compares every figure with the truth.
    #[track_caller]
    pub fn check(&self, question: &Question, zone: &TimeZone, from: &str, to: &str) -> Answer {
        let answer = self.ask(question).unwrap();
        assert_eq!(answer.period, time(from).as_second()..time(to).as_second(), "{answer:?}");
        let truth = self.truth(question, &answer.period, zone);
        assert_eq!(told(&answer, question, zone), truth, "{question:?}");
        let total = truth.values().fold(Bytes::default(), |total, bytes| rows::sum(total, *bytes));
        assert_eq!(answer.total.bytes, total);
        assert!(!truth.is_empty(), "a test of nothing");
        answer
    }
}

pub(super) fn told(answer: &Answer, question: &Question, zone: &TimeZone) -> BTreeMap<(String, Whose), Bytes> {
    let rows = answer.rows.iter().map(|row| {
        let Label::One(whose) = &row.label else { panic!("there are others") };
        ((part_name(times::at(row.part.start), question, zone), whose.clone()), row.figures.bytes)
    });
    let told: Vec<_> = rows.collect();
    let unique: BTreeMap<_, _> = told.iter().cloned().collect();
    assert_eq!(unique.len(), told.len(), "each comes once");
    unique
}

pub(super) fn is_wanted(key: &AccountKey, only: &Only) -> bool {
    let is =
        |names: &[String], name: Option<&str>| names.is_empty() || names.iter().any(|wanted| Some(&**wanted) == name);
    let uid = key.uid.map(|uid| uid.to_string());
    (is(&only.users, key.user.as_deref()) || is(&only.users, uid.as_deref()))
        && is(&only.units, key.unit.as_deref())
        && is(&only.programs, key.program.as_deref())
}

pub(super) fn whose(key: &AccountKey, by: &[Dimension]) -> Whose {
    let mut whose = Whose { kind: key.kind, uid: None, user: None, unit: None, program: None, class: None };
    for dimension in by {
        match dimension {
            Dimension::User => (whose.uid, whose.user) = (key.uid, key.user.clone()),
            Dimension::Unit => whose.unit.clone_from(&key.unit),
            Dimension::Program => whose.program.clone_from(&key.program),
            Dimension::Class => whose.class.clone_from(&key.class),
        }
    }
    whose
}

pub(super) fn part_name(at: Timestamp, question: &Question, zone: &TimeZone) -> String {
    let zoned = at.to_zoned_datetime(zone.clone());
    match question.each {
        None => String::new(),
        // An hour that occurs twice is two hours.
        Some(Each::Hour) => format!("{} {} {}", zoned.date(), zoned.hour(), zoned.offset()),
        Some(Each::Day) => zoned.date().to_string(),
        Some(Each::Month) => {
            let date = zoned.date();
            let (year, month) = (i32::from(date.year()), i32::from(date.month()));
            let months = year * 12 + month - i32::from(date.day() < question.billing_day.unwrap_or(1));
            format!("{months}")
        }
    }
}
