//! Merges two reports, for a reader that did not take the first in time. Pure.

use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::{AccountRecord, Detail, Report, Summary};
use std::time::SystemTime;

/// What identifies the account of a record.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Who {
    uid: Option<u32>,
    account: Option<Cow<'static, str>>,
    pid: Option<u32>,
    start_time: Option<SystemTime>,
    program: Option<String>,
    unit: Option<String>,
    class: Option<String>,
}

impl Who {
    fn of(record: &AccountRecord) -> Self {
        Self::new(record.uid, record.account.as_ref(), &record.detail)
    }

    /// A user's account, or the account with this name.
    #[must_use]
    pub fn new(uid: Option<u32>, account: Option<&Cow<'static, str>>, detail: &Detail) -> Self {
        let Detail { pid, start_time, program, unit, class, .. } = detail.clone();
        Self { uid, account: account.cloned(), pid, start_time, program, unit, class }
    }
}

/// Most records of a merged report: the number of accounts at one time. Without a limit, processes would add up for
/// ever.
const MAX_RECORDS: usize = 65_536;

/// Reduces the records to about `left`, by summing the oldest by user. Returns the number of bytes that lost detail.
fn coarsen(records: &mut Vec<AccountRecord>, left: usize) -> u64 {
    let (mut coarse_bytes, excess) = (0, records.len() - left);
    let mut users: HashMap<Who, AccountRecord> = HashMap::new();
    let mut rest = records.split_off(excess);
    for mut record in records.drain(..) {
        let detail = unknown(&record.detail);
        if record.detail != detail {
            coarse_bytes += record.sent_bytes + record.received_bytes;
            // The totals of the user's own account are not known here.
            (record.sent_bytes_total, record.received_bytes_total) = (record.sent_bytes, record.received_bytes);
            record.detail = detail;
        }
        match users.entry(Who::of(&record)) {
            Entry::Occupied(mut known) => add(known.get_mut(), &record),
            Entry::Vacant(place) => drop(place.insert(record)),
        }
    }
    for record in &mut rest {
        if let Some(user) = users.remove(&Who::of(record)) {
            add(record, &user);
        }
    }
    records.extend(users.into_values());
    records.append(&mut rest);
    coarse_bytes
}

/// Adds what moved; of the totals the greater ones stay.
fn add(into: &mut AccountRecord, other: &AccountRecord) {
    into.sent_bytes += other.sent_bytes;
    into.received_bytes += other.received_bytes;
    into.sent_bytes_total = into.sent_bytes_total.max(other.sent_bytes_total).max(into.sent_bytes);
    into.received_bytes_total = into.received_bytes_total.max(other.received_bytes_total).max(into.received_bytes);
}

/// The details of a record of which only the user is known.
fn unknown(detail: &Detail) -> Detail {
    Detail {
        by: detail.by,
        pid: None,
        start_time: None,
        program: None,
        exe: None,
        unit: None,
        container: None,
        class: detail.class.clone(),
    }
}

impl Report {
    /// Merges the next report into this one, which then covers both periods and has the number of the next. Returns the
    /// number of bytes that are reported by user only, because there were too many records.
    pub fn merge(&mut self, next: Self) -> u64 {
        self.merge_within(next, MAX_RECORDS)
    }

    pub(super) fn merge_within(&mut self, next: Self, most: usize) -> u64 {
        let mut records = std::mem::take(&mut self.accounts);
        let mut places: HashMap<Who, usize> =
            records.iter().enumerate().map(|(place, record)| (Who::of(record), place)).collect();
        for record in next.accounts {
            match places.entry(Who::of(&record)) {
                Entry::Occupied(place) => {
                    let former = &mut records[*place.get()];
                    let (sent, received) = (former.sent_bytes, former.received_bytes);
                    *former = record;
                    former.sent_bytes += sent;
                    former.received_bytes += received;
                }
                Entry::Vacant(place) => {
                    place.insert(records.len());
                    records.push(record);
                }
            }
        }
        let Summary { interval_s, sent_bytes, received_bytes, declined, .. } = self.summary.clone();
        self.summary = next.summary;
        // Rounded to milliseconds again: they have no exact binary fraction.
        self.summary.interval_s = ((self.summary.interval_s + interval_s) * 1_000.0).round() / 1_000.0;
        self.summary.sent_bytes += sent_bytes;
        self.summary.received_bytes += received_bytes;
        if self.summary.declined.is_empty() {
            self.summary.declined = declined;
        }
        for record in &mut records {
            record.interval_s = self.summary.interval_s;
        }
        let coarse_bytes = if records.len() > most { coarsen(&mut records, most / 2) } else { 0 };
        self.summary.health.coarse_bytes += coarse_bytes;
        self.accounts = records;
        self.steps.extend(next.steps);
        self.renumber(self.summary.stamp.seq);
        coarse_bytes
    }

    /// Gives all records the number `seq` in the same epoch, and the time of the summary.
    pub fn renumber(&mut self, seq: u64) {
        self.summary.stamp.seq = seq;
        let stamps = self.accounts.iter_mut().map(|record| &mut record.stamp);
        let stamps = stamps.chain(self.steps.iter_mut().map(|step| &mut step.stamp));
        stamps.for_each(|stamp| stamp.clone_from(&self.summary.stamp));
    }
}
