//! Who a number is. Asks the system and remembers for a while; never decides what is counted.

mod processes;
mod users;

use std::time::Instant;

pub use processes::Processes;
pub use users::Users;

use crate::capture::Process;
use crate::report::Names;

/// All that is known by name.
pub struct Identity {
    users: Users,
    processes: Processes,
}

impl Default for Identity {
    fn default() -> Self {
        Self { users: Users::default(), processes: Processes::at("/proc".into()) }
    }
}

impl Identity {
    /// The names as they are believed to be at this moment.
    pub const fn at(&mut self, now: Instant) -> Known<'_> {
        Known { identity: self, now }
    }
}

/// The names at one moment.
pub struct Known<'a> {
    identity: &'a mut Identity,
    now: Instant,
}

impl Names for Known<'_> {
    fn user(&mut self, uid: u32) -> String {
        self.identity.users.name(uid, self.now).to_owned()
    }

    fn exe(&mut self, process: &Process) -> Option<String> {
        self.identity.processes.exe(process)
    }
}
