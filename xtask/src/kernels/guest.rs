//! The guests: their kernels, the backends that must work on them, and what their first process does.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use anyhow::Result;

use super::debian;
use super::initramfs::Initramfs;
use super::kernel::{self, Kernel, Source};
use super::payload::{PROGRAM, Payload, TESTS};
use crate::shell;

/// A guest.
pub(super) struct Guest {
    pub(super) name: &'static str,
    pub(super) source: Source,
    /// Targets of tests/kernel. A target that does not start is a failure.
    targets: &'static str,
    /// Hides the kernel's BTF, as if it had been built without.
    hides_btf: bool,
    /// Run only when it is named.
    pub(super) is_optional: bool,
    /// The systemd that is its first process, if that is not a shell.
    pub(super) systemd: Option<Source>,
    /// The suite of the complete Debian that it is, if it is more than a kernel and what the scenarios need. The
    /// package is installed there.
    pub(super) debian: Option<&'static str>,
}

/// Sweeps, and also hooks each event, as is done for processes. The packet backend runs on guests of its own: the
/// kernel does not matter to it. Before 5.13 there is no eBPF backend.
const EBPF_MIDDLE: &str = "ebpf:fentry,ebpf:kprobe,ebpf:fentry:events";
/// The tracepoint `sock_send_length` came with 6.3.
const EBPF_NEW: &str = "ebpf:fentry,ebpf:kprobe,ebpf:tracepoint";
/// On another architecture both backends may order memory accesses differently.
const ALL: &str = "ebpf:fentry,ebpf:kprobe,ebpf:tracepoint,packet";

const DEFAULT: Guest = Guest {
    name: "",
    source: Source::BOOKWORM_6_1,
    targets: EBPF_NEW,
    hides_btf: false,
    is_optional: false,
    systemd: None,
    debian: None,
};

/// For guests whose first process is systemd.
const UNIT: &str = "ebpf:fentry";

/// A complete Debian, which only root can make.
const SYSTEM: Guest = Guest { targets: UNIT, ..DEFAULT };

/// All guests. Those that take longest come first, so that two processors stay busy to the end.
pub(super) const GUESTS: [Guest; 11] = [
    Guest { name: "newest", source: Source::SID, is_optional: true, ..DEFAULT },
    Guest { name: "arm64", source: Source::BOOKWORM_6_12_ARM64, targets: ALL, is_optional: true, ..DEFAULT },
    // It has neither BTF nor probes. 6.1-nobtf and 5.10, which run by default, lack one of them each.
    Guest { name: "uml", source: Source::USER_MODE, targets: "packet", is_optional: true, ..DEFAULT },
    Guest { name: "6.1", source: Source::BOOKWORM_6_1, targets: EBPF_MIDDLE, ..DEFAULT },
    Guest { name: "6.12", source: Source::BOOKWORM_6_12, ..DEFAULT },
    Guest { name: "6.1-nobtf", source: Source::BOOKWORM_6_1, targets: "packet", hides_btf: true, ..DEFAULT },
    Guest { name: "5.10", source: Source::BULLSEYE_5_10, targets: "packet", ..DEFAULT },
    Guest { name: "trixie", source: Source::BOOKWORM_6_12, debian: Some("trixie"), ..SYSTEM },
    Guest { name: "bookworm", debian: Some("bookworm"), ..SYSTEM },
    Guest { name: "systemd-252", targets: UNIT, systemd: Some(Source::SYSTEMD_252), ..DEFAULT },
    Guest {
        name: "systemd-257",
        source: Source::BOOKWORM_6_12,
        targets: UNIT,
        systemd: Some(Source::SYSTEMD_257),
        ..DEFAULT
    },
];

/// Their names, for the command line.
pub(super) const NAMES: [&str; 11] =
    ["newest", "arm64", "uml", "6.1", "6.12", "6.1-nobtf", "5.10", "trixie", "bookworm", "systemd-252", "systemd-257"];

/// The guests in which the package is installed.
pub(super) const SYSTEMS: [&str; 2] = ["trixie", "bookworm"];

