//! The eBPF backend: counts inside the kernel, and reads nothing but totals.
//!
//! What is counted, and why it is exact, is in `trafcalc-ebpf`. Here are loading, attaching and reading. The maps must
//! never be written or emptied from here: what is deleted between a read and the next event is lost.

mod counters;
mod misses;
mod modes;
mod offsets;
mod programs;
mod sizes;
mod tables;
mod trim;

use std::cell::OnceCell;

use aya::Btf;
use caps::{CapSet, Capability};
use nix::sys::resource::{RLIM_INFINITY, Resource, setrlimit};
use trafcalc_common::maps::Offsets;

use self::counters::Counters;
use self::programs::Programs;
use self::tables::Tables;
use super::{Attach, Backend, BackendKind, Batch, CaptureError, Declined, Health, Owner, Settings};

/// The attach modes, cheaper ones first.
const ATTACH_ORDER: [Attach; 3] = [Attach::Fentry, Attach::Kprobe, Attach::Tracepoint];

/// Starts counting in the attach mode that `settings` ask for, or the first that works; each that was tried in vain is
/// added to `declined` with its reason.
pub(super) fn start(settings: &Settings, declined: &mut Vec<Declined>) -> Option<Box<dyn Backend>> {
    let mut decline = |attach, reason| declined.push(Declined { backend: BackendKind::Ebpf, attach, reason });
    let kernel = match Kernel::examine() {
        Ok(kernel) => kernel,
        Err(reason) => {
            decline(settings.attach, reason);
            return None;
        }
    };
    let started = ATTACH_ORDER
        .into_iter()
        .filter(|&attach| settings.attach.is_none_or(|wanted| wanted == attach))
        .find_map(|attach| match EbpfBackend::start(attach, &kernel, settings) {
            Ok(backend) => Some(Box::new(backend) as Box<dyn Backend>),
            Err(reason) => {
                decline(Some(attach), reason);
                None
            }
        });
    drop(kernel);
    trim::give_back_memory();
    started
}

/// What all attach modes need to know of the running kernel.
struct Kernel {
    offsets: Offsets,
    /// Its types as aya wants them, read when a program needs them.
    types: OnceCell<Btf>,
}

impl Kernel {
    fn examine() -> Result<Self, CaptureError> {
        require_capabilities()?;
        // Before Linux 5.11 maps count as locked memory. Without the right to raise the limit, loading them says so.
        let _ = setrlimit(Resource::RLIMIT_MEMLOCK, RLIM_INFINITY, RLIM_INFINITY);
        Ok(Self { offsets: offsets::of_running_kernel()?, types: OnceCell::new() })
    }
}

fn require_capabilities() -> Result<(), CaptureError> {
    let has = |capability| caps::has_cap(None, CapSet::Effective, capability).unwrap_or(false);
    if has(Capability::CAP_SYS_ADMIN) {
        return Ok(());
    }
    for (capability, name) in [(Capability::CAP_BPF, "CAP_BPF"), (Capability::CAP_PERFMON, "CAP_PERFMON")] {
        if !has(capability) {
            return Err(CaptureError::Privilege { what: "loading the eBPF program", capability: name });
        }
    }
    Ok(())
}

/// Says at once what attaching would find out only after it has attached half of the programs.
fn require_kprobes() -> Result<(), CaptureError> {
    let is_there = std::fs::exists("/sys/bus/event_source/devices/kprobe/type").unwrap_or(true);
    if is_there { Ok(()) } else { Err(CaptureError::NoKprobes) }
}

/// The backend, as long as it runs.
struct EbpfBackend {
    attach: Attach,
    programs: Programs,
    tables: Tables,
    counters: Counters,
    /// What has been told so far.
    health: Health,
}

impl EbpfBackend {
    fn start(attach: Attach, kernel: &Kernel, settings: &Settings) -> Result<Self, CaptureError> {
        if attach == Attach::Kprobe {
            require_kprobes()?;
        }
        let mut first_reason = None;
        for variant in modes::variants(attach) {
            match Programs::attach(variant, &kernel.types, &kernel.offsets, settings) {
                Ok(mut programs) => {
                    let tables = Tables::of(&mut programs)?;
                    let (counters, health) = (Counters::default(), Health::default());
                    return Ok(Self { attach, programs, tables, counters, health });
                }
                Err(reason) => first_reason = first_reason.or(Some(reason)),
            }
        }
        Err(first_reason.unwrap_or(CaptureError::NotBuilt))
    }

    fn read(&mut self) -> Result<Batch, CaptureError> {
        let mut credits = Vec::new();
        for tally in self.tables.tallies() {
            let (owner, shares) = tally?;
            credits.extend(self.counters.gain(owner, shares));
        }
        let health = self.health()?;
        warn_of_full_tables(&self.health, &health);
        self.health = health;
        Ok(Batch { credits, health })
    }

    fn health(&self) -> Result<Health, CaptureError> {
        let events = self.tables.events()?;
        let overflow = self.counters.handed_out(Owner::Other);
        Ok(Health {
            lost_events: self.programs.misses().map(|(_, misses)| misses).sum(),
            gaps: events.lost,
            overflow_bytes: overflow.sent + overflow.received,
            late_connections: events.late,
            unfollowed_connections: events.unfollowed,
            ..Health::default()
        })
    }
}

/// Says so once, when a table becomes too small; the numbers go on in the reports.
fn warn_of_full_tables(before: &Health, now: &Health) {
    if before.unfollowed_connections == 0 && now.unfollowed_connections > 0 {
        tracing::warn!("more connections than ebpf.max_connections: some are counted when they end, for (other)");
    }
    if before.gaps == 0 && now.gaps > 0 {
        tracing::warn!("far more connections than ebpf.max_connections: some are not counted");
    }
    let is_row_missing = |health: &Health| health.overflow_bytes > 0 && health.unfollowed_connections == 0;
    if !is_row_missing(before) && is_row_missing(now) {
        tracing::warn!("more users than ebpf.max_accounts: some are counted for (other)");
    }
}

impl Backend for EbpfBackend {
    fn kind(&self) -> BackendKind {
        BackendKind::Ebpf
    }

    fn attach(&self) -> Option<Attach> {
        Some(self.attach)
    }

    fn collect(&mut self) -> Result<Batch, CaptureError> {
        self.read()
    }

    /// The programs are detached when the backend is dropped: the kernel takes its time for that, and the last report
    /// must not wait for it.
    fn finish(&mut self) -> Result<Batch, CaptureError> {
        for (program, misses) in self.programs.misses().filter(|&(_, misses)| misses > 0) {
            tracing::info!(program, misses, "events not delivered; the next event of each connection made them good");
        }
        self.read()
    }
}
