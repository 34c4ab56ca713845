//! The groups of users, for quotas of groups. A thread of its own asks the directory, which may be a server, and asks
//! again every few minutes. Callers get what is known at once.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use super::directory::Answer;
use crate::book::GroupMembers;

/// How long an answer is valid.
const GOOD: Duration = Duration::from_mins(5);
/// Most users whose groups are known; further ones are in no group. As many as there are accounts at one time.
const MAX_USERS: usize = 65_536;

/// Looks up the gid of a group.
pub type Gid = fn(&str) -> Answer<u32>;
/// Looks up the gids of a user's groups.
pub type GroupsOf = fn(&str) -> Answer<Vec<u32>>;

/// Knows which of some groups users are in.
pub struct Groups {
    known: Arc<Mutex<Known>>,
    hurry: SyncSender<()>,
}

#[derive(Default)]
struct Known {
    /// The groups of each user who was asked about; `None` until the directory has answered.
    users: HashMap<String, Option<Vec<String>>>,
    version: u64,
}

fn locked(known: &Mutex<Known>) -> MutexGuard<'_, Known> {
    known.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Groups {
    /// Starts to look up who is in these groups.
    #[must_use]
    pub fn start(names: Vec<String>, gid: Gid, groups_of: GroupsOf) -> Self {
        let known = Arc::new(Mutex::new(Known::default()));
        let (hurry, hurried) = sync_channel(1);
        if !names.is_empty() {
            let asker = Asker { known: Arc::clone(&known), names, gid, groups_of, warned: HashSet::new() };
            let thread = thread::Builder::new().name("groups".to_owned());
            if let Err(error) = thread.spawn(move || asker.run(&hurried)) {
                tracing::error!("starting a thread failed: {error}; groups of quotas have no members");
            }
        }
        Self { known, hurry }
    }
}

impl GroupMembers for Groups {
    fn is_member(&self, user: &str, group: &str) -> bool {
        let mut known = locked(&self.known);
        if let Some(groups) = known.users.get(user) {
            return groups.as_ref().is_some_and(|groups| groups.iter().any(|name| name == group));
        }
        if known.users.len() < MAX_USERS {
            known.users.insert(user.to_owned(), None);
            // If the channel is full, the thread is about to look anyway.
            let _ = self.hurry.try_send(());
        }
        false
    }

    fn version(&self) -> u64 {
        locked(&self.known).version
    }
}

struct Asker {
    known: Arc<Mutex<Known>>,
    names: Vec<String>,
    gid: Gid,
    groups_of: GroupsOf,
    /// Groups that a warning was written for, until the directory knows them.
    warned: HashSet<String>,
}

impl Asker {
    fn run(mut self, hurried: &Receiver<()>) {
        loop {
            let is_new_alone = match hurried.recv_timeout(GOOD) {
                Ok(()) => true,
                Err(RecvTimeoutError::Timeout) => false,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            self.ask(is_new_alone);
        }
    }

    fn ask(&mut self, is_new_alone: bool) {
        let wanted: Vec<_> = {
            let known = locked(&self.known);
            let users = known.users.iter().filter(|(_, groups)| !is_new_alone || groups.is_none());
            users.map(|(user, _)| user.clone()).collect()
        };
        let (mut numbers, mut unclear) = (Vec::new(), Vec::new());
        for name in &self.names {
            let trouble = match (self.gid)(name) {
                Answer::Known(gid) => {
                    self.warned.remove(name);
                    numbers.push((gid, name));
                    continue;
                }
                Answer::NoSuchUser => "there is no such group".to_owned(),
                Answer::Unclear(errno) | Answer::Failed(errno) => {
                    unclear.push(name);
                    format!("looking it up failed: {errno}; its members stay those that were known")
                }
            };
            if self.warned.insert(name.clone()) {
                tracing::warn!("group {name:?}, which a quota names: {trouble}");
            }
        }
        for user in wanted {
            let mut groups: Vec<String> = match (self.groups_of)(&user) {
                Answer::Known(groups) => {
                    numbers.iter().filter(|(gid, _)| groups.contains(gid)).map(|(_, name)| (*name).clone()).collect()
                }
                Answer::NoSuchUser => Vec::new(),
                Answer::Unclear(_) | Answer::Failed(_) => continue,
            };
            let former = locked(&self.known).users.get(&user).cloned().flatten().unwrap_or_default();
            groups.extend(former.into_iter().filter(|group| unclear.contains(&group)));
            groups.sort_unstable();
            let mut known = locked(&self.known);
            if known.users.get(&user).is_some_and(|former| former.as_ref() != Some(&groups)) {
                known.users.insert(user, Some(groups));
                known.version += 1;
            }
        }
    }
}

/// The same for a caller that can wait: each question is put to the directory once.
pub struct Directory {
    gid: Gid,
    groups_of: GroupsOf,
    users: Mutex<HashMap<String, Vec<u32>>>,
    groups: Mutex<HashMap<String, Option<u32>>>,
    unanswered: Mutex<BTreeSet<String>>,
}

impl Directory {
    /// Uses these functions to ask.
    #[must_use]
    pub fn new(gid: Gid, groups_of: GroupsOf) -> Self {
        Self { gid, groups_of, users: Mutex::default(), groups: Mutex::default(), unanswered: Mutex::default() }
    }

