//! A snapshot of the ledger with names and a period: plain data, all that sinks and views see.
//!
//! The order of the fields is the order in the log. It must never know how a record is written or where it goes.

use std::time::{Duration, SystemTime};

use serde::{Serialize, Serializer};

use crate::capture::{By, Owner, Process};
use crate::ledger::{Account, Snapshot};

/// What is written at once: a record for each account, and one for all.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// One for each account that is told about.
    pub accounts: Vec<AccountRecord>,
    /// The sums, and how far they can be trusted.
    pub summary: Summary,
}

/// One account over one period.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename = "account")]
pub struct AccountRecord {
    /// When the period ended.
    #[serde(serialize_with = "rfc3339")]
    pub time: SystemTime,
    /// Length of the period in seconds, by a clock that is never set.
    pub interval_s: f64,
    /// The user's number.
    pub uid: Option<u32>,
    /// The user's name; the number where there is no name, or none is known yet.
    pub user: Option<String>,
    /// The name of an account that belongs to no user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<&'static str>,
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

/// What a record tells beyond the user. Empty where nothing is known.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Detail {
    /// Nothing.
    User {},
    /// Of a process.
    Process {
        /// Its number.
        pid: Option<u32>,
        /// When it was started.
        #[serde(serialize_with = "rfc3339_ms")]
        start_time: Option<SystemTime>,
        /// The last part of the path of its program.
        program: Option<String>,
        /// The path of its program, where it is still running and may be looked at.
        exe: Option<String>,
    },
    /// Of a program.
    Program {
        /// The last part of its path.
        program: Option<String>,
    },
    /// Of a systemd unit or container.
    Unit {
        /// Its name, or the id of a cgroup that was gone before it was looked up.
        unit: Option<String>,
    },
}

/// All accounts over one period, and what could not be counted or attributed since the start.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename = "summary")]
pub struct Summary {
    /// When the period ended.
    #[serde(serialize_with = "rfc3339")]
    pub time: SystemTime,
    /// When counting started: totals are since then.
    #[serde(serialize_with = "rfc3339")]
    pub since: SystemTime,
    /// Length of the period in seconds, by a clock that is never set.
    pub interval_s: f64,
    /// Who counted.
    pub backend: &'static str,
    /// How the eBPF program is hooked in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attach: Option<&'static str>,
    /// How the eBPF program comes to look at connections.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<&'static str>,
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
    pub unattributed_bytes_total: u64,
    /// Bytes for which there was no room to keep an owner, both directions.
    pub overflow_bytes_total: u64,
    /// Events that the kernel did not deliver.
    pub lost_events_total: u64,
    /// Connections whose totals may be short.
    pub gaps: u64,
    /// Bytes whose owner is still being looked up: in no account yet.
    pub pending_bytes: u64,
    /// Bytes credited to the user of the listening socket, because the connection's own socket was gone.
    pub listener_bytes_total: u64,
    /// Packets that could not be understood.
    pub malformed_packets_total: u64,
    /// Owner look-ups that were put off because too many were waiting.
    pub delayed_lookups_total: u64,
    /// Connections older than the service, counted from the first event that it saw.
    pub late_connections_total: u64,
    /// Connections for which a table had no room, credited to `(other)` when they ended.
    pub unfollowed_connections_total: u64,
    /// Bytes that have their user, but not the process, program or unit that was asked for.
    pub coarse_bytes_total: u64,
    /// Connections of which, at their end, the kernel was asked what they had moved.
    pub audited_total: u64,
    /// Those of which it said something else than was counted.
    pub audit_mismatch_total: u64,
    /// Reports that could not be written, and logs that could not be reopened.
    pub log_errors_total: u64,
    /// What is configured and not there yet: users, units, interfaces.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub waiting_for: Vec<String>,
    /// Better backends that did not start, a sentence each.
    pub declined: Vec<String>,
}

/// What a report says about the service itself.
#[derive(Clone, Debug)]
pub struct Source {
    /// When counting started.
    pub since: SystemTime,
    /// Who counts.
    pub backend: &'static str,
    /// How the eBPF program is hooked in.
    pub attach: Option<&'static str>,
    /// How the eBPF program comes to look at connections.
    pub method: Option<&'static str>,
    /// What is configured and not there yet.
    pub waiting_for: Vec<String>,
    /// Better backends that did not start, a sentence each.
    pub declined: Vec<String>,
    /// What accounts are told apart by.
    pub by: By,
    /// When the host was started, as far as the start of processes is reckoned from it.
    pub booted: SystemTime,
}

/// What is known of a user's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UserName {
    /// The name, or the last one that was known.
    Known(String),
    /// The directory of users knows nobody of this number.
    NoSuchUser,
    /// The directory of users has not answered yet.
    NotKnownYet,
}

impl UserName {
    /// What a record has: the name, or else the number.
    fn or_number(self, uid: u32) -> String {
        match self {
            Self::Known(name) => name,
            Self::NoSuchUser | Self::NotKnownYet => uid.to_string(),
        }
    }
}

