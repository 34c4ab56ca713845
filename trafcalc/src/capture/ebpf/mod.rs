//! The eBPF backend: counts inside the kernel, and reads nothing but totals.
//!
//! `trafcalc-ebpf` documents what is counted, and why it is exact. This module loads, attaches and reads. It must never write or reset
//! counters: what is deleted between a read and the next event is lost.
//!
//! With a folder of a BPF file system, programs and maps outlive the process, and the next process continues with them: see `keep` and
//! `handover`.

mod actors;
mod beginning;
mod candidates;
mod classes;
mod counters;
mod descendants;
mod handover;
mod hooks;
mod keep;
mod log;
mod mismatches;
mod misses;
mod notes;
mod object;
mod offsets;
mod plan;
mod programs;
mod refusal;
mod reports;
mod sizes;
mod subordinates;
mod sweep;
mod tables;
mod trim;

use std::cell::OnceCell;

use aya::Btf;
use caps::{CapSet, Capability};
use nix::errno::Errno;
use nix::sys::resource::{RLIM_INFINITY, Resource, setrlimit};
use trafcalc_common::maps::OTHER_ROW;

use self::actors::Actors;
use self::beginning::Beginning;
use self::candidates::{ATTACH_ORDER, Candidate};
use self::classes::ClassNames;
use self::counters::Counters;
use self::handover::Handover;
pub use self::keep::release;
use self::keep::{Generation, Kept};
use self::log::Messages;
use self::mismatches::Mismatches;
use self::offsets::Layout;
use self::plan::{Plan, WantedUsers};
use self::programs::Programs;
use self::subordinates::Subordinates;
use self::tables::Tables;
use super::{
    Attach, Backend, BackendKind, Baseline, Batch, By, Bytes, CaptureError, Declined, EbpfSettings, Health, Method,
    OpenNotes, Owner, Settings, StreamNote, SubordinateRange,
};

/// Starts counting in the attach mode that `settings` ask for, or in the first one that works. Each mode that fails is added to
/// `declined` with its reason.
pub(super) fn start(settings: &Settings, declined: &mut Vec<Declined>) -> Option<Box<dyn Backend>> {
    let mut decline = |attach, reason| declined.push(Declined { backend: BackendKind::Ebpf, attach, reason });
    let kernel = match Kernel::examine(settings) {
        Ok(kernel) => kernel,
        Err(reason) => {
            decline(settings.attach, reason);
            return None;
        }
    };
    let mut kept = open_kept(settings);
    let started = ATTACH_ORDER
        .into_iter()
        .filter(|&attach| settings.attach.is_none_or(|wanted| wanted == attach))
        .find_map(|attach| match start_kept(attach, &kernel, settings, &mut kept) {
            Ok(backend) => Some(Box::new(backend) as Box<dyn Backend>),
            Err(reason) => {
                decline(Some(attach), refusal::named(reason, attach));
                None
            }
        });
    drop(kernel);
    trim::give_back_memory();
    started
}

/// Opens the folder in which programs and maps are pinned. If that fails, counting works without it.
fn open_kept(settings: &Settings) -> Option<Kept> {
    let folder = settings.ebpf.keep.as_deref()?;
    let is_stale = settings.former.as_ref().is_some_and(|former| &*former.map == Baseline::ELSEWHERE);
    let opened = match Kept::open(folder) {
        // Another backend has counted since, so the bytes in these counters are counted already.
        Ok(kept) if is_stale => kept.abandon().and_then(|()| Kept::open(folder)),
        opened => opened,
    };
    opened.inspect_err(|error| tracing::warn!("{error}; counting ends with this process")).ok()
}

/// Starts in an attach mode; without pinning if pinning fails.
fn start_kept(
    attach: Attach,
    kernel: &Kernel,
    settings: &Settings,
    kept: &mut Option<Kept>,
) -> Result<EbpfBackend, CaptureError> {
    match EbpfBackend::start(attach, kernel, settings, kept.as_ref()) {
        Err(error @ CaptureError::Keep { .. }) => {
            tracing::warn!("{error}; counting ends with this process");
            if let Some(Err(error)) = kept.take().map(Kept::abandon) {
                tracing::warn!("{error}");
            }
            EbpfBackend::start(attach, kernel, settings, None)
        }
        result => result,
    }
}

