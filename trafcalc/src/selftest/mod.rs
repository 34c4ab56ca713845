//! `trafcalc selftest`: proves on the user's own kernel that what is counted is what was sent and received.
//!
//! Each backend and attach mode counts a few megabytes over loopback, in a network namespace of its own, between uids that nothing else
//! on the host uses. The truth is what the system calls of the traffic programs returned; the tolerance is 0 bytes. The self-test must
//! never leave anything behind, and never touch a namespace that it did not create.

mod counting;
mod namespace;
mod printed;
mod progress;
mod scenarios;
mod target;
mod traffic;
mod users;
mod verdict;

use crate::capture::{self, CaptureError, Tried};
use crate::service::exit::Exit;
use crate::service::privileges::{self, SelftestPrivilege};

use progress::Progress;
pub use traffic::program::{Program, Role, main as traffic_main};
use users::Users;
use verdict::Verdict;

/// How the verdict is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A table.
    Table,
    /// One JSON object.
    Json,
}

/// Why there is no verdict.
#[derive(Debug, thiserror::Error)]
pub enum SelftestError {
    /// Capabilities are missing.
    #[error(transparent)]
    Privilege(#[from] SelftestPrivilege),
    /// Each backend that was tried, and why it did not start.
    #[error("no backend could start:{0}")]
    NoBackend(Tried),
    /// The backend died.
    #[error("the backend died: {0}")]
    BackendDied(CaptureError),
    /// A step of the test failed, which says nothing about counting.
    #[error("the test could not be done: {what}: {source}")]
    Step {
        /// What was tried.
        what: &'static str,
        /// Why it failed.
        source: std::io::Error,
    },
    /// A traffic program failed.
    #[error("the test could not be done: a traffic program of the scenario {scenario:?} failed")]
    Traffic {
        /// Its scenario.
        scenario: &'static str,
    },
    /// All uids of the range for the test are in use.
    #[error("the test could not be done: no unused user id was found")]
    NoFreeUser,
}

impl SelftestError {
    /// The exit code for it.
    #[must_use]
    pub const fn exit(&self) -> Exit {
        match self {
            Self::Privilege(_) => Exit::Privilege,
            _ => Exit::Unavailable,
        }
    }

    /// Makes an error of a failed step.
    fn step(what: &'static str) -> impl Fn(std::io::Error) -> Self {
        move |source| Self::Step { what, source }
    }
}

/// Tests each backend and attach mode that `settings` allow and that starts. Returns the verdict as text, and the exit code that
/// expresses it.
///
/// # Errors
/// Why there is no verdict.
pub fn run(settings: &capture::Settings, format: Format) -> Result<(String, Exit), SelftestError> {
    privileges::check_for_selftest(settings.backend)?;
    let verdict = examine(settings)?;
    let text = match format {
        Format::Table => printed::table(&verdict),
        Format::Json => printed::json(&verdict),
    };
    Ok((text, exit(&verdict)))
}

fn exit(verdict: &Verdict) -> Exit {
    if verdict.is_exact() { Exit::Done } else { Exit::Bug }
}

fn examine(settings: &capture::Settings) -> Result<Verdict, SelftestError> {
    let targets = target::chosen(settings);
    let users = Users::find(scenarios::ALL.len())?;
    let mut progress = Progress::new(targets.len() * scenarios::ALL.len());
    let (mut verdict, mut declined) = (Verdict::default(), Vec::new());
    for target in targets {
        match counting::test(&target.settings(settings), target, &users, &mut progress)? {
            Ok(rows) => verdict.rows.extend(rows),
            Err(reasons) => declined.extend(reasons),
        }
    }
    drop(progress);
    if verdict.rows.is_empty() {
        return Err(SelftestError::NoBackend(Tried(declined)));
    }
    verdict.decline(&declined);
    Ok(verdict)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::{BackendKind, Bytes, Declined};

    #[test]
    fn each_end_has_its_exit_code() {
        let truth = verdict::Truth { scenario: "peek", sender: 1, receiver: 2, sent: 10, received: 10 };
        let packet = target::Target { backend: BackendKind::Packet, attach: None };
        let of = |sent| {
            let (sender, receiver) = (Bytes { sent, received: 0 }, Bytes { sent: 0, received: 10 });
            let rows = verdict::Row::compare(packet, &truth, sender, receiver);
            exit(&Verdict { rows, not_tested: Vec::new() })
        };
        assert_eq!((of(10), of(11), of(9)), (Exit::Done, Exit::Bug, Exit::Bug));
        let failed = SelftestError::step("making a namespace")(std::io::ErrorKind::NotFound.into());
        let died = SelftestError::BackendDied(CaptureError::ThreadEnded("reader"));
        let declined = Declined { backend: BackendKind::Packet, attach: None, reason: CaptureError::NotBuilt };
        let none = SelftestError::NoBackend(Tried(vec![declined]));
        for error in [failed, died, none, SelftestError::NoFreeUser, SelftestError::Traffic { scenario: "peek" }] {
            assert_eq!(error.exit(), Exit::Unavailable, "{error}");
        }
    }
}