/// The modules that the scenarios need; the last four are for kTLS. Those built into a kernel are skipped.
pub(super) const MODULES: [&str; 11] =
    ["ipv6", "8021q", "bridge", "tcp_diag", "udp_diag", "veth", "tun", "ctr", "ghash-generic", "gcm", "tls"];

/// The first part of the init script, which is the same in all guests. A guest can report its result only by a line on
/// its console.
const INIT_HEAD: &str = "#!/bin/busybox sh
/bin/busybox mkdir -p /proc /sys /dev /tmp /run /var/log /root
/bin/busybox --install -s /bin 2>/dev/null
export PATH=/bin HOME=/root
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev 2>/dev/null
ln -sf /proc/self/fd /dev/fd
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs -o mode=1777 tmpfs /dev/shm
mount -t tmpfs -o mode=1777 tmpfs /tmp
mount -t tracefs tracefs /sys/kernel/tracing 2>/dev/null
mount -t bpf bpf /sys/fs/bpf 2>/dev/null
mount -t cgroup2 cgroup2 /sys/fs/cgroup 2>/dev/null
/bin/ip link set lo up
";

/// The initramfs of a guest. Its first process runs these shell `steps` and reports the exit code of the last one.
pub(super) fn initramfs(kernel: &Kernel, payload: &Payload, steps: &str) -> Result<Vec<u8>> {
    let mut files = Initramfs::default();
    payload.pack(&mut files)?;
    let mut init = INIT_HEAD.to_owned();
    add_modules(kernel, &mut files, &mut init)?;
    // qemu exits at a reboot, but user-mode Linux would boot again.
    let end = if kernel.is_user_mode { "poweroff" } else { "reboot" };
    write!(init, "{steps}\necho \"@@exit $?\"\n{end} -f\n")?;
    files.file("/init", 0o755, init.as_bytes());
    Ok(files.finish())
}

/// Adds the modules, and the steps that load them.
fn add_modules(kernel: &Kernel, files: &mut Initramfs, steps: &mut String) -> Result<()> {
    for (name, bytes) in kernel.modules(&MODULES)? {
        files.file(&format!("/modules/{name}.ko"), 0o644, &bytes);
        writeln!(steps, "insmod /modules/{name}.ko")?;
    }
    Ok(())
}

/// The systemd target to start: the steps and the journal they write to. This way nothing has to be masked.
const TARGET: &str = "[Unit]
Wants=systemd-journald.service steps.service
AllowIsolate=yes
";

const STEPS: &str = "[Unit]
DefaultDependencies=no
After=systemd-journald.service
[Service]
Type=oneshot
ExecStart=/bin/busybox sh /test/steps
StandardOutput=tty
StandardError=tty
TTYPath=/dev/ttyS0
TimeoutStartSec=infinity
";

/// Setup that systemd has not done when the steps begin.
const STEPS_HEAD: &str = "export PATH=/bin:/sbin HOME=/root
/bin/busybox --install -s /bin 2>/dev/null
mount -t tmpfs -o mode=1777 tmpfs /tmp
mount -t tracefs tracefs /sys/kernel/tracing 2>/dev/null
/bin/ip link set lo up
systemd-sysusers trafcalc.conf
";

/// The path of the service's unit.
const SERVICE: &str = "/etc/systemd/system/trafcalc.service";
/// What is installed beside it: its name in `trafcalc/dist/`, and its path.
const SHIPPED: [(&str, &str); 5] = [
    ("trafcalc.service", SERVICE),
    ("trafcalc-alert.service", "/etc/systemd/system/trafcalc-alert.service"),
    ("trafcalc-ebpf-only.conf", "/usr/share/doc/trafcalc/trafcalc-ebpf-only.conf"),
    ("trafcalc.sysusers", "/usr/lib/sysusers.d/trafcalc.conf"),
    ("trafcalc.tmpfiles", "/usr/lib/tmpfiles.d/trafcalc.conf"),
];

impl Guest {
    /// Fetches its kernel, and everything else it needs into the cache.
    pub(super) fn fetch(&self) -> Result<Kernel> {
        self.systemd.map_or(Ok(Vec::new()), kernel::systemd)?;
        self.debian.map(debian::image).transpose()?;
        kernel::fetch(self.source)
    }

