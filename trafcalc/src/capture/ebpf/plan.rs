//! What the settings require of the programs, beyond counting by user.

use std::path::Path;

use aya::Pod;
use aya::maps::{HashMap, MapData};
use trafcalc_common::actor::{START_UNIT_NS, by, filter, name_words};

use super::descendants;
use super::hooks::{self, Hook};
use super::programs::Programs;
use super::tables::{take, unreadable};
use crate::capture::{By, CaptureError, CreditTo, Wanted};

/// The limit of processes that a filter with children admits at once; further ones are not counted. 5 MB.
const MAX_PROCESSES: u32 = 65_536;

/// Constants of the programs. The verifier removes code for which a constant is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    /// What accounts are told apart by besides the user.
    pub(super) by: u32,
    pub(super) filters: u32,
    pub(super) acting: u32,
    /// 1 if bytes depend on the actor, and not only on the user of the socket.
    pub(super) actors_matter: u32,
    /// 1 if an actor's mark is its process, 0 if it is just its cgroup.
    pub(super) mark_processes: u32,
    children: bool,
}

impl Plan {
    pub(super) fn of(by: By, wanted: &Wanted, credit_to: CreditTo) -> Self {
        let by = by.bits();
        let filters = filters(wanted);
        let is_acting = credit_to == CreditTo::Acting;
        let actors_matter = by != 0 || filters & !filter::USERS != 0 || is_acting;
        let mark_processes =
            by & (by::PROCESS | by::PROGRAM) != 0 || filters & (filter::PROCESSES | filter::PROGRAMS) != 0;
        Self {
            by,
            filters,
            acting: is_acting.into(),
            actors_matter: actors_matter.into(),
            mark_processes: mark_processes.into(),
            children: wanted.children,
        }
    }

    /// Whether the programs read tasks.
    pub(super) const fn reads_tasks(&self) -> bool {
        self.actors_matter != 0
    }

    /// Whether process ids are reported or compared.
    pub(super) const fn numbers_processes(&self) -> bool {
        self.by & by::PROCESS != 0 || self.filters & filter::PROCESSES != 0
    }

    /// Hooks besides those of the attach mode.
    pub(super) fn hooks(&self) -> impl Iterator<Item = &'static Hook> {
        let marks_processes = self.mark_processes != 0;
        let needs_cgroups = self.by & by::UNIT != 0 || self.filters & filter::UNITS != 0;
        let processes = if marks_processes { hooks::PROCESSES } else { &[] };
        let moves = if marks_processes && needs_cgroups { hooks::MOVES } else { &[] };
        let forks = if self.children { hooks::FORKS } else { &[] };
        processes.iter().chain(moves).chain(forks)
    }
}

fn filters(wanted: &Wanted) -> u32 {
    let bit = |is_empty: bool, bit| if is_empty { 0 } else { bit };
    bit(!wanted.chooses_users(), filter::USERS)
        | bit(wanted.processes.is_empty(), filter::PROCESSES)
        | bit(wanted.programs.is_empty(), filter::PROGRAMS)
        | bit(wanted.units.is_empty(), filter::UNITS)
}

