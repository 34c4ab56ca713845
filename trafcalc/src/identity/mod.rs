//! Names of uids, processes and cgroups. Asks the system and caches the answers; never decides what is counted.

pub mod containers;
pub mod directory;
pub mod groups;
pub mod hints;
mod processes;
pub mod subordinate;
mod units;
mod users;
pub mod waiting;
pub mod wanted;

use std::path::Path;
use std::time::Instant;

pub use processes::Processes;
pub use units::{Cgroups, Units};
pub use users::Users;

use crate::capture::{Batch, Hierarchy, Owner, Process};
use crate::report::{Names, UserName};

/// Everything that is known about names.
pub struct Identity {
    users: Users,
    processes: Processes,
    units: Units,
}

impl Default for Identity {
    fn default() -> Self {
        let units = Units::of(Hierarchy::mounted(Path::new("/proc/mounts")), containers::Runtimes::of_host());
        Self { users: Users::default(), processes: Processes::at("/proc".into()), units }
    }
}

impl Identity {
    /// Uses these last known names until the directory gives others.
    pub fn remember(&mut self, names: impl IntoIterator<Item = (u32, String)>, now: Instant) {
        self.users.remember(names, now);
    }

    /// Replaces the cgroups in `batch` by unit names: a restarted unit is the same unit in another cgroup. Requests the
    /// names of users, so that they are known when a report needs them.
    pub fn name_units(&mut self, mut batch: Batch) -> Batch {
        let now = Cgroups::new();
        for (owner, _) in &mut batch.credits {
            if let Some(uid) = owner.uid() {
                self.users.expect(uid);
            }
            self.units.name(owner, &now);
        }
        batch.gone = batch.gone.into_iter().filter_map(|owner| self.units.forget(owner)).collect();
        batch
    }

    /// The names known at this moment.
    pub fn at(&mut self, now: Instant) -> Known<'_> {
        self.users.catch_up(now);
        Known { identity: self, now }
    }

    /// The same for the last report, which waits longer for unknown names.
    pub fn at_the_end(&mut self, now: Instant) -> Known<'_> {
        self.users.catch_up_at_the_end(now);
        Known { identity: self, now }
    }
}

/// The names known at a moment.
pub struct Known<'a> {
    identity: &'a mut Identity,
    now: Instant,
}

impl Names for Known<'_> {
    fn user(&mut self, uid: u32) -> UserName {
        self.identity.users.name(uid, self.now)
    }

    fn exe(&mut self, process: Process, program: &str) -> Option<String> {
        self.identity.processes.exe(process, program)
    }

    fn container(&mut self, owner: &Owner) -> Option<String> {
        self.identity.units.container(owner)
    }
}
