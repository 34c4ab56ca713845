//! A small report for tests.

use std::time::{Duration, SystemTime};

use super::{Errors, Names, Period, Report, Scope, Source, UserName};
use crate::capture::{By, Bytes, Health, Owner, Process};
use crate::ledger::{Account, Snapshot};

/// 2026-11-23T02:00:00Z
pub(crate) fn start() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_hours(498_722)
}

/// A source that tells users apart, on a host booted at [`start`].
pub(crate) fn source() -> Source {
    Source {
        host: None,
        epoch: 7,
        since: start(),
        backend: "ebpf",
        attach: Some("fentry"),
        method: Some("sweep"),
        waiting_for: Vec::new(),
        declined: Vec::new(),
        by: By::USER,
        booted: start(),
    }
}

/// Names for tests: all users are alice.
pub(crate) struct Told;

impl Names for Told {
    fn user(&mut self, _: u32) -> UserName {
        UserName::Known("alice".to_owned())
    }

    fn exe(&mut self, _: Process, program: &str) -> Option<String> {
        Some(format!("/usr/bin/{program}"))
    }
}

/// Alice and the unattributed account, after 310 seconds.
pub(crate) fn report() -> Report {
    let bytes = |sent, received| Bytes { sent, received };
    let account = |owner, moved, total| Account { owner, total, moved, of_life: moved };
    let snapshot = Snapshot {
        accounts: vec![
            account(Owner::user(1000), bytes(123, 456), bytes(9123, 9456)),
            account(Owner::UNATTRIBUTED, bytes(1, 2), bytes(3, 4)),
        ],
        total: bytes(9126, 9460),
        moved: bytes(124, 458),
        unattributed: bytes(3, 4),
        health: Health::default(),
    };
    let source =
        Source { backend: "packet", attach: None, method: None, declined: vec!["ebpf: no".to_owned()], ..source() };
    let period =
        Period { seq: 3, end: start() + Duration::from_secs(310), length: Duration::from_secs(10), step_s: None };
    Report::new(&snapshot, Scope::All, period, &source, Errors::default(), &mut Told)
}
