//! Stands in for the eBPF backend in a program that was built without it.

use super::{Backend, BackendKind, CaptureError, Declined, Settings};

/// Declines.
pub(super) fn start(_settings: &Settings, declined: &mut Vec<Declined>) -> Option<Box<dyn Backend>> {
    declined.push(Declined { backend: BackendKind::Ebpf, attach: None, reason: CaptureError::NotBuilt });
    None
}

/// Nothing is kept by a program that cannot make anything to keep.
pub fn release(_root: &std::path::Path) -> Result<(), CaptureError> {
    Err(CaptureError::NotBuilt)
}
