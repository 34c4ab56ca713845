//! `cargo xtask kernels`: runs the scenarios of tests/kernel on other kernels, in virtual machines without a disk or a
//! network.
//!
//! No hypervisor is needed, and nothing of this machine is changed except that qemu is installed. A machine that prints
//! nothing, hangs or panics has failed. So has a kernel that cannot be fetched, unless the caller allows it.

mod apt;
mod debian;
mod guest;
mod initramfs;
mod kernel;
mod machine;
mod payload;

use std::fs;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;

use crate::test::Found;
use crate::{package, setup, shell, system};
use guest::{GUESTS, Guest};
use kernel::{Kernel, Processor, Source};
use machine::{Clock, Files, Outcome};
use payload::{PROGRAM, Payload};

/// Which guests to run, and their arguments.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Guests by name [default: all except the newest kernel, which changes daily, arm64, which needs a separate build, and uml]
    #[arg(value_parser = guest::NAMES)]
    names: Vec<String>,
    /// List a kernel that cannot be fetched as left out instead of failing; the same for the program that runs it
    #[arg(long)]
    allow_missing: bool,
    /// Arguments of the test program, such as a part of a scenario's name
    #[arg(last = true)]
    arguments: Vec<String>,
}

impl Arguments {
    /// All guests that need not be named, with these arguments of the test program.
    pub(crate) fn every(arguments: Vec<String>, allow_missing: bool) -> Self {
        Self { names: Vec::new(), allow_missing, arguments }
    }
}

/// Tests the package in each Debian guest.
pub(crate) fn systems(found: &mut Found) -> Result<()> {
    let names = guest::SYSTEMS.map(str::to_owned).to_vec();
    all(&Arguments { names, allow_missing: false, arguments: Vec::new() }, found)
}

/// Whether this machine can fetch and run kernels.
pub(crate) fn can_run() -> bool {
    cfg!(target_arch = "x86_64") && system::is_debian()
}

/// Runs the command.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    setup::ensure_tools()?;
    let mut found = Found::default();
    let result = all(arguments, &mut found);
    for what in found.left_out {
        println!("left out: {what}");
    }
    result
}

/// Runs all requested guests and fails if one of them failed. Adds their output to `found`.
pub(crate) fn all(arguments: &Arguments, found: &mut Found) -> Result<()> {
    ensure!(can_run(), "kernels come by apt and are built for x86-64: this machine is not one for them");
    let mut failed = Vec::new();
    for processor in [Processor::X86, Processor::Arm64] {
        let is_meant = |guest: &&Guest| guest.source.processor == processor && is_wanted(guest, arguments);
        let guests: Vec<_> = GUESTS.iter().filter(is_meant).collect();
        if !guests.is_empty() {
            failed.extend(all_of(processor, &guests, arguments, found)?);
        }
    }
    ensure!(failed.is_empty(), "failed on these kernels: {}", failed.join(", "));
    Ok(())
}

/// Runs the guests of one architecture; returns the names of those that failed.
fn all_of(
    processor: Processor,
    guests: &[&'static Guest],
    arguments: &Arguments,
    found: &mut Found,
) -> Result<Vec<&'static str>> {
    let tools = match machine::ensure_installed(processor).and_then(|()| kernel::tools(processor)) {
        Ok(tools) => tools,
        Err(error) if arguments.allow_missing => {
            found.left_out.push(format!("the scenarios on other kernels: {error:#}"));
            return Ok(Vec::new());
        }
        Err(error) => return Err(error),
    };
    let mut payload = Payload::build(processor, tools, &run_dir("payload")?, &arguments.arguments)?;
    let mut failed = Vec::new();
    let mut ready = Vec::new();
    for &guest in guests {
        // Only users who ask for a Debian need root.
        if guest.debian.is_some() && arguments.names.is_empty() && system::as_root("true").is_none() {
            found.left_out.push(format!("kernel {}: making its disk takes root", guest.name));
            continue;
        }
        match guest.fetch() {
            Ok(kernel) => {
                // A package that cannot be made is a failure, whatever may be missing.
                has_packages(guest, &mut payload)?;
                ready.push((guest, kernel));
            }
            Err(error) if arguments.allow_missing => found.left_out.push(format!("kernel {}: {error:#}", guest.name)),
            Err(error) => {
                println!("{}: FAILED: {error:#}", guest.name);
                failed.push(guest.name);
            }
        }
    }
    failed.extend(run_at_once(&ready, &payload, found));
    Ok(failed)
}

/// Makes the packages, if the guest needs them and they do not exist yet.
fn has_packages(guest: &Guest, payload: &mut Payload) -> Result<()> {
    if guest.debian.is_some() && payload.packages.is_empty() {
        payload.packages = package::two_versions(payload.file(PROGRAM)?, &run_dir("packages")?)?;
    }
    Ok(())
}

/// Whether a guest was named. Without names: whether it runs by default and has a requested scenario.
fn is_wanted(guest: &Guest, arguments: &Arguments) -> bool {
    let is_asked_for = |scenario: &str| arguments.arguments.first().is_none_or(|filter| scenario.contains(filter));
    if arguments.names.is_empty() {
        !guest.is_optional && guest.scenario().is_none_or(is_asked_for)
    } else {
        arguments.names.iter().any(|name| name == guest.name)
    }
}