    /// Users and groups for which the directory gave no answer. They count as if they were in no group, or had no members.
    #[must_use]
    pub fn unanswered(&self) -> Vec<String> {
        self.unanswered.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// What is known; `None` if there is none, or if the directory fails, which is remembered for `name`.
    fn known<T>(&self, answer: Answer<T>, name: &str) -> Option<T> {
        match answer {
            Answer::Known(known) => Some(known),
            Answer::NoSuchUser | Answer::Unclear(_) => None,
            Answer::Failed(_) => {
                self.unanswered.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned());
                None
            }
        }
    }
}

impl GroupMembers for Directory {
    fn is_member(&self, user: &str, group: &str) -> bool {
        let mut groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        let ask_group = || self.known((self.gid)(group), group);
        let Some(gid) = *groups.entry(group.to_owned()).or_insert_with(ask_group) else { return false };
        let mut users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        let ask_user = || self.known((self.groups_of)(user), user).unwrap_or_default();
        users.entry(user.to_owned()).or_insert_with(ask_user).contains(&gid)
    }

    fn version(&self) -> u64 {
        0
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use nix::errno::Errno;

    use super::*;

    static IS_DOWN: AtomicBool = AtomicBool::new(false);

    fn gid(group: &str) -> Answer<u32> {
        match group {
            "students" => Answer::Known(7),
            // A part of the directory is missing.
            "staff" => Answer::Unclear(Errno::ENOENT),
            _ => Answer::NoSuchUser,
        }
    }

    fn groups_of(user: &str) -> Answer<Vec<u32>> {
        match user {
            _ if IS_DOWN.load(Ordering::Relaxed) => Answer::Failed(Errno::ETIMEDOUT),
            "ada" => Answer::Known(vec![1, 7]),
            "bob" => Answer::Known(vec![1]),
            _ => Answer::NoSuchUser,
        }
    }

    #[test]
    fn members_are_known_once_the_directory_has_answered_and_stay_so_when_it_fails() {
        let groups = Groups::start(vec!["students".to_owned(), "none".to_owned()], gid, groups_of);
        assert!(!groups.is_member("ada", "students"), "nobody waits for the directory");
        assert!(!groups.is_member("bob", "students"));
        let names = vec!["students".to_owned()];
        let mut asker = Asker { known: Arc::clone(&groups.known), names, gid, groups_of, warned: HashSet::new() };
        asker.ask(false);
        assert!(groups.is_member("ada", "students") && !groups.is_member("bob", "students"));
        let version = groups.version();
        assert!(version > 0);
        IS_DOWN.store(true, Ordering::Relaxed);
        asker.ask(false);
        assert!(groups.is_member("ada", "students"));
        assert_eq!(groups.version(), version);
        let silent = Directory::new(gid, groups_of);
        assert!(!silent.is_member("ada", "students"));
        assert_eq!(silent.unanswered(), ["ada"]);
        IS_DOWN.store(false, Ordering::Relaxed);
        let directory = Directory::new(gid, groups_of);
        assert!(directory.is_member("ada", "students") && !directory.is_member("bob", "students"));
        assert!(!directory.is_member("ada", "none") && !directory.is_member("eve", "students"));
        assert_eq!(directory.unanswered(), [""; 0]);
    }

    #[test]
    fn a_group_of_which_nothing_is_known_keeps_its_members_and_no_other_group_from_being_known() {
        let names = ["staff", "students"].map(str::to_owned).to_vec();
        let known = Arc::new(Mutex::new(Known::default()));
        let user = |user: &str, groups: Option<&str>| {
            let groups = groups.map(|group| vec![group.to_owned()]);
            known.lock().unwrap().users.insert(user.to_owned(), groups);
        };
        user("ada", None);
        user("bob", Some("staff"));
        let gid_of_ada = |user: &str| if user == "ada" { Answer::Known(vec![7]) } else { Answer::Known(vec![1]) };
        let mut asker = Asker { known: Arc::clone(&known), names, gid, groups_of: gid_of_ada, warned: HashSet::new() };
        asker.ask(false);
        let groups = |user: &str| known.lock().unwrap().users[user].clone().unwrap_or_default();
        assert_eq!(groups("ada"), ["students"]);
        assert_eq!(groups("bob"), ["staff"]);
        assert_eq!(asker.warned, HashSet::from(["staff".to_owned()]));
    }
}
