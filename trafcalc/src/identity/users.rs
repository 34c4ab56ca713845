//! The names of users, as far as they are known. A thread of its own asks for them, because a directory server may take
//! seconds for each; callers never wait for it.
//!
//! Questions go through a bounded queue, and answers are cached for five minutes. A report shows the last known name,
//! or else the uid. Names of new users are requested as soon as a batch contains them, and a report waits 2 ms for the
//! answers, so that names from a file are in the first report. If the directory is slower, reports do not wait again
//! until it has caught up. The last report waits 500 ms. An error does not mean "no such user", and a single negative
//! answer does not remove a known name. Names of earlier epochs come from the book. The thread is detached, so the
//! service never waits for an answer when it ends.

use std::collections::HashMap;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use super::directory::{self, Answer};
use crate::report::UserName;

/// Most names cached; beyond it the cache is cleared. As many as there are accounts: with fewer, a report of all
/// accounts would find none cached. A name takes some 100 bytes, so all take 7 MB.
const MAX_NAMES: usize = 65_536;
/// Most questions that wait for the directory (64 KB); further ones are asked at the next report.
const MAX_QUESTIONS: usize = 4096;
/// Most answers that wait until the next report takes them; then the thread waits. 64 KB.
const MAX_ANSWERS: usize = 1024;
/// How long a name is valid: users are renamed and removed, but a directory server should not be asked for each report.
const MAX_AGE: Duration = Duration::from_mins(5);
/// How long the answer that a uid has no name is valid: some directories give it while they start.
const NOBODY_AGE: Duration = Duration::from_mins(1);
/// When to repeat a question that the directory could not answer.
const RETRY: Duration = Duration::from_secs(5);
/// After so many unclear answers in a row (no such user, or a part of the directory is missing), a uid that never had a
/// name is taken to have none: a minute.
const MAX_DOUBTS: u8 = 12;
/// How long a report waits for answers to new questions, so that names from a file are in the first report. While the
/// directory takes longer, reports do not wait.
const GRACE: Duration = Duration::from_millis(2);
/// How long the last report waits, however slow the directory is: no later report will have the names.
const LAST_GRACE: Duration = Duration::from_millis(500);

/// Names of users, asked for from time to time.
pub struct Users {
    known: HashMap<u32, Entry>,
    questions: SyncSender<u32>,
    answers: Receiver<(u32, Answer<String>)>,
    /// Number of unanswered questions.
    open: usize,
    /// Whether the directory took longer than [`GRACE`] and has not caught up yet.
    is_slow: bool,
    /// Whether the last answer was an error.
    is_failing: bool,
}

struct Entry {
    name: UserName,
    /// When to ask again; `None` while the question is open.
    ask_at: Option<Instant>,
    /// How many times in a row the answer was that there may be no such user.
    doubts: u8,
}

impl Entry {
    /// Takes an answer; returns how long it is valid.
    fn learn(&mut self, answer: Answer<String>) -> Duration {
        let is_known = matches!(self.name, UserName::Known(_));
        match answer {
            Answer::Known(name) => {
                (self.name, self.doubts) = (UserName::Known(name), 0);
                MAX_AGE
            }
            // A single negative answer does not remove a name: some directories give it while they start.
            Answer::NoSuchUser if is_known && self.doubts == 0 => {
                self.doubts = 1;
                NOBODY_AGE
            }
            Answer::NoSuchUser => {
                self.name = UserName::NoSuchUser;
                NOBODY_AGE
            }
            Answer::Unclear(_) if !is_known && self.doubts >= MAX_DOUBTS => {
                self.name = UserName::NoSuchUser;
                NOBODY_AGE
            }
            Answer::Unclear(_) => {
                self.doubts += u8::from(!is_known);
                RETRY
            }
            Answer::Failed(_) => RETRY,
        }
    }
}

impl Default for Users {
    /// The users of this system. The thread is detached and ends after its last question.
    fn default() -> Self {
        let (questions, asked) = sync_channel(MAX_QUESTIONS);
        let (answer, answers) = sync_channel(MAX_ANSWERS);
        let ask = move || {
            for uid in asked {
                if answer.send((uid, directory::name(uid))).is_err() {
                    break;
                }
            }
        };
        if let Err(error) = thread::Builder::new().name("names".to_owned()).spawn(ask) {
            tracing::warn!("starting a thread failed: {error}; users are reported by number");
        }
        Self::asking(questions, answers)
    }
}

