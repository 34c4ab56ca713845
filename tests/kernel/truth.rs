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

/// Whose bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Account {
    User(u32),
    /// As traffic programs tell it.
    Actor {
        uid: u32,
        pid: u32,
        program: String,
        /// The last part of the path of its cgroup, if the scenario has put it into one.
        unit: String,
        /// The user as whom it acted.
        acting: u32,
    },
    Process {
        uid: u32,
        pid: u32,
        program: String,
    },
    Program {
        uid: u32,
        program: String,
    },
    Unit {
        uid: u32,
        unit: String,
    },
    /// `(unattributed)` or `(other)`.
    Named(String),
}

/// What the service is asked to tell accounts apart by.
#[derive(Clone, Copy, Debug)]
pub(crate) enum By {
    User,
    Process,
    Program,
    Unit,
    /// By user, but the one as whom a process acts.
    Acting,
}

impl By {
    pub(crate) const fn option(self) -> &'static str {
        match self {
            Self::User => "--by=user",
            Self::Process => "--by=process",
            Self::Program => "--by=program",
            Self::Unit => "--by=unit",
            Self::Acting => "--owner=acting",
        }
    }
}

impl Account {
    pub(crate) const fn uid(&self) -> Option<u32> {
        match self {
            Self::User(uid)
            | Self::Actor { uid, .. }
            | Self::Process { uid, .. }
            | Self::Program { uid, .. }
            | Self::Unit { uid, .. } => Some(*uid),
            Self::Named(_) => None,
        }
    }

    fn by(self, what: By) -> Self {
        match (what, self) {
            (By::User, Self::Actor { uid, .. }) => Self::User(uid),
            (By::Process, Self::Actor { uid, pid, program, .. }) => Self::Process { uid, pid, program },
            (By::Program, Self::Actor { uid, program, .. }) => Self::Program { uid, program },
            (By::Unit, Self::Actor { uid, unit, .. }) => Self::Unit { uid, unit },
            (By::Acting, Self::Actor { acting, .. }) => Self::User(acting),
            (_, other) => other,
        }
    }
}

impl Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(uid) => write!(f, "{uid}"),
            Self::Actor { uid, pid, program, unit, acting } => write!(f, "{uid}/{acting}/{unit}/{program}/{pid}"),
            Self::Process { uid, pid, program } => write!(f, "{uid}/{program}/{pid}"),
            Self::Program { uid, program } => write!(f, "{uid}/{program}"),
            Self::Unit { uid, unit } => write!(f, "{uid}/{unit}"),
            Self::Named(name) => f.write_str(name),
        }
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

    /// The same with the bytes of each user in the account of another, or his own.
    pub(crate) fn with_users(self, owner: impl Fn(u32) -> u32) -> Self {
        let mut table = Self::default();
        for (account, bytes) in self.0 {
            let account = if let Account::User(uid) = account { Account::User(owner(uid)) } else { account };
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
        self.get(&Account::User(uid))
    }

    pub(crate) fn named(&self, name: &str) -> Bytes {
        self.get(&Account::Named(name.to_owned()))
    }

    /// Takes these users out of the comparison.
    pub(crate) fn forget(&mut self, users: &[u32]) {
        self.0.retain(|account, _| !users.iter().any(|&uid| *account == Account::User(uid)));
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
