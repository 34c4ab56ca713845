//! Subordinate user ids: the ids that a user may give to others in his user namespaces, as rootless containers do.
//!
//! `/etc/subuid` says whose they are, a line `NAME-OR-UID:FIRST:COUNT` for each range (subuid(5)). It is read once, at the
//! start. What is wrong in it is skipped with a warning and never keeps the service from counting.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{self, ErrorKind, Read as _};
use std::path::Path;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use super::directory::{self, Answer};
use crate::capture::SubordinateRange;

/// Where the system keeps them.
pub const FILE: &str = "/etc/subuid";
/// How long the start waits for the directory of users.
const PATIENCE: Duration = Duration::from_secs(5);
/// Most bytes read of the file: some 40,000 lines, and at most 4 MB of ranges.
const MAX_BYTES: usize = 1 << 20;

/// The ranges in the file at `path`, sorted and without overlaps: an id that two lines have is the first one's. None where
/// there is no file, or it cannot be read.
#[must_use]
pub fn read(path: &Path) -> Vec<SubordinateRange> {
    let text = match text(path) {
        Ok(text) => text,
        Err(error) => {
            if error.kind() != ErrorKind::NotFound {
                tracing::warn!(
                    "{}: cannot be read: {error}; subordinate users are accounts of their own",
                    path.display()
                );
            }
            return Vec::new();
        }
    };
    let (ranges, skipped) = parse(&text, &System::within(PATIENCE));
    if let Some(first) = skipped.first() {
        let (path, lines) = (path.display(), skipped.len());
        tracing::warn!(
            "{path}: {lines} lines are not NAME:FIRST:COUNT of a known user, and skipped; the first is {first}"
        );
    }
    ranges
}

/// The whole lines among the first [`MAX_BYTES`] of a file.
fn text(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > MAX_BYTES {
        // A range whose end is cut off would be another range.
        let end = bytes[..MAX_BYTES].iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
        bytes.truncate(end);
        tracing::warn!("{}: only the first {MAX_BYTES} bytes are read", path.display());
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// What has to be known of users.
trait Directory {
    /// The user of this name or number.
    fn uid(&self, name: &str) -> Option<u32>;
    /// Whether the number has a name.
    fn is_user(&self, uid: u32) -> bool;
}

/// The users of this system, as far as its directory tells them in time: it may be a server, for which the start does not
/// wait longer.
struct System {
    /// One at a time.
    questions: SyncSender<Box<dyn FnOnce() + Send>>,
    deadline: Instant,
}

impl System {
    /// Asks in a thread of its own, which ends with its last question; nobody waits for it.
    fn within(patience: Duration) -> Self {
        let (questions, asked) = sync_channel::<Box<dyn FnOnce() + Send>>(1);
        let ask = move || asked.into_iter().for_each(|ask| ask());
        if let Err(error) = thread::Builder::new().name("subuid".to_owned()).spawn(ask) {
            tracing::warn!("starting a thread failed: {error}; subordinate users are accounts of their own");
        }
        Self { questions, deadline: Instant::now() + patience }
    }

    /// What the directory answers; nothing if it takes too long.
    fn ask<T: Send + 'static>(&self, look_up: impl FnOnce() -> Answer<T> + Send + 'static) -> Option<Answer<T>> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return None;
        }
        let (tell, answer) = sync_channel(1);
        // Whoever asked may not listen any more.
        self.questions.send(Box::new(move || drop(tell.send(look_up())))).ok()?;
        answer.recv_timeout(left).ok()
    }
}

impl Directory for System {
    fn uid(&self, name: &str) -> Option<u32> {
        let asked = name.to_owned();
        match self.ask(move || directory::uid(&asked)) {
            Some(Answer::Known(uid)) => Some(uid),
            _ => name.parse().ok(),
        }
    }

    fn is_user(&self, uid: u32) -> bool {
        // Where nobody can say for certain, bytes are rather his own than another's.
        self.ask(move || directory::name(uid)).is_none_or(|answer| answer != Answer::NoSuchUser)
    }
}

