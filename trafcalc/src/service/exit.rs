//! The ends of the program, numbered as in sysexits(3).

use std::process::ExitCode;

/// How the program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Did what it was asked for.
    Done = 0,
    /// Did it, and something is to be heeded: a quota is passed, a closed month is not what was closed, something was not counted.
    Heed = 1,
    /// Called in a wrong way (`EX_USAGE`).
    Usage = 64,
    /// No backend could start, or the one that ran could not go on; or the book has not what was asked for (`EX_UNAVAILABLE`).
    Unavailable = 69,
    /// A bug (`EX_SOFTWARE`).
    Bug = 70,
    /// What was asked for, or the last report, could not be written (`EX_IOERR`).
    OutputLost = 74,
    /// A privilege is missing (`EX_NOPERM`).
    Privilege = 77,
    /// The configuration is wrong (`EX_CONFIG`).
    Config = 78,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
