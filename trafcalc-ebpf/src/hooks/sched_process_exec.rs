//! `sched_process_exec(task, old_pid, binary)`: the current process has executed another program.

use aya_ebpf::macros::raw_tracepoint;
use aya_ebpf::programs::RawTracePointContext;

use crate::actor;
use crate::program::program;

fn raw(_: &RawTracePointContext) {
    actor::next_epoch(actor::pid());
}

program!(#[raw_tracepoint(tracepoint = "sched_process_exec")] raw_exec(RawTracePointContext) => raw);
