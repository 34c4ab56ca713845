//! Which programs of the objects are attached to which functions and tracepoints of the kernel.

use crate::capture::{Attach, Method};

/// Whether a candidate works without a hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    Required,
    /// Not on every kernel; the next sweep credits what such a hook would have seen.
    IfThere,
    /// Only where a program at a tracepoint can be preempted.
    IfPreemptible,
}

/// A program of an object, and what it is attached to.
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

/// The hooks of an attach mode and method, in the order of attachment.
pub(super) fn of(attach: Attach, method: Method) -> impl DoubleEndedIterator<Item = &'static Hook> {
    let owner = match attach {
        Attach::Fentry => FENTRY_OWNER,
        Attach::Kprobe => KPROBE_OWNER,
        Attach::Tracepoint => TRACEPOINT_OWNER,
    };
    let events = match (method, attach) {
        (Method::Sweep, _) => &[],
        (Method::Events, Attach::Fentry) => FENTRY_EVENTS,
        (Method::Events, Attach::Kprobe) => KPROBE_EVENTS,
        (Method::Events, Attach::Tracepoint) => TRACEPOINT_EVENTS,
    };
    LIFE.iter().chain(owner).chain(events)
}

/// Programs that are attached to nothing. The service runs them.
pub(super) const SWEEP: &str = "sweep";
pub(super) const ADOPT: &str = "adopt";
pub(super) const RUN_BY_US: [&str; 2] = [SWEEP, ADOPT];

/// The program that takes over the streams of a former generation, and the hooks that do so before other programs see a change of
/// state. These hooks are attached first, and only until all streams are taken over.
pub(super) const TAKE_OVER: &str = "take_over";
pub(super) const TAKE: &[Hook] = &[hook("raw_take", STATES), hook("raw_take_copy", STATES)];

/// The only hook for which a skipped event would lose bytes, so its program has copies. A test of the self-test leaves it out.
pub(super) const STATES: &str = "inet_sock_set_state";

const LIFE: &[Hook] = &[
    hook("raw_state", STATES),
    hook("raw_state_copy", STATES),
    Hook { program: "perf_state", target: STATES, need: Need::IfPreemptible },
];

const FENTRY_OWNER: &[Hook] = &[hook("fentry_owner", "sockfs_setattr")];
const KPROBE_OWNER: &[Hook] = &[hook("kprobe_owner", "sockfs_setattr")];
const TRACEPOINT_OWNER: &[Hook] = &[hook("raw_owner", "writeback_mark_inode_dirty")];

const FENTRY_EVENTS: &[Hook] = &[
    hook("fentry_receive", "tcp_cleanup_rbuf"),
    if_there("fentry_receive_inner", "__tcp_cleanup_rbuf"),
    hook("fexit_send", "tcp_sendmsg"),
    if_there("fexit_sendpage", "tcp_sendpage"),
];
const KPROBE_EVENTS: &[Hook] = &[hook("kprobe_receive", "tcp_cleanup_rbuf"), hook("kprobe_send", "release_sock")];
const TRACEPOINT_EVENTS: &[Hook] = &[hook("raw_receive", "tcp_rcv_space_adjust"), hook("raw_send", "sock_send_length")];

/// Hooks for the events after which a process id stands for something else.
pub(super) const PROCESSES: &[Hook] = &[hook("raw_exec", "sched_process_exec"), hook("raw_exit", "sched_process_exit")];

/// Hooks for the move of a process to another cgroup.
pub(super) const MOVES: &[Hook] = &[hook("raw_attach", "cgroup_attach_task")];

/// Hooks for the fork of a process.
pub(super) const FORKS: &[Hook] = &[hook("raw_fork", "sched_process_fork")];