/// What all attach modes need to know of the running kernel.
struct Kernel {
    /// What the programs have to do.
    plan: Plan,
    layout: Layout,
    /// Whether a hash map that programs at tracepoints use may allocate as it grows: BPF has an allocator of its own since Linux 6.1.
    has_growing_hashes: bool,
    /// Its BTF as aya needs it, read when a program needs it.
    types: OnceCell<Btf>,
}

impl Kernel {
    fn examine(settings: &Settings) -> Result<Self, CaptureError> {
        if version() < OLDEST {
            return Err(CaptureError::OldKernel);
        }
        require_capabilities()?;
        let plan = Plan::of(settings.by, &settings.wanted, settings.credit_to);
        if plan.numbers_processes() {
            require_pid_namespace()?;
        }
        // Before Linux 5.11 maps count as locked memory. Without the right to raise the limit, loading reports the error.
        let _ = setrlimit(Resource::RLIMIT_MEMLOCK, RLIM_INFINITY, RLIM_INFINITY);
        let layout = offsets::of_running_kernel(plan.reads_tasks())?;
        Ok(Self { plan, layout, has_growing_hashes: version() >= (6, 1), types: OnceCell::new() })
    }

    /// The method for `settings`.
    fn method(&self, settings: &Settings) -> Method {
        if self.plan.reads_tasks() { Method::Events } else { settings.ebpf.method.unwrap_or(Method::Sweep) }
    }
}

/// The first Linux with `bpf_for_each_map_elem`, which sweeps need.
const OLDEST: (u32, u32) = (5, 13);

