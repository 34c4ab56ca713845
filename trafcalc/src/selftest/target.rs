//! What is tested: a backend and, for eBPF, an attach mode.

use std::fmt;

use crate::capture::{self, Attach, BackendKind};

/// A backend with its attach mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// The backend.
    pub backend: BackendKind,
    /// The attach mode of the eBPF backend.
    pub attach: Option<Attach>,
}

const ALL: [Target; 4] = [
    Target { backend: BackendKind::Packet, attach: None },
    Target { backend: BackendKind::Ebpf, attach: Some(Attach::Fentry) },
    Target { backend: BackendKind::Ebpf, attach: Some(Attach::Kprobe) },
    Target { backend: BackendKind::Ebpf, attach: Some(Attach::Tracepoint) },
];

/// The targets that `settings` allow.
pub(super) fn chosen(settings: &capture::Settings) -> Vec<Target> {
    let is_allowed = |target: &Target| {
        settings.backend.is_none_or(|backend| backend == target.backend)
            && settings.attach.is_none_or(|attach| target.attach == Some(attach))
    };
    ALL.into_iter().filter(is_allowed).collect()
}

impl Target {
    /// The settings restricted to this target.
    pub(super) fn settings(self, settings: &capture::Settings) -> capture::Settings {
        capture::Settings { backend: Some(self.backend), attach: self.attach, ..settings.clone() }
    }

    /// How many milliseconds both ends keep each connection open after its bytes. The packet backend can look up the owner of a
    /// connection only while the connection exists; the duration of a request over a real network is enough even on a busy host.
    pub(super) const fn hold_ms(self) -> u64 {
        match self.backend {
            BackendKind::Ebpf => 0,
            BackendKind::Packet => 50,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.attach {
            Some(attach) => write!(f, "{} ({})", self.backend.name(), attach.name()),
            None => f.write_str(self.backend.name()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Backend, for_selftest};

    fn names(backend: Option<BackendKind>, attach: Option<Attach>) -> Vec<String> {
        let settings = for_selftest(backend.map(Backend::Only), attach, None).unwrap();
        chosen(&settings).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn all_are_tested_where_none_is_named() {
        assert_eq!(names(None, None), ["packet", "ebpf (fentry)", "ebpf (kprobe)", "ebpf (tracepoint)"]);
    }

    #[test]
    fn what_is_named_is_tested_alone() {
        assert_eq!(names(Some(BackendKind::Packet), None), ["packet"]);
        assert_eq!(names(Some(BackendKind::Ebpf), Some(Attach::Kprobe)), ["ebpf (kprobe)"]);
        assert_eq!(names(None, Some(Attach::Fentry)), ["ebpf (fentry)"]);
        assert_eq!(names(Some(BackendKind::Ebpf), None).len(), 3);
    }
}
