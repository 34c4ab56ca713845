//! Guests that are a complete Debian on a disk, with systemd as the first process. dpkg installs the package in them.
//! They are booted twice, and the second boot finds what the first one left.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use super::guest::{Guest, MODULES};
use super::kernel::Kernel;
use super::machine::{self, Clock, Files, Outcome};
use super::payload::{PROGRAM, Payload, TESTS};
use super::{apt, cache};
use crate::{shell, system};

/// Makes the disk image. Arguments: root folder, suite, mirror, image. All units are Debian's own except the one that
/// runs the steps, which are on another disk.
const MAKE: &str = r#"set -eu
export PATH="$PATH:/usr/sbin:/sbin"
rm -rf "$1" "$4"
if ! debootstrap --variant=minbase --include=systemd-sysv,iproute2,kmod,logrotate,procps "$2" "$1" "$3" >"$1.log" 2>&1; then
    tail "$1.log" "$1/debootstrap/debootstrap.log" >&2 || true
    exit 1
fi
cd "$1"
rm -rf var/cache/apt/* var/lib/apt/lists/* usr/share/doc/* usr/share/locale/* usr/share/man/*
echo guest >etc/hostname
: >etc/fstab
cat >etc/systemd/system/steps.service <<UNIT
[Unit]
After=multi-user.target
[Service]
Type=exec
ExecStartPre=mkdir -p /test
ExecStartPre=mount -o ro /dev/nvme1n1 /test
ExecStart=sh /test/steps
StandardOutput=tty
StandardError=tty
TTYPath=/dev/ttyS0
[Install]
WantedBy=multi-user.target
UNIT
mkdir -p etc/systemd/system/multi-user.target.wants
ln -s ../steps.service etc/systemd/system/multi-user.target.wants/
mke2fs -q -t ext4 -d . "$4" 1G
rm -rf "$1"
"#;

/// The disk image of a suite, made once.
pub(super) fn image(suite: &str) -> Result<PathBuf> {
    let image = cache().join(format!("{suite}.ext4"));
    if image.is_file() {
        return Ok(image);
    }
    system::ensure_programs(&[("debootstrap", "debootstrap"), ("mke2fs", "e2fsprogs")])?;
    let root = cache().join(format!("{suite}.root"));
    let partial = cache().join(format!("{suite}.partial"));
    fs::create_dir_all(cache())?;
    let mut make =
        system::as_root("sh").context("only root can run debootstrap, and sudo is not there or wants a password")?;
    make.args(["-c", MAKE, "make"]).arg(root).args([suite, &apt::mirror("debian")?]).arg(&partial);
    shell::output(&mut make).with_context(|| format!("cannot make a Debian {suite}"))?;
    // Renamed at the end, so that an image is either complete or missing.
    fs::rename(&partial, &image)?;
    Ok(image)
}

/// Boots it, and again if the first boot succeeded. Returns how the last boot ended, and the consoles of both.
pub(super) fn boot(guest: &Guest, suite: &str, kernel: &Kernel, payload: &Payload, dir: &Path) -> Result<Outcome> {
    let disks = [dir.join("disk.ext4"), dir.join("test.ext4")];
    shell::output(Command::new("cp").args(["--sparse=always", "--reflink=auto"]).arg(image(suite)?).arg(&disks[0]))?;
    pack(guest, kernel, payload, dir, &disks[1])?;
    let run = |log: &str| machine::run(kernel, Files::Disks(&disks), &dir.join(log), Clock::Wall);
    let first = run("console-1.log")?;
    if first.exit_code != Some(0) {
        return Ok(first);
    }
    let second = run("console-2.log")?;
    fs::remove_file(&disks[0])?;
    Ok(Outcome { console: first.console + &second.console, ..second })
}

/// Makes the disk with the programs, packages, modules and steps.
fn pack(guest: &Guest, kernel: &Kernel, payload: &Payload, dir: &Path, image: &Path) -> Result<()> {
    let folder = dir.join("test");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    for path in [PROGRAM, TESTS] {
        let name = Path::new(path).file_name().context("a program has a name")?;
        fs::copy(payload.file(path)?, folder.join(name))?;
    }
    ensure!(!payload.packages.is_empty(), "no package was made");
    for package in &payload.packages {
        fs::copy(package, folder.join(package.file_name().context("a package has a name")?))?;
    }
    let mut steps = String::new();
    for (name, bytes) in kernel.modules(&MODULES)? {
        fs::write(folder.join(format!("{name}.ko")), bytes)?;
        writeln!(steps, "insmod /test/{name}.ko")?;
    }
    write!(
        steps,
        "export TRAFCALC_TEST_PACKAGES=/test\n{}\necho \"@@exit $?\"\nsystemctl reboot 2>/dev/null\n",
        guest.steps(payload)
    )?;
    fs::write(folder.join("steps"), steps)?;
    let mke2fs = system::find("mke2fs").context("there is no mke2fs")?;
    shell::output(Command::new(mke2fs).args(["-q", "-F", "-t", "ext4", "-d"]).arg(&folder).arg(image).arg("256M"))
        .map(drop)
}
