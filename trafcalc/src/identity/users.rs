//! The names of users.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use nix::unistd::{Uid, User};

/// Most names remembered; beyond it all are asked for again. As many as there are accounts at most: of fewer, a report of
/// all accounts would find none remembered. A name takes some 100 bytes, so all take 7 MB.
const MAX_NAMES: usize = 65_536;
/// How long a name is believed: users are renamed and removed, but asking a directory server at each report is rude.
const MAX_AGE: Duration = Duration::from_mins(5);

/// Names of users, asked for once in a while.
pub struct Users {
    known: HashMap<u32, Known>,
    look_up: fn(u32) -> Option<String>,
}

struct Known {
    name: String,
    since: Instant,
}

impl Default for Users {
    fn default() -> Self {
        Self { known: HashMap::new(), look_up }
    }
}

impl Users {
    /// The name of the user `uid`; the number itself where the system knows no such user, or cannot say.
    pub fn name(&mut self, uid: u32, now: Instant) -> &str {
        if self.known.len() >= MAX_NAMES && !self.known.contains_key(&uid) {
            self.known.clear();
        }
        let fresh = || Known { name: (self.look_up)(uid).unwrap_or_else(|| uid.to_string()), since: now };
        let known = self.known.entry(uid).or_insert_with(fresh);
        if now.saturating_duration_since(known.since) > MAX_AGE {
            *known = fresh();
        }
        &known.name
    }
}

/// The number of the user who has this name, or else this number, by `getpwnam_r(3)`, which may ask a directory server.
pub(super) fn uid(name: &str) -> Option<u32> {
    let known = User::from_name(name).ok().flatten().map(|user| user.uid.as_raw());
    known.or_else(|| name.parse().ok())
}

/// Asks the system (`getpwuid_r(3)`, which may ask a directory server).
pub(super) fn look_up(uid: u32) -> Option<String> {
    User::from_uid(Uid::from_raw(uid)).ok().flatten().map(|user| user.name)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    static ASKED: AtomicU32 = AtomicU32::new(0);

    /// Renames the first user at each question; knows no other.
    fn rename_at_each_question(uid: u32) -> Option<String> {
        (uid == 1).then(|| format!("name{}", ASKED.fetch_add(1, Ordering::Relaxed)))
    }

    #[test]
    fn root_has_a_name_and_an_unknown_uid_is_its_number() {
        let mut users = Users::default();
        let now = Instant::now();
        assert_eq!(users.name(0, now), "root");
        assert_eq!(users.name(3_999_999_999, now), "3999999999");
    }

    #[test]
    fn a_name_is_believed_for_a_while_and_then_asked_for_again() {
        let mut users = Users { known: HashMap::new(), look_up: rename_at_each_question };
        let start = Instant::now();
        let first = users.name(1, start).to_owned();
        assert_eq!(users.name(1, start + MAX_AGE), first);
        assert_ne!(users.name(1, start + MAX_AGE + Duration::from_secs(1)), first);
    }

    #[test]
    fn memory_is_bounded() {
        let mut users = Users { known: HashMap::new(), look_up: |_| None };
        let now = Instant::now();
        for uid in 0..70_000 {
            assert_eq!(users.name(uid, now), uid.to_string());
            assert!(users.known.len() <= MAX_NAMES);
        }
    }

    #[test]
    fn a_report_of_all_accounts_asks_for_each_name_once() {
        static ASKED: AtomicU32 = AtomicU32::new(0);
        fn count(_: u32) -> Option<String> {
            ASKED.fetch_add(1, Ordering::Relaxed);
            None
        }
        let mut users = Users { known: HashMap::new(), look_up: count };
        let now = Instant::now();
        let accounts = u32::try_from(crate::ledger::MAX_ACCOUNTS).unwrap();
        for _report in 0..2 {
            (0..accounts).for_each(|uid| drop(users.name(uid, now).to_owned()));
        }
        assert_eq!(ASKED.load(Ordering::Relaxed), accounts);
    }
}
