//! Whose traffic is wanted, and whose it is. Plain data.

use super::Process;

/// Whose traffic is wanted: what fits one of each list that is not empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Users.
    pub users: Vec<u32>,
    /// How many users may be wanted besides, later on; where there are any, not everybody is wanted.
    pub users_to_come: usize,
    /// Processes.
    pub processes: Vec<Process>,
    /// With those that they forked and fork later.
    pub children: bool,
    /// Programs, by the last part of their paths.
    pub programs: Vec<String>,
    /// Cgroups with all that is in them, by the last part of their paths.
    pub units: Vec<String>,
}

impl Wanted {
    /// Whether it depends on the user.
    #[must_use]
    pub const fn chooses_users(&self) -> bool {
        !self.users.is_empty() || self.users_to_come > 0
    }

    /// Whether it depends on the process, and not on the user alone.
    #[must_use]
    pub const fn chooses_processes(&self) -> bool {
        !(self.processes.is_empty() && self.programs.is_empty() && self.units.is_empty())
    }
}

/// Which user's bytes are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Belonging {
    /// That of the socket: who opened or accepted it.
    #[default]
    Socket,
    /// That as whom a process acts which sends and reads.
    Acting,
}

impl Belonging {
    /// The word for it in options.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Socket => "socket",
            Self::Acting => "acting",
        }
    }
}
