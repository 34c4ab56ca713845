//! Loads and attaches the programs of an object. What works is found out by trying: what a kernel supports and what it permits are two
//! things.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::error::Error;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use aya::maps::{Array, Map, MapData};
use aya::programs::links::FdLink;
use aya::programs::{Program, ProgramError, RawTracePoint, RawTracePointRunOptions, TestRun as _};
use aya::{Btf, BtfError, Ebpf};

use super::candidates::Candidate;
use super::hooks::{ADOPT, Hook, Need, RUN_BY_US, STATES, TAKE, TAKE_OVER};
use super::keep::{self, Generation, Kept};
use super::log::{self, Messages};
use super::object;
use super::{Kernel, misses, notes};
use crate::capture::{CaptureError, Settings};

/// Where a generation of programs is pinned.
pub(super) struct Place<'a> {
    pub(super) kept: &'a Kept,
    /// The folder of the new generation.
    pub(super) folder: PathBuf,
    /// Its number.
    pub(super) number: u32,
    /// The generation whose streams it takes over.
    pub(super) former: Option<&'a Generation>,
}

/// The programs, attached as long as this lives, or as long as they are pinned.
pub(super) struct Programs {
    origin: Origin,
    /// The loaded hooks, in the order of attachment.
    loaded: Vec<&'static Hook>,
    attached: Vec<Attached>,
}

/// Where programs and maps come from.
enum Origin {
    /// This process loaded them.
    Loaded(Box<Ebpf>),
    /// A former process loaded them, and they are pinned in this folder; with the programs that the service runs.
    Kept(PathBuf, BTreeMap<&'static str, RawTracePoint>),
}

/// An attached program.
struct Attached {
    hook: &'static Hook,
    program: OwnedFd,
    /// Kept open, because the link tells how often a probe was missed.
    _link: Option<OwnedFd>,
}

impl Programs {
    /// Loads an object and its programs. All are loaded before one is attached, because detaching takes the kernel a while.
    pub(super) fn load(
        candidate: &Candidate,
        kernel: &Kernel,
        settings: &Settings,
        place: Option<&Place<'_>>,
    ) -> Result<Self, CaptureError> {
        let ebpf = object::load(candidate, kernel, settings, place)?;
        if let Some(place) = place {
            keep_maps(&ebpf, &place.folder)?;
        }
        let mut programs = Self { origin: Origin::Loaded(Box::new(ebpf)), loaded: Vec::new(), attached: Vec::new() };
        // Programs of a kind that may be refused come last in an attach mode, and should be tried first.
        let takes_over = place.is_some_and(|place| place.former.is_some());
        let take: &[Hook] = if takes_over { TAKE } else { &[] };
        let is_possible = |hook: &&Hook| hook.need != Need::IfPreemptible || kernel.layout.preemptible;
        let hooks = take.iter().chain(candidate.hooks());
        for hook in hooks.rev().chain(kernel.plan.hooks()).filter(is_possible) {
            match load(programs.program(hook)?, hook.target, &kernel.types) {
                Ok(()) => {
                    tell_size(programs.program(hook)?, hook.program);
                    programs.loaded.push(hook);
                }
                Err(error) if hook.need != Need::Required => tracing::debug!(%error, "{} is left out", hook.program),
                Err(error) => return Err(reason(hook.target, &error)),
            }
        }
        programs.loaded.reverse();
        for name in RUN_BY_US.into_iter().chain(takes_over.then_some(TAKE_OVER)) {
            let program = programs.named(name)?;
            load(program, name, &kernel.types).map_err(|error| reason(name, &error))?;
            tell_size(program, name);
            if let Some(place) = place {
                keep_program(program, &place.folder, name)?;
            }
        }
        Ok(programs)
    }

