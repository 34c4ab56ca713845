//! The starting point of an epoch: the totals that the book has of former epochs, and the gap in between.

use std::time::SystemTime;

use super::{Now, booking};
use crate::book::{Gap, Opened};
use crate::ledger::Ledger;

/// The starting point of an epoch.
pub(super) struct Life {
    pub(super) epoch: u64,
    pub(super) begun: Option<SystemTime>,
    pub(super) ledger: Ledger,
    pub(super) gaps: Vec<Gap>,
}

impl Life {
    pub(super) fn new(opened: Option<Opened>, epoch: u64, begin: Now, goes_on: bool) -> Self {
        let Some(Opened { epoch, begun, totals, last, .. }) = opened else {
            return Self { epoch, begun: None, ledger: Ledger::default(), gaps: Vec::new() };
        };
        let (former, others) = booking::owners(totals);
        let gap = last.filter(|_| !goes_on);
        let gap = gap.map(|last| Gap { from: last.end, to: begin.wall, cause: last.cause().to_owned() });
        Self {
            epoch: epoch.unsigned_abs(),
            begun: Some(begun),
            ledger: Ledger::going_on_from(former, others),
            gaps: gap.into_iter().collect(),
        }
    }
}

/// The number of an epoch that begins now: milliseconds since 1970, so that no two epochs have the same.
pub(super) fn epoch(now: SystemTime) -> u64 {
    let since_1970 = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_1970.as_millis()).unwrap_or_default()
}