    /// The initramfs of the guest.
    pub(super) fn initramfs(&self, kernel: &Kernel, payload: &Payload) -> Result<Vec<u8>> {
        match self.systemd {
            None => initramfs(kernel, payload, &self.steps(payload)),
            Some(source) => self.with_systemd(source, kernel, payload),
        }
    }

    /// The same with systemd as the first process; the steps are a unit, and the shipped unit is installed.
    fn with_systemd(&self, source: Source, kernel: &Kernel, payload: &Payload) -> Result<Vec<u8>> {
        let mut files = Initramfs::merged();
        for (path, file) in kernel::systemd(source)? {
            files.file(&path, fs::metadata(&file)?.permissions().mode() & 0o755, &fs::read(file)?);
        }
        for folder in ["/dev", "/proc", "/root", "/run", "/sys", "/tmp", "/var/lib", "/var/log"] {
            files.folder(folder);
        }
        files.link("/init", "usr/lib/systemd/systemd");
        files.file("/etc/machine-id", 0o444, b"0123456789abcdef0123456789abcdef\n");
        files.file("/etc/os-release", 0o644, b"ID=guest\n");
        files.file("/etc/passwd", 0o644, b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n");
        files.file("/etc/group", 0o644, b"root:x:0:\nadm:x:4:\ntty:x:5:\nnogroup:x:65534:\n");
        files.file("/etc/systemd/system/default.target", 0o644, TARGET.as_bytes());
        files.file("/etc/systemd/system/steps.service", 0o644, STEPS.as_bytes());
        for (name, path) in SHIPPED {
            files.file(path, 0o644, &fs::read(shell::workspace().join("trafcalc/dist").join(name))?);
        }
        files.link("/usr/sbin/trafcalc", PROGRAM);
        let mut steps = STEPS_HEAD.to_owned();
        add_modules(kernel, &mut files, &mut steps)?;
        write!(steps, "export TRAFCALC_TEST_UNIT={SERVICE}\n{}\necho \"@@exit $?\"\nreboot -f\n", self.steps(payload))?;
        files.file("/test/steps", 0o644, steps.as_bytes());
        payload.pack(&mut files)?;
        Ok(files.finish())
    }

    /// The line by which the guest's only scenario reports that it is complete, if the guest has only one.
    pub(super) fn last_words(&self) -> Option<&'static str> {
        let installed = self.debian.map(|_| "installed: purged");
        installed.or_else(|| self.systemd.map(|_| "under systemd: restarted at last"))
    }

    /// The only scenario of this guest, if it has only one: all others are the same under every first process.
    pub(super) fn scenario(&self) -> Option<&'static str> {
        match (self.systemd, self.debian) {
            (Some(_), _) => Some("under_systemd"),
            (_, Some(_)) => Some("installed"),
            (None, None) => None,
        }
    }

    /// The shell commands it runs, of which the last is the test program.
    pub(super) fn steps(&self, payload: &Payload) -> String {
        let hide = if self.hides_btf { "mkdir /empty\nmount --bind /empty /sys/kernel/btf\n" } else { "" };
        let (targets, arguments) = (self.targets, payload.quoted_arguments());
        let arguments = self.scenario().map_or(arguments, str::to_owned);
        let filter = std::env::var("TRAFCALC_LOG").unwrap_or_default().replace('\'', "");
        format!(
            "{hide}cd /tmp\nexport TRAFCALC_LOG='{filter}'\n\
             export TRAFCALC_TEST_TARGETS={targets} TRAFCALC_TEST_SCALE=small TRAFCALC_BIN={PROGRAM}\n\
             {TESTS} --color never {arguments}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_guest_can_be_named() {
        assert_eq!(GUESTS.map(|guest| guest.name), NAMES);
        let systems: Vec<_> = GUESTS.iter().filter(|guest| guest.debian.is_some()).map(|guest| guest.name).collect();
        assert_eq!(systems, SYSTEMS);
    }
}
