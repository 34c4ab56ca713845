//! Reports: a snapshot of the ledger with names and a period, as plain data. Sinks and views see nothing else.
//!
//! The fields are in the order of the log. This module must never know how a record is written or where it goes. The
//! same definitions read records back, which a client of the service gets as lines.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

mod detail;
mod merge;
pub(crate) mod rfc3339;
mod totals;

use crate::capture::{By, Health, Owner, Process, User};
use crate::ledger::{Account, Snapshot};

pub use detail::Detail;
pub use merge::Who;
pub use totals::AccountTotals;

/// What is written at once: a record for each account, and a summary, which comes last.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// The clock steps in the period.
    pub steps: Vec<ClockStep>,
    /// A record for each account in the report.
    pub accounts: Vec<AccountRecord>,
    /// The sums, and how far they can be trusted.
    pub summary: Summary,
}

/// The beginning of every record: which report of which service it belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// When the period ended.
    #[serde(with = "rfc3339")]
    pub time: SystemTime,
    /// The host, if it was given a name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<Arc<str>>,
    /// The epoch, one life of the counting. No two have the same number.
    pub epoch: u64,
    /// The number of the report in the epoch. Together they name a report for ever.
    pub seq: u64,
}

/// The wall clock was set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename = "clock")]
pub struct ClockStep {
    /// The report.
    #[serde(flatten)]
    pub stamp: Stamp,
    /// By how many seconds; less than 0 if it was set back.
    pub step_s: f64,
}

/// A time that was not counted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename = "gap")]
pub struct GapRecord {
    /// The report.
    #[serde(flatten)]
    pub stamp: Stamp,
    /// When it began.
    #[serde(with = "rfc3339")]
    pub from: SystemTime,
    /// When it ended.
    #[serde(with = "rfc3339")]
    pub to: SystemTime,
    /// Why.
    pub cause: String,
}

/// A step of a quota was reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename = "quota")]
pub struct QuotaRecord {
    /// The report.
    #[serde(flatten)]
    pub stamp: Stamp,
    /// The name of the quota.
    pub quota: String,
    /// The step, in percent of the limit.
    pub percent: u32,
    /// Bytes that moved in the period so far.
    pub used_bytes: u64,
    /// The limit in bytes.
    pub limit_bytes: u64,
    /// Which bytes count: `sent`, `received` or `both`.
    pub direction: &'static str,
    /// When it starts again from 0: `month` or `day`.
    pub period: &'static str,
    /// When the period began.
    #[serde(with = "rfc3339")]
    pub from: SystemTime,
    /// When it ends.
    #[serde(with = "rfc3339")]
    pub to: SystemTime,
}

/// JSON lines that are sent along with a report.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Beside {
    /// Gaps, which concern all users.
    pub gaps: Vec<u8>,
    /// Quota steps that were reached: only for clients that may see everything.
    pub quotas: Vec<u8>,
}

impl Beside {
    /// Whether there are no such lines.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.gaps.is_empty() && self.quotas.is_empty()
    }
}

/// One account over one period.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename = "account")]
pub struct AccountRecord {
    /// The report.
    #[serde(flatten)]
    pub stamp: Stamp,
    /// Length of the period in seconds, by a monotonic clock.
    pub interval_s: f64,
    /// The uid.
    pub uid: Option<u32>,
    /// The user's name; the uid if the user has no name, or if it is not known yet.
    pub user: Option<String>,
    /// The name of an account that belongs to no user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<Cow<'static, str>>,
    /// What was asked for beyond the user.
    #[serde(flatten)]
    pub detail: Detail,
    /// Bytes sent in the period.
    pub sent_bytes: u64,
    /// Bytes received in the period.
    pub received_bytes: u64,
    /// Bytes sent since the start.
    pub sent_bytes_total: u64,
    /// Bytes received since the start.
    pub received_bytes_total: u64,
}

