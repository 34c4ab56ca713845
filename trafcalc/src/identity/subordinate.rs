//! Subordinate user ids: the ids that a user may assign in user namespaces, as rootless containers do.
//!
//! `/etc/subuid` lists the ranges, a line `NAME-OR-UID:FIRST:COUNT` for each (subuid(5)). It is read at the start, and
//! again when it changes. Wrong lines are skipped with a warning and never keep the service from counting.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{self, ErrorKind, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use super::directory::{self, Answer};
use crate::capture::SubordinateRange;

/// The file.
pub const FILE: &str = "/etc/subuid";
/// How long the start waits for the directory of users.
const PATIENCE: Duration = Duration::from_secs(5);
/// Pause between two checks whether the file has changed.
const PAUSE: Duration = Duration::from_secs(5);
/// Most bytes of the file that are read: some 40,000 lines, and at most 4 MB of ranges.
const MAX_BYTES: usize = 1 << 20;

/// The ranges in the file at the start, and its changes.
#[derive(Default)]
pub struct Subordinates {
    ranges: Vec<SubordinateRange>,
    line: Option<Line>,
}

/// The channels to the watching thread.
struct Line {
    changes: Receiver<Vec<SubordinateRange>>,
    hurry: SyncSender<()>,
}

impl Subordinates {
    /// Reads the file at `path`, and starts a thread that checks it for changes.
    #[must_use]
    pub fn watch(path: &Path) -> Self {
        let mut watched = Watched::new(path.to_owned());
        let ranges = watched.ranges.clone();
        let (tell, changes) = sync_channel(1);
        let (hurry, hurried) = sync_channel::<()>(1);
        let look = move || {
            while hurried.recv_timeout(PAUSE) != Err(RecvTimeoutError::Disconnected) {
                if watched.look() && tell.send(watched.ranges.clone()).is_err() {
                    return;
                }
            }
        };
        if let Err(error) = thread::Builder::new().name("subuid-watch".to_owned()).spawn(look) {
            tracing::warn!("starting a thread failed: {error}; {} is not read again", path.display());
        }
        Self { ranges, line: Some(Line { changes, hurry }) }
    }

    /// The ranges at the start.
    #[must_use]
    pub fn ranges(&self) -> &[SubordinateRange] {
        &self.ranges
    }

    /// The current ranges, if the file changed since the last call.
    #[must_use]
    pub fn changed(&self) -> Option<Vec<SubordinateRange>> {
        self.line.as_ref()?.changes.try_iter().last()
    }

    /// Requests that the file is checked now.
    pub fn hurry(&self) {
        if let Some(line) = &self.line {
            // If the channel is full, the thread is about to check anyway.
            let _ = line.hurry.try_send(());
        }
    }
}

/// Distinguishes versions of a file: device, inode, length, and time of the last change.
type Signature = (u64, u64, u64, i64, i64);

/// A file that is read again when it has changed.
struct Watched {
    path: PathBuf,
    signature: Option<Signature>,
    /// Whether the directory of users answered every question at the last read; otherwise the file is read again at the
    /// next check.
    is_complete: bool,
    ranges: Vec<SubordinateRange>,
    /// The uids of the users in the file, in case the directory does not answer later. At most one for each line.
    owners: HashMap<String, u32>,
}

impl Watched {
    fn new(path: PathBuf) -> Self {
        let (ranges, owners) = (Vec::new(), HashMap::new());
        let mut watched = Self { path, signature: None, is_complete: false, ranges, owners };
        watched.look();
        watched
    }

    /// Reads the file if needed; returns whether the ranges changed. If it cannot be read, the former ranges stay.
    fn look(&mut self) -> bool {
        self.look_with(|| System::within(PATIENCE))
    }

    fn look_with<D: Directory>(&mut self, directory: impl FnOnce() -> D) -> bool {
        // Taken before reading, so that a change during the read is noticed at the next check.
        let signature = signature(&self.path);
        let is_same = signature == self.signature;
        if is_same && self.is_complete {
            return false;
        }
        self.signature = signature;
        let read = read(&self.path, &directory(), &self.owners);
        self.is_complete = read.as_ref().is_none_or(|read| read.is_complete);
        let Some(read) = read else { return false };
        if !is_same {
            read.warn(&self.path);
        }
        self.owners = read.owners;
        let is_other = read.ranges != self.ranges;
        self.ranges = read.ranges;
        is_other
    }
}

fn signature(path: &Path) -> Option<Signature> {
    let file = std::fs::metadata(path).ok()?;
    Some((file.dev(), file.ino(), file.len(), file.ctime(), file.ctime_nsec()))
}

/// The content of a file.
#[derive(Default)]
struct Parsed {
    /// Sorted and without overlaps: an id that is in two lines belongs to the first.
    ranges: Vec<SubordinateRange>,
    /// The uids of the users in the file.
    owners: HashMap<String, u32>,
    /// The numbers of the invalid lines, counted from 1.
    skipped: Vec<usize>,
    /// Whether the directory answered every question.
    is_complete: bool,
}

impl Parsed {
    fn warn(&self, path: &Path) {
        let path = path.display();
        if let Some(first) = self.skipped.first() {
            let lines = self.skipped.len();
            tracing::warn!(
                "{path}: {lines} lines are not NAME:FIRST:COUNT of a known user, and skipped; the first is {first}"
            );
        }
        if !self.is_complete {
            tracing::warn!("{path}: the directory of users did not answer for every line, and is asked again");
        }
    }
}

