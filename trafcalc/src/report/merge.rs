//! Two reports as one, for whoever could not take the first in time. Pure.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::{AccountRecord, Detail, Report, Summary};
use std::time::SystemTime;

/// What two records of one account have in common.
#[derive(PartialEq, Eq, Hash)]
struct Who {
    uid: Option<u32>,
    account: Option<&'static str>,
    pid: Option<u32>,
    start_time: Option<SystemTime>,
    name: Option<String>,
}

impl Who {
    fn of(record: &AccountRecord) -> Self {
        let (pid, start_time, name) = match &record.detail {
            Detail::User {} => (None, None, None),
            Detail::Process { pid, start_time, program, .. } => (*pid, *start_time, program.clone()),
            Detail::Program { program } => (None, None, program.clone()),
            Detail::Unit { unit } => (None, None, unit.clone()),
        };
        Self { uid: record.uid, account: record.account, pid, start_time, name }
    }
}

impl Report {
    /// Puts the next report into this one, which then is about both periods and has the number of the next.
    pub fn merge(&mut self, next: Self) {
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
        // Milliseconds, whose sums are exact in no binary fraction.
        self.summary.interval_s = ((self.summary.interval_s + interval_s) * 1_000.0).round() / 1_000.0;
        self.summary.sent_bytes += sent_bytes;
        self.summary.received_bytes += received_bytes;
        if self.summary.declined.is_empty() {
            self.summary.declined = declined;
        }
        for record in &mut records {
            record.interval_s = self.summary.interval_s;
        }
        self.accounts = records;
        self.gaps.extend(next.gaps);
        self.steps.extend(next.steps);
        self.renumber(self.summary.stamp.seq);
    }

    /// Has all records say that they are of this report of the same life, made when the last of them was.
    pub fn renumber(&mut self, seq: u64) {
        self.summary.stamp.seq = seq;
        let stamps = self.accounts.iter_mut().map(|record| &mut record.stamp);
        let stamps = stamps.chain(self.gaps.iter_mut().map(|gap| &mut gap.stamp));
        let stamps = stamps.chain(self.steps.iter_mut().map(|step| &mut step.stamp));
        stamps.for_each(|stamp| stamp.clone_from(&self.summary.stamp));
    }
}