/// All accounts over one period, and what could not be counted or attributed since the start.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename = "summary")]
pub struct Summary {
    /// The report.
    #[serde(flatten)]
    pub stamp: Stamp,
    /// When counting started; totals count from then.
    #[serde(with = "rfc3339")]
    pub since: SystemTime,
    /// Length of the period in seconds, by a monotonic clock.
    pub interval_s: f64,
    /// The backend.
    pub backend: Cow<'static, str>,
    /// The attach mode of the eBPF programs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attach: Option<Cow<'static, str>>,
    /// The method of the eBPF backend.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<Cow<'static, str>>,
    /// How many accounts there are.
    pub accounts: usize,
    /// Bytes sent in the period.
    pub sent_bytes: u64,
    /// Bytes received in the period.
    pub received_bytes: u64,
    /// Bytes sent since the start.
    pub sent_bytes_total: u64,
    /// Bytes received since the start.
    pub received_bytes_total: u64,
    /// Bytes of local connections whose owner could not be found, both directions.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unattributed_bytes_total: u64,
    /// What else could not be counted or attributed.
    #[serde(flatten)]
    pub health: Health,
    /// Writes to the log that failed, and logs that could not be reopened.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub log_errors_total: u64,
    /// Writes to the book that failed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub book_errors_total: u64,
    /// Configured users, units and interfaces that do not exist yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waiting_for: Vec<String>,
    /// Preferred backends that did not start, a sentence each: in the first report, and whenever this changes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub declined: Vec<String>,
}

/// What a report says about the service itself.
#[derive(Clone, Debug)]
pub struct Source {
    /// The host, if it was given a name.
    pub host: Option<Arc<str>>,
    /// The epoch.
    pub epoch: u64,
    /// When counting started, by the clock as it is set now.
    pub since: SystemTime,
    /// The backend.
    pub backend: &'static str,
    /// The attach mode of the eBPF programs.
    pub attach: Option<&'static str>,
    /// The method of the eBPF backend.
    pub method: Option<&'static str>,
    /// What is configured and does not exist yet.
    pub waiting_for: Vec<String>,
    /// Preferred backends that did not start, a sentence each.
    pub declined: Vec<String>,
    /// What accounts are told apart by.
    pub by: By,
    /// When the host was booted; start times of processes are computed from it.
    pub booted: SystemTime,
}

/// How many writes failed since the start, and the consequences.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Errors {
    /// Writes to the log.
    pub log: u64,
    /// Writes to the book.
    pub book: u64,
    /// Bytes reported by user only, because too much waited to be written.
    pub coarse_bytes: u64,
}

/// What is known of a user's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UserName {
    /// The name, or the last one that was known.
    Known(String),
    /// The directory of users has no user with this uid.
    NoSuchUser,
    /// The directory of users has not answered yet.
    NotKnownYet,
}

impl UserName {
    /// The name in a record: the user's name, or else the uid.
    pub(crate) fn or_number(self, uid: u32) -> String {
        match self {
            Self::Known(name) => name,
            Self::NoSuchUser | Self::NotKnownYet => uid.to_string(),
        }
    }
}

/// Knows the names of numbers. Answers at once.
pub trait Names {
    /// The name of a user.
    fn user(&mut self, uid: u32) -> UserName;

    /// The path of the executable of a process whose program has this name, if the process still runs and may be
    /// inspected.
    fn exe(&mut self, process: Process, program: &str) -> Option<String>;

    /// The name of the container that is an owner's unit, if its runtime provides one.
    fn container(&mut self, owner: &Owner) -> Option<String> {
        let _ = owner;
        None
    }
}

/// The time that a report covers.
#[derive(Clone, Copy, Debug)]
pub struct Period {
    /// The number of its report.
    pub seq: u64,
    /// When it ended.
    pub end: SystemTime,
    /// How long it was.
    pub length: Duration,
    /// By how many seconds the wall clock was set in it.
    pub step_s: Option<f64>,
}

impl Period {
    /// The stamp of its report's records.
    #[must_use]
    pub fn stamp(&self, source: &Source) -> Stamp {
        Stamp { time: self.end, host: source.host.clone(), epoch: source.epoch, seq: self.seq }
    }
}

