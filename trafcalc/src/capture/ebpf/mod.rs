//! The eBPF backend: counts inside the kernel, and reads nothing but totals.
//!
//! What is counted, and why it is exact, is in `trafcalc-ebpf`. Here are loading, attaching and reading. Counters
//! must never be written or emptied from here: what is deleted between a read and the next event is lost.

mod actors;
mod counters;
mod descendants;
mod mismatches;
mod misses;
mod modes;
mod offsets;
mod plan;
mod programs;
mod sizes;
mod sweep;
mod tables;
mod trim;

use std::cell::OnceCell;
use std::path::Path;

use aya::Btf;
use caps::{CapSet, Capability};
use nix::errno::Errno;
use nix::sys::resource::{RLIM_INFINITY, Resource, setrlimit};
use trafcalc_common::maps::OTHER_ROW;

use self::actors::Actors;
use self::counters::Counters;
use self::mismatches::Mismatches;
use self::modes::{Looks, Variant};
use self::offsets::{Cast, Layout};
use self::plan::Plan;
use self::programs::Programs;
use self::sweep::Sweep;
use self::tables::Tables;
use super::{Attach, Backend, BackendKind, Batch, By, CaptureError, Declined, Health, Method, Owner, Settings};

/// The attach modes, cheaper ones first.
const ATTACH_ORDER: [Attach; 3] = [Attach::Fentry, Attach::Kprobe, Attach::Tracepoint];

