//! The filters of traffic, and to which user it belongs. Plain data.

use super::Process;

/// The filters: traffic is wanted if it matches an entry of each list that is not empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Users.
    pub users: Vec<u32>,
    /// How many more users may become wanted later; if there are any, not all users are wanted.
    pub users_to_come: usize,
    /// Processes.
    pub processes: Vec<Process>,
    /// Also the descendants of these processes.
    pub children: bool,
    /// Programs, by the base name of the executable.
    pub programs: Vec<String>,
    /// Cgroups with their descendants, by the last part of their paths.
    pub units: Vec<String>,
}

impl Wanted {
    /// Whether it filters by user.
    #[must_use]
    pub const fn chooses_users(&self) -> bool {
        !self.users.is_empty() || self.users_to_come > 0
    }

    /// Whether it filters by process, program or unit.
    #[must_use]
    pub const fn chooses_processes(&self) -> bool {
        !(self.processes.is_empty() && self.programs.is_empty() && self.units.is_empty())
    }
}

/// To which user bytes belong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CreditTo {
    /// The user of the socket, who opened or accepted it.
    #[default]
    Socket,
    /// The effective user of the process that sends or reads.
    Acting,
}

impl CreditTo {
    /// The word for it in options.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Socket => "socket",
            Self::Acting => "acting",
        }
    }
}
