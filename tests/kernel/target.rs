//! What is under test: a backend and, for eBPF, how it is attached.

use std::fmt::{self, Display};
use std::str::FromStr;

use anyhow::{Result, bail};

use crate::service::{Options, Service};
use crate::world::Namespace;

/// A backend with its attach mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Packet,
    /// With the name of the attach mode.
    Ebpf(&'static str),
    /// The same with `--method events`, also where it could sweep.
    Events(&'static str),
}

const ALL: [Target; 7] = [
    Target::Packet,
    Target::Ebpf("fentry"),
    Target::Ebpf("kprobe"),
    Target::Ebpf("tracepoint"),
    Target::Events("fentry"),
    Target::Events("kprobe"),
    Target::Events("tracepoint"),
];

impl Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Packet => f.write_str("packet"),
            Self::Ebpf(attach) => write!(f, "ebpf:{attach}"),
            Self::Events(attach) => write!(f, "ebpf:{attach}:events"),
        }
    }
}

impl FromStr for Target {
    type Err = anyhow::Error;

    fn from_str(name: &str) -> Result<Self> {
        match ALL.into_iter().find(|target| target.to_string() == name) {
            Some(target) => Ok(target),
            None => bail!("TRAFCALC_TEST_TARGETS: there is no target {name:?}"),
        }
    }
}

impl Target {
    /// The options of `trafcalc run` and `selftest` that choose it.
    pub(crate) fn arguments(self) -> Vec<&'static str> {
        match self {
            Self::Packet => vec!["--backend", "packet"],
            Self::Ebpf(attach) => vec!["--backend", "ebpf", "--attach", attach],
            Self::Events(attach) => vec!["--backend", "ebpf", "--attach", attach, "--method", "events"],
        }
    }

    /// Whether it is an attach mode as users have it.
    pub(crate) fn is_ebpf(self) -> bool {
        matches!(self, Self::Ebpf(_))
    }

    fn starts(self) -> Result<()> {
        Service::start(self, &Namespace::new()?, &Options::default())?.stop().map(drop)
    }
}

/// Those that were named, whether they start or not; if none was, packet (which has to work everywhere) and those
/// that start.
pub(crate) fn chosen() -> Result<Vec<Target>> {
    let works = |&target: &Target| target == Target::Packet || starts_or_says_why(target);
    named().unwrap_or_else(|| Ok(ALL.into_iter().filter(works).collect()))
}

/// Those that were named, or all: for a list of tests that are not run.
pub(crate) fn named_or_all() -> Result<Vec<Target>> {
    named().unwrap_or_else(|| Ok(ALL.to_vec()))
}

fn named() -> Option<Result<Vec<Target>>> {
    let names = std::env::var("TRAFCALC_TEST_TARGETS").ok()?;
    Some(names.split(',').map(str::parse).collect())
}

fn starts_or_says_why(target: Target) -> bool {
    match target.starts() {
        Ok(()) => true,
        Err(error) => {
            eprintln!("left out: {target}::*, it does not start here: {error:#}");
            false
        }
    }
}

/// How the two ends name each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    Ipv4,
    Ipv6,
    /// IPv4 packets through IPv6 sockets.
    Mapped,
}

impl Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ipv4 => "ipv4",
            Self::Ipv6 => "ipv6",
            Self::Mapped => "mapped",
        })
    }
}