    /// The programs that a former process loaded and attached.
    pub(super) fn of_former(
        generation: &Generation,
        hooks: impl Iterator<Item = &'static Hook>,
    ) -> Result<Self, CaptureError> {
        let folder = &generation.folder;
        let mut runs = BTreeMap::new();
        for name in RUN_BY_US.into_iter().chain([TAKE_OVER]) {
            let path = folder.join(keep::PROGRAMS).join(name);
            if path.exists() {
                let program = RawTracePoint::from_pin(&path).map_err(|error| keep::unkept(&path, &error))?;
                runs.insert(name, program);
            }
        }
        let open = |hook: &'static Hook| {
            let program = misses::open(&folder.join(keep::PROGRAMS).join(hook.program))?;
            let link = misses::open(&folder.join(keep::LINKS).join(hook.program));
            Some(Attached { hook, program, _link: link })
        };
        let attached = hooks.filter_map(open).collect();
        Ok(Self { origin: Origin::Kept(folder.clone(), runs), loaded: Vec::new(), attached })
    }

    /// Attaches the programs.
    pub(super) fn attach(&mut self, settings: &Settings, place: Option<&Place<'_>>) -> Result<(), CaptureError> {
        let is_left_out = |hook: &Hook| settings.ebpf.test_leave_out_states && hook.target == STATES;
        for hook in std::mem::take(&mut self.loaded).into_iter().filter(|hook| !is_left_out(hook)) {
            let program = self.program(hook)?;
            if let Some(place) = place {
                keep_program(program, &place.folder, hook.program)?;
            }
            let attached = match place {
                None => attach(program, hook.target).map(|()| None).map_err(AttachError::Program),
                Some(place) => {
                    attach_and_keep(program, hook.target, &place.folder.join(keep::LINKS).join(hook.program))
                }
            };
            let fd = program.fd().and_then(|fd| Ok(fd.as_fd().try_clone_to_owned()?));
            let fd = fd.map_err(|error| reason(hook.target, &error))?;
            match attached {
                Ok(link) => self.attached.push(Attached { hook, program: fd, _link: link }),
                Err(AttachError::Program(error)) if hook.need == Need::IfPreemptible => {
                    tracing::debug!(%error, "{} is left out", hook.program);
                }
                Err(AttachError::Program(error)) => return Err(reason(hook.target, &error)),
                Err(AttachError::Keep(error)) => return Err(error),
            }
        }
        Ok(())
    }

    /// Activates or deactivates programs that are not pinned.
    pub(super) fn act(&mut self, is_acting: bool) -> Result<(), CaptureError> {
        let Origin::Loaded(ebpf) = &mut self.origin else { return Ok(()) };
        let Some(map) = ebpf.map_mut(keep::CURRENT) else { return Ok(()) };
        let set = Array::<_, u32>::try_from(map).and_then(|mut map| map.set(0, u32::from(is_acting), 0));
        set.map_err(|error| system("having the programs count", &error))
    }

    /// Runs a program that is attached to nothing, and returns its return value.
    pub(super) fn run(&mut self, name: &'static str, arguments: [u64; 3]) -> Result<u32, CaptureError> {
        let mut options = RawTracePointRunOptions::default();
        options.args[..3].copy_from_slice(&arguments);
        let missing = || CaptureError::Hook { hook: name, source: io::ErrorKind::NotFound.into() };
        let result = match &mut self.origin {
            Origin::Loaded(ebpf) => match ebpf.program_mut(name).ok_or_else(missing)? {
                Program::RawTracePoint(program) => program.test_run(options),
                _ => return Err(reason(name, &ProgramError::UnexpectedProgramType)),
            },
            Origin::Kept(_, runs) => runs.get_mut(name).ok_or_else(missing)?.test_run(options),
        };
        result.map(|result| result.return_value).map_err(|error| reason(name, &error))
    }

    /// Frees what only adopting needs.
    pub(super) fn end_adopting(&mut self) {
        if let Origin::Loaded(ebpf) = &mut self.origin
            && let Some(Program::RawTracePoint(program)) = ebpf.program_mut(ADOPT)
        {
            let _ = program.unload();
        }
        let _ = self.take_map(notes::NOTES);
    }

