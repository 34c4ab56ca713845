//! Waits for users and units that are to be counted and do not exist yet. A thread looks for them repeatedly and ends
//! when all have been found.
//!
//! A mistyped option is an error at once, but a configuration that will become right must not end the service. The
//! daemon's loop takes the news when it asks the backend, and passes new uids on (`Backend::want`).
//! `Wanted::users_to_come` enables the filter of users while it is still empty. Units and interfaces are filtered by
//! name, so the backend need not be told about them. The packet backend looks up again the owners of connections that
//! matched no filter so far.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use super::directory::Answer;
use super::wanted::WantedError;
use crate::capture::{Hierarchy, SubordinateRange, owner_of};

/// Pause between two looks.
const PAUSE: Duration = Duration::from_secs(5);
/// Most news that wait to be taken; then the thread waits.
const MAX_NEWS: usize = 64;

/// Looks up the uid of a user by name.
pub type LookUp = fn(&str) -> Answer<u32>;

/// What the thread found out.
#[derive(Debug)]
enum News {
    /// The directory's answer for a user's name.
    User(String, Answer<u32>),
    /// This unit exists.
    Unit(String),
}

/// The users and units that do not exist yet.
#[derive(Default)]
pub struct Waiting {
    users: BTreeSet<String>,
    units: BTreeSet<String>,
    /// Users who appeared but have no account of their own.
    refused: BTreeSet<String>,
    subordinates: Vec<SubordinateRange>,
    line: Option<Line>,
}

/// The channels to the thread.
struct Line {
    news: Receiver<News>,
    hurry: SyncSender<()>,
}

/// The directory's answer for each user at the start, if it came in time.
pub(super) type FirstAnswers = Vec<(String, Option<Answer<u32>>)>;

impl Waiting {
    /// Looks for `users` and `units`; `mounts` is the mount table by which units are found. Returns the directory's
    /// answers that came within `patience`, and goes on looking for the missing ones.
    pub(super) fn start(
        users: &[String],
        units: &[String],
        mounts: PathBuf,
        subordinates: &[SubordinateRange],
        look_up: LookUp,
        patience: Duration,
    ) -> (Self, FirstAnswers) {
        let mut first: FirstAnswers = users.iter().map(|name| (name.clone(), None)).collect();
        if users.is_empty() && units.is_empty() {
            return (Self::default(), first);
        }
        let (news_sender, news) = sync_channel(MAX_NEWS);
        let (hurry, hurried) = sync_channel(1);
        let seeker = Seeker { users: users.to_vec(), units: units.to_vec(), mounts, look_up, news: news_sender };
        if let Err(error) = thread::Builder::new().name("wanted".to_owned()).spawn(move || seeker.run(&hurried)) {
            tracing::error!("starting a thread failed: {error}; missing users and units are not looked for again");
        }
        let deadline = Instant::now() + patience;
        while first.iter().any(|(_, answer)| answer.is_none()) {
            match news.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(News::User(name, answer)) => {
                    first.iter_mut().filter(|(of, _)| *of == name).for_each(|(_, first)| *first = Some(answer));
                }
                Ok(News::Unit(_)) => {}
                Err(_) => break,
            }
        }
        let units = units.iter().cloned().collect();
        let line = Some(Line { news, hurry });
        (Self { units, subordinates: subordinates.to_vec(), line, ..Self::default() }, first)
    }

    /// Waits for a user.
    pub(super) fn add_user(&mut self, name: &str) {
        self.users.insert(name.to_owned());
    }

    /// The number of users waited for.
    pub(super) fn users(&self) -> usize {
        self.users.len()
    }

    /// The users who appeared since the last call.
    pub fn come(&mut self) -> Vec<u32> {
        let news: Vec<News> = self.line.iter().flat_map(|line| line.news.try_iter()).collect();
        news.into_iter().filter_map(|news| self.hear(news)).collect()
    }

    fn hear(&mut self, news: News) -> Option<u32> {
        match news {
            News::User(name, Answer::Known(uid)) if self.users.remove(&name) => {
                let owner = owner_of(&self.subordinates, uid);
                if owner == uid {
                    tracing::info!("the user {name:?} exists now, and is counted from now on");
                    return Some(uid);
                }
                tracing::error!("the user {name:?} is not counted: {}", WantedError::Subordinate { uid, owner });
                self.refused.insert(name);
            }
            News::User(..) => {}
            News::Unit(name) => {
                if self.units.remove(&name) {
                    tracing::info!("the unit {name:?} exists now, and is counted");
                }
            }
        }
        None
    }

    /// The missing users and units, for people.
    pub fn names(&self) -> impl Iterator<Item = String> {
        let users = self.users.iter().chain(&self.refused).map(|name| format!("user {name}"));
        users.chain(self.units.iter().map(|name| format!("unit {name}")))
    }

    /// Requests a look now.
    pub fn hurry(&self) {
        if let Some(line) = &self.line {
            // The thread may have ended, having found all. If the channel is full, it is about to look anyway.
            let _ = line.hurry.try_send(());
        }
    }
}

/// The state of the thread.
struct Seeker {
    users: Vec<String>,
    units: Vec<String>,
    mounts: PathBuf,
    look_up: LookUp,
    news: SyncSender<News>,
}

