//! One file for each function or tracepoint that gives a moment to look. A program's name says how it is attached:
//! `raw_` raw tracepoint, `btf_` BTF tracepoint, `perf_` tracepoint called by perf, `fexit_`, `fentry_`, `kprobe_`; `_locked`
//! is the variant for kernels without the atomic exchange; of copies see `copies`.

mod cgroup_attach_task;
mod copies;
mod inet_sock_set_state;
mod release_sock;
mod sched_process_exec;
mod sched_process_exit;
mod sched_process_fork;
mod sock_send_length;
mod sockfs_setattr;
mod tcp_cleanup_rbuf;
mod tcp_destroy_sock;
mod tcp_disconnect;
mod tcp_rcv_space_adjust;
mod tcp_sendmsg;
mod tcp_sendpage;
mod writeback_mark_inode_dirty;

/// Defines a program that passes its context to `$body`; with the feature `empty`, which the benchmark uses to learn
/// what hooking alone costs, it does nothing.
macro_rules! program {
    ($(#[$kind:meta])* $name:ident($context:ty) => $body:expr) => {
        $(#[$kind])*
        pub(crate) fn $name(context: $context) -> i32 {
            if cfg!(not(feature = "empty")) {
                $body(&context);
            }
            0
        }
    };
}
use program;