/// The kernel's major and minor version; zeroes if they cannot be read.
fn version() -> (u32, u32) {
    let release = nix::sys::utsname::uname().map(|name| name.release().to_string_lossy().into_owned());
    let release = release.unwrap_or_default();
    let mut numbers = release.split(|letter: char| !letter.is_ascii_digit()).map(|number| number.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
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

/// Programs see process ids of the initial pid namespace, so the service has to run there.
fn require_pid_namespace() -> Result<(), CaptureError> {
    /// `PROC_PID_INIT_INO` of `include/linux/proc_ns.h`, the same since Linux 3.8.
    const FIRST: &str = "pid:[4026531836]";
    let own = std::fs::read_link("/proc/self/ns/pid");
    if own.is_ok_and(|own| own.as_os_str() != FIRST) { Err(CaptureError::PidNamespace) } else { Ok(()) }
}

/// Whether the kernel refuses this kind of program altogether.
fn is_refused(reason: &CaptureError) -> bool {
    matches!(reason, CaptureError::Hook { source, .. } if source.raw_os_error() == Some(Errno::EPERM as i32))
}

/// The running backend.
struct EbpfBackend {
    candidate: Candidate,
    by: By,
    settings: EbpfSettings,
    programs: Programs,
    tables: Tables,
    /// `Some` if a filter chooses users.
    wanted_users: Option<WantedUsers>,
    subordinates: Subordinates,
    /// `Some` with the method `events` if more than the user of the socket matters.
    actors: Option<Actors>,
    counters: Counters,
    /// Bytes that were credited to a user only, although accounts are told apart by more.
    coarse_bytes: u64,
    /// The health in the last batch.
    health: Health,
    mismatches: Mismatches,
    _messages: Option<Messages>,
    /// `Some` if programs are pinned.
    handover: Option<Handover>,
    /// Whether it continues where a former process ended.
    goes_on: bool,
    /// Whether the next batch must contain all counters: the book may lack some of them, or have older values.
    tell_all: bool,
    /// What was read and not handed out because of an error.
    withheld: Batch,
}

impl EbpfBackend {
    /// Starts the best candidate of an attach mode that works. Returns the reason of the first failure: later ones are about second
    /// choices.
    fn start(attach: Attach, kernel: &Kernel, settings: &Settings, kept: Option<&Kept>) -> Result<Self, CaptureError> {
        let mut first_reason = None;
        for candidate in Candidate::of(attach, kernel, settings) {
            let reading = candidate.reading();
            match Self::counting(candidate, kernel, settings, kept) {
                Ok(backend) => {
                    tracing::debug!("programs load from sockets by {reading}");
                    return Ok(backend);
                }
                Err(reason @ CaptureError::Keep { .. }) => return Err(reason),
                Err(reason) if is_refused(&reason) => return Err(first_reason.unwrap_or(reason)),
                Err(reason) => {
                    tracing::debug!(%reason, "programs cannot load from sockets by {reading}");
                    first_reason = first_reason.or(Some(reason));
                }
            }
        }
        Err(first_reason.unwrap_or(CaptureError::NotBuilt))
    }

    fn counting(
        candidate: Candidate,
        kernel: &Kernel,
        settings: &Settings,
        kept: Option<&Kept>,
    ) -> Result<Self, CaptureError> {
        candidate.check()?;
        let Some(kept) = kept else {
            let beginning = beginning::begin(&candidate, kernel, settings)?;
            return Self::new(candidate, settings, beginning, None);
        };
        let identity = object::identity(&candidate, kernel, settings);
        let same = kept.acting.as_ref().filter(|acting| acting.is_known && acting.identity == identity);
        if let Some(acting) = same.filter(|_| log::level() == 0) {
            let beginning = beginning::go_on(&candidate, kernel, settings, acting)?;
            tracing::info!("continues with the programs and counters of the former process");
            let backend = Self::new(candidate, settings, beginning, Some((acting.clone(), &kept.former)))?;
            return Ok(Self { goes_on: true, ..backend });
        }
        let (beginning, generation) =
            beginning::begin_kept(&candidate, kernel, settings, (kept, identity)).inspect_err(|_| kept.give_up())?;
        let former: Vec<_> = kept.former.iter().chain(&kept.acting).cloned().collect();
        Self::new(candidate, settings, beginning, Some((generation, &former)))
    }

    fn new(
        candidate: Candidate,
        settings: &Settings,
        beginning: Beginning,
        kept: Option<(Generation, &[Generation])>,
    ) -> Result<Self, CaptureError> {
        let Beginning { mut programs, actors, wanted_users, subordinates, messages } = beginning;
        let mut tables = Tables::of(&mut programs, &settings.ebpf, ClassNames::told(&settings.classes))?;
        let told = settings.former.as_ref();
        let goes_on = kept.as_ref().is_some_and(|(_, former)| former.iter().any(|former| former.is_known));
        let handover = kept.map(|(generation, former)| Handover::of(&mut programs, generation, former, told));
        let (handover, counters) = handover.transpose()?.unzip();
        if let Some(Handover { reports, .. }) = &handover {
            tables.remember(reports.left(), reports)?;
        }
        let tell_all = handover.is_some();
        Ok(Self {
            candidate,
            by: settings.by,
            settings: settings.ebpf.clone(),
            programs,
            tables,
            wanted_users,
            subordinates,
            actors,
            counters: counters.unwrap_or_default(),
            coarse_bytes: 0,
            health: Health::default(),
            mismatches: Mismatches::default(),
            _messages: messages,
            handover,
            goes_on,
            tell_all,
            withheld: Batch::default(),
        })
    }

    /// If reading fails halfway, the next call returns what was read: the counters consider it handed out.
    fn read(&mut self, is_last: bool) -> Result<Batch, CaptureError> {
        let mut batch = std::mem::take(&mut self.withheld);
        match self.read_into(&mut batch, is_last) {
            Ok(()) => Ok(batch),
            Err(error) => {
                self.withheld = batch;
                Err(error)
            }
        }
    }

    fn read_into(&mut self, batch: &mut Batch, is_last: bool) -> Result<(), CaptureError> {
        if let Some(handover) = &mut self.handover {
            handover.take_over(&mut self.programs)?;
        }
        sweep::run(&mut self.programs, &self.settings, is_last)?;
        if is_last {
            // Anything credited after this point would miss the last batch although the notes already include it.
            self.programs.act(false)?;
            keep::wait_for_programs();
        }
        let withheld = batch.credits.len();
        self.tables.gains(&mut self.counters, &mut batch.credits)?;
        self.coarse_bytes += coarse_bytes(self.by, &batch.credits[withheld..]);
        let is_kept = self.handover.is_some();
        if let Some(actors) = &mut self.actors {
            actors.read(&self.tables, &mut self.counters, is_kept, batch)?;
        }
        if let Some(handover) = &mut self.handover {
            handover.read_former(batch)?;
        }
        self.tables.give_back(&self.counters, self.handover.as_ref().map(|handover| &handover.reports))?;
        let health = self.health()?;
        batch.baseline = self.baseline();
        warn_of_full_tables(&self.health, &health);
        if health.audit_mismatches != self.health.audit_mismatches {
            self.mismatches.tell(self.candidate.attach, self.tables.evidence()?.iter());
        }
        self.health = health;
        let streams = if is_last { self.notes() } else { Vec::new() };
        (batch.health, batch.open) = (health, OpenNotes { streams, ..OpenNotes::default() });
        Ok(())
    }

    /// The positions of open connections. If they cannot be read, the last batch is returned without them.
    fn notes(&mut self) -> Vec<StreamNote> {
        let notes = notes::read(&mut self.programs, &self.settings);
        notes.unwrap_or_else(|error| {
            tracing::warn!("{error}: what open connections move until the next start is not counted");
            Vec::new()
        })
    }

    /// The state of the counters that the next process needs.
    fn baseline(&mut self) -> Option<Baseline> {
        let map = self.handover.as_ref()?.map();
        let changes = self.counters.changes();
        let rows = if std::mem::take(&mut self.tell_all) { self.counters.all() } else { changes };
        Some(Baseline { map, rows })
    }

    fn health(&self) -> Result<Health, CaptureError> {
        let events = self.tables.events()?;
        let overflow = self.counters.handed_out(OTHER_ROW);
        Ok(Health {
            lost_events: self.programs.misses().values().sum(),
            overflow_bytes: overflow.sent + overflow.received,
            late_connections: events.late,
            unfollowed_connections: events.unfollowed,
            coarse_bytes: self.coarse_bytes,
            audited: events.audited,
            audit_mismatches: events.mismatched,
            gaps: events.lost,
            ..Health::default()
        })
    }
}

/// Bytes that were credited to a user only, although accounts are told apart by more.
fn coarse_bytes(by: By, credits: &[(Owner, Bytes)]) -> u64 {
    let of_users = credits.iter().filter(|(owner, _)| *owner != Owner::OTHER);
    if by == By::USER { 0 } else { of_users.map(|(_, bytes)| bytes.sent + bytes.received).sum() }
}

/// Warns once when a table becomes too small; the reports have the numbers.
fn warn_of_full_tables(before: &Health, now: &Health) {
    if before.unfollowed_connections == 0 && now.unfollowed_connections > 0 {
        tracing::warn!("more connections than ebpf.max_connections: some are counted when they end");
    }
    if before.overflow_bytes == 0 && now.overflow_bytes > 0 {
        tracing::warn!("more users than ebpf.max_accounts: some are counted for (other)");
    }
}

impl Backend for EbpfBackend {
    fn kind(&self) -> BackendKind {
        BackendKind::Ebpf
    }

    fn attach_and_method(&self) -> Option<(Attach, Method)> {
        Some((self.candidate.attach, self.candidate.method))
    }

    fn collect(&mut self) -> Result<Batch, CaptureError> {
        self.read(false)
    }

    fn want(&mut self, users: &[u32]) -> Result<(), CaptureError> {
        self.wanted_users.as_mut().map_or(Ok(()), |wanted| wanted.add(users))
    }

    fn set_subordinates(&mut self, ranges: &[SubordinateRange]) -> Result<(), CaptureError> {
        self.subordinates.set(ranges)
    }

    fn goes_on(&self) -> bool {
        self.goes_on
    }

    fn reported(&mut self) {
        let Some(handover) = &mut self.handover else {
            self.counters.report();
            return;
        };
        if let Err(error) = handover.reported(&mut self.programs, &mut self.counters) {
            tracing::warn!("{error}");
        }
    }

    /// The programs are detached when the backend is dropped: that takes the kernel a while, and the last report must not wait for it.
    /// Pinned programs stay attached, so this is no last sweep: the next process reports the rest.
    fn finish(&mut self) -> Result<Batch, CaptureError> {
        for (hook, misses) in self.programs.misses().into_iter().filter(|&(_, misses)| misses > 0) {
            tracing::info!(hook, misses, "events not delivered; the next event of each connection corrected the count");
        }
        self.read(self.handover.is_none())
    }
}