/// Who knows the names of numbers. It answers at once.
pub trait Names {
    /// The name of a user.
    fn user(&mut self, uid: u32) -> UserName;

    /// The path of a process's program, if it is still running and may be looked at.
    fn exe(&mut self, process: &Process) -> Option<String>;
}

/// The time a report is about.
#[derive(Clone, Copy, Debug)]
pub struct Period {
    /// When it ended.
    pub end: SystemTime,
    /// How long it was.
    pub length: Duration,
}

/// Which accounts get a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Those that moved in the period.
    Moved,
    /// All.
    All,
}

impl Report {
    /// Puts names and a period to `snapshot`.
    pub fn new(
        snapshot: &Snapshot,
        scope: Scope,
        period: Period,
        source: &Source,
        log_errors: u64,
        names: &mut impl Names,
    ) -> Self {
        let told = snapshot.accounts.iter().filter(|account| scope == Scope::All || !account.unreported.is_zero());
        Self {
            accounts: told.map(|account| AccountRecord::new(account, period, source, names)).collect(),
            summary: Summary::new(snapshot, period, source, log_errors),
        }
    }
}

impl AccountRecord {
    fn new(account: &Account, period: Period, source: &Source, names: &mut impl Names) -> Self {
        let uid = account.owner.uid();
        let label = match account.owner {
            Owner::Unattributed => Some("(unattributed)"),
            Owner::Other => Some("(other)"),
            _ => None,
        };
        Self {
            time: period.end,
            interval_s: seconds(period.length),
            uid,
            user: uid.map(|uid| names.user(uid).or_number(uid)),
            account: label,
            detail: Detail::new(&account.owner, source, names),
            sent_bytes: account.unreported.sent,
            received_bytes: account.unreported.received,
            sent_bytes_total: account.total.sent,
            received_bytes_total: account.total.received,
        }
    }
}

impl Detail {
    fn new(owner: &Owner, source: &Source, names: &mut impl Names) -> Self {
        match (source.by, owner) {
            (By::User, _) => Self::User {},
            (By::Process, Owner::Process(_, process)) => Self::Process {
                pid: Some(process.pid),
                start_time: Some(source.booted + Duration::from_nanos(process.started_ns)),
                program: Some(process.program.to_string()),
                exe: names.exe(process),
            },
            (By::Process, _) => Self::Process { pid: None, start_time: None, program: None, exe: None },
            (By::Program, Owner::Program(_, name)) => Self::Program { program: Some(name.to_string()) },
            (By::Program, _) => Self::Program { program: None },
            (By::Unit, Owner::Unit(_, name)) => Self::Unit { unit: Some(name.to_string()) },
            (By::Unit, _) => Self::Unit { unit: None },
        }
    }
}

impl Summary {
    /// Sums and health of `snapshot`.
    #[must_use]
    pub fn new(snapshot: &Snapshot, period: Period, source: &Source, log_errors: u64) -> Self {
        let Snapshot { accounts, total, unreported, health } = snapshot;
        let unattributed = accounts.iter().filter(|account| account.owner == Owner::Unattributed);
        Self {
            time: period.end,
            since: source.since,
            interval_s: seconds(period.length),
            backend: source.backend,
            attach: source.attach,
            method: source.method,
            accounts: accounts.len(),
            sent_bytes: unreported.sent,
            received_bytes: unreported.received,
            sent_bytes_total: total.sent,
            received_bytes_total: total.received,
            unattributed_bytes_total: unattributed.map(|account| account.total.sent + account.total.received).sum(),
            overflow_bytes_total: health.overflow_bytes,
            lost_events_total: health.lost_events,
            gaps: health.gaps,
            pending_bytes: health.pending_bytes,
            listener_bytes_total: health.listener_bytes,
            malformed_packets_total: health.malformed_packets,
            delayed_lookups_total: health.delayed_lookups,
            late_connections_total: health.late_connections,
            unfollowed_connections_total: health.unfollowed_connections,
            coarse_bytes_total: health.coarse_bytes,
            audited_total: health.audited,
            audit_mismatch_total: health.audit_mismatches,
            log_errors_total: log_errors,
            waiting_for: source.waiting_for.clone(),
            declined: source.declined.clone(),
        }
    }
}

/// In seconds, to the millisecond: more digits than that would only tell how long writing took.
fn seconds(length: Duration) -> f64 {
    (length.as_secs_f64() * 1000.0).round() / 1000.0
}

fn rfc3339<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&humantime::format_rfc3339_seconds(*time))
}

/// To the millisecond: of two processes with one number, one may follow the other within a second.
#[expect(clippy::ref_option, reason = "serde hands over a reference to the field")]
fn rfc3339_ms<S: Serializer>(time: &Option<SystemTime>, serializer: S) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => serializer.collect_str(&humantime::format_rfc3339_millis(*time)),
        None => serializer.serialize_none(),
    }
}

#[cfg(test)]
pub(crate) mod samples;
#[cfg(test)]
mod tests;
