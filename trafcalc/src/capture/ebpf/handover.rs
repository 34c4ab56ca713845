//! What one process hands over to the next: how much of the kernel's counters is reported, and former generations of programs whose
//! counters are not fully reported.

use std::sync::Arc;

use trafcalc_common::maps::table;

use aya::maps::{Array, Map, MapData};

use super::actors::Actors;
use super::classes::ClassNames;
use super::counters::Counters;
use super::keep::{Generation, Kept};
use super::programs::Programs;
use super::reports::Reports;
use super::sweep;
use super::tables::{Tables, unreadable};
use crate::capture::{Baseline, Batch, CaptureError, EbpfSettings};

/// The additional state of a backend whose programs are pinned.
pub(super) struct Handover {
    /// The active generation.
    generation: Generation,
    pub(super) reports: Reports,
    /// The generations before it, oldest first.
    former: Vec<Former>,
    /// `Some` while streams of the last former generation may still have to be taken over: how many could not be at the last try.
    to_take: Option<u32>,
}

/// A former generation that may have unreported bytes, or streams to take over.
struct Former {
    generation: Generation,
    tables: Tables,
    actors: Option<Actors>,
    counters: Counters,
    reports: Reports,
    /// All its bytes are reported.
    is_told: bool,
}

impl Handover {
    /// Opens the active generation and those before it. Also returns how much of the active one's counters is reported.
    pub(super) fn of(
        programs: &mut Programs,
        generation: Generation,
        former: &[Generation],
        told: Option<&Baseline>,
    ) -> Result<(Self, Counters), CaptureError> {
        let reports = Reports::of(&data(programs.take_map("REPORTED")?)?)?;
        let counters = reported(&generation, &reports, told);
        let is_newer = |told: &Baseline| told.map == generation.map();
        let mut all_told = told.is_some_and(is_newer);
        let mut opened = Vec::new();
        for former in former.iter().rev().filter(|former| former.is_known) {
            match Former::open(former.clone(), told, all_told) {
                Ok(former) => opened.insert(0, former),
                Err(error) => {
                    tracing::warn!("{error}; what a former process counted and did not report is lost");
                    former.remove()?;
                }
            }
            all_told |= told.is_some_and(|told| told.map == former.map());
        }
        let to_take = (generation.takes_over() && !opened.is_empty()).then_some(u32::MAX);
        Ok((Self { generation, reports, former: opened, to_take }, counters))
    }

    /// The name of the active generation's counters, for the [`Baseline`].
    pub(super) fn map(&self) -> Arc<str> {
        self.generation.map()
    }

    /// Takes over the remaining streams of the last former generation.
    pub(super) fn take_over(&mut self, programs: &mut Programs) -> Result<(), CaptureError> {
        if let (Some(left), Some(former)) = (&mut self.to_take, self.former.last())
            && *left > 0
        {
            *left = sweep::take_over(programs, former.generation.bucket_bits)?;
        }
        Ok(())
    }

    /// Adds the unreported bytes of former generations to `batch`.
    pub(super) fn read_former(&mut self, batch: &mut Batch) -> Result<(), CaptureError> {
        self.former.iter_mut().try_for_each(|former| former.read(batch))
    }

    /// Notes that all handed-out bytes are reported, and removes former generations that are no longer needed.
    pub(super) fn reported(&mut self, programs: &mut Programs, counters: &mut Counters) -> Result<(), CaptureError> {
        for former in &mut self.former {
            former.reported();
        }
        for (row, bytes) in counters.report() {
            self.reports.set(row, bytes);
        }
        let is_last_needed = self.to_take.is_some_and(|left| left > 0);
        let told = self.former.iter().take_while(|former| former.is_told).count();
        let is_all = told == self.former.len();
        let done = if is_all && is_last_needed { told.saturating_sub(1) } else { told };
        for former in self.former.drain(..done) {
            former.generation.remove()?;
        }
        if self.former.is_empty() && self.to_take.take().is_some() {
            programs.end_taking_over(&self.generation.folder);
        }
        Ok(())
    }
}

impl Former {
    /// `told` is the baseline that was stored with the last batch. `all_told` says that it is of a later generation, so that all bytes
    /// of this generation are reported.
    fn open(generation: Generation, told: Option<&Baseline>, all_told: bool) -> Result<Self, CaptureError> {
        let mut programs = Programs::of_former(&generation, std::iter::empty())?;
        let classes = ClassNames::of_former(&mut programs)?;
        let tables = Tables::of(&mut programs, &EbpfSettings::default(), classes.clone())?;
        let has_actors = generation.folder.join("ACTORS").exists();
        let actors = has_actors.then(|| Actors::of(&mut programs, generation.by, classes)).transpose()?;
        let reports = Reports::of(&data(programs.take_map("REPORTED")?)?)?;
        let counters = reported(&generation, &reports, told);
        let mut former = Self { generation, tables, actors, counters, reports, is_told: false };
        if all_told {
            former.read(&mut Batch::default())?;
            former.counters.report();
        }
        Ok(former)
    }

    fn read(&mut self, batch: &mut Batch) -> Result<(), CaptureError> {
        self.tables.gains(&mut self.counters, &mut batch.credits)?;
        if let Some(actors) = &mut self.actors {
            actors.read_former(&self.tables, &mut self.counters, batch)?;
        }
        Ok(())
    }

    fn reported(&mut self) {
        let reported = self.counters.report();
        self.is_told = reported.is_empty();
        for (row, bytes) in reported {
            self.reports.set(row, bytes);
        }
    }
}

/// How much of a generation's counters is reported: as stored with the batches or as noted in the kernel, whichever is later. The
/// stored baseline is older if a process in between stored nothing, and the note is older if a process was killed after it had stored a
/// batch.
fn reported(generation: &Generation, reports: &Reports, told: Option<&Baseline>) -> Counters {
    let told = told.filter(|told| told.map == generation.map());
    Counters::reported_before(
        reports.all().into_iter().chain(told.into_iter().flat_map(|told| told.rows.iter().copied())),
    )
}

/// Takes over, as far as possible now, the streams that the active generation has not yet taken over from the one before.
pub(super) fn finish_former(kept: &Kept) -> Result<(), CaptureError> {
    let has_begun = |acting: &&Generation| acting.takes_over();
    if let (Some(acting), Some(former)) = (kept.acting.as_ref().filter(has_begun), kept.former.last()) {
        former.detach()?;
        let mut programs = Programs::of_former(acting, std::iter::empty())?;
        sweep::take_over(&mut programs, former.bucket_bits)?;
    }
    Ok(())
}

/// Makes the new generation count the connections for which the former had no room: at their end.
pub(super) fn inherit_overflow(programs: &mut Programs, former: &Generation) -> Result<(), CaptureError> {
    let words = |map| Array::<MapData, u64>::try_from(map).map_err(|error| unreadable(&error));
    let overflowed = words(former.open("TABLE")?)?.get(&table::OVERFLOWED, 0).map_err(|error| unreadable(&error))?;
    if overflowed == 0 {
        return Ok(());
    }
    let set = words(programs.take_map("TABLE")?)?.set(table::OVERFLOWED, overflowed, 0);
    set.map_err(|error| unreadable(&error))
}

/// The data of an array map.
fn data(map: Map) -> Result<MapData, CaptureError> {
    match map {
        Map::Array(data) => Ok(data),
        _ => Err(CaptureError::System {
            what: "looking for a map of the program",
            source: std::io::ErrorKind::InvalidData.into(),
        }),
    }
}
