//! Boots a guest and reads its console. qemu exits with success even if the guest panicked, so only the console is
//! evaluated.

use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use super::kernel::{Kernel, Processor};
use super::payload::LINKER_ARM64;
use crate::system;

/// The line that a guest's first process writes at the end.
const EXIT: &str = "@@exit ";
/// No guest takes a third of this on two idle processors.
const PATIENCE: Duration = Duration::from_mins(45);
/// How often to check whether the guest has ended.
const TICK: Duration = Duration::from_millis(100);
/// Enough for the guest's files and the scenarios' buffers, in MiB.
const MEMORY: &str = "768";

/// The result of a guest.
pub(super) struct Outcome {
    /// `None` if the guest did not get that far.
    pub(super) exit_code: Option<i32>,
    /// Its console, without the kernel's messages before the first process.
    pub(super) console: String,
    /// What the test program left out.
    pub(super) left_out: Vec<String>,
}

/// Installs the emulator, and the linker for the guest's programs if this machine cannot link them.
pub(super) fn ensure_installed(processor: Processor) -> Result<()> {
    system::ensure_programs(&[("xz", "xz-utils")])?;
    match processor {
        Processor::X86 => system::ensure_programs(&[("qemu-system-x86_64", "qemu-system-x86"), ("ip", "iproute2")]),
        Processor::Arm64 => {
            system::ensure_programs(&[("qemu-system-aarch64", "qemu-system-arm")])?;
            if Path::new("/usr/aarch64-linux-gnu/lib/libc.a").exists() && system::find(LINKER_ARM64).is_some() {
                return Ok(());
            }
            system::install_packages(&["gcc-aarch64-linux-gnu", "libc6-dev-arm64-cross"])
        }
    }
}

/// The clock of a machine.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Clock {
    /// This machine's clock.
    Wall,
    /// The number of executed instructions, each a nanosecond. The machine has one processor, and while that is idle no
    /// time passes outside.
    Instructions,
}

