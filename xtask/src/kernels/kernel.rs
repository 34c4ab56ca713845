//! Fetches Debian's kernels into the cache, each once. Nothing is installed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use super::apt::{Apt, Suite};
use super::cache;
use super::payload::Tools;
use crate::system;

/// The architecture of a guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Processor {
    X86,
    Arm64,
}

impl Processor {
    /// Debian's name of it.
    pub(super) const fn debian(self) -> &'static str {
        match self {
            Self::X86 => "amd64",
            Self::Arm64 => "arm64",
        }
    }
}

/// Lists of packages.
type Packages = &'static [&'static [(&'static str, &'static str)]];

/// Where a kernel comes from.
#[derive(Clone, Copy)]
pub(super) struct Source {
    /// Its folder in the cache.
    folder: &'static str,
    suite: Suite,
    pub(super) processor: Processor,
    /// Each package is the newest whose name has this prefix and suffix, with only a version in between.
    packages: Packages,
    /// User-mode Linux, which is an ordinary program.
    is_user_mode: bool,
}

const BOOKWORM: Suite = Suite { archive: "debian", name: "bookworm" };
const CLOUD: &str = "-cloud-amd64";
const CLOUD_ARM64: &str = "-cloud-arm64";

/// The shell, `ip`, and the libraries that `ip` is linked with.
const TOOLS: [(&str, &str); 10] = [
    ("busybox-static", ""),
    ("iproute2", ""),
    ("libbpf1", ""),
    ("libbsd0", ""),
    ("libc6", ""),
    ("libcap2", ""),
    ("libelf1", ""),
    ("libmd0", ""),
    ("libmnl0", ""),
    ("zlib1g", ""),
];

/// systemd as process 1, with its journal: the packages that both versions need.
const SYSTEMD: &[(&str, &str)] = &[
    ("libacl1", ""),
    ("libapparmor1", ""),
    ("libaudit1", ""),
    ("libblkid1", ""),
    ("libc6", ""),
    ("libcap-ng0", ""),
    ("libcap2", ""),
    ("libcrypt1", ""),
    ("libgcc-s1", ""),
    ("libgcrypt20", ""),
    ("libgpg-error0", ""),
    ("libip4tc2", ""),
    ("libkmod2", ""),
    ("liblz4-1", ""),
    ("liblzma5", ""),
    ("libmount1", ""),
    ("libpam0g", ""),
    ("libpcre2-8-0", ""),
    ("libseccomp2", ""),
    ("libselinux1", ""),
    ("libsystemd-shared", ""),
    ("libsystemd0", ""),
    ("libzstd1", ""),
    ("systemd", ""),
    ("systemd-sysv", ""),
];

impl Source {
    pub(super) const BULLSEYE_5_10: Self =
        Self::image("5.10", "bullseye-security", &[&[("linux-image-5.10.0-", CLOUD)]]);
    pub(super) const BOOKWORM_6_1: Self = Self::image("6.1", "bookworm-security", &[&[("linux-image-6.1.0-", CLOUD)]]);
    pub(super) const BOOKWORM_6_12: Self = Self::image("6.12", "bookworm-security", &[&[("linux-image-6.12.", CLOUD)]]);
    /// From 7.x on, the image and the modules are separate packages.
    pub(super) const SID: Self = Self {
        suite: Suite { archive: "debian", name: "sid" },
        ..Self::image("newest", "", &[&[("linux-binary-", CLOUD), ("linux-modules-", CLOUD)]])
    };
    pub(super) const BOOKWORM_6_12_ARM64: Self = Self {
        processor: Processor::Arm64,
        ..Self::image("arm64", "bookworm-security", &[&[("linux-image-6.12.", CLOUD_ARM64)]])
    };
    pub(super) const USER_MODE: Self =
        Self { suite: BOOKWORM, is_user_mode: true, ..Self::image("uml", "", &[&[("user-mode-linux", "")]]) };
    /// No kernel: systemd and its libraries.
    pub(super) const SYSTEMD_252: Self =
        Self { suite: BOOKWORM, ..Self::image("systemd-252", "", &[SYSTEMD, &[("libssl3", ""), ("libelf1", "")]]) };
    pub(super) const SYSTEMD_257: Self = Self {
        suite: Suite { archive: "debian", name: "trixie" },
        ..Self::image("systemd-257", "", &[SYSTEMD, &[("libssl3t64", ""), ("libelf1t64", "")]])
    };
    /// No kernel: the shell of guests.
    const BUSYBOX: Self = Self { suite: BOOKWORM, ..Self::image("busybox", "", &[&[("busybox-static", "")]]) };
    /// No kernel: the shell, and what other guests get from this machine.
    const TOOLS_ARM64: Self =
        Self { suite: BOOKWORM, processor: Processor::Arm64, ..Self::image("arm64-tools", "", &[&TOOLS]) };

