//! Reads fields of a task. Nothing here writes, and nothing here decides.
#![expect(unsafe_code, reason = "reads the kernel's memory by its read helper")]

use core::ffi::c_void;

use aya_ebpf::helpers::generated::{bpf_get_current_task, bpf_probe_read_kernel_str};
use trafcalc_common::actor::NAME_BYTES;

use crate::actor_maps::task_offset;
use crate::sock::read_kernel;

/// `PF_KTHREAD` of include/linux/sched.h, the same since Linux 2.6.
const KERNEL_THREAD: u32 = 1 << 21;

/// Nested cgroups that are examined, innermost first. The verifier walks through each of them many times.
const MAX_LEVELS: u32 = 10;

/// The address of a `struct task_struct`.
#[derive(Clone, Copy)]
pub(crate) struct Task(u64);

impl Task {
    /// The current task; in an interrupt the interrupted one.
    #[inline(always)]
    pub(crate) fn current() -> Self {
        // SAFETY: takes nothing and cannot fail.
        Self(unsafe { bpf_get_current_task() })
    }

    /// The task that is an argument of a raw tracepoint.
    #[inline(always)]
    pub(crate) fn at(address: *const c_void) -> Self {
        Self(address as u64)
    }

    /// Its process id.
    #[inline(always)]
    pub(crate) fn pid(self) -> Option<u32> {
        self.read(task_offset!(task_tgid))
    }

    /// Its effective user.
    #[inline(always)]
    pub(crate) fn effective_user(self) -> Option<u32> {
        let credentials: u64 = self.read(task_offset!(task_cred))?;
        read_kernel(credentials + u64::from(task_offset!(cred_euid)))
    }

    /// Whether `is_meant` accepts the name of its cgroup, or of one of the cgroups around that.
    #[inline(always)]
    pub(crate) fn is_inside(self, is_meant: impl Fn(&[u64; NAME_BYTES / 8]) -> bool) -> bool {
        let mut node = self.cgroup_node().unwrap_or(0);
        for _ in 0..MAX_LEVELS {
            if node == 0 {
                return false;
            }
            let text = read_kernel(node + u64::from(task_offset!(node_name))).unwrap_or(0);
            let mut name = [0; NAME_BYTES / 8];
            // A name that cannot be read stays all zeroes, which matches no filter.
            let _ = read_text(text, &mut name);
            if is_meant(&name) {
                return true;
            }
            node = read_kernel(node + u64::from(task_offset!(node_parent))).unwrap_or(0);
        }
        false
    }

    #[inline(always)]
    fn cgroup_node(self) -> Option<u64> {
        let cgroups = there(self.read(task_offset!(task_cgroups))?)?;
        let cgroup = there(read_kernel(cgroups + u64::from(task_offset!(cgroups_default)))?)?;
        read_kernel(cgroup + u64::from(task_offset!(cgroup_node)))
    }

    /// Whether it is a kernel thread.
    #[inline(always)]
    pub(crate) fn is_kernel_thread(self) -> bool {
        self.read::<u32>(task_offset!(task_flags)).is_none_or(|flags| flags & KERNEL_THREAD != 0)
    }

    /// When its process was started, in nanoseconds since boot.
    #[inline(always)]
    pub(crate) fn start(self) -> Option<u64> {
        let leader: u64 = self.read(task_offset!(task_group_leader))?;
        read_kernel(leader + u64::from(task_offset!(task_start_boottime)))
    }

    /// Writes the base name of its executable to `name`, which is all zeroes. `None` if it has no executable: kernel threads, and
    /// processes about to end, which have released their memory.
    #[inline(always)]
    pub(crate) fn program(self, name: &mut [u64; NAME_BYTES / 8]) -> Option<()> {
        let memory = there(self.read(task_offset!(task_mm))?)?;
        let file = there(read_kernel(memory + u64::from(task_offset!(mm_exe_file)))?)?;
        let entry = there(read_kernel(file + u64::from(task_offset!(file_dentry)))?)?;
        read_text(read_kernel(entry + u64::from(task_offset!(dentry_name)))?, name)
    }

    /// Whether no thread of its process is left. Called when one of them ends.
    #[inline(always)]
    pub(crate) fn is_last(self) -> bool {
        let Some(signal) = self.read::<u64>(task_offset!(task_signal)) else { return true };
        read_kernel::<u32>(signal + u64::from(task_offset!(signal_live))).is_none_or(|live| live == 0)
    }

    /// Reads the field at `offset`; `None` if there is no memory.
    #[inline(always)]
    pub(crate) fn read<T: Copy>(self, offset: u32) -> Option<T> {
        read_kernel(self.0 + u64::from(offset))
    }
}

/// Reads a zero-terminated string into `text`, which is all zeroes; `None` if it cannot be read or is empty.
#[inline(always)]
fn read_text(address: u64, text: &mut [u64; NAME_BYTES / 8]) -> Option<()> {
    // SAFETY: the helper writes at most NAME_BYTES bytes to `text` or fails; it checks the address itself.
    let length = unsafe { bpf_probe_read_kernel_str(text.as_mut_ptr().cast(), NAME_BYTES as u32, address as *const _) };
    (length > 1).then_some(())
}

/// A pointer that is not null.
#[inline(always)]
fn there(address: u64) -> Option<u64> {
    (address != 0).then_some(address)
}