impl Users {
    fn asking(questions: SyncSender<u32>, answers: Receiver<(u32, Answer<String>)>) -> Self {
        Self { known: HashMap::new(), questions, answers, open: 0, is_slow: false, is_failing: false }
    }

    /// Requests a user's name if nothing is known of it, so that it is known when it is needed.
    pub fn expect(&mut self, uid: u32) {
        if self.known.contains_key(&uid) || !self.ask(uid) {
            return;
        }
        if self.known.len() >= MAX_NAMES {
            self.known.clear();
        }
        self.known.insert(uid, Entry { name: UserName::NotKnownYet, ask_at: None, doubts: 0 });
    }

    /// Uses these last known names until the directory gives others.
    pub fn remember(&mut self, names: impl IntoIterator<Item = (u32, String)>, now: Instant) {
        for (uid, name) in names.into_iter().take(MAX_NAMES) {
            self.known.insert(uid, Entry { name: UserName::Known(name), ask_at: Some(now), doubts: 0 });
        }
    }

    /// Takes the available answers, and waits briefly for open ones.
    pub fn catch_up(&mut self, now: Instant) {
        self.take_answers(now);
        if !self.is_slow {
            self.wait(GRACE, now);
        }
    }

    /// The same before the last report.
    pub fn catch_up_at_the_end(&mut self, now: Instant) {
        self.wait(LAST_GRACE, now);
    }

    fn wait(&mut self, grace: Duration, now: Instant) {
        let end = Instant::now() + grace;
        while self.open > 0 {
            let left = end.saturating_duration_since(Instant::now());
            let Ok((uid, answer)) = self.answers.recv_timeout(left) else {
                self.is_slow = true;
                return;
            };
            self.learn(uid, answer, now);
        }
    }

    /// What is known of a user's name. An expired name is used until there is a new answer.
    pub fn name(&mut self, uid: u32, now: Instant) -> UserName {
        self.expect(uid);
        let is_due = self.known.get(&uid).and_then(|entry| entry.ask_at).is_some_and(|at| now >= at);
        let is_asked = is_due && self.ask(uid);
        let Some(entry) = self.known.get_mut(&uid) else { return UserName::NotKnownYet };
        if is_asked {
            entry.ask_at = None;
        }
        entry.name.clone()
    }

    /// Sends a question if there is room; returns whether it was sent.
    fn ask(&mut self, uid: u32) -> bool {
        let is_asked = self.questions.try_send(uid).is_ok();
        self.open += usize::from(is_asked);
        is_asked
    }

    fn take_answers(&mut self, now: Instant) {
        while let Ok((uid, answer)) = self.answers.try_recv() {
            self.learn(uid, answer, now);
        }
    }

    fn learn(&mut self, uid: u32, answer: Answer<String>, now: Instant) {
        self.open = self.open.saturating_sub(1);
        self.is_slow &= self.open > 0;
        self.note_state(&answer);
        let Some(entry) = self.known.get_mut(&uid) else { return };
        entry.ask_at = Some(now + entry.learn(answer));
    }

    /// Logs once when the directory fails, and once when it answers again.
    fn note_state(&mut self, answer: &Answer<String>) {
        match answer {
            Answer::Failed(errno) if !self.is_failing => tracing::warn!(
                "the directory of users does not answer: {errno}; known names are kept, other users are reported by number"
            ),
            Answer::Known(_) | Answer::NoSuchUser if self.is_failing => {
                tracing::info!("the directory of users answers again");
            }
            _ => {}
        }
        self.is_failing = matches!(answer, Answer::Failed(_));
    }
}

#[cfg(test)]
mod tests {
    use nix::errno::Errno;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// The users of a directory that is played by the test.
    struct Played {
        users: Users,
        asked: Receiver<u32>,
        answer: SyncSender<(u32, Answer<String>)>,
        now: Instant,
    }

    impl Played {
        fn with_room(questions: usize) -> Self {
            let (questions, asked) = sync_channel(questions);
            let (answer, answers) = sync_channel(MAX_ANSWERS);
            Self { users: Users::asking(questions, answers), asked, answer, now: Instant::now() }
        }

        fn after(&mut self, time: Duration) -> &mut Self {
            self.now += time;
            self
        }

        fn name(&mut self, uid: u32) -> UserName {
            self.users.name(uid, self.now)
        }

        fn asked(&self) -> Vec<u32> {
            self.asked.try_iter().collect()
        }