    const fn image(folder: &'static str, suite: &'static str, packages: Packages) -> Self {
        let suite = Suite { archive: "debian-security", name: suite };
        Self { folder, suite, processor: Processor::X86, packages, is_user_mode: false }
    }
}

/// A fetched kernel.
pub(super) struct Kernel {
    files: Vec<PathBuf>,
    pub(super) image: PathBuf,
    pub(super) processor: Processor,
    pub(super) is_user_mode: bool,
}

/// Takes a kernel from the cache, or downloads it.
pub(super) fn fetch(source: Source) -> Result<Kernel> {
    let files = unpacked(source)?;
    let is_image = |path: &&PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if source.is_user_mode { name == "linux.uml" } else { name.starts_with("vmlinuz") }
    };
    let image = files.iter().find(is_image).context("the packages have no kernel image")?.clone();
    Ok(Kernel { files, image, processor: source.processor, is_user_mode: source.is_user_mode })
}

/// What every guest of an architecture needs, with paths in the guest: busybox for the shell and its commands, `ip`,
/// and libraries that this machine does not have for that architecture.
pub(super) fn tools(processor: Processor) -> Result<Tools> {
    let source = match processor {
        Processor::X86 => Source::BUSYBOX,
        Processor::Arm64 => Source::TOOLS_ARM64,
    };
    let files = unpacked(source)?;
    let mut tools: Vec<_> = files.into_iter().filter_map(|path| Some((tool_in_guest(&path)?, path))).collect();
    if processor == Processor::X86 {
        tools.push(("/bin/ip".into(), system::find("ip").context("there is no ip (package iproute2) here")?));
    }
    Ok(tools)
}

/// systemd and everything it needs, with the paths in the packages; without documentation and device rules.
pub(super) fn systemd(source: Source) -> Result<Tools> {
    let dir = cache().join(source.folder);
    let in_guest = |path: PathBuf| {
        let inside = format!("/{}", path.strip_prefix(&dir).ok()?.to_str()?);
        let is_left_out = ["/usr/share/", "/usr/lib/udev/", "/lib/udev/"].iter().any(|start| inside.starts_with(start));
        // Links may lead to folders or to another package; the links of `.wants` folders are not needed.
        let is_wanted =
            !is_left_out && ["/gconv/", ".wants/"].iter().all(|part| !inside.contains(part)) && path.is_file();
        is_wanted.then_some((inside, path))
    };
    Ok(unpacked(source)?.into_iter().filter_map(in_guest).collect())
}

/// The path in a guest of a file from a package. Libraries get the name that programs are linked with: one number at
/// the end.
fn tool_in_guest(path: &Path) -> Option<String> {
    let (dir, name) = (path.parent()?, path.file_name()?.to_str()?);
    let number = name.split_once(".so.").map(|(_, number)| number);
    let is_library = dir.ends_with("aarch64-linux-gnu") && number.is_some_and(|number| !number.contains('.'));
    let is_program = dir.ends_with("bin") && ["busybox", "ip"].contains(&name);
    if is_program { Some(format!("/bin/{name}")) } else { is_library.then(|| format!("/lib/{name}")) }
}

impl Kernel {
    /// These modules and their dependencies, in the order in which they can be loaded. Dependencies are only recorded
    /// in the modules themselves.
    pub(super) fn modules(&self, names: &[&str]) -> Result<Vec<(String, Vec<u8>)>> {
        let mut order = Vec::new();
        for name in names {
            self.add_module(name, &mut order)?;
        }
        Ok(order)
    }

    fn add_module(&self, name: &str, order: &mut Vec<(String, Vec<u8>)>) -> Result<()> {
        if order.iter().any(|(other, _)| other == name) {
            return Ok(());
        }
        let Some(bytes) = self.module(name)? else { return Ok(()) };
        for needed in needed_by(&bytes) {
            self.add_module(&needed, order)?;
        }
        order.push((name.to_owned(), bytes));
        Ok(())
    }

    /// The content of a module; `None` if it is built in.
    fn module(&self, name: &str) -> Result<Option<Vec<u8>>> {
        let is_it = |path: &&PathBuf| {
            let file = path.file_name().unwrap_or_default().to_string_lossy();
            let file = file.replace('_', "-");
            file.strip_prefix(&name.replace('_', "-")).is_some_and(|rest| [".ko", ".ko.xz"].contains(&rest))
        };
        self.files.iter().find(is_it).map(|path| contents(path)).transpose()
    }
}

