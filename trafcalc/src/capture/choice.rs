//! Chooses the backend: the one asked for, or the first that starts.

use std::fmt;

use super::ebpf;
use super::packet::PacketBackend;
use super::{Alarm, Attach, Backend, BackendKind, CaptureError, CreditTo, Settings};

/// A running backend, and those that were tried before it.
pub struct Started {
    /// The running backend.
    pub backend: Box<dyn Backend>,
    /// Preferred backends and attach modes that did not start.
    pub declined: Vec<Declined>,
}

/// A backend (and attach mode) that did not start, and why.
#[derive(Debug)]
pub struct Declined {
    /// Which backend.
    pub backend: BackendKind,
    /// Which attach mode, where it has one.
    pub attach: Option<Attach>,
    /// Why.
    pub reason: CaptureError,
}

impl fmt::Display for Declined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { backend, attach, reason } = self;
        match attach {
            Some(attach) => write!(f, "{} ({}): {reason}", backend.name(), attach.name()),
            None => write!(f, "{}: {reason}", backend.name()),
        }
    }
}

/// Starts the backend that `settings` ask for, or the first that starts, in the order ebpf, packet. If interfaces are named, only
/// packet is tried unless ebpf is asked for.
///
/// # Errors
/// Every backend that was tried, with the reason why it did not start.
pub fn start(settings: &Settings, alarm: &Alarm) -> Result<Started, Vec<Declined>> {
    let mut declined = Vec::new();
    for kind in [BackendKind::Ebpf, BackendKind::Packet] {
        if settings.backend.is_some_and(|wanted| wanted != kind) {
            continue;
        }
        if kind == BackendKind::Ebpf && settings.backend.is_none() && !settings.packet.interfaces.is_empty() {
            declined.push(Declined { backend: kind, attach: None, reason: CaptureError::NamedInterfaces });
            continue;
        }
        if kind == BackendKind::Ebpf && !settings.packet.interfaces.is_empty() {
            tracing::warn!("packet.interfaces is for the packet backend: ebpf counts on all interfaces");
        }
        if let Some(backend) = start_one(kind, settings, alarm, &mut declined) {
            return Ok(Started { backend, declined });
        }
    }
    Err(declined)
}

fn start_one(
    kind: BackendKind,
    settings: &Settings,
    alarm: &Alarm,
    declined: &mut Vec<Declined>,
) -> Option<Box<dyn Backend>> {
    match kind {
        BackendKind::Ebpf => ebpf::start(settings, declined),
        BackendKind::Packet => match start_packet(settings, alarm) {
            Ok(backend) => {
                free_kept(settings);
                Some(Box::new(backend))
            }
            Err(reason) => {
                declined.push(Declined { backend: kind, attach: None, reason });
                None
            }
        },
    }
}

/// Removes pinned programs of a former process: the packet backend counts from now on what they would count.
fn free_kept(settings: &Settings) {
    if let Some(folder) = &settings.ebpf.keep
        && let Err(error) = ebpf::release(folder)
    {
        tracing::warn!("programs that a former process kept stay in the kernel: {error}");
    }
}

fn start_packet(settings: &Settings, alarm: &Alarm) -> Result<PacketBackend, CaptureError> {
    if settings.credit_to == CreditTo::Acting {
        return Err(CaptureError::CannotSeeActing);
    }
    PacketBackend::start(settings, alarm)
}
/// The backends that were tried.
#[derive(Debug)]
pub struct Tried(pub Vec<Declined>);

impl fmt::Display for Tried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|declined| write!(f, "\n  {declined}"))
    }
}
