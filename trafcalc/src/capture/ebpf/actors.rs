//! The accounts that are finer than a user's: the owner of each row, and which rows may be reused.
//!
//! A row is free again when its owner is gone and no stream remembers it, at two consecutive readings between which it did not change:
//! then no program is left that could still credit it. Its counters are not reset.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use aya::maps::{Array, HashMap, MapData, Queue};
use trafcalc_common::actor::{ACTOR_WORDS, Actor, Seat};
use trafcalc_common::maps::event;

use super::classes::ClassNames;
use super::counters::Counters;
use super::programs::Programs;
use super::sizes::actor_rows;
use super::tables::{Tables, take, unreadable};
use crate::capture::alive::is_gone;
use crate::capture::{Batch, By, Bytes, CaptureError, Dimension, Hierarchy, Owner, Process, Settings, Unit};

/// A [`Seat`] as the kernel copies it: the user, the number of streams.
type SeatWords = [u64; 2];

const _: () = assert!(size_of::<SeatWords>() == size_of::<Seat>(), "the words are the fields of a seat");

/// The maps that only the object for the method `events` has.
pub(super) struct Actors {
    accounts: HashMap<MapData, [u64; ACTOR_WORDS], u32>,
    seats: Array<MapData, SeatWords>,
    free: Queue<MapData, u32>,
    by: By,
    classes: ClassNames,
    hierarchy: Hierarchy,
    /// The rows that are known to have an owner.
    taken: BTreeMap<u32, Taken>,
    /// The number of accounts opened when `taken` was read.
    opened: u64,
}

/// A row that has an owner.
struct Taken {
    actor: Actor,
    owner: Owner,
    /// At the last reading the owner was gone, and no stream remembered the row.
    is_left: bool,
}

impl Actors {
    /// The maps of newly loaded `programs`, with all rows free.
    pub(super) fn new(programs: &mut Programs, settings: &Settings) -> Result<Self, CaptureError> {
        let mut actors = Self::of(programs, settings.by, ClassNames::told(&settings.classes))?;
        for row in actor_rows(&settings.ebpf) {
            actors.free.push(row, 0).map_err(|error| unreadable(&error))?;
        }
        Ok(actors)
    }

    /// The maps of `programs` that a former process loaded.
    pub(super) fn of(programs: &mut Programs, by: By, classes: ClassNames) -> Result<Self, CaptureError> {
        let free = take(programs, "FREE_ACTORS")?;
        let (accounts, seats) = (take(programs, "ACTORS")?, take(programs, "SEATS")?);
        let hierarchy = Hierarchy::mounted(Path::new("/proc/mounts"));
        Ok(Self { accounts, seats, free, by, classes, hierarchy, taken: BTreeMap::new(), opened: 0 })
    }

    /// Adds to `batch` what the rows of an inactive generation gained, and which owners are gone.
    pub(super) fn read_former(
        &mut self,
        tables: &Tables,
        counters: &mut Counters,
        batch: &mut Batch,
    ) -> Result<(), CaptureError> {
        self.update(tables)?;
        let cgroups = OnceCell::new();
        for (&row, taken) in &self.taken {
            credit(batch, &taken.owner, counters.gain(row, tables.shares(row)?));
            if is_gone(Path::new("/proc"), &taken.owner, || cgroups.get_or_init(|| self.hierarchy.cgroups())) {
                batch.gone.push(taken.owner.clone());
            }
        }
        Ok(())
    }