impl Seeker {
    fn run(mut self, hurried: &Receiver<()>) {
        let mut is_first = true;
        while self.look(is_first).is_some() && !(self.users.is_empty() && self.units.is_empty()) {
            if hurried.recv_timeout(PAUSE) == Err(RecvTimeoutError::Disconnected) {
                return;
            }
            is_first = false;
        }
    }

    /// Reports who exists, and at the first look also who does not; returns `None` when the receiver is gone. A number
    /// that is no user's name is not looked for again: it is used as a uid.
    fn look(&mut self, is_first: bool) -> Option<()> {
        for name in std::mem::take(&mut self.users) {
            let answer = (self.look_up)(&name);
            let is_known = matches!(answer, Answer::Known(_));
            if is_first || is_known {
                self.news.send(News::User(name.clone(), answer)).ok()?;
            }
            if !is_known && name.parse::<u32>().is_err() {
                self.users.push(name);
            }
        }
        if self.units.is_empty() {
            return Some(());
        }
        let is_there = Hierarchy::mounted(&self.mounts).has_parts(&self.units);
        let (found, absent): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.units).into_iter().zip(is_there).partition(|(_, is_there)| *is_there);
        self.units = absent.into_iter().map(|(name, _)| name).collect();
        found.into_iter().try_for_each(|(name, _)| self.news.send(News::Unit(name)).ok())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicBool, Ordering};

    use nix::errno::Errno;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    fn start(users: &[&str], look_up: LookUp) -> (Waiting, FirstAnswers) {
        let users: Vec<_> = users.iter().map(|&name| name.to_owned()).collect();
        let ranges = [SubordinateRange { first: 100, count: 10, owner: 7 }];
        Waiting::start(&users, &[], "/nonexistent".into(), &ranges, look_up, PATIENCE)
    }

    /// Requests looks until somebody has appeared, or it takes too long.
    fn next(waiting: &mut Waiting) -> Vec<u32> {
        let end = Instant::now() + PATIENCE;
        loop {
            waiting.hurry();
            let come = waiting.come();
            if !come.is_empty() || waiting.users() == 0 || Instant::now() > end {
                return come;
            }
            thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn who_is_not_there_is_looked_for_again_until_he_is() {
        static IS_UP: AtomicBool = AtomicBool::new(false);
        fn look_up(name: &str) -> Answer<u32> {
            match (name, IS_UP.load(Ordering::Relaxed)) {
                ("alice", true) => Answer::Known(1000),
                ("bob", _) => Answer::Known(1001),
                (_, true) => Answer::NoSuchUser,
                (_, false) => Answer::Failed(Errno::ETIMEDOUT),
            }
        }
        let (mut waiting, first) = start(&["alice", "bob"], look_up);
        assert_eq!(first[0].1, Some(Answer::Failed(Errno::ETIMEDOUT)));
        assert_eq!(first[1].1, Some(Answer::Known(1001)));
        waiting.add_user("alice");
        assert_eq!(waiting.names().collect::<Vec<_>>(), ["user alice"]);
        waiting.hurry();
        assert!(waiting.come().is_empty());
        IS_UP.store(true, Ordering::Relaxed);
        assert_eq!(next(&mut waiting), [1000]);
        assert_eq!(waiting.names().count(), 0);
    }

    #[test]
    fn a_subordinate_user_who_comes_is_not_counted_and_goes_on_being_told() {
        let (mut waiting, _) = start(&["sub"], |_| Answer::Known(105));
        waiting.add_user("sub");
        // The first answer was taken by `start`.
        assert_eq!(waiting.hear(News::User("sub".to_owned(), Answer::Known(105))), None);
        assert_eq!(waiting.names().collect::<Vec<_>>(), ["user sub"]);
        assert_eq!(waiting.users(), 0);
    }

    #[test]
    fn a_directory_that_hangs_is_not_waited_for() {
        static HANGS: Mutex<()> = Mutex::new(());
        fn look_up(_: &str) -> Answer<u32> {
            drop(HANGS.lock());
            Answer::NoSuchUser
        }
        let hangs = HANGS.lock().unwrap();
        let moment = Duration::from_millis(1);
        let users = ["alice".to_owned()];
        let (waiting, first) = Waiting::start(&users, &[], "/nonexistent".into(), &[], look_up, moment);
        assert_eq!(first, [("alice".to_owned(), None)]);
        drop(waiting);
        drop(hangs);
    }

    #[test]
    fn a_unit_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let (mounts, root) = (folder.path().join("mounts"), folder.path().join("unified"));
        std::fs::create_dir(&root).unwrap();
        std::fs::write(&mounts, format!("cgroup2 {} cgroup2 rw 0 0\n", root.display())).unwrap();
        let units = ["a.service".to_owned()];
        let look_up: LookUp = |_| Answer::NoSuchUser;
        let (mut waiting, _) = Waiting::start(&[], &units, mounts, &[], look_up, PATIENCE);
        assert_eq!(waiting.names().collect::<Vec<_>>(), ["unit a.service"]);
        std::fs::create_dir(root.join("a.service")).unwrap();
        let end = Instant::now() + PATIENCE;
        while waiting.names().count() > 0 && Instant::now() < end {
            waiting.hurry();
            assert!(waiting.come().is_empty());
            thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(waiting.names().count(), 0);
    }
}
