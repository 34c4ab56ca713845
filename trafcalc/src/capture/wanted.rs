//! Whose traffic is wanted, and whose it is. Plain data.

use super::Process;

/// Whose traffic is wanted: what fits one of each list that is not empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Users.
    pub users: Vec<u32>,
    /// Processes.
    pub processes: Vec<Process>,
    /// With those that they fork later.
    pub children: bool,
    /// Programs, by the last part of their paths.
    pub programs: Vec<String>,
    /// Cgroups with all that is in them, by the last part of their paths.
    pub units: Vec<String>,
}

impl Wanted {
    /// Whether nothing is left out.
    #[must_use]
    pub const fn is_everything(&self) -> bool {
        let Self { users, processes, programs, units, .. } = self;
        users.is_empty() && processes.is_empty() && programs.is_empty() && units.is_empty()
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