        fn answers(&mut self, uid: u32, answer: Answer<&str>) {
            let answer = match answer {
                Answer::Known(name) => Answer::Known(name.to_owned()),
                Answer::NoSuchUser => Answer::NoSuchUser,
                Answer::Unclear(errno) => Answer::Unclear(errno),
                Answer::Failed(errno) => Answer::Failed(errno),
            };
            self.answer.send((uid, answer)).unwrap();
            self.users.take_answers(self.now);
        }
    }

    fn known(name: &str) -> UserName {
        UserName::Known(name.to_owned())
    }

    #[test]
    fn a_name_is_not_known_until_it_is_answered_and_asked_for_once() {
        let mut played = Played::with_room(8);
        assert_eq!(played.name(1), UserName::NotKnownYet);
        assert_eq!(played.after(MAX_AGE * 2).name(1), UserName::NotKnownYet);
        assert_eq!(played.asked(), [1]);
        played.answers(1, Answer::Known("alice"));
        assert_eq!(played.name(1), known("alice"));
        assert!(played.asked().is_empty());
    }

    #[test]
    fn an_old_name_is_used_while_it_is_asked_for_again() {
        let mut played = Played::with_room(8);
        played.name(1);
        played.answers(1, Answer::Known("alice"));
        assert_eq!(played.after(MAX_AGE.saturating_sub(SECOND)).name(1), known("alice"));
        assert_eq!(played.asked(), [1], "only the first time");
        assert_eq!(played.after(SECOND).name(1), known("alice"));
        assert_eq!(played.after(MAX_AGE).name(1), known("alice"));
        assert_eq!(played.asked(), [1]);
        played.answers(1, Answer::Known("alicia"));
        assert_eq!(played.name(1), known("alicia"));
    }

    #[test]
    fn an_error_keeps_the_last_name_and_is_asked_again_soon() {
        let mut played = Played::with_room(8);
        played.name(1);
        played.answers(1, Answer::Failed(Errno::ETIMEDOUT));
        assert_eq!(played.name(1), UserName::NotKnownYet, "an error is not a missing user");
        assert_eq!(played.after(RETRY).name(1), UserName::NotKnownYet);
        assert_eq!(played.asked(), [1, 1]);
        played.answers(1, Answer::Known("alice"));
        assert_eq!(played.after(MAX_AGE).name(1), known("alice"));
        played.answers(1, Answer::Failed(Errno::EIO));
        assert_eq!(played.after(RETRY.saturating_sub(SECOND)).name(1), known("alice"));
        assert_eq!(played.asked(), [1]);
        assert_eq!(played.after(SECOND).name(1), known("alice"));
        assert_eq!(played.asked(), [1]);
    }

    #[test]
    fn that_there_is_no_such_user_is_believed_for_a_shorter_time() {
        let mut played = Played::with_room(8);
        played.name(1);
        played.answers(1, Answer::NoSuchUser);
        assert_eq!(played.after(NOBODY_AGE.saturating_sub(SECOND)).name(1), UserName::NoSuchUser);
        assert_eq!(played.asked(), [1]);
        assert_eq!(played.after(SECOND).name(1), UserName::NoSuchUser);
        assert_eq!(played.asked(), [1]);
    }

    #[test]
    fn a_name_that_was_known_is_not_lost_by_one_answer() {
        let mut played = Played::with_room(8);
        played.name(1);
        played.answers(1, Answer::Known("alice"));
        for unclear in [Errno::ENOENT, Errno::ESRCH] {
            for _ in 0..2 * MAX_DOUBTS {
                played.after(MAX_AGE).name(1);
                played.answers(1, Answer::Unclear(unclear));
            }
            assert_eq!(played.name(1), known("alice"), "{unclear}: a server that is not there says so, too");
        }
        played.after(RETRY).name(1);
        played.asked();
        played.answers(1, Answer::NoSuchUser);
        assert_eq!(played.name(1), known("alice"));
        assert_eq!(played.after(NOBODY_AGE).name(1), known("alice"));
        assert_eq!(played.asked(), [1], "it is asked again soon");
        played.answers(1, Answer::NoSuchUser);
        assert_eq!(played.name(1), UserName::NoSuchUser);
    }

    #[test]
    fn a_number_that_never_had_a_name_has_none_after_a_minute_of_unclear_answers() {
        let mut played = Played::with_room(8);
        for _ in 0..=MAX_DOUBTS {
            assert_eq!(played.name(1), UserName::NotKnownYet);
            assert_eq!(played.asked(), [1]);
            played.answers(1, Answer::Unclear(Errno::ENOENT));
            played.after(RETRY);
        }
        assert_eq!(played.name(1), UserName::NoSuchUser);
        played.after(NOBODY_AGE).name(1);
        played.answers(1, Answer::Known("alice"));
        assert_eq!(played.name(1), known("alice"));
    }