    /// Frees what only taking over streams needs.
    pub(super) fn end_taking_over(&mut self, folder: &Path) {
        let programs = TAKE.iter().map(|hook| hook.program).chain([TAKE_OVER]);
        self.attached.retain(|attached| !TAKE.iter().any(|take| take.program == attached.hook.program));
        for name in programs {
            for kind in [keep::LINKS, keep::PROGRAMS] {
                // If there is no such file, or it cannot be removed, the count is still right.
                let _ = std::fs::remove_file(folder.join(kind).join(name));
            }
            match &mut self.origin {
                Origin::Loaded(ebpf) => {
                    if let Some(Program::RawTracePoint(program)) = ebpf.program_mut(name) {
                        let _ = program.unload();
                    }
                }
                Origin::Kept(_, runs) => drop(runs.remove(name)),
            }
        }
        for map in OF_FORMER {
            let _ = self.take_map(map);
        }
    }

    fn program(&mut self, hook: &Hook) -> Result<&mut Program, CaptureError> {
        self.loaded_program(hook.program, hook.target)
    }

    fn named(&mut self, name: &'static str) -> Result<&mut Program, CaptureError> {
        self.loaded_program(name, name)
    }

    fn loaded_program(&mut self, name: &str, hook: &'static str) -> Result<&mut Program, CaptureError> {
        let missing = CaptureError::Hook { hook, source: io::ErrorKind::NotFound.into() };
        match &mut self.origin {
            Origin::Loaded(ebpf) => ebpf.program_mut(name).ok_or(missing),
            Origin::Kept(..) => Err(missing),
        }
    }

    /// Takes the map of this name.
    pub(super) fn take_map(&mut self, name: &'static str) -> Result<Map, CaptureError> {
        let missing =
            CaptureError::System { what: "looking for a map of the program", source: io::ErrorKind::NotFound.into() };
        match &mut self.origin {
            Origin::Loaded(ebpf) => ebpf.take_map(name).ok_or(missing),
            Origin::Kept(folder, _) => {
                let path = folder.join(name);
                MapData::from_pin(&path).and_then(Map::from_map_data).map_err(|error| keep::unkept(&path, &error))
            }
        }
    }

    /// Starts forwarding the programs' messages, if they are enabled.
    pub(super) fn messages(&mut self) -> Result<Option<Messages>, CaptureError> {
        match &mut self.origin {
            Origin::Loaded(ebpf) => Messages::start(ebpf),
            Origin::Kept(..) => Ok(None),
        }
    }

    /// How many events the kernel did not deliver, by hook. Of several copies at one hook the least number counts: what one copy
    /// missed, another saw.
    pub(super) fn misses(&self) -> BTreeMap<&'static str, u64> {
        let of_probes = OnceCell::new();
        let of_probe = |attached: &Attached| {
            if !attached.hook.program.starts_with("kprobe") {
                return 0;
            }
            let id = misses::id(attached.program.as_fd());
            of_probes.get_or_init(misses::of_probes).get(&id).copied().unwrap_or(0)
        };
        let mut of_hooks = BTreeMap::new();
        for attached in &self.attached {
            let missed = misses::of(attached.program.as_fd()) + of_probe(attached);
            let of_hook = of_hooks.entry(attached.hook.target);
            of_hook.and_modify(|least: &mut u64| *least = missed.min(*least)).or_insert(missed);
        }
        of_hooks
    }
}

/// Maps that belong to the former generation, or to no generation.
const OF_FORMER: [&str; 4] = ["OLD_BUCKETS", "OLD_SPILL", "ENDED", notes::NOTES];

/// Pins the maps of an object, except the one that all generations share, those of the former generation, and that of messages.
fn keep_maps(ebpf: &Ebpf, folder: &Path) -> Result<(), CaptureError> {
    let is_kept =
        |name: &str| !name.contains('.') && name != keep::CURRENT && name != log::MAP && !OF_FORMER.contains(&name);
    for (name, map) in ebpf.maps().filter(|(name, _)| is_kept(name)) {
        map.pin(folder.join(name)).map_err(|error| keep::unkept(folder, &error))?;
    }
    Ok(())
}

fn keep_program(program: &mut Program, folder: &Path, name: &str) -> Result<(), CaptureError> {
    program.pin(folder.join(keep::PROGRAMS).join(name)).map_err(|error| keep::unkept(folder, &error))
}

