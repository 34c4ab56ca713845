//! The object for the method `events`: all that `users` has, and also programs that run when a process sends or reads.
//!
//! Bytes that move between two events belong to the process that used the socket last. A sweep credits them.
//!
//! While the same process uses a socket, an event only records how far the process wrote or read. Its bytes are credited when another
//! process uses the socket, when 16 MiB have moved, by the sweep, or at the end. Data that TCP transmits later belongs to the process
//! that wrote it: a stream remembers the last writer, the writer before, and where the bytes of the latter end. Data that no process
//! has read belongs to the process that used the socket last.
//!
//! Filters are evaluated when the actor changes, and the result is stored as the row. Two row numbers belong to no account. A stream of
//! a user whom the filters exclude is skipped for good (`SKIPPED_ROW`), so that its events cost no more than finding that out. A stream
//! of an excluded process, program or cgroup still has its cursors moved (`PASSED_ROW`), so that the next process gets only its own
//! bytes.
#![cfg_attr(
    target_arch = "bpf",
    no_std,
    no_main,
    feature(core_intrinsics, asm_experimental_arch),
    expect(internal_features, reason = "the only atomics this target has")
)]

#[cfg(target_arch = "bpf")]
mod accounts;
#[cfg(target_arch = "bpf")]
#[path = "actors/actor.rs"]
mod actor;
#[cfg(target_arch = "bpf")]
#[path = "actors/maps.rs"]
mod actor_maps;
#[cfg(target_arch = "bpf")]
mod adopt;
#[cfg(target_arch = "bpf")]
mod atomic;
#[cfg(target_arch = "bpf")]
mod audit;
#[cfg(target_arch = "bpf")]
mod bounded_loop;
#[cfg(target_arch = "bpf")]
mod class;
#[cfg(target_arch = "bpf")]
#[path = "actors/credit.rs"]
mod credit;
#[cfg(target_arch = "bpf")]
mod events;
#[cfg(target_arch = "bpf")]
mod fchown;
#[cfg(target_arch = "bpf")]
#[path = "actors/hooks.rs"]
mod hooks;
#[cfg(target_arch = "bpf")]
mod life;
#[cfg(target_arch = "bpf")]
mod log;
#[cfg(target_arch = "bpf")]
mod look;
#[cfg(target_arch = "bpf")]
mod loopback;
#[cfg(target_arch = "bpf")]
mod maps;
#[cfg(target_arch = "bpf")]
mod object;
#[cfg(target_arch = "bpf")]
mod owner;
#[cfg(target_arch = "bpf")]
mod program;
#[cfg(target_arch = "bpf")]
#[path = "actors/row_refs.rs"]
mod row_refs;
#[cfg(target_arch = "bpf")]
#[path = "actors/settle.rs"]
mod settle;
#[cfg(target_arch = "bpf")]
mod sock;
#[cfg(target_arch = "bpf")]
mod sweep;
#[cfg(target_arch = "bpf")]
mod table;
#[cfg(target_arch = "bpf")]
mod takeover;
#[cfg(target_arch = "bpf")]
#[path = "actors/task.rs"]
mod task;
#[cfg(target_arch = "bpf")]
#[path = "actors/wanted.rs"]
mod wanted;

#[cfg(not(target_arch = "bpf"))]
fn main() {}
