//! How a backend begins: with programs of its own; with pinned programs that take over from those of a former process; or with the
//! programs that a former process attached.

use super::actors::Actors;
use super::candidates::Candidate;
use super::classes::ClassNames;
use super::keep::{Generation, Kept};
use super::log::Messages;
use super::plan::{self, WantedUsers};
use super::programs::{Place, Programs};
use super::subordinates::Subordinates;
use super::{Kernel, classes, handover, notes, sizes, sweep};
use crate::capture::{CaptureError, Settings};

/// What a backend begins with.
pub(super) struct Beginning {
    pub(super) programs: Programs,
    pub(super) actors: Option<Actors>,
    pub(super) wanted_users: Option<WantedUsers>,
    pub(super) subordinates: Subordinates,
    pub(super) messages: Option<Messages>,
}

/// Loads programs, attaches and activates them.
pub(super) fn begin(candidate: &Candidate, kernel: &Kernel, settings: &Settings) -> Result<Beginning, CaptureError> {
    let (mut beginning, processes) = attach(candidate, kernel, settings, None)?;
    beginning.programs.act(true)?;
    sweep::adopt(&mut beginning.programs)?;
    beginning.programs.end_adopting();
    plan::add_children(processes, &settings.wanted)?;
    Ok(beginning)
}

/// Loads programs, fills their maps, and attaches them.
fn attach(
    candidate: &Candidate,
    kernel: &Kernel,
    settings: &Settings,
    place: Option<&Place<'_>>,
) -> Result<(Beginning, Option<plan::WantedProcesses>), CaptureError> {
    let mut programs = Programs::load(candidate, kernel, settings, place)?;
    let messages = programs.messages()?;
    let actors = kernel.plan.reads_tasks().then(|| Actors::new(&mut programs, settings)).transpose()?;
    let wanted_users = WantedUsers::of(&mut programs, &settings.wanted)?;
    let processes = plan::fill_filters(&mut programs, &settings.wanted)?;
    classes::fill(&mut programs, &settings.classes)?;
    let subordinates = Subordinates::of(&mut programs, &settings.subordinates)?;
    match place.and_then(|place| place.former) {
        Some(former) => handover::inherit_overflow(&mut programs, former)?,
        None => notes::tell(&mut programs, &settings.open.streams)?,
    }
    programs.attach(settings, place)?;
    Ok((Beginning { programs, actors, wanted_users, subordinates, messages }, processes))
}

/// Loads programs, pins them in a folder as the next generation, and activates them. When this returns, the streams of the former
/// generation have been taken over, except those of connections whose handshake is not over.
pub(super) fn begin_kept(
    candidate: &Candidate,
    kernel: &Kernel,
    settings: &Settings,
    (kept, identity): (&Kept, u64),
) -> Result<(Beginning, Generation), CaptureError> {
    handover::finish_former(kept)?;
    let former = kept.acting.as_ref().filter(|acting| acting.is_known);
    let place = Place { kept, folder: kept.begin()?, number: kept.next_number()?, former };
    let (mut beginning, processes) = attach(candidate, kernel, settings, Some(&place))?;
    let bits = sizes::Sizes::new(&settings.ebpf, kernel.plan.reads_tasks()).bucket_bits;
    if adopts(&place, settings) {
        // Before this generation acts: the next process finishes what this one may not come to.
        sweep::begin_adopting(&mut beginning.programs)?;
    }
    let generation = kept.complete(place.number, identity, (settings.by, bits, settings.loopback))?;
    let took_over = take_over(&mut beginning.programs, settings, &place, &generation);
    // Two active generations would count twice.
    took_over.inspect_err(|_| drop(generation.remove()))?;
    plan::add_children(processes, &settings.wanted)?;
    Ok((beginning, generation))
}

/// Activates the new generation, and has it take over the streams of the former one.
fn take_over(
    programs: &mut Programs,
    settings: &Settings,
    place: &Place<'_>,
    generation: &Generation,
) -> Result<(), CaptureError> {
    let Place { kept, former, .. } = place;
    kept.act(generation)?;
    if let Some(acting) = &kept.acting {
        acting.detach()?;
    }
    match (former, &kept.acting) {
        (Some(former), _) => {
            let left = sweep::take_over(programs, former.bucket_bits)?;
            tracing::info!(left, "took over the connections that a former process counted");
        }
        (None, Some(unknown)) => {
            tracing::warn!("what a former process of another version counted cannot be taken over and is lost");
            unknown.remove()?;
        }
        (None, None) => {}
    }
    if adopts(place, settings) { sweep::adopt(programs) } else { Ok(()) }
}

/// Whether the new generation adopts older connections. Those that the former generation counted are taken over; those that it left out
/// (loopback) may be wanted now.
fn adopts(place: &Place<'_>, settings: &Settings) -> bool {
    place.former.as_ref().is_none_or(|former| settings.loopback && !former.loopback)
}

/// Continues with the programs that a former process attached.
pub(super) fn go_on(
    candidate: &Candidate,
    kernel: &Kernel,
    settings: &Settings,
    acting: &Generation,
) -> Result<Beginning, CaptureError> {
    let hooks = candidate.hooks().chain(kernel.plan.hooks());
    let mut programs = Programs::of_former(acting, hooks)?;
    sweep::finish_adopting(&mut programs)?;
    let actors = kernel
        .plan
        .reads_tasks()
        .then(|| Actors::of(&mut programs, settings.by, ClassNames::told(&settings.classes)))
        .transpose()?;
    let wanted_users = WantedUsers::of(&mut programs, &settings.wanted)?;
    let subordinates = Subordinates::of(&mut programs, &settings.subordinates)?;
    Ok(Beginning { programs, actors, wanted_users, subordinates, messages: None })
}