/// Which accounts get a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Those with bytes in the period.
    Moved,
    /// All.
    All,
}

impl Report {
    /// Adds names and a period to `snapshot`.
    pub fn new(
        snapshot: &Snapshot,
        scope: Scope,
        period: Period,
        source: &Source,
        errors: Errors,
        names: &mut impl Names,
    ) -> Self {
        let told = snapshot.accounts.iter().filter(|account| scope == Scope::All || !account.moved.is_zero());
        let step = |step_s| ClockStep { stamp: period.stamp(source), step_s };
        Self {
            steps: period.step_s.map(step).into_iter().collect(),
            accounts: told.map(|account| AccountRecord::new(account, period, source, names)).collect(),
            summary: Summary::new(snapshot, period, source, errors),
        }
    }
}

impl AccountRecord {
    fn new(account: &Account, period: Period, source: &Source, names: &mut impl Names) -> Self {
        let uid = account.owner.uid();
        let label = match account.owner.user {
            User::Unattributed => Some("(unattributed)"),
            User::Other => Some("(other)"),
            User::Uid(_) => None,
        };
        Self {
            stamp: period.stamp(source),
            interval_s: seconds(period.length),
            uid,
            user: uid.map(|uid| names.user(uid).or_number(uid)),
            account: label.map(Cow::Borrowed),
            detail: Detail::new(&account.owner, source, names),
            sent_bytes: account.moved.sent,
            received_bytes: account.moved.received,
            sent_bytes_total: account.total.sent,
            received_bytes_total: account.total.received,
        }
    }
}

impl Summary {
    /// Sums and health of `snapshot`.
    #[must_use]
    pub fn new(snapshot: &Snapshot, period: Period, source: &Source, errors: Errors) -> Self {
        let Snapshot { accounts, total, moved, unattributed, health } = snapshot;
        Self {
            stamp: period.stamp(source),
            since: source.since,
            interval_s: seconds(period.length),
            backend: source.backend.into(),
            attach: source.attach.map(Cow::Borrowed),
            method: source.method.map(Cow::Borrowed),
            accounts: accounts.len(),
            sent_bytes: moved.sent,
            received_bytes: moved.received,
            sent_bytes_total: total.sent,
            received_bytes_total: total.received,
            unattributed_bytes_total: unattributed.sent + unattributed.received,
            health: Health { coarse_bytes: health.coarse_bytes + errors.coarse_bytes, ..*health },
            log_errors_total: errors.log,
            book_errors_total: errors.book,
            waiting_for: source.waiting_for.clone(),
            declined: source.declined.clone(),
        }
    }
}

/// Numbers of a summary that are not signs of trouble.
const NO_TROUBLE: [&str; 2] = ["pending_bytes", "audited_total"];

impl Summary {
    /// The counters by which totals may be incomplete, late or on the wrong account, as `name=number`.
    #[must_use]
    pub fn troubles(&self) -> Vec<String> {
        let harmless = |name: &&str| Health::NAMES.contains(name) && !Health::TROUBLES.contains(name);
        self.numbers().filter(|(name, _)| !harmless(name)).map(told).collect()
    }

    /// All counters that should be 0, as `name=number`.
    #[must_use]
    pub fn remarks(&self) -> Vec<String> {
        self.numbers().filter(|(name, _)| !NO_TROUBLE.contains(name)).map(told).collect()
    }

    /// The counters that are not 0.
    fn numbers(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let own = [("unattributed_bytes_total", self.unattributed_bytes_total)];
        let errors = [("log_errors_total", self.log_errors_total), ("book_errors_total", self.book_errors_total)];
        own.into_iter().chain(self.health.numbers()).chain(errors).filter(|(_, number)| *number != 0)
    }
}

fn told((name, number): (&str, u64)) -> String {
    format!("{name}={number}")
}

/// In seconds, rounded to milliseconds: more digits would only show how long writing took.
fn seconds(length: Duration) -> f64 {
    (length.as_secs_f64() * 1000.0).round() / 1000.0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference to the field")]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[cfg(test)]
pub(crate) mod samples;
#[cfg(test)]
mod tests;