fn load(program: &mut Program, target: &str, types: &OnceCell<Btf>) -> Result<(), ProgramError> {
    match program {
        Program::RawTracePoint(program) => program.load(),
        Program::KProbe(program) => program.load(),
        Program::TracePoint(program) => program.load(),
        Program::FEntry(program) => program.load(target, read(types)?),
        Program::FExit(program) => program.load(target, read(types)?),
        _ => Err(ProgramError::UnexpectedProgramType),
    }
}

fn tell_size(program: &Program, name: &str) {
    if let Ok(info) = program.info() {
        let (machine_code_bytes, verified) = (info.size_jitted(), info.verified_instruction_count());
        tracing::debug!(machine_code_bytes, verified, "loaded {name}");
    }
}

fn attach(program: &mut Program, target: &str) -> Result<(), ProgramError> {
    match program {
        Program::RawTracePoint(program) => program.attach(target).map(drop),
        Program::KProbe(program) => program.attach(target, 0).map(drop),
        Program::TracePoint(program) => program.attach("sock", target).map(drop),
        Program::FEntry(program) => program.attach().map(drop),
        Program::FExit(program) => program.attach().map(drop),
        _ => Err(ProgramError::UnexpectedProgramType),
    }
}

/// Why a program could not be attached, or not pinned.
enum AttachError {
    Program(ProgramError),
    Keep(CaptureError),
}

/// Attaches a program by a link that is pinned at `path`.
fn attach_and_keep(program: &mut Program, target: &str, path: &Path) -> Result<Option<OwnedFd>, AttachError> {
    fn link<T: TryInto<FdLink>>(link: Result<T, ProgramError>) -> Result<Option<FdLink>, ProgramError> {
        Ok(link?.try_into().ok())
    }
    macro_rules! link_of {
        ($program:expr, $($arguments:expr),*) => {{
            let id = $program.attach($($arguments),*).map_err(AttachError::Program)?;
            link($program.take_link(id))
        }};
    }
    let link = match program {
        Program::RawTracePoint(program) => link_of!(program, target),
        Program::KProbe(program) => link_of!(program, target, 0),
        Program::TracePoint(program) => link_of!(program, "sock", target),
        Program::FEntry(program) => link_of!(program,),
        Program::FExit(program) => link_of!(program,),
        _ => Err(ProgramError::UnexpectedProgramType),
    };
    let link = link.map_err(AttachError::Program)?;
    let refused = |source| CaptureError::Keep { folder: path.to_owned(), what: "keeping a program attached", source };
    // Before Linux 5.15 there is no link for programs that perf calls.
    let link = link.ok_or_else(|| AttachError::Keep(refused(io::ErrorKind::Unsupported.into())))?;
    link.pin(path).map_err(|error| AttachError::Keep(keep::unkept(path, &error)))?;
    Ok(misses::open(path))
}

/// The kernel's BTF as aya needs it for these programs, read once. aya also reads it for itself at each load.
fn read(types: &OnceCell<Btf>) -> Result<&Btf, BtfError> {
    if types.get().is_none() {
        let _ = types.set(Btf::from_sys_fs()?);
    }
    types.get().ok_or(BtfError::InvalidHeader)
}

fn reason(hook: &'static str, error: &(dyn Error + 'static)) -> CaptureError {
    CaptureError::Hook { hook, source: os_error(error) }
}

/// An error of a call that does not concern a hook.
pub(super) fn system(what: &'static str, error: &(dyn Error + 'static)) -> CaptureError {
    CaptureError::System { what, source: os_error(error) }
}

/// The kernel's error code in a chain of errors; without one, the function or type does not exist.
fn os_error(error: &(dyn Error + 'static)) -> io::Error {
    tracing::debug!(error = last_lines(&error.to_string()), "eBPF");
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(code) = error.downcast_ref::<io::Error>().and_then(io::Error::raw_os_error) {
            return io::Error::from_raw_os_error(code);
        }
        cause = error.source();
    }
    io::ErrorKind::NotFound.into()
}

/// The last lines of the verifier's log, which say what it rejects.
fn last_lines(text: &str) -> String {
    const LINES: usize = 30;
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}
