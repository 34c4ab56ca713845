//! The attach modes: which programs go to which hooks, in the order in which they are attached.
//!
//! The end of a connection is attached before its beginning and that before everything else, so that a connection that
//! begins while we attach is either older than the program or wholly seen.

use crate::capture::Attach;

/// Whether a mode can do without a hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    Required,
    /// Not on every kernel; what passes by it elsewhere is seen by another hook, or when the connection ends.
    IfThere,
}

/// A program of the object, and what it is attached to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hook {
    pub(super) program: &'static str,
    pub(super) target: &'static str,
    pub(super) need: Need,
}

const fn hook(program: &'static str, target: &'static str) -> Hook {
    Hook { program, target, need: Need::Required }
}

const fn if_there(program: &'static str, target: &'static str) -> Hook {
    Hook { program, target, need: Need::IfThere }
}

/// One way to build an attach mode.
#[derive(Clone, Copy, Debug)]
pub(super) struct Variant {
    pub(super) hooks: &'static [Hook],
    /// Whether its programs use the atomic exchange of Linux 5.12. Those that do not look at locked sockets only.
    pub(super) exchange: bool,
}

/// The ways to build `attach`, better ones first.
pub(super) const fn variants(attach: Attach) -> &'static [Variant] {
    match attach {
        Attach::Fentry => {
            &[Variant { hooks: FENTRY, exchange: true }, Variant { hooks: FENTRY_LOCKED, exchange: false }]
        }
        Attach::Kprobe => {
            &[Variant { hooks: KPROBE, exchange: true }, Variant { hooks: KPROBE_LOCKED, exchange: false }]
        }
        Attach::Tracepoint => &[Variant { hooks: TRACEPOINT, exchange: true }],
    }
}

/// When the number of a process means something else.
pub(super) const PROCESSES: &[Hook] = &[hook("raw_exec", "sched_process_exec"), hook("raw_exit", "sched_process_exit")];

/// When a process is in another cgroup.
pub(super) const MOVES: &[Hook] = &[hook("raw_attach", "cgroup_attach_task")];

/// When a process has a child.
pub(super) const FORKS: &[Hook] = &[hook("raw_fork", "sched_process_fork")];

const FENTRY: &[Hook] = &[
    hook("btf_destroy", "tcp_destroy_sock"),
    hook("btf_destroy_nested", "tcp_destroy_sock"),
    hook("btf_state", "inet_sock_set_state"),
    hook("btf_state_nested", "inet_sock_set_state"),
    hook("fentry_receive", "tcp_cleanup_rbuf"),
    if_there("fentry_receive_inner", "__tcp_cleanup_rbuf"),
    hook("fexit_send", "tcp_sendmsg"),
    if_there("fentry_send_waits", "sk_stream_wait_memory"),
    if_there("fexit_sendpage", "tcp_sendpage"),
];

const FENTRY_LOCKED: &[Hook] = &[
    hook("btf_destroy_locked", "tcp_destroy_sock"),
    hook("btf_state_locked", "inet_sock_set_state"),
    hook("fentry_receive_locked", "tcp_cleanup_rbuf"),
    hook("fexit_send_locked", "tcp_sendmsg_locked"),
    if_there("fentry_send_waits_locked", "sk_stream_wait_memory"),
    hook("fexit_sendpage_locked", "do_tcp_sendpages"),
];

const KPROBE: &[Hook] = &[
    hook("raw_destroy", "tcp_destroy_sock"),
    hook("raw_destroy_nested", "tcp_destroy_sock"),
    hook("raw_state", "inet_sock_set_state"),
    hook("raw_state_nested", "inet_sock_set_state"),
    hook("kprobe_receive", "tcp_cleanup_rbuf"),
    hook("kprobe_send", "tcp_release_cb"),
];

const KPROBE_LOCKED: &[Hook] = &[
    hook("raw_destroy_locked", "tcp_destroy_sock"),
    hook("raw_state_locked", "inet_sock_set_state"),
    hook("kprobe_receive_locked", "tcp_cleanup_rbuf"),
    hook("kprobe_send_locked", "tcp_release_cb"),
];

const TRACEPOINT: &[Hook] = &[
    hook("raw_destroy", "tcp_destroy_sock"),
    hook("raw_destroy_nested", "tcp_destroy_sock"),
    hook("raw_state", "inet_sock_set_state"),
    hook("raw_state_nested", "inet_sock_set_state"),
    hook("raw_receive", "tcp_rcv_space_adjust"),
    hook("raw_send", "sock_send_length"),
];