    #[test]
    fn the_name_of_a_former_life_is_used_until_there_is_a_newer_one() {
        let mut played = Played::with_room(8);
        played.users.remember([(1, "alice".to_owned())], played.now);
        assert_eq!(played.name(1), known("alice"));
        assert_eq!(played.asked(), [1], "it is asked for all the same");
        played.answers(1, Answer::Unclear(Errno::ENOENT));
        assert_eq!(played.after(RETRY).name(1), known("alice"));
        played.answers(1, Answer::Known("alicia"));
        assert_eq!(played.name(1), known("alicia"));
    }

    #[test]
    fn a_question_for_which_there_is_no_room_is_asked_at_the_next_report() {
        let mut played = Played::with_room(2);
        for uid in 1..=3 {
            assert_eq!(played.name(uid), UserName::NotKnownYet);
        }
        assert_eq!(played.asked(), [1, 2]);
        for uid in 1..=3 {
            played.name(uid);
        }
        assert_eq!(played.asked(), [3]);
        played.answers(1, Answer::Known("alice"));
        played.after(MAX_AGE).users.expect(4);
        played.users.expect(5);
        assert_eq!(played.name(1), known("alice"), "there is no room");
        assert_eq!(played.asked(), [4, 5]);
        assert_eq!(played.name(1), known("alice"));
        assert_eq!(played.asked(), [1]);
    }

    #[test]
    fn names_from_a_file_are_in_the_first_report() {
        let mut users = Users::default();
        let now = Instant::now();
        users.expect(0);
        users.expect(3_999_999_999);
        // On a machine that is busy with something else a moment may be too short.
        users.wait(Duration::from_secs(20), now);
        assert_eq!(users.name(0, now), known("root"));
        assert_eq!(users.name(3_999_999_999, now), UserName::NoSuchUser);
    }

    #[test]
    fn a_report_waits_for_a_slow_directory_a_moment_and_only_once() {
        let mut played = Played::with_room(8);
        played.users.expect(1);
        let start = Instant::now();
        played.users.catch_up(played.now);
        assert!(start.elapsed() >= GRACE);
        assert!(played.users.is_slow);
        played.users.expect(2);
        played.answers(1, Answer::Known("alice"));
        assert!(played.users.is_slow, "there is another question");
        played.answers(2, Answer::NoSuchUser);
        assert!(!played.users.is_slow);
    }

    #[test]
    fn without_a_thread_users_are_told_by_number() {
        let (questions, _) = sync_channel(8);
        let (_, answers) = sync_channel(8);
        let mut users = Users::asking(questions, answers);
        let now = Instant::now();
        users.expect(1);
        users.catch_up(now);
        assert_eq!(users.name(1, now), UserName::NotKnownYet);
    }

    #[test]
    fn the_last_report_waits_longer_but_not_for_ever() {
        let mut played = Played::with_room(8);
        played.users.expect(1);
        played.users.catch_up(played.now);
        assert!(played.users.is_slow);
        let answer = played.answer.clone();
        let late = thread::spawn(move || {
            thread::sleep(GRACE * 5);
            answer.send((1, Answer::Known("alice".to_owned()))).unwrap();
        });
        played.users.catch_up_at_the_end(played.now);
        assert_eq!(played.name(1), known("alice"));
        late.join().unwrap();
        played.users.expect(2);
        let start = Instant::now();
        played.users.catch_up_at_the_end(played.now);
        assert!((LAST_GRACE..LAST_GRACE * 8).contains(&start.elapsed()));
    }

    #[test]
    fn a_report_of_all_accounts_asks_for_each_name_once_and_memory_is_bounded() {
        let accounts = u32::try_from(crate::ledger::MAX_ACCOUNTS).unwrap();
        let mut played = Played::with_room(MAX_QUESTIONS);
        let mut asked = 0;
        for _report in 0..(accounts as usize / MAX_QUESTIONS + 2) {
            for uid in 0..accounts {
                played.name(uid);
            }
            for uid in played.asked() {
                asked += 1;
                played.answers(uid, Answer::NoSuchUser);
            }
        }
        assert_eq!(asked, accounts);
        for uid in accounts..accounts + 5_000 {
            played.name(uid);
            assert!(played.users.known.len() <= MAX_NAMES);
            played.asked();
        }
    }
}