/// The sizes of the filters.
pub(super) fn filter_entries(wanted: &Wanted) -> [(&'static str, u32); 4] {
    let entries = |count: usize| u32::try_from(count).unwrap_or(u32::MAX).max(1);
    let processes = if wanted.children { MAX_PROCESSES } else { entries(wanted.processes.len()) };
    [
        ("WANTED_USERS", entries(wanted.users.len() + wanted.users_to_come)),
        ("WANTED_PROCESSES", processes),
        ("WANTED_PROGRAMS", entries(wanted.programs.len())),
        ("WANTED_UNITS", entries(wanted.units.len())),
    ]
}

/// The ids of the processes that the filter names, with their starts in units of [`START_UNIT_NS`].
pub(super) type WantedProcesses = HashMap<MapData, u32, u64>;

/// Adds the existing children of the processes that the filter names. The programs add later children themselves, once they are
/// attached.
pub(super) fn add_children(map: Option<WantedProcesses>, wanted: &Wanted) -> Result<(), CaptureError> {
    let Some(mut map) = map.filter(|_| wanted.children) else { return Ok(()) };
    let mut starts = descendants::of(Path::new("/proc"), &wanted.processes)
        .into_iter()
        .map(|(pid, started_ns)| (pid, started_ns / START_UNIT_NS));
    starts.try_for_each(|(pid, start)| map.insert(pid, start, 0)).map_err(|error| unreadable(&error))
}

/// The users that the filter admits.
pub(super) struct WantedUsers(HashMap<MapData, u32, u32>);

impl WantedUsers {
    /// The users of `wanted`; `None` if all users are admitted.
    pub(super) fn of(programs: &mut Programs, wanted: &Wanted) -> Result<Option<Self>, CaptureError> {
        if !wanted.chooses_users() {
            return Ok(None);
        }
        let mut users = Self(take(programs, "WANTED_USERS")?);
        users.add(&wanted.users)?;
        Ok(Some(users))
    }

    /// Admits these users, too.
    pub(super) fn add(&mut self, users: &[u32]) -> Result<(), CaptureError> {
        users.iter().try_for_each(|uid| self.0.insert(uid, 1, 0)).map_err(|error| unreadable(&error))
    }
}

/// Fills the filters other than that of users. Returns the map of processes, if the filter names any.
pub(super) fn fill_filters(programs: &mut Programs, wanted: &Wanted) -> Result<Option<WantedProcesses>, CaptureError> {
    let starts: Vec<_> =
        wanted.processes.iter().map(|process| (process.pid, process.started_ns / START_UNIT_NS)).collect();
    let names = |names: &[String]| names.iter().map(|name| (name_words(name.as_bytes()), 1_u32)).collect::<Vec<_>>();
    fill(programs, "WANTED_PROGRAMS", names(&wanted.programs))?;
    fill(programs, "WANTED_UNITS", names(&wanted.units))?;
    fill(programs, "WANTED_PROCESSES", starts)
}

/// Each value has the type in the program's map: 32 bits, except for starts. Without entries, the object need not have the map.
fn fill<K: Pod, V: Pod>(
    programs: &mut Programs,
    name: &'static str,
    entries: Vec<(K, V)>,
) -> Result<Option<HashMap<MapData, K, V>>, CaptureError> {
    if entries.is_empty() {
        return Ok(None);
    }
    let mut map: HashMap<MapData, K, V> = take(programs, name)?;
    let filled = entries.into_iter().try_for_each(|(key, value)| map.insert(key, value, 0));
    filled.map(|()| Some(map)).map_err(|error| unreadable(&error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::{Dimension, Process};

    fn hooks(plan: &Plan) -> Vec<&'static str> {
        let mut targets: Vec<_> = plan.hooks().map(|hook| hook.target).collect();
        targets.dedup();
        targets
    }

    #[test]
    fn users_cost_nothing_more() {
        let plain = Plan::of(By::USER, &Wanted::default(), CreditTo::Socket);
        let filtered = Plan::of(By::USER, &Wanted { users: vec![7], ..Wanted::default() }, CreditTo::Socket);
        for plan in [plain, filtered] {
            assert!(!plan.reads_tasks() && !plan.numbers_processes());
            assert_eq!(hooks(&plan), [""; 0]);
        }
        assert_eq!((plain.filters, filtered.filters), (0, filter::USERS));
        let awaiting = Wanted { users_to_come: 2, ..Wanted::default() };
        assert_eq!(Plan::of(By::USER, &awaiting, CreditTo::Socket).filters, filter::USERS, "not everybody");
        assert_eq!(filter_entries(&awaiting)[0], ("WANTED_USERS", 2));
    }

    #[test]
    fn who_acts_matters_where_it_is_asked_for_or_wanted() {
        let unit = Wanted { units: vec!["a.service".into()], ..Wanted::default() };
        let process = Process { pid: 7, started_ns: 1 };
        let family = Wanted { processes: vec![process], children: true, ..Wanted::default() };
        assert!(Plan::of(By::USER, &Wanted::default(), CreditTo::Acting).reads_tasks());
        assert_eq!(hooks(&Plan::of(By::USER, &unit, CreditTo::Socket)), [""; 0]);
        assert_eq!(
            hooks(&Plan::of(By::PROGRAM, &unit, CreditTo::Socket)),
            ["sched_process_exec", "sched_process_exit", "cgroup_attach_task"]
        );
        for by in [By::PROCESS, By::PROGRAM] {
            let plan = Plan::of(by.and(Dimension::Unit), &Wanted::default(), CreditTo::Socket);
            assert_eq!(hooks(&plan), ["sched_process_exec", "sched_process_exit", "cgroup_attach_task"]);
            assert_eq!(plan.numbers_processes(), by == By::PROCESS);
        }
        assert_eq!(hooks(&Plan::of(By::UNIT, &Wanted::default(), CreditTo::Socket)), [""; 0]);
        let family = Plan::of(By::USER, &family, CreditTo::Socket);
        assert!(family.numbers_processes());
        assert_eq!(hooks(&family), ["sched_process_exec", "sched_process_exit", "sched_process_fork"]);
    }
}
