//! The guests: which kernel, which backends must work on it, and what its first process does.

use std::fmt::Write as _;

use anyhow::Result;

use super::initramfs::Initramfs;
use super::kernel::{Kernel, Source};
use super::payload::{PROGRAM, Payload, TESTS};

/// A kernel and what must work on it.
pub(super) struct Guest {
    pub(super) name: &'static str,
    pub(super) source: Source,
    /// Targets of tests/kernel. One that does not start is a failure.
    targets: &'static str,
    /// As if the kernel had been built without BTF.
    hides_btf: bool,
    /// Run only when it is named.
    pub(super) is_optional: bool,
}

/// The packet backend has guests of its own: nothing in the kernel changes below it. There is no eBPF before 5.13.
/// The kernel sweeps, and also hooks each event as it does for processes.
const EBPF_MIDDLE: &str = "ebpf:fentry,ebpf:kprobe,ebpf:fentry:events";
/// The tracepoint `sock_send_length` came with 6.3.
const EBPF_NEW: &str = "ebpf:fentry,ebpf:kprobe,ebpf:tracepoint";
/// Another processor may do in another order what both backends ask memory for.
const ALL: &str = "ebpf:fentry,ebpf:kprobe,ebpf:tracepoint,packet";

const DEFAULT: Guest =
    Guest { name: "", source: Source::BOOKWORM_6_1, targets: EBPF_NEW, hides_btf: false, is_optional: false };

/// All of them, in an order that keeps two processors busy to the end.
pub(super) const GUESTS: [Guest; 7] = [
    Guest { name: "newest", source: Source::SID, is_optional: true, ..DEFAULT },
    Guest { name: "arm64", source: Source::BOOKWORM_6_12_ARM64, targets: ALL, is_optional: true, ..DEFAULT },
    Guest { name: "6.12", source: Source::BOOKWORM_6_12, ..DEFAULT },
    Guest { name: "6.1", source: Source::BOOKWORM_6_1, targets: EBPF_MIDDLE, ..DEFAULT },
    Guest { name: "6.1-nobtf", source: Source::BOOKWORM_6_1, targets: "packet", hides_btf: true, ..DEFAULT },
    Guest { name: "5.10", source: Source::BULLSEYE_5_10, targets: "packet", ..DEFAULT },
    Guest { name: "uml", source: Source::USER_MODE, targets: "packet", ..DEFAULT },
];

/// Their names, for the command line.
pub(super) const NAMES: [&str; 7] = ["newest", "arm64", "6.12", "6.1", "6.1-nobtf", "5.10", "uml"];

/// What the scenarios need of modules; kTLS ciphers with four of them. Those that a kernel has built in are skipped.
const MODULES: [&str; 11] =
    ["ipv6", "8021q", "bridge", "tcp_diag", "udp_diag", "veth", "tun", "ctr", "ghash-generic", "gcm", "tls"];

/// The first process, up to what differs between guests. A guest has no other way to say how it ended than a line on
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

/// All files of a guest, as the kernel unpacks them. Its first process takes these `steps` of a shell and says how the last
/// one ended.
pub(super) fn initramfs(kernel: &Kernel, payload: &Payload, steps: &str) -> Result<Vec<u8>> {
    let mut files = Initramfs::default();
    payload.pack(&mut files)?;
    let mut init = INIT_HEAD.to_owned();
    for (name, bytes) in kernel.modules(&MODULES)? {
        files.file(&format!("/modules/{name}.ko"), 0o644, &bytes);
        writeln!(init, "insmod /modules/{name}.ko")?;
    }
    // qemu ends at a reboot, and a kernel that is a program would begin anew.
    let end = if kernel.is_user_mode { "poweroff" } else { "reboot" };
    write!(init, "{steps}\necho \"@@exit $?\"\n{end} -f\n")?;
    files.file("/init", 0o755, init.as_bytes());
    Ok(files.finish())
}

impl Guest {
    /// All files of the guest.
    pub(super) fn initramfs(&self, kernel: &Kernel, payload: &Payload) -> Result<Vec<u8>> {
        initramfs(kernel, payload, &self.steps(payload))
    }

    fn steps(&self, payload: &Payload) -> String {
        let hide = if self.hides_btf { "mkdir /empty\nmount --bind /empty /sys/kernel/btf\n" } else { "" };
        let (targets, arguments) = (self.targets, payload.quoted_arguments());
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
    }
}
