//! Loading the object and attaching its programs. Choosing is by trying: what a kernel supports and what it permits
//! are two things.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::error::Error;
use std::io;
use std::os::fd::AsFd as _;

use aya::programs::{Program, ProgramError, RawTracePointRunOptions, TestRun as _};
use aya::{Btf, BtfError, Ebpf, EbpfLoader, VerifierLogLevel};
use trafcalc_common::cast;
use trafcalc_common::offsets::{OFFSETS_WORDS, SWEEP_OFFSETS_WORDS, SweepOffsets, TASK_OFFSETS_WORDS};

use super::modes::{Hook, Looks, Need, RUN_BY_US, STATES, Variant};
use super::offsets::Cast;
use super::plan::filter_entries;
use super::sizes::Sizes;
use super::{Kernel, misses};
use crate::capture::{CaptureError, Settings};

/// The kernel half, as `build.rs` made it.
const OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/trafcalc-ebpf.o"));

/// The programs, attached as long as this lives.
pub(super) struct Programs {
    ebpf: Ebpf,
    /// Those that are there, in the order in which they are to be attached.
    loaded: Vec<&'static Hook>,
    attached: Vec<&'static Hook>,
}

impl Programs {
    /// Loads the object and its programs. All are loaded before one is attached: detaching again takes the kernel a
    /// while.
    pub(super) fn load(
        variant: &Variant,
        kernel: &Kernel,
        cast: Option<Cast>,
        settings: &Settings,
    ) -> Result<Self, CaptureError> {
        let ebpf = load_object(variant, kernel, cast, settings)?;
        let mut programs = Self { ebpf, loaded: Vec::new(), attached: Vec::new() };
        // Those whose kind may be refused come last in a mode, and it is they that should be tried first.
        let is_possible = |hook: &&Hook| hook.need != Need::IfPreemptible || kernel.layout.preemptible;
        for hook in variant.hooks().rev().chain(kernel.plan.hooks()).filter(is_possible) {
            match load(programs.program(hook)?, hook.target, &kernel.types) {
                Ok(()) => {
                    tell_size(programs.program(hook)?, hook);
                    programs.loaded.push(hook);
                }
                Err(error) if hook.need != Need::Required => tracing::debug!(%error, "{} is left out", hook.program),
                Err(error) => return Err(reason(hook.target, &error)),
            }
        }
        programs.loaded.reverse();
        for name in RUN_BY_US.into_iter().filter(|_| variant.looks == Looks::Swept) {
            load(programs.named(name)?, name, &kernel.types).map_err(|error| reason(name, &error))?;
        }
        Ok(programs)
    }

    /// Has the kernel call the programs from now on.
    pub(super) fn attach(&mut self, settings: &Settings) -> Result<(), CaptureError> {
        let is_left_out = |hook: &Hook| settings.ebpf.test_leave_out_states && hook.target == STATES;
        for hook in std::mem::take(&mut self.loaded).into_iter().filter(|hook| !is_left_out(hook)) {
            match attach(self.program(hook)?, hook.target) {
                Ok(()) => self.attached.push(hook),
                Err(error) if hook.need == Need::IfPreemptible => {
                    tracing::debug!(%error, "{} is left out", hook.program);
                }
                Err(error) => return Err(reason(hook.target, &error)),
            }
        }
        Ok(())
    }

    /// Runs a program that is attached to nothing, and gives what it returns.
    pub(super) fn run(&mut self, name: &'static str, arguments: [u64; 2]) -> Result<u32, CaptureError> {
        let mut options = RawTracePointRunOptions::default();
        options.args[..2].copy_from_slice(&arguments);
        let Program::RawTracePoint(program) = self.named(name)? else {
            return Err(reason(name, &ProgramError::UnexpectedProgramType));
        };
        program.test_run(options).map(|result| result.return_value).map_err(|error| reason(name, &error))
    }

    fn program(&mut self, hook: &Hook) -> Result<&mut Program, CaptureError> {
        let missing = CaptureError::Hook { hook: hook.target, source: io::ErrorKind::NotFound.into() };
        self.ebpf.program_mut(hook.program).ok_or(missing)
    }

