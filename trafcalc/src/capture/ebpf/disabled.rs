//! Replaces the eBPF backend in a build without it.

use super::{Backend, BackendKind, CaptureError, Declined, Settings};

/// Declines.
pub(super) fn start(_settings: &Settings, declined: &mut Vec<Declined>) -> Option<Box<dyn Backend>> {
    declined.push(Declined { backend: BackendKind::Ebpf, attach: None, reason: CaptureError::NotBuilt });
    None
}

/// A build without the backend cannot read what another build pinned.
pub fn release(_root: &std::path::Path) -> Result<(), CaptureError> {
    Err(CaptureError::NotBuilt)
}
