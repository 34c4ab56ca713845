//! Truth and count: bytes by account, and the comparison of the two.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Display, Write as _};

use anyhow::{Result, bail};

/// Payload bytes in both directions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bytes {
    pub(crate) sent: u64,
    pub(crate) received: u64,
}

impl std::ops::AddAssign for Bytes {
    fn add_assign(&mut self, other: Self) {
        self.sent += other.sent;
        self.received += other.received;
    }
}

impl Bytes {
    /// How far this is from `other` in each direction.
    fn minus(self, other: Self) -> (i128, i128) {
        let difference = |a: u64, b: u64| i128::from(a) - i128::from(b);
        (difference(self.sent, other.sent), difference(self.received, other.received))
    }
}

/// Whose bytes, as far as told: of a traffic program all of it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Account {
    pub(crate) uid: Option<u32>,
    /// `(unattributed)` or `(other)`, of an account that is no user's.
    pub(crate) name: Option<String>,
    pub(crate) pid: Option<u32>,
    pub(crate) program: Option<String>,
    /// The last part of the path of its cgroup; empty if the scenario has put a traffic program into none.
    pub(crate) unit: Option<String>,
    /// The user as whom a traffic program acted.
    pub(crate) acting: Option<u32>,
    /// The class of the network of its peers, where a scenario tells.
    pub(crate) class: Option<String>,
}

/// What the service is asked to tell accounts apart by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct By {
    words: &'static [&'static str],
    /// The user is the one as whom a process acts.
    acting: bool,
}

impl By {
    pub(crate) const USER: Self = Self::words(&["user"]);
    pub(crate) const PROCESS: Self = Self::words(&["process"]);
    pub(crate) const PROGRAM: Self = Self::words(&["program"]);
    pub(crate) const UNIT: Self = Self::words(&["unit"]);
    pub(crate) const PROGRAM_AND_UNIT: Self = Self::words(&["user", "unit", "program"]);
    pub(crate) const PROCESS_AND_UNIT: Self = Self::words(&["process", "unit"]);
    pub(crate) const ACTING: Self = Self { acting: true, ..Self::USER };

    const fn words(words: &'static [&'static str]) -> Self {
        Self { words, acting: false }
    }

    pub(crate) fn option(self) -> String {
        if self.acting { "--owner=acting".to_owned() } else { format!("--by={}", self.words.join(",")) }
    }

    fn tells(self, word: &str) -> bool {
        self.words.contains(&word)
    }
}

impl Account {
    pub(crate) fn user(uid: u32) -> Self {
        Self { uid: Some(uid), ..Self::default() }
    }

    pub(crate) fn named(name: &str) -> Self {
        Self { name: Some(name.to_owned()), ..Self::default() }
    }

    /// Whether nothing but the user is told.
    pub(crate) const fn is_user(&self) -> bool {
        self.uid.is_some() && self.pid.is_none() && self.program.is_none() && self.unit.is_none()
    }

    fn by(self, what: By) -> Self {
        Self {
            uid: if what.acting { self.acting } else { self.uid },
            pid: self.pid.filter(|_| what.tells("process")),
            program: self.program.filter(|_| what.tells("program") || what.tells("process")),
            unit: self.unit.filter(|_| what.tells("unit")),
            acting: None,
            name: self.name,
            class: self.class,
        }
    }
}

impl Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { uid, name, pid, program, unit, acting, class } = self;
        let number = |number: &Option<u32>| number.map(|number| number.to_string());
        let texts = [unit.clone(), program.clone(), number(pid), class.clone()];
        let parts = [number(uid), name.clone(), number(acting)].into_iter().chain(texts);
        f.write_str(&parts.flatten().collect::<Vec<_>>().join("/"))
    }
}

/// Bytes of every account: what the traffic programs say, or what the service says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Table(pub(crate) BTreeMap<Account, Bytes>);

impl Table {
    pub(crate) fn add(&mut self, account: Account, bytes: Bytes) {
        *self.0.entry(account).or_default() += bytes;
    }

    pub(crate) fn merge(&mut self, other: Self) {
        for (account, bytes) in other.0 {
            self.add(account, bytes);
        }
    }

    /// What actors did, as accounts that are told apart by `what`.
    pub(crate) fn by(self, what: By) -> Self {
        let mut table = Self::default();
        for (account, bytes) in self.0 {
            table.add(account.by(what), bytes);
        }
        table
    }

    /// The same with all classes of an account together.
    pub(crate) fn without_classes(self) -> Self {
        let mut table = Self::default();
        for (account, bytes) in self.0 {
            table.add(Account { class: None, ..account }, bytes);
        }
        table
    }

    /// The same with the bytes of each user in the account of another, or his own.
    pub(crate) fn with_users(self, owner: impl Fn(u32) -> u32) -> Self {
        let mut table = Self::default();
        for (account, bytes) in self.0 {
            let account = match account.uid {
                Some(uid) if account.is_user() => Account::user(owner(uid)),
                _ => account,
            };
            table.add(account, bytes);
        }
        table
    }

    /// The accounts that are wanted, and the others.
    pub(crate) fn split(self, is_wanted: impl Fn(&Account) -> bool) -> (Self, Self) {
        let (wanted, others) = self.0.into_iter().partition(|(account, _)| is_wanted(account));
        (Self(wanted), Self(others))
    }

    /// What has come since; accounts that have not moved are left out.
    pub(crate) fn since(mut self, before: &Self) -> Self {
        for (account, bytes) in &mut self.0 {
            let earlier = before.get(account);
            bytes.sent -= earlier.sent;
            bytes.received -= earlier.received;
        }
        self.0.retain(|_, bytes| *bytes != Bytes::default());
        self
    }

    pub(crate) fn user(&self, uid: u32) -> Bytes {
        self.get(&Account::user(uid))
    }

    pub(crate) fn named(&self, name: &str) -> Bytes {
        self.get(&Account::named(name))
    }

    /// Takes these users out of the comparison.
    pub(crate) fn forget(&mut self, users: &[u32]) {
        self.0.retain(|account, _| !users.iter().any(|&uid| *account == Account::user(uid)));
    }

    /// All accounts together.
    pub(crate) fn total(&self) -> Bytes {
        let mut total = Bytes::default();
        self.0.values().for_each(|&bytes| total += bytes);
        total
    }

    fn get(&self, account: &Account) -> Bytes {
        self.0.get(account).copied().unwrap_or_default()
    }

    /// Checks that every account of either table has the same bytes in both.
    pub(crate) fn must_equal(&self, truth: &Self) -> Result<()> {
        let accounts: BTreeSet<_> = self.0.keys().chain(truth.0.keys()).collect();
        if accounts.iter().all(|account| self.get(account) == truth.get(account)) {
            return Ok(());
        }
        bail!("the count is not the truth\n{}", self.beside(truth));
    }

    /// Both tables and their difference.
    pub(crate) fn beside(&self, truth: &Self) -> String {
        let mut text = format!("{:>24} {:>8} {:>16} {:>16} {:>12}\n", "account", "", "truth", "counted", "difference");
        for account in self.0.keys().chain(truth.0.keys()).collect::<BTreeSet<_>>() {
            let (counted, true_bytes) = (self.get(account), truth.get(account));
            let (sent, received) = counted.minus(true_bytes);
            let rows = [
                ("sent", true_bytes.sent, counted.sent, sent),
                ("received", true_bytes.received, counted.received, received),
            ];
            for (direction, truth, counted, difference) in rows {
                let account = account.to_string();
                let _ = writeln!(text, "{account:>24} {direction:>8} {truth:>16} {counted:>16} {difference:>12}");
            }
        }
        text
    }
}