    /// Adds to `batch` what the rows gained, and which owners are gone. If the maps outlive the process (`is_kept`), a row is freed
    /// only when all its bytes are reported.
    pub(super) fn read(
        &mut self,
        tables: &Tables,
        counters: &mut Counters,
        is_kept: bool,
        batch: &mut Batch,
    ) -> Result<(), CaptureError> {
        self.update(tables)?;
        let mut free = Vec::new();
        let cgroups = OnceCell::new();
        let proc = Path::new("/proc");
        let is_gone = |owner: &Owner| is_gone(proc, owner, || cgroups.get_or_init(|| self.hierarchy.cgroups()));
        for (&row, taken) in &mut self.taken {
            let mut gain = counters.gain(row, tables.shares(row)?);
            if gain.is_zero() && !is_remembered(&self.seats, row)? && is_gone(&taken.owner) {
                // Read again: a program may have credited the row meanwhile.
                gain = counters.gain(row, tables.shares(row)?);
                if gain.is_zero() && taken.is_left && (!is_kept || counters.is_reported(row)) {
                    free.push(row);
                }
                taken.is_left = gain.is_zero();
            } else {
                taken.is_left = false;
            }
            credit(batch, &taken.owner, gain);
        }
        free.into_iter().try_for_each(|row| self.free(row, batch))
    }

    /// Reads new accounts, if any were opened.
    fn update(&mut self, tables: &Tables) -> Result<(), CaptureError> {
        let opened = tables.count(event::ACTORS)?;
        if opened == self.opened {
            return Ok(());
        }
        for account in &self.accounts {
            let (words, row) = account.map_err(|error| unreadable(&error))?;
            let actor = Actor::from_words(words);
            let taken = || Taken {
                actor,
                owner: owner(&actor, self.by).in_class(self.classes.name(actor.class())),
                is_left: false,
            };
            self.taken.entry(row).or_insert_with(taken);
        }
        self.opened = opened;
        Ok(())
    }

    fn free(&mut self, row: u32, batch: &mut Batch) -> Result<(), CaptureError> {
        let Some(Taken { actor, owner, .. }) = self.taken.remove(&row) else { return Ok(()) };
        self.accounts.remove(&actor.words()).map_err(|error| unreadable(&error))?;
        self.free.push(row, 0).map_err(|error| unreadable(&error))?;
        batch.gone.push(owner);
        Ok(())
    }
}

fn credit(batch: &mut Batch, owner: &Owner, gain: Bytes) {
    if !gain.is_zero() {
        batch.credits.push((owner.clone(), gain));
    }
}

/// Whether a stream remembers the row.
fn is_remembered(seats: &Array<MapData, SeatWords>, row: u32) -> Result<bool, CaptureError> {
    let [_, streams] = seats.get(&row, 0).map_err(|error| unreadable(&error))?;
    Ok(streams != 0)
}

fn owner(actor: &Actor, by: By) -> Owner {
    let process = || Process { pid: actor.pid(), started_ns: actor.start };
    Owner {
        process: by.tells(Dimension::Process).then(process),
        program: by.tells(Dimension::Program).then(|| name(actor)),
        unit: by.tells(Dimension::Unit).then_some(Unit::Cgroup(actor.unit)),
        ..Owner::user(actor.uid())
    }
}

/// A program's name, up to the first zero, whatever bytes it has.
fn name(actor: &Actor) -> Arc<str> {
    String::from_utf8_lossy(&actor.name_bytes().collect::<Vec<_>>()).into()
}

#[cfg(test)]
mod tests {
    use trafcalc_common::actor::name_words;

    use super::*;

    #[test]
    fn an_owner_has_what_accounts_are_told_apart_by() {
        let actor = Actor { who: (7 << 32) + 1000, start: 5, unit: 9, name: name_words(b"curl") };
        let (process, program) = (Some(Process { pid: 7, started_ns: 5 }), Some("curl".into()));
        let (user, unit) = (Owner::user(1000), Some(Unit::Cgroup(9)));
        let curl = Owner { program, ..user.clone() };
        assert_eq!(owner(&actor, By::USER), user);
        assert_eq!(owner(&actor, By::UNIT), Owner { unit: unit.clone(), ..user });
        assert_eq!(owner(&actor, By::PROGRAM.and(Dimension::Unit)), Owner { unit: unit.clone(), ..curl.clone() });
        assert_eq!(owner(&actor, By::PROCESS), Owner { process, ..curl.clone() });
        assert_eq!(owner(&actor, By::PROCESS.and(Dimension::Unit)), Owner { process, unit, ..curl });
    }
}