/// The files of a machine.
#[derive(Clone, Copy)]
pub(super) enum Files<'a> {
    /// Unpacked into its memory.
    Initramfs(&'a Path),
    /// Disk images. The first has the root file system; writes to it are kept.
    Disks(&'a [PathBuf]),
}

/// Boots a kernel and waits until it ends.
pub(super) fn run(kernel: &Kernel, files: Files<'_>, console: &Path, clock: Clock) -> Result<Outcome> {
    let log = File::create(console).with_context(|| format!("cannot write {}", console.display()))?;
    let mut command = match kernel.processor {
        _ if kernel.is_user_mode => user_mode(kernel, files),
        Processor::X86 => emulated_x86(kernel, files, clock),
        Processor::Arm64 => emulated_arm64(kernel, files),
    };
    command.process_group(0).stdin(Stdio::null()).stderr(log.try_clone()?).stdout(log);
    let mut child = command.spawn().context("cannot start the machine")?;
    let ended = wait(&mut child, PATIENCE);
    let outcome = Outcome::read(&String::from_utf8_lossy(&fs::read(console)?));
    ended.map(|()| outcome)
}

/// `microvm`, which is simpler, hangs on 5.10 and 6.1. erms and fsrm are off because `rep movsb` is emulated byte by
/// byte.
fn emulated_x86(kernel: &Kernel, files: Files<'_>, clock: Clock) -> Command {
    let mut qemu = emulated("qemu-system-x86_64", kernel, files);
    qemu.args(["-machine", "q35", "-cpu", "max,la57=off,erms=off,fsrm=off"]);
    let append = match clock {
        Clock::Wall => {
            qemu.args(["-smp", "2"]);
            QUICK
        }
        Clock::Instructions => {
            qemu.args(["-smp", "1", "-icount", "shift=0,sleep=off"]);
            ""
        }
    };
    let root = if matches!(files, Files::Disks(_)) { ROOT } else { "" };
    qemu.args(["-append", &format!("console=ttyS0 {KERNEL} reboot=t {append} {root}")]);
    qemu
}

/// A processor with atomic instructions, which eBPF then uses. Architected pointer authentication would take most of
/// the time.
fn emulated_arm64(kernel: &Kernel, files: Files<'_>) -> Command {
    let mut qemu = emulated("qemu-system-aarch64", kernel, files);
    qemu.args(["-machine", "virt,gic-version=3", "-cpu", "max,pauth-impdef=on", "-smp", "2"]);
    qemu.args(["-append", &format!("console=ttyAMA0 {KERNEL} mitigations=off norandmaps")]);
    qemu
}

/// Fully emulated, so that it works inside virtual machines.
///
/// One thread emulates both processors: with two threads, one processor may still execute the breakpoint that the other
/// has just replaced (kernels patch themselves at each probe). This has hung one run in many.
fn emulated(program: &str, kernel: &Kernel, files: Files<'_>) -> Command {
    let mut qemu = ending_with_us(program);
    qemu.args(["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-serial", "stdio"]);
    qemu.args(["-accel", "tcg,thread=single", "-m", MEMORY]);
    qemu.arg("-kernel").arg(&kernel.image);
    match files {
        Files::Initramfs(path) => {
            qemu.arg("-initrd").arg(path);
        }
        Files::Disks(images) => {
            for (number, image) in images.iter().enumerate() {
                let drive = format!("file={},format=raw,if=none,cache=unsafe,id=disk{number}", image.display());
                qemu.args(["-drive", &drive, "-device", &format!("nvme,drive=disk{number},serial={number}")]);
            }
        }
    }
    qemu
}

/// Print little, and end instead of hanging.
const KERNEL: &str = "quiet panic=-1 softlockup_panic=1 watchdog_thresh=60";

/// The root file system on a disk. The first process prints nothing itself and leaves the console to the steps.
const ROOT: &str = "root=/dev/nvme0n1 rw systemd.show_status=0 systemd.mask=serial-getty@ttyS0.service";

/// Options that save an emulated machine a third of its time and do not affect what is counted: no mitigations at
/// indirect calls, no reading of the time from a device, and no new translation of the same program for each process.
const QUICK: &str = "mitigations=off tsc=reliable norandmaps";

/// User-mode Linux, an ordinary program. It has no BTF, no kprobes and no tracing.
fn user_mode(kernel: &Kernel, files: Files<'_>) -> Command {
    let mut linux = ending_with_us(&kernel.image);
    if let Files::Initramfs(path) = files {
        linux.arg(format!("initrd={}", path.display()));
    }
    linux.arg(format!("mem={MEMORY}M"));
    linux.args(["con=null", "con0=null,fd:1", "quiet", "panic=-1"]);
    linux
}

/// A program that the kernel kills when this process ends, for whatever reason.
fn ending_with_us(program: impl AsRef<Path>) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL"]).arg(program.as_ref());
    command
}

/// Waits for a child process and kills it when its time is over.
fn wait(child: &mut Child, patience: Duration) -> Result<()> {
    let deadline = Instant::now() + patience;
    while child.try_wait()?.is_none() {
        if Instant::now() > deadline {
            // User-mode Linux has child processes.
            system::succeeds(Command::new("kill").args(["-KILL", "--", &format!("-{}", child.id())]));
            child.wait()?;
            break;
        }
        sleep(TICK);
    }
    Ok(())
}

impl Outcome {
    fn read(console: &str) -> Self {
        let console = console.replace('\r', "");
        let exit_code = console.lines().find_map(|line| line.strip_prefix(EXIT)?.trim().parse().ok());
        let left_out = console.lines().filter_map(|line| line.strip_prefix("left out: ").map(str::to_owned)).collect();
        Self { exit_code, console, left_out }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_console_without_a_last_line_is_no_success() {
        let panicked = Outcome::read("test result: ok.\r\nKernel panic - not syncing\r\n");
        assert_eq!(panicked.exit_code, None);
        let ended = Outcome::read("left out: a, no nft\r\n@@exit 0\r\n[   1.0] reboot\r\n");
        assert_eq!((ended.exit_code, ended.left_out), (Some(0), vec!["a, no nft".to_owned()]));
    }
}
