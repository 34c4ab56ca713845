//! Reading the program's maps.

use aya::maps::{HashMap, Map, MapData, MapError, PerCpuArray, PerCpuValues};
use trafcalc_common::audit::EVIDENCE_WORDS;
use trafcalc_common::maps::{OTHER_ROW, Tally, event};

use super::programs::{Programs, system};
use crate::capture::{CaptureError, Owner};

/// A [`Tally`] as the kernel copies it: bytes sent, bytes received.
type Words = [u64; 2];

const _: () = assert!(size_of::<Words>() == size_of::<Tally>(), "the words are the fields of a tally");

/// The maps that are read.
pub(super) struct Tables {
    accounts: HashMap<MapData, u32, u32>,
    tallies: PerCpuArray<MapData, Words>,
    events: PerCpuArray<MapData, u64>,
    evidence: PerCpuArray<MapData, [u64; EVIDENCE_WORDS]>,
    /// The rows known so far. A row, once given to a user, is his for good.
    rows: Vec<(Owner, u32)>,
    /// How many accounts had been opened when `rows` was read.
    opened: u64,
}

/// How often rare events happened.
pub(super) struct Events {
    pub(super) late: u64,
    pub(super) unfollowed: u64,
    pub(super) lost: u64,
    pub(super) audited: u64,
    pub(super) mismatched: u64,
}

impl Tables {
    pub(super) fn of(programs: &mut Programs) -> Result<Self, CaptureError> {
        Ok(Self {
            accounts: take(programs, "ACCOUNTS")?,
            tallies: take(programs, "TALLIES")?,
            events: take(programs, "EVENTS")?,
            evidence: take(programs, "EVIDENCE")?,
            rows: vec![(Owner::Other, OTHER_ROW)],
            opened: 0,
        })
    }

    /// The accounts of users, and that for others.
    pub(super) fn rows(&self) -> &[(Owner, u32)] {
        &self.rows
    }

    /// The shares of all CPUs in a row.
    pub(super) fn shares(&self, row: u32) -> Result<Vec<Tally>, CaptureError> {
        let shares: PerCpuValues<Words> = self.tallies.get(&row, 0).map_err(|error| unreadable(&error))?;
        Ok(shares.iter().map(|&[sent, received]| Tally { sent, received }).collect())
    }

    /// Looks for new accounts, if any were opened: that takes as many calls as there are accounts.
    pub(super) fn update_rows(&mut self) -> Result<(), CaptureError> {
        let opened = self.count(event::ACCOUNTS)?;
        if opened == self.opened {
            return Ok(());
        }
        let accounts: Result<Vec<_>, _> = self.accounts.iter().collect();
        let accounts = accounts.map_err(|error| unreadable(&error))?;
        self.rows.truncate(1);
        self.rows.extend(accounts.into_iter().map(|(uid, row)| (Owner::User(uid), row)));
        self.opened = opened;
        Ok(())
    }

    /// How often rare events happened so far.
    pub(super) fn events(&self) -> Result<Events, CaptureError> {
        Ok(Events {
            late: self.count(event::LATE)?,
            unfollowed: self.count(event::UNFOLLOWED)?,
            lost: self.count(event::LOST)?,
            audited: self.count(event::AUDITED)?,
            mismatched: self.count(event::MISMATCHED)?,
        })
    }

    /// All about the last mismatch of each CPU; zeroes where there was none.
    pub(super) fn evidence(&self) -> Result<PerCpuValues<[u64; EVIDENCE_WORDS]>, CaptureError> {
        self.evidence.get(&0, 0).map_err(|error| unreadable(&error))
    }

    /// How often one of `trafcalc_common::maps::event` happened.
    pub(super) fn count(&self, index: u32) -> Result<u64, CaptureError> {
        let shares = self.events.get(&index, 0).map_err(|error| unreadable(&error))?;
        Ok(shares.iter().sum())
    }
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