/// Starts counting in the attach mode that `settings` ask for, or the first that works; each that was tried in vain is
/// added to `declined` with its reason.
pub(super) fn start(settings: &Settings, declined: &mut Vec<Declined>) -> Option<Box<dyn Backend>> {
    let mut decline = |attach, reason| declined.push(Declined { backend: BackendKind::Ebpf, attach, reason });
    let kernel = match Kernel::examine(settings) {
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
    /// What it is wanted for.
    plan: Plan,
    layout: Layout,
    /// Whether a sweep tells what is wanted, and how to sweep is known.
    may_sweep: bool,
    /// Its types as aya wants them, read when a program needs them.
    types: OnceCell<Btf>,
}

impl Kernel {
    fn examine(settings: &Settings) -> Result<Self, CaptureError> {
        require_capabilities()?;
        let plan = Plan::of(settings.by, &settings.wanted, settings.belonging);
        if plan.numbers_processes() {
            require_pid_namespace()?;
        }
        // Before Linux 5.11 maps count as locked memory. Without the right to raise the limit, loading them says so.
        let _ = setrlimit(Resource::RLIMIT_MEMLOCK, RLIM_INFINITY, RLIM_INFINITY);
        let layout = offsets::of_running_kernel(plan.reads_tasks())?;
        let may_sweep = layout.sweep.is_some() && !plan.reads_tasks() && settings.ebpf.method != Some(Method::Events);
        Ok(Self { plan, layout, may_sweep, types: OnceCell::new() })
    }

    /// How the program may read sockets, better ways first. A kernel that has the cast need not be able to compile it.
    fn casts(&self) -> impl Iterator<Item = Option<Cast>> {
        self.layout.cast.into_iter().map(Some).chain([None])
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

/// The kernel tells the numbers that processes have in the first pid namespace.
fn require_pid_namespace() -> Result<(), CaptureError> {
    /// `PROC_PID_INIT_INO` of `include/linux/proc_ns.h`, the same since Linux 3.8.
    const FIRST: &str = "pid:[4026531836]";
    let own = std::fs::read_link("/proc/self/ns/pid");
    if own.is_ok_and(|own| own.as_os_str() != FIRST) { Err(CaptureError::PidNamespace) } else { Ok(()) }
}

/// Says at once what attaching would find out only after it has attached half of the programs.
fn require_kprobes() -> Result<(), CaptureError> {
    let is_there = std::fs::exists("/sys/bus/event_source/devices/kprobe/type").unwrap_or(true);
    if is_there { Ok(()) } else { Err(CaptureError::NoKprobes) }
}

/// Says in words what loading would call an invalid argument. Where the list of tracepoints is not mounted, trying tells.
fn require_send_tracepoint() -> Result<(), CaptureError> {
    let events = Path::new("/sys/kernel/tracing/events/sock");
    let is_missing = events.is_dir() && !events.join("sock_send_length").is_dir();
    if is_missing { Err(CaptureError::NoTracepoint) } else { Ok(()) }
}

/// Whether it is the kind of program that is not permitted, whatever it does.
fn is_refused(reason: &CaptureError) -> bool {
    matches!(reason, CaptureError::Hook { source, .. } if source.raw_os_error() == Some(Errno::EPERM as i32))
}

/// Loads the programs of a variant, in the best way that the kernel takes.
fn load(variant: &Variant, kernel: &Kernel, settings: &Settings) -> Result<Programs, CaptureError> {
    let mut loaded = Err(CaptureError::NotBuilt);
    for cast in kernel.casts().filter(|cast| cast.is_none() || !settings.ebpf.test_without_cast) {
        let way = if cast.is_some() { "a cast" } else { "a helper" };
        loaded = Programs::load(variant, kernel, cast, settings);
        match &loaded {
            Ok(_) => {
                tracing::debug!("programs load from sockets by {way}");
                break;
            }
            Err(reason) if is_refused(reason) => break,
            Err(reason) => tracing::debug!(%reason, "programs cannot load from sockets by {way}"),
        }
    }
    loaded
}

/// The backend, as long as it runs.
struct EbpfBackend {
    attach: Attach,
    by: By,
    /// Where connections are swept.
    sweep: Option<Sweep>,
    programs: Programs,
    tables: Tables,
    /// Where it matters who acts.
    actors: Option<Actors>,
    counters: Counters,
    /// What has been told so far.
    health: Health,
    mismatches: Mismatches,
}

impl EbpfBackend {
    fn start(attach: Attach, kernel: &Kernel, settings: &Settings) -> Result<Self, CaptureError> {
        if attach == Attach::Kprobe {
            require_kprobes()?;
        }
        let mut first_reason = None;
        let must_sweep = settings.ebpf.method == Some(Method::Sweep);
        let is_possible =
            |variant: &&Variant| if variant.looks == Looks::Swept { kernel.may_sweep } else { !must_sweep };
        for variant in modes::variants(attach).iter().filter(is_possible) {
            let is_possible = if variant.needs_send_tracepoint() { require_send_tracepoint() } else { Ok(()) };
            let programs = is_possible.and_then(|()| load(variant, kernel, settings));
            match programs.and_then(|programs| Self::counting(attach, variant.looks, programs, kernel, settings)) {
                Ok(backend) => return Ok(backend),
                Err(reason) if is_refused(&reason) => return Err(first_reason.unwrap_or(reason)),
                Err(reason) => {
                    tracing::debug!(%reason, "{}: connections cannot be {}", attach.name(), variant.looks.name());
                    first_reason = first_reason.or(Some(reason));
                }
            }
        }
        Err(first_reason.unwrap_or(if must_sweep { CaptureError::CannotSweep } else { CaptureError::NotBuilt }))
    }

    fn counting(
        attach: Attach,
        looks: Looks,
        mut programs: Programs,
        kernel: &Kernel,
        settings: &Settings,
    ) -> Result<Self, CaptureError> {
        let tables = Tables::of(&mut programs)?;
        let sweep = (looks == Looks::Swept).then(|| Sweep::of(&mut programs, &settings.ebpf)).transpose()?;
        let actors = kernel.plan.reads_tasks().then(|| Actors::of(&mut programs, settings)).transpose()?;
        let mut processes = plan::fill_filters(&mut programs, &settings.wanted)?;
        programs.attach(settings)?;
        if sweep.is_some() {
            sweep::adopt(&mut programs)?;
        }
        plan::add_children(&mut processes, &settings.wanted)?;
        let (counters, health, mismatches) = (Counters::default(), Health::default(), Mismatches::default());
        Ok(Self { attach, by: settings.by, sweep, programs, tables, actors, counters, health, mismatches })
    }

    fn read(&mut self) -> Result<Batch, CaptureError> {
        if let Some(sweep) = &self.sweep {
            sweep.run(&mut self.programs)?;
        }
        let mut batch = Batch::default();
        self.tables.update_rows()?;
        for (owner, row) in self.tables.rows() {
            let gain = self.counters.gain(*row, self.tables.shares(*row)?);
            if !gain.is_zero() {
                batch.credits.push((owner.clone(), gain));
            }
        }
        if let Some(actors) = &mut self.actors {
            actors.read(&self.tables, &mut self.counters, &mut batch)?;
        }
        let health = self.health()?;
        warn_of_full_tables(&self.health, &health);
        if health.audit_mismatches != self.health.audit_mismatches {
            self.mismatches.tell(self.attach, self.tables.evidence()?.iter());
        }
        self.health = health;
        Ok(Batch { health, ..batch })
    }

    fn health(&self) -> Result<Health, CaptureError> {
        let events = self.tables.events()?;
        let overflow = self.counters.handed_out(OTHER_ROW);
        Ok(Health {
            lost_events: self.programs.misses().values().sum(),
            gaps: events.lost,
            overflow_bytes: overflow.sent + overflow.received,
            late_connections: events.late,
            unfollowed_connections: events.unfollowed,
            coarse_bytes: self.coarse_bytes(),
            audited: events.audited,
            audit_mismatches: events.mismatched,
            ..Health::default()
        })
    }

    /// What the rows of users have where more was to be told apart.
    fn coarse_bytes(&self) -> u64 {
        let of_users = self.tables.rows().iter().filter(|(owner, _)| *owner != Owner::Other);
        let bytes = of_users.map(|&(_, row)| self.counters.handed_out(row)).map(|bytes| bytes.sent + bytes.received);
        if self.by == By::User { 0 } else { bytes.sum() }
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

    fn way(&self) -> Option<(Attach, Method)> {
        Some((self.attach, if self.sweep.is_some() { Method::Sweep } else { Method::Events }))
    }

    fn collect(&mut self) -> Result<Batch, CaptureError> {
        self.read()
    }

    /// The programs are detached when the backend is dropped: the kernel takes its time for that, and the last report
    /// must not wait for it.
    fn finish(&mut self) -> Result<Batch, CaptureError> {
        for (hook, misses) in self.programs.misses().into_iter().filter(|&(_, misses)| misses > 0) {
            tracing::info!(hook, misses, "events not delivered; the next event of each connection made them good");
        }
        self.read()
    }
}
