//! `sched_process_fork(parent, child)`: a task has created another one, a thread or a process.

use core::ffi::c_void;

use aya_ebpf::macros::raw_tracepoint;
use aya_ebpf::programs::RawTracePointContext;

use crate::program::program;
use crate::task::Task;
use crate::wanted;

fn raw(context: &RawTracePointContext) {
    wanted::adopt(Task::at(context.arg::<*const c_void>(0)), Task::at(context.arg::<*const c_void>(1)));
}

program!(#[raw_tracepoint(tracepoint = "sched_process_fork")] raw_fork(RawTracePointContext) => raw);