    fn named(&mut self, name: &'static str) -> Result<&mut Program, CaptureError> {
        let missing = CaptureError::Hook { hook: name, source: io::ErrorKind::NotFound.into() };
        self.ebpf.program_mut(name).ok_or(missing)
    }

    /// Takes a map; the caller knows its name.
    pub(super) fn take_map(&mut self, name: &'static str) -> Result<aya::maps::Map, CaptureError> {
        let missing =
            CaptureError::System { what: "looking for a map of the program", source: io::ErrorKind::NotFound.into() };
        self.ebpf.take_map(name).ok_or(missing)
    }

    /// How many events the kernel did not deliver, hook by hook. What one of several copies was not called for another was.
    pub(super) fn misses(&self) -> BTreeMap<&'static str, u64> {
        let of_probes = OnceCell::new();
        let of_probe = |program: &Program| {
            let Program::KProbe(probe) = program else { return 0 };
            let id = probe.info().map(|info| info.id()).unwrap_or_default();
            of_probes.get_or_init(misses::of_probes).get(&id).copied().unwrap_or(0)
        };
        let mut of_hooks = BTreeMap::new();
        for hook in &self.attached {
            let program = self.ebpf.program(hook.program);
            let Some((program, fd)) = program.and_then(|program| Some((program, program.fd().ok()?))) else { continue };
            let missed = misses::of(fd.as_fd()) + of_probe(program);
            of_hooks.entry(hook.target).and_modify(|least: &mut u64| *least = missed.min(*least)).or_insert(missed);
        }
        of_hooks
    }
}

fn load_object(
    variant: &Variant,
    kernel: &Kernel,
    cast: Option<Cast>,
    settings: &Settings,
) -> Result<Ebpf, CaptureError> {
    let words: [u32; OFFSETS_WORDS] = kernel.layout.sockets.words();
    let task_words: [u32; TASK_OFFSETS_WORDS] = kernel.layout.tasks.words();
    let sweep_words: [u32; SWEEP_OFFSETS_WORDS] = kernel.layout.sweep.unwrap_or(SweepOffsets::UNSET).words();
    let sweeps = u32::from(variant.looks == Looks::Swept);
    let tcp_sock = cast.map_or(0, |cast| cast.tcp_sock);
    let loopback = u32::from(settings.loopback);
    let plan = &kernel.plan;
    let sizes = Sizes::new(&settings.ebpf, variant.looks, plan.reads_tasks());
    let mut loader = EbpfLoader::new();
    for (map, entries) in sizes.entries().into_iter().chain(filter_entries(&settings.wanted)) {
        loader.map_max_entries(map, entries);
    }
    loader
        .override_global("OFFSETS", &words, true)
        .override_global("TASK_OFFSETS", &task_words, true)
        .override_global("SWEEP_OFFSETS", &sweep_words, true)
        .override_global("SWEEPS", &sweeps, true)
        .override_global("TCP_SOCK_TYPE", &tcp_sock, true)
        .override_global("BY", &plan.by, true)
        .override_global("FILTERS", &plan.filters, true)
        .override_global("ACTING", &plan.acting, true)
        .override_global("ACTORS_MATTER", &plan.actors_matter, true)
        .override_global("MARK_PROCESSES", &plan.mark_processes, true)
        .override_global("COUNT_LOOPBACK", &loopback, true)
        .override_global("BUCKET_BITS", &sizes.bucket_bits, true)
        .verifier_log_level(VerifierLogLevel::DISABLE)
        .load(&object(cast))
        .map_err(|error| system("loading the eBPF object", &error))
}

/// The object with an instruction at each place of a cast.
fn object(cast: Option<Cast>) -> Vec<u8> {
    let instruction = cast::instruction(cast.map(|cast| cast.function));
    // As aligned as memory is that a file was read into, which aya takes, too. Instructions are aligned in the file.
    let mut object = OBJECT.to_vec();
    for place in object.as_chunks_mut().0.iter_mut().filter(|place| **place == cast::PLACE.to_ne_bytes()) {
        *place = instruction;
    }
    object
}

