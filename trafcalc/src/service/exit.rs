//! The exit codes of the program, as in sysexits(3).

use std::process::ExitCode;

/// How the program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Success.
    Done = 0,
    /// Success, but something needs attention: a quota is passed, a closed month is not what was closed, something was not counted.
    Heed = 1,
    /// Wrong usage (`EX_USAGE`).
    Usage = 64,
    /// No backend could start, or the running one died; or the book does not have what was asked for (`EX_UNAVAILABLE`).
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