/// The content of the file at `path`; `None` if it cannot be read. A file that does not exist has no ranges.
fn read(path: &Path, directory: &impl Directory, former: &HashMap<String, u32>) -> Option<Parsed> {
    match text(path) {
        Ok(text) => Some(parse(&text, directory, former)),
        Err(error) if error.kind() == ErrorKind::NotFound => Some(Parsed { is_complete: true, ..Parsed::default() }),
        Err(error) => {
            tracing::warn!("{}: cannot be read: {error}; its ranges of subordinate users are not used", path.display());
            None
        }
    }
}

/// The whole lines among the first [`MAX_BYTES`] of a file.
fn text(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > MAX_BYTES {
        // A range whose end is cut off would be a different range.
        let end = bytes[..MAX_BYTES].iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
        bytes.truncate(end);
        tracing::warn!("{}: only the first {MAX_BYTES} bytes are read", path.display());
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The owner of a line's range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    Known(u32),
    NoSuchUser,
    /// The directory did not answer, or not in time.
    NoAnswer,
}

/// The questions about users.
trait Directory {
    /// The user with this name or uid.
    fn uid(&self, name: &str) -> Owner;
    /// Whether the uid has a name; `None` without an answer.
    fn is_user(&self, uid: u32) -> Option<bool>;
}

/// The users of this system, as far as its directory answers in time. The directory may be a server, and the start does
/// not wait longer for it.
struct System {
    /// Answered one at a time.
    questions: SyncSender<Box<dyn FnOnce() + Send>>,
    deadline: Instant,
}

impl System {
    /// Starts a detached thread that asks. It ends after its last question.
    fn within(patience: Duration) -> Self {
        let (questions, asked) = sync_channel::<Box<dyn FnOnce() + Send>>(1);
        let ask = move || asked.into_iter().for_each(|ask| ask());
        if let Err(error) = thread::Builder::new().name("subuid".to_owned()).spawn(ask) {
            tracing::warn!("starting a thread failed: {error}; subordinate users are accounts of their own");
        }
        Self { questions, deadline: Instant::now() + patience }
    }

    /// The directory's answer; `None` if it takes too long.
    fn ask<T: Send + 'static>(&self, look_up: impl FnOnce() -> Answer<T> + Send + 'static) -> Option<Answer<T>> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return None;
        }
        let (tell, answer) = sync_channel(1);
        // The caller may have stopped waiting.
        self.questions.send(Box::new(move || drop(tell.send(look_up())))).ok()?;
        answer.recv_timeout(left).ok()
    }
}

impl Directory for System {
    fn uid(&self, name: &str) -> Owner {
        let asked = name.to_owned();
        let answer = self.ask(move || directory::uid(&asked));
        match (answer, name.parse()) {
            (Some(Answer::Known(uid)), _) | (_, Ok(uid)) => Owner::Known(uid),
            (Some(Answer::NoSuchUser), _) => Owner::NoSuchUser,
            _ => Owner::NoAnswer,
        }
    }

    fn is_user(&self, uid: u32) -> Option<bool> {
        match self.ask(move || directory::name(uid))? {
            Answer::Known(_) => Some(true),
            Answer::NoSuchUser => Some(false),
            Answer::Unclear(_) | Answer::Failed(_) => None,
        }
    }
}

/// Parses `text`. If the directory does not answer for a name, the uid in `former` is used.
fn parse(text: &str, directory: &impl Directory, former: &HashMap<String, u32>) -> Parsed {
    let mut ranges = Ranges::default();
    let (mut skipped, mut is_complete) = (Vec::new(), true);
    let mut known = HashMap::new();
    let lines = text.lines().zip(1..).filter(|(line, _)| !(line.trim().is_empty() || line.starts_with('#')));
    for (line, number) in lines {
        let mut ask = |name| match directory.uid(name) {
            Owner::Known(uid) => Some(uid),
            Owner::NoSuchUser => None,
            Owner::NoAnswer => {
                is_complete = false;
                former.get(name).copied()
            }
        };
        let Some(range) = range(line, |name| *known.entry(name).or_insert_with(|| ask(name))) else {
            skipped.push(number);
            continue;
        };
        // `root:1000:1` lets root's containers use an id of this host, but the bytes of user 1000 are not root's. If
        // the directory cannot say whether that user exists, the range is left out.
        let is_user = if range.count == 1 { directory.is_user(range.first) } else { Some(false) };
        is_complete &= is_user.is_some();
        if is_user == Some(false) {
            ranges.add(range);
        }
    }
    let owners = known.into_iter().filter_map(|(name, uid)| Some((name.to_owned(), uid?))).collect();
    Parsed { ranges: ranges.0.into_values().collect(), owners, skipped, is_complete }
}

fn range<'a>(line: &'a str, uid: impl FnOnce(&'a str) -> Option<u32>) -> Option<SubordinateRange> {
    let mut fields = line.split(':');
    let (name, first, count) = (fields.next()?, fields.next()?, fields.next()?);
    let (first, count): (u32, u32) = (first.parse().ok()?, count.trim_end().parse().ok()?);
    // The range must not contain `u32::MAX`, which is `(uid_t) -1` and no user.
    let is_range = fields.next().is_none() && count > 0 && first.checked_add(count).is_some();
    if is_range { Some(SubordinateRange { first, count, owner: uid(name)? }) } else { None }
}

/// Ranges that do not overlap, by their first id.
#[derive(Default)]
struct Ranges(BTreeMap<u32, SubordinateRange>);

impl Ranges {
    /// Adds the ids of `range` that are in no other range yet.
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
mod tests;
