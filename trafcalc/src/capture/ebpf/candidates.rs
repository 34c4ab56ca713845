//! The combinations of attach mode, method and reading of sockets that are tried, better ones first, until one works.

use super::offsets::Cast;
use super::{Kernel, hooks};
use crate::capture::{Attach, CaptureError, Method, Settings};

/// One combination.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate {
    pub(super) attach: Attach,
    pub(super) method: Method,
    /// How programs read sockets: by a cast, or if `None` by a helper.
    pub(super) cast: Option<Cast>,
}

/// Attach modes, cheaper ones first.
pub(super) const ATTACH_ORDER: [Attach; 3] = [Attach::Fentry, Attach::Kprobe, Attach::Tracepoint];

impl Candidate {
    /// All candidates for `settings` in one attach mode.
    pub(super) fn of(attach: Attach, kernel: &Kernel, settings: &Settings) -> Vec<Self> {
        let method = kernel.method(settings);
        let casts = kernel.layout.cast.into_iter().filter(|_| !settings.ebpf.test_without_cast).map(Some);
        casts.chain([None]).map(|cast| Self { attach, method, cast }).collect()
    }

    /// Checks what would otherwise fail only after half of the programs are attached.
    pub(super) fn check(&self) -> Result<(), CaptureError> {
        match (self.attach, self.method) {
            (Attach::Kprobe, _) => require_kprobes(),
            (Attach::Tracepoint, Method::Events) => require_send_tracepoint(),
            _ => Ok(()),
        }
    }

    /// How its programs read sockets, for messages.
    pub(super) const fn reading(&self) -> &'static str {
        if self.cast.is_some() { "a cast" } else { "a helper" }
    }

    /// The hooks of its programs, in the order of attachment.
    pub(super) fn hooks(&self) -> impl DoubleEndedIterator<Item = &'static hooks::Hook> {
        hooks::of(self.attach, self.method)
    }
}

fn require_kprobes() -> Result<(), CaptureError> {
    let is_there = std::fs::exists("/sys/bus/event_source/devices/kprobe/type").unwrap_or(true);
    if is_there { Ok(()) } else { Err(CaptureError::NoKprobes) }
}

/// Gives a clear error in place of the kernel's "invalid argument". Where tracefs is not mounted, the kernel decides.
fn require_send_tracepoint() -> Result<(), CaptureError> {
    let events = std::path::Path::new("/sys/kernel/tracing/events/sock");
    let is_missing = events.is_dir() && !events.join("sock_send_length").is_dir();
    if is_missing { Err(CaptureError::NoTracepoint) } else { Ok(()) }
}
