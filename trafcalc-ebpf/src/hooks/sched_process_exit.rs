//! `sched_process_exit(task)`: the current task ends. Its process id may be reused once the process is gone.

use aya_ebpf::macros::raw_tracepoint;
use aya_ebpf::programs::RawTracePointContext;

use crate::actor;
use crate::program::program;
use crate::task::Task;
use crate::wanted;

fn raw(_: &RawTracePointContext) {
    if Task::current().is_last() {
        actor::next_epoch(actor::pid());
        wanted::forget(actor::pid());
    }
}

program!(#[raw_tracepoint(tracepoint = "sched_process_exit")] raw_exit(RawTracePointContext) => raw);
