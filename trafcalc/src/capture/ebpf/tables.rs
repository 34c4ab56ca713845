//! Reads the programs' maps.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use aya::maps::{HashMap, Map, MapData, MapError, PerCpuArray, PerCpuValues, Queue};
use trafcalc_common::audit::EVIDENCE_WORDS;
use trafcalc_common::maps::{OTHER_ROW, Tally, event};

use super::classes::ClassNames;
use super::counters::Counters;
use super::programs::{Programs, system};
use super::reports::Reports;
use crate::capture::{Bytes, CaptureError, EbpfSettings, Owner};

/// A [`Tally`] as the kernel copies it: bytes sent, bytes received.
type Words = [u64; 2];

const _: () = assert!(size_of::<Words>() == size_of::<Tally>(), "the words are the fields of a tally");

/// The maps that are read.
pub(super) struct Tables {
    accounts: HashMap<MapData, u64, u32>,
    tallies: PerCpuArray<MapData, Words>,
    free: Queue<MapData, u32>,
    events: PerCpuArray<MapData, u64>,
    evidence: PerCpuArray<MapData, [u64; EVIDENCE_WORDS]>,
    classes: ClassNames,
    /// The rows that are known to have an owner.
    rows: BTreeMap<u32, Row>,
    /// The number of rows for users.
    room: usize,
    /// The number of accounts opened when `rows` was read.
    opened: u64,
}

/// A row of a user's account.
#[derive(Clone, Copy, Debug)]
struct Row {
    /// The key of the account: see [`trafcalc_common::maps::account`].
    key: u64,
    /// The number of consecutive readings without a change.
    silent: u32,
    /// The row was taken from its user, but a program may still be about to credit it.
    is_left: bool,
}

/// When rows become scarce, a row is taken from its user after this many readings without a change, and may be reused after as many
/// more. The service keeps its totals; if the user moves something again, it gets another row.
const SILENT_READINGS: u32 = 3;

/// How often rare events happened.
pub(super) struct Events {
    pub(super) late: u64,
    pub(super) unfollowed: u64,
    pub(super) audited: u64,
    pub(super) mismatched: u64,
    pub(super) lost: u64,
}

impl Tables {
    pub(super) fn of(
        programs: &mut Programs,
        settings: &EbpfSettings,
        classes: ClassNames,
    ) -> Result<Self, CaptureError> {
        Ok(Self {
            accounts: take(programs, "ACCOUNTS")?,
            tallies: take(programs, "TALLIES")?,
            free: take(programs, "FREE_ROWS")?,
            events: take(programs, "EVENTS")?,
            evidence: take(programs, "EVIDENCE")?,
            classes,
            rows: BTreeMap::new(),
            room: settings.max_accounts,
            opened: 0,
        })
    }

    /// Adds to `gains` what every user and the account for others gained since the last reading. After an error, `gains` has what was
    /// read before it.
    pub(super) fn gains(
        &mut self,
        counters: &mut Counters,
        gains: &mut Vec<(Owner, Bytes)>,
    ) -> Result<(), CaptureError> {
        self.update_rows()?;
        gains.push((Owner::OTHER, counters.gain(OTHER_ROW, self.shares(OTHER_ROW)?)));
        let rows: Vec<_> = self.rows.keys().copied().collect();
        for row in rows {
            let gain = counters.gain(row, self.shares(row)?);
            let Some(account) = self.rows.get_mut(&row) else { continue };
            account.silent = if gain.is_zero() { account.silent.saturating_add(1) } else { 0 };
            gains.push((owner(account.key, &self.classes), gain));
        }
        gains.retain(|(_, gain)| !gain.is_zero());
        Ok(())
    }

    /// Continues with the rows that a former process had taken from their users and not freed.
    pub(super) fn remember(
        &mut self,
        left: impl IntoIterator<Item = (u32, u64)>,
        notes: &Reports,
    ) -> Result<(), CaptureError> {
        self.update_rows()?;
        for (row, key) in left {
            match self.rows.entry(row) {
                Entry::Vacant(free) => drop(free.insert(Row { key, silent: 0, is_left: true })),
                // The former process had not taken it from its user yet.
                Entry::Occupied(_) => notes.set_left(row, None),
            }
        }
        Ok(())
    }

