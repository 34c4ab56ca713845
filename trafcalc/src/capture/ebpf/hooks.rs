//! Which programs of the objects go to which functions and tracepoints of the kernel.

use crate::capture::{Attach, Method};

/// Whether a way can do without a hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    Required,
    /// Not on every kernel; what passes by it is credited by the next sweep.
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

/// Those of an attach mode and method, in the order in which they are to be attached.
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

/// Programs that are attached to nothing: the service runs them.
pub(super) const SWEEP: &str = "sweep";
pub(super) const ADOPT: &str = "adopt";
pub(super) const RUN_BY_US: [&str; 2] = [SWEEP, ADOPT];

/// The one that takes over the streams of a former generation, and those that do so before others see a change of state: to be
/// attached first, and only until all streams are taken over.
pub(super) const TAKE_OVER: &str = "take_over";
pub(super) const TAKE: &[Hook] = &[hook("raw_take", STATES), hook("raw_take_copy", STATES)];

/// The hook that a test of the self-test leaves out, and the only one of which an event that is skipped would lose bytes: so
/// its program comes with copies.
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

/// When the number of a process means something else.
pub(super) const PROCESSES: &[Hook] = &[hook("raw_exec", "sched_process_exec"), hook("raw_exit", "sched_process_exit")];

/// When a process is in another cgroup.
pub(super) const MOVES: &[Hook] = &[hook("raw_attach", "cgroup_attach_task")];

/// When a process has a child.
pub(super) const FORKS: &[Hook] = &[hook("raw_fork", "sched_process_fork")];
