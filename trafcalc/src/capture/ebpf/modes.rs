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
    /// Only where a program at a tracepoint can be preempted.
    IfPreemptible,
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

const fn spare(program: &'static str, target: &'static str) -> Hook {
    Hook { program, target, need: Need::IfPreemptible }
}

impl Looks {
    /// What connections are then, in messages.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Swept => "swept",
            Self::Hooked => "looked at at each event",
            Self::HookedLocked => "looked at at each event that has the socket locked",
        }
    }
}

/// One way to build an attach mode.
#[derive(Clone, Copy, Debug)]
pub(super) struct Variant {
    /// The end and the states of a connection.
    life: &'static [Hook],
    /// What else it looks at.
    rest: &'static [Hook],
    /// How its programs come to look at a socket.
    pub(super) looks: Looks,
}

impl Variant {
    /// All of them, in the order in which they are to be attached.
    pub(super) fn hooks(&self) -> impl DoubleEndedIterator<Item = &'static Hook> {
        self.life.iter().chain(self.rest)
    }

    /// Whether it hooks the tracepoint that came with Linux 6.3.
    pub(super) fn needs_send_tracepoint(&self) -> bool {
        self.hooks().any(|hook| hook.target == SEND_TRACEPOINT)
    }
}

/// How programs come to look at a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Looks {
    /// When a report is due: see [`super::sweep`]. Hooks come when a connection begins, changes or ends, or gets another
    /// owner, and there is none in the way of its bytes. Tells nothing of who acts. Linux 5.13 and later.
    Swept,
    /// At each event, replacing cursors by the atomic exchange of Linux 5.12.
    Hooked,
    /// At each event at which the socket is locked.
    HookedLocked,
}

/// The ways to build `attach`, better ones first.
pub(super) const fn variants(attach: Attach) -> &'static [Variant] {
    match attach {
        Attach::Fentry => &[
            Variant { life: LIFE, rest: FENTRY_SWEPT, looks: Looks::Swept },
            Variant { life: TYPED_LIFE, rest: FENTRY, looks: Looks::Hooked },
            Variant { life: TYPED_LIFE_LOCKED, rest: FENTRY_LOCKED, looks: Looks::HookedLocked },
        ],
        Attach::Kprobe => &[
            Variant { life: LIFE, rest: KPROBE_SWEPT, looks: Looks::Swept },
            Variant { life: LIFE, rest: KPROBE, looks: Looks::Hooked },
            Variant { life: LIFE_LOCKED, rest: KPROBE_LOCKED, looks: Looks::HookedLocked },
        ],
        Attach::Tracepoint => &[
            Variant { life: LIFE, rest: TRACEPOINT_SWEPT, looks: Looks::Swept },
            Variant { life: LIFE, rest: TRACEPOINT, looks: Looks::Hooked },
        ],
    }
}

/// Programs that are attached to nothing: the service runs them.
pub(super) const SWEEP: &str = "sweep";
pub(super) const ADOPT: &str = "adopt";
pub(super) const RUN_BY_US: [&str; 2] = [SWEEP, ADOPT];

/// When the number of a process means something else.
pub(super) const PROCESSES: &[Hook] = &[
    hook("raw_exec", "sched_process_exec"),
    spare("raw_exec_copy", "sched_process_exec"),
    hook("raw_exit", "sched_process_exit"),
    spare("raw_exit_copy", "sched_process_exit"),
];

/// When a process is in another cgroup.
pub(super) const MOVES: &[Hook] =
    &[hook("raw_attach", "cgroup_attach_task"), spare("raw_attach_copy", "cgroup_attach_task")];

/// When a process has a child.
pub(super) const FORKS: &[Hook] =
    &[hook("raw_fork", "sched_process_fork"), spare("raw_fork_copy", "sched_process_fork")];

/// The end and the states of a connection: copies of two programs, of each of which one has to be called.
const LIFE: &[Hook] = &[
    hook("raw_destroy", DESTROY),
    hook("raw_destroy_copy", DESTROY),
    spare("perf_destroy", DESTROY),
    hook("raw_state", STATES),
    hook("raw_state_copy", STATES),
    spare("perf_state", STATES),
];

const LIFE_LOCKED: &[Hook] = &[hook("raw_destroy_locked", DESTROY), hook("raw_state_locked", STATES)];

/// The same with sockets whose type the verifier knows.
const TYPED_LIFE: &[Hook] = &[
    hook("btf_destroy", DESTROY),
    hook("btf_destroy_copy", DESTROY),
    spare("perf_destroy", DESTROY),
    hook("btf_state", STATES),
    hook("btf_state_copy", STATES),
    spare("perf_state", STATES),
];

const TYPED_LIFE_LOCKED: &[Hook] = &[hook("btf_destroy_locked", DESTROY), hook("btf_state_locked", STATES)];

const DESTROY: &str = "tcp_destroy_sock";
/// The hook that a test of the self-test leaves out.
pub(super) const STATES: &str = "inet_sock_set_state";
const SEND_TRACEPOINT: &str = "sock_send_length";
const RECEIVE_TRACEPOINT: &str = "tcp_rcv_space_adjust";

const FENTRY_SWEPT: &[Hook] = &[hook("fentry_disconnect", "tcp_disconnect"), hook("fentry_owner", "sockfs_setattr")];

const KPROBE_SWEPT: &[Hook] = &[hook("kprobe_disconnect", "tcp_disconnect"), hook("kprobe_owner", "sockfs_setattr")];

const TRACEPOINT_SWEPT: &[Hook] =
    &[hook("raw_owner", "writeback_mark_inode_dirty"), spare("raw_owner_copy", "writeback_mark_inode_dirty")];

const FENTRY: &[Hook] = &[
    hook("fentry_receive", "tcp_cleanup_rbuf"),
    if_there("fentry_receive_inner", "__tcp_cleanup_rbuf"),
    hook("fexit_send", "tcp_sendmsg"),
    if_there("fentry_send_waits", "sk_stream_wait_memory"),
    if_there("fexit_sendpage", "tcp_sendpage"),
];

const FENTRY_LOCKED: &[Hook] = &[
    hook("fentry_receive_locked", "tcp_cleanup_rbuf"),
    hook("fexit_send_locked", "tcp_sendmsg_locked"),
    if_there("fentry_send_waits_locked", "sk_stream_wait_memory"),
    hook("fexit_sendpage_locked", "do_tcp_sendpages"),
];

const KPROBE: &[Hook] = &[hook("kprobe_receive", "tcp_cleanup_rbuf"), hook("kprobe_send", "release_sock")];

const KPROBE_LOCKED: &[Hook] =
    &[hook("kprobe_receive_locked", "tcp_cleanup_rbuf"), hook("kprobe_send_locked", "release_sock")];

const TRACEPOINT: &[Hook] = &[
    hook("raw_receive", RECEIVE_TRACEPOINT),
    spare("raw_receive_copy", RECEIVE_TRACEPOINT),
    hook("raw_send", SEND_TRACEPOINT),
    spare("raw_send_copy", SEND_TRACEPOINT),
];