/// Runs as many guests at a time as there are processors; returns the names of those that failed.
fn run_at_once(guests: &[(&Guest, Kernel)], payload: &Payload, found: &mut Found) -> Vec<&'static str> {
    let queue = Mutex::new(guests.iter());
    let next = || queue.lock().ok()?.next();
    let (sender, results) = channel();
    let work = |sender: Sender<_>| {
        while let Some((guest, kernel)) = next() {
            let start = Instant::now();
            // The receiver lives as long as this scope.
            let _ = sender.send((guest.name, boot(guest, kernel, payload), start.elapsed()));
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            let sender = sender.clone();
            scope.spawn(|| work(sender));
        }
        drop(sender);
        results.iter().filter_map(|(name, outcome, time)| tell(name, outcome, time, found).then_some(name)).collect()
    })
}

/// The message of user-mode Linux if it has no room for all registers of this processor (such as those of AMX). It
/// cannot run there.
const TOO_MANY_REGISTERS: &str = "ptrace set fp regs failed";

/// Prints how a guest ended; returns whether it failed.
fn tell(name: &str, outcome: Result<Outcome>, time: Duration, found: &mut Found) -> bool {
    let cannot_run = |outcome: &Outcome| outcome.exit_code.is_none() && outcome.console.contains(TOO_MANY_REGISTERS);
    if outcome.as_ref().is_ok_and(cannot_run) {
        println!("{name}: left out, user-mode Linux does not know this machine's processor");
        found.left_out.push(format!("kernel {name}: user-mode Linux does not know this machine's processor"));
        return false;
    }
    let judged = outcome.and_then(|outcome| {
        found.left_out.extend(outcome.left_out.iter().map(|what| format!("kernel {name}: {what}")));
        outcome.console.lines().for_each(|line| found.exactness.note(name, line));
        outcome.console.lines().filter(|line| line.starts_with('|')).for_each(|row| println!("{row}"));
        judge(&outcome).inspect_err(|_| println!("{}", outcome.console))
    });
    match &judged {
        Ok(summary) => println!("{name}: {summary}; with its boot {} s", time.as_secs()),
        Err(error) => println!("{name}: FAILED after {} s: {error:#}", time.as_secs()),
    }
    judged.is_err()
}

fn boot(guest: &Guest, kernel: &Kernel, payload: &Payload) -> Result<Outcome> {
    let dir = run_dir(guest.name)?;
    let outcome = if let Some(suite) = guest.debian {
        debian::boot(guest, suite, kernel, payload, &dir)?
    } else {
        let initramfs = dir.join("initramfs.cpio");
        fs::write(&initramfs, guest.initramfs(kernel, payload)?)?;
        machine::run(kernel, Files::Initramfs(&initramfs), &dir.join("console.log"), Clock::Wall)?
    };
    let Some(last_words) = guest.last_words() else { return Ok(outcome) };
    let is_done = outcome.console.contains(last_words);
    ensure!(is_done || outcome.exit_code != Some(0), "the unit was not tested:\n{}", outcome.console);
    // The guest was not asked to run the other scenarios, so what they left out is not reported.
    Ok(Outcome { left_out: Vec::new(), ..outcome })
}

/// Kernels on which instructions can be counted.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Counted {
    Linux6_1,
    Linux6_12,
}

impl Counted {
    /// Fetches it into the cache.
    pub(crate) fn fetch(self) -> Result<()> {
        kernel::tools(Processor::X86)?;
        kernel::fetch(self.source()).map(drop)
    }

    const fn source(self) -> Source {
        match self {
            Self::Linux6_1 => Source::BOOKWORM_6_1,
            Self::Linux6_12 => Source::BOOKWORM_6_12,
        }
    }
}

/// Runs shell `steps` with these programs in a machine whose nanoseconds are instructions; returns the output.
pub(crate) fn counting_instructions(
    kernel: Counted,
    programs: &[(&'static str, PathBuf)],
    steps: &str,
) -> Result<String> {
    ensure!(can_run(), "kernels come by apt and are built for x86-64: this machine is not one for them");
    machine::ensure_installed(Processor::X86)?;
    let dir = run_dir(&format!("counted-{kernel:?}"))?;
    let (kernel, tools) = (kernel::fetch(kernel.source())?, kernel::tools(Processor::X86)?);
    let payload = Payload::of(programs, tools, &dir)?;
    let initramfs = dir.join("initramfs.cpio");
    fs::write(&initramfs, guest::initramfs(&kernel, &payload, steps)?)?;
    let outcome = machine::run(&kernel, Files::Initramfs(&initramfs), &dir.join("console.log"), Clock::Instructions)?;
    ensure!(outcome.exit_code == Some(0), "the steps in the machine failed:\n{}", outcome.console);
    Ok(outcome.console)
}

/// A folder for the files of a guest.
fn run_dir(name: &str) -> Result<PathBuf> {
    let dir = cache().join("run").join(name);
    fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
    Ok(dir)
}

/// The result line of the test program, if it succeeded.
fn judge(outcome: &Outcome) -> Result<String> {
    match outcome.exit_code {
        Some(0) => {}
        Some(code) => bail!("the test program ended with {code}"),
        None => bail!("the machine ended without a result: it hung or panicked"),
    }
    let summary = outcome.console.lines().find(|line| line.starts_with("test result: "));
    Ok(summary.context("no test was run")?.to_owned())
}

/// The folder of kernels and guests.
fn cache() -> PathBuf {
    shell::workspace().join("target/kernels")
}