fn load(program: &mut Program, target: &str, types: &OnceCell<Btf>) -> Result<(), ProgramError> {
    match program {
        Program::RawTracePoint(program) => program.load(),
        Program::KProbe(program) => program.load(),
        Program::TracePoint(program) => program.load(),
        Program::BtfTracePoint(program) => program.load(target, read(types)?),
        Program::FEntry(program) => program.load(target, read(types)?),
        Program::FExit(program) => program.load(target, read(types)?),
        _ => Err(ProgramError::UnexpectedProgramType),
    }
}

fn tell_size(program: &Program, hook: &Hook) {
    if let Ok(info) = program.info() {
        let (machine_code_bytes, verified) = (info.size_jitted(), info.verified_instruction_count());
        tracing::debug!(machine_code_bytes, verified, "loaded {}", hook.program);
    }
}

fn attach(program: &mut Program, target: &str) -> Result<(), ProgramError> {
    match program {
        Program::RawTracePoint(program) => program.attach(target).map(drop),
        Program::KProbe(program) => program.attach(target, 0).map(drop),
        Program::TracePoint(program) => program.attach(category(target), target).map(drop),
        Program::BtfTracePoint(program) => program.attach().map(drop),
        Program::FEntry(program) => program.attach().map(drop),
        Program::FExit(program) => program.attach().map(drop),
        _ => Err(ProgramError::UnexpectedProgramType),
    }
}

/// Where the kernel lists a tracepoint: perf goes by that.
fn category(tracepoint: &str) -> &'static str {
    if tracepoint == STATES { "sock" } else { "tcp" }
}

/// The kernel's types as aya wants them for these programs, read once; aya reads them for itself at each loading, too.
fn read(types: &OnceCell<Btf>) -> Result<&Btf, BtfError> {
    if types.get().is_none() {
        let _ = types.set(Btf::from_sys_fs()?);
    }
    types.get().ok_or(BtfError::InvalidHeader)
}

fn reason(hook: &'static str, error: &(dyn Error + 'static)) -> CaptureError {
    CaptureError::Hook { hook, source: os_error(error) }
}

/// An error of a call that is about no hook.
pub(super) fn system(what: &'static str, error: &(dyn Error + 'static)) -> CaptureError {
    CaptureError::System { what, source: os_error(error) }
}

/// What the kernel said, out of a chain of errors; without it the function or type is not there at all.
fn os_error(error: &(dyn Error + 'static)) -> io::Error {
    tracing::debug!(error, "eBPF");
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(code) = error.downcast_ref::<io::Error>().and_then(io::Error::raw_os_error) {
            return io::Error::from_raw_os_error(code);
        }
        cause = error.source();
    }
    io::ErrorKind::NotFound.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::Attach;
    use crate::capture::ebpf::modes::{FORKS, MOVES, PROCESSES, RUN_BY_US, variants};

    #[test]
    fn every_place_of_a_cast_is_filled() {
        let is_in = |object: &[u8], bytes: [u8; 8]| object.windows(8).any(|window| window == bytes);
        let place = cast::PLACE.to_ne_bytes();
        assert!(is_in(OBJECT, place));
        let with = object(Some(Cast { function: 0x1234_5678, tcp_sock: 1 }));
        assert!(!is_in(&with, place));
        assert!(is_in(&with, cast::instruction(Some(0x1234_5678))));
        let without = object(None);
        assert!(!is_in(&without, place));
        assert_eq!((with.len(), without.len()), (OBJECT.len(), OBJECT.len()));
    }

    #[test]
    fn every_program_that_a_mode_names_is_in_the_object() {
        let is_there = |name: &str| {
            let symbol = [b"\0", name.as_bytes(), b"\0"].concat();
            OBJECT.windows(symbol.len()).any(|bytes| bytes == symbol)
        };
        assert!(!is_there("raw_nothing"));
        assert!(RUN_BY_US.into_iter().all(is_there));
        for attach in [Attach::Fentry, Attach::Kprobe, Attach::Tracepoint] {
            let hooks = variants(attach).iter().flat_map(Variant::hooks);
            for hook in hooks.chain(PROCESSES).chain(MOVES).chain(FORKS) {
                assert!(is_there(hook.program), "{} of {}", hook.program, attach.name());
            }
        }
    }
}