/// The ranges in `text`, and the numbers of the lines that are none, counted from 1.
fn parse(text: &str, directory: &impl Directory) -> (Vec<SubordinateRange>, Vec<usize>) {
    let mut ranges = Ranges::default();
    let mut skipped = Vec::new();
    let mut known = HashMap::new();
    let lines = text.lines().zip(1..).filter(|(line, _)| !(line.trim().is_empty() || line.starts_with('#')));
    for (line, number) in lines {
        let uid = |name| *known.entry(name).or_insert_with(|| directory.uid(name));
        match range(line, uid) {
            // `root:1000:1` lets root's containers use an id of this host. Its user does not become root by that.
            Some(SubordinateRange { first, count: 1, .. }) if directory.is_user(first) => {}
            Some(range) => ranges.add(range),
            None => skipped.push(number),
        }
    }
    (ranges.0.into_values().collect(), skipped)
}

fn range<'a>(line: &'a str, uid: impl FnOnce(&'a str) -> Option<u32>) -> Option<SubordinateRange> {
    let mut fields = line.split(':');
    let (name, first, count) = (fields.next()?, fields.next()?, fields.next()?);
    let (first, count): (u32, u32) = (first.parse().ok()?, count.trim_end().parse().ok()?);
    // The end is not above `u32::MAX`, which is `(uid_t) -1` and no user.
    let is_range = fields.next().is_none() && count > 0 && first.checked_add(count).is_some();
    if is_range { Some(SubordinateRange { first, count, owner: uid(name)? }) } else { None }
}

/// Ranges that do not overlap, by their first ids.
#[derive(Default)]
struct Ranges(BTreeMap<u32, SubordinateRange>);

impl Ranges {
    /// Adds the ids of `range` that are in none yet.
    fn add(&mut self, range: SubordinateRange) {
        let end = range.first + range.count;
        let before = self.0.range(..=range.first).next_back().map(|(_, before)| before.first + before.count);
        let mut free_from = before.map_or(range.first, |before| before.max(range.first));
        let taken: Vec<_> = self.0.range(range.first..end).map(|(_, taken)| *taken).collect();
        for taken in taken {
            self.insert(free_from, taken.first, range.owner);
            free_from = free_from.max(taken.first + taken.count);
        }
        self.insert(free_from, end, range.owner);
    }

