//! `cgroup_attach_task(cgroup, path, task, whole_process)`: a task has moved to another cgroup.

use core::ffi::c_void;

use aya_ebpf::macros::raw_tracepoint;
use aya_ebpf::programs::RawTracePointContext;

use crate::actor;
use crate::program::program;
use crate::task::Task;

fn raw(context: &RawTracePointContext) {
    if let Some(pid) = Task::at(context.arg::<*const c_void>(2)).pid() {
        actor::next_epoch(pid);
    }
}

program!(#[raw_tracepoint(tracepoint = "cgroup_attach_task")] raw_attach(RawTracePointContext) => raw);