/// The names after `depends=` in a module's information section.
fn needed_by(module: &[u8]) -> Vec<String> {
    const KEY: &[u8] = b"\0depends=";
    let Some(at) = module.windows(KEY.len()).position(|window| window == KEY) else { return Vec::new() };
    let list = module[at + KEY.len()..].split(|byte| *byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(list).split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

fn contents(module: &Path) -> Result<Vec<u8>> {
    if module.extension().is_some_and(|extension| extension == "ko") {
        return fs::read(module).with_context(|| format!("cannot read {}", module.display()));
    }
    let output =
        Command::new("xz").args(["--decompress", "--stdout"]).arg(module).output().context("cannot start xz")?;
    ensure!(output.status.success(), "xz cannot unpack {}", module.display());
    Ok(output.stdout)
}

fn unpacked(source: Source) -> Result<Vec<PathBuf>> {
    let dir = cache().join(source.folder);
    if !dir.exists() {
        download(source, &dir)?;
    }
    let mut files = Vec::new();
    collect(&dir, &mut files)?;
    Ok(files)
}

/// Atomic: the folder gets its name when it is complete.
fn download(source: Source, dir: &Path) -> Result<()> {
    let apt = Apt::new(source.suite, source.processor)?;
    let partial = cache().join(format!("{}.partial", source.folder));
    fs::create_dir_all(&partial)?;
    for (prefix, suffix) in source.packages.iter().copied().flatten() {
        let names = apt.names(prefix)?;
        let package = newest(names.iter().map(String::as_str), prefix, suffix);
        let package = package.with_context(|| format!("{} has no package {prefix}*{suffix}", source.suite.name))?;
        apt.unpack(package, &partial)?;
    }
    fs::rename(&partial, dir).with_context(|| format!("cannot make {}", dir.display()))
}

fn collect(dir: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            collect(&entry.path(), files)?;
        } else {
            files.push(entry.path());
        }
    }
    Ok(())
}

/// The newest by the numbers in its name: they contain the kernel's ABI number, and old packages are removed from the
/// archive.
fn newest<'a>(names: impl Iterator<Item = &'a str>, prefix: &str, suffix: &str) -> Option<&'a str> {
    let version = |name: &&str| -> Option<Vec<u32>> {
        let middle = name.strip_prefix(prefix)?.strip_suffix(suffix)?;
        let middle = middle.split_once('+').map_or(middle, |(version, _)| version);
        let parts = middle.split(['.', '-']).filter(|part| !part.is_empty());
        parts.map(|part| part.parse().ok()).collect()
    };
    names.filter(|name| version(name).is_some()).max_by_key(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_says_what_it_needs() {
        assert_eq!(needed_by(b"\x7fELF\0license=GPL\0depends=stp,llc\0name=bridge\0"), ["stp", "llc"]);
        assert!(needed_by(b"\0depends=\0name=llc\0").is_empty());
    }

    #[test]
    fn of_a_library_only_the_name_that_programs_look_for_is_taken() {
        let tool = |path| tool_in_guest(Path::new(path));
        assert_eq!(tool("/t/bin/ip").as_deref(), Some("/bin/ip"));
        assert_eq!(tool("/t/lib/aarch64-linux-gnu/libz.so.1").as_deref(), Some("/lib/libz.so.1"));
        assert_eq!(tool("/t/lib/aarch64-linux-gnu/libz.so.1.2.13"), None);
        assert_eq!(tool("/t/lib/aarch64-linux-gnu/tc/normal.dist"), None);
    }

    #[test]
    fn the_newest_is_chosen_by_number_and_variants_are_not_taken() {
        let names = [
            "linux-image-6.12.99+deb12-cloud-amd64",
            "linux-image-6.12.107+deb12-cloud-amd64",
            "linux-image-6.12.117+deb12-cloud-amd64-dbg",
            "linux-image-6.12.117+deb12-rt-amd64",
        ];
        let found = newest(names.into_iter(), "linux-image-6.12.", CLOUD);
        assert_eq!(found, Some("linux-image-6.12.107+deb12-cloud-amd64"));
        let backport = ["linux-image-6.1.0-0.deb11.52-cloud-amd64", "linux-image-6.1.0-9-cloud-amd64"];
        assert_eq!(newest(backport.into_iter(), "linux-image-6.1.0-", CLOUD), Some(backport[1]));
        assert_eq!(newest(["user-mode-linux"].into_iter(), "user-mode-linux", ""), Some("user-mode-linux"));
    }
}