    fn insert(&mut self, first: u32, end: u32, owner: u32) {
        if first < end {
            self.0.insert(first, SubordinateRange { first, count: end - first, owner });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::fmt::Write as _;

    use super::*;

    /// A directory with two users, which counts the questions.
    #[derive(Default)]
    struct Two {
        asked: Cell<u32>,
    }

    impl Directory for Two {
        fn uid(&self, name: &str) -> Option<u32> {
            self.asked.set(self.asked.get() + 1);
            match name {
                "alice" => Some(1000),
                "bob" => Some(1001),
                number => number.parse().ok(),
            }
        }

        fn is_user(&self, uid: u32) -> bool {
            [0, 1000, 1001].contains(&uid)
        }
    }

    fn parsed(text: &str) -> (Vec<(u32, u32, u32)>, Vec<usize>) {
        let (ranges, skipped) = parse(text, &Two::default());
        (ranges.iter().map(|range| (range.first, range.count, range.owner)).collect(), skipped)
    }

    #[test]
    fn lines_are_ranges_of_names_or_numbers_and_come_sorted() {
        let text = "bob:165536:65536\n\n# a comment\nalice:100000:65536\n1007:300000:1\n";
        let ranges = vec![(100_000, 65_536, 1000), (165_536, 65_536, 1001), (300_000, 1, 1007)];
        assert_eq!(parsed(text), (ranges, vec![]));
        assert_eq!(parsed(""), (vec![], vec![]));
        assert_eq!(parsed("alice:1:4294967294").0, [(1, 4_294_967_294, 1000)], "up to the largest user id");
    }

    #[test]
    fn bad_lines_are_skipped_and_told_by_number() {
        let bad = [
            "carol:100000:65536",
            "alice:100000",
            "alice",
            "alice:100000:65536:7",
            "alice:100000:0",
            "alice:-1:65536",
            "alice:x:65536",
            "alice:100000:many",
            "alice:4294967295:1",
            "alice:4294901760:65536",
            ":100000:65536",
            "alice:99999999999:1",
        ];
        let text = format!("bob:5000:10\n{}\nbob:6000:10\n", bad.join("\n"));
        assert_eq!(parsed(&text), (vec![(5000, 10, 1001), (6000, 10, 1001)], (2..=13).collect()));
    }

    #[test]
    fn an_id_in_two_lines_is_the_first_ones() {
        let first = "alice:1000000:10\nalice:1000020:10\n";
        for (line, bobs) in [
            ("bob:1000000:10", vec![]),
            ("bob:1000002:3", vec![]),
            ("bob:999995:10", vec![(999_995, 5)]),
            ("bob:1000005:10", vec![(1_000_010, 5)]),
            ("bob:1000005:20", vec![(1_000_010, 10)]),
            ("bob:999990:60", vec![(999_990, 10), (1_000_010, 10), (1_000_030, 20)]),
            ("bob:1000010:10", vec![(1_000_010, 10)]),
        ] {
            let (ranges, skipped) = parsed(&format!("{first}{line}"));
            let of = |owner| {
                let ranges = ranges.iter().filter(move |range| range.2 == owner);
                ranges.map(|range| (range.0, range.1)).collect::<Vec<_>>()
            };
            assert_eq!(of(1000), [(1_000_000, 10), (1_000_020, 10)], "{line}");
            assert_eq!(of(1001), bobs, "{line}");
            assert!(skipped.is_empty() && ranges.is_sorted(), "{line}");
        }
    }

    #[test]
    fn a_user_of_this_host_whose_id_root_may_map_stays_himself() {
        assert_eq!(parsed("root:1000:1\n0:1000:1\n0:1002:1"), (vec![(1002, 1, 0)], vec![1]));
    }

    #[test]
    fn each_name_is_asked_for_once() {
        let directory = Two::default();
        let mut text = String::new();
        for first in 1..500 {
            writeln!(text, "alice:{}:10\ncarol:{first}:1", first * 100_000).unwrap();
        }
        assert_eq!(parse(&text, &directory).1.len(), 499);
        assert_eq!(directory.asked.get(), 2);
    }

    #[test]
    fn a_directory_that_hangs_is_not_waited_for() {
        let moment = Duration::from_millis(20);
        let system = System::within(moment);
        let (hang, hangs) = sync_channel::<()>(1);
        let start = Instant::now();
        let answer = system.ask(move || {
            let _ = hangs.recv();
            Answer::Known(7)
        });
        assert_eq!(answer, None);
        assert!(start.elapsed() >= moment);
        assert_eq!(system.uid("root"), None, "the time is over");
        assert_eq!(system.uid("1007"), Some(1007));
        assert!(system.is_user(3_999_999_999), "it is left his own");
        drop(hang);
    }

    #[test]
    fn a_file_is_read_up_to_its_limit_and_may_be_missing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("subuid");
        assert_eq!(read(&path), []);
        assert_eq!(read(folder.path()), [], "a folder cannot be read");
        let (good, cut_off) = ("root:100000:65536\n", "root:500000:20");
        let comment = "#".repeat(MAX_BYTES - good.len() - cut_off.len() - 1);
        std::fs::write(&path, format!("{good}{comment}\n{cut_off}00\n")).unwrap();
        assert_eq!(read(&path), [SubordinateRange { first: 100_000, count: 65_536, owner: 0 }]);
        std::fs::write(&path, b"root:1\xff:7\nroot:200000:7\n").unwrap();
        assert_eq!(read(&path), [SubordinateRange { first: 200_000, count: 7, owner: 0 }]);
    }
}