    /// The values of a row on all CPUs.
    pub(super) fn shares(&self, row: u32) -> Result<Vec<Tally>, CaptureError> {
        let shares: PerCpuValues<Words> = self.tallies.get(&row, 0).map_err(|error| unreadable(&error))?;
        Ok(shares.iter().map(|&[sent, received]| Tally { sent, received }).collect())
    }

    /// Reads new accounts, if any were opened: that takes as many calls as there are accounts.
    fn update_rows(&mut self) -> Result<(), CaptureError> {
        let opened = self.count(event::ACCOUNTS)?;
        if opened == self.opened {
            return Ok(());
        }
        for account in &self.accounts {
            let (key, row) = account.map_err(|error| unreadable(&error))?;
            self.rows.entry(row).or_insert(Row { key, silent: 0, is_left: false });
        }
        self.opened = opened;
        Ok(())
    }

    /// Frees rows of silent users when few rows are left. If the maps outlive the process, only rows whose bytes are all noted as
    /// reported.
    pub(super) fn give_back(&mut self, counters: &Counters, notes: Option<&Reports>) -> Result<(), CaptureError> {
        let is_scarce = self.rows.len() * 4 > self.room * 3;
        let mut free = Vec::new();
        let is_silent = |(row, account): &(&u32, &mut Row)| {
            account.silent >= SILENT_READINGS && (notes.is_none() || counters.is_reported(**row))
        };
        for (&row, account) in self.rows.iter_mut().filter(is_silent) {
            if account.is_left {
                free.push(row);
            } else if is_scarce {
                if let Some(notes) = notes {
                    notes.set_left(row, Some(account.key));
                }
                self.accounts.remove(&account.key).map_err(|error| unreadable(&error))?;
                (account.is_left, account.silent) = (true, 0);
            }
        }
        for row in free {
            self.rows.remove(&row);
            // If the process ends here, the row is lost. In the other order, two users could get it.
            if let Some(notes) = notes {
                notes.set_left(row, None);
            }
            self.free.push(row, 0).map_err(|error| unreadable(&error))?;
        }
        Ok(())
    }

    /// How often rare events happened so far.
    pub(super) fn events(&self) -> Result<Events, CaptureError> {
        Ok(Events {
            late: self.count(event::LATE)?,
            unfollowed: self.count(event::UNFOLLOWED)?,
            audited: self.count(event::AUDITED)?,
            mismatched: self.count(event::MISMATCHED)?,
            lost: self.count(event::LOST)?,
        })
    }

    /// The fields of the last mismatch of each CPU; zeroes where there was none.
    pub(super) fn evidence(&self) -> Result<PerCpuValues<[u64; EVIDENCE_WORDS]>, CaptureError> {
        self.evidence.get(&0, 0).map_err(|error| unreadable(&error))
    }

    /// How often one of `trafcalc_common::maps::event` happened.
    pub(super) fn count(&self, index: u32) -> Result<u64, CaptureError> {
        let shares = self.events.get(&index, 0).map_err(|error| unreadable(&error))?;
        Ok(shares.iter().sum())
    }
}

/// The owner of a user's account.
#[expect(clippy::cast_possible_truncation, reason = "the lower half")]
fn owner(key: u64, classes: &ClassNames) -> Owner {
    Owner::user(key as u32).in_class(classes.name((key >> 32) as u32))
}

pub(super) fn take<T: TryFrom<Map, Error = MapError>>(
    programs: &mut Programs,
    name: &'static str,
) -> Result<T, CaptureError> {
    T::try_from(programs.take_map(name)?).map_err(|error| unreadable(&error))
}

pub(super) fn unreadable(error: &MapError) -> CaptureError {
    system("reading a map of the eBPF program", error)
}
