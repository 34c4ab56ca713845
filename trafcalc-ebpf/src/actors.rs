//! The object that also tells who acts: beside what `users` has, programs where a process sends or reads.
//!
//! What moves in between belongs to whoever acted last; a sweep credits it.
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
#[path = "actors/seats.rs"]
mod seats;
#[cfg(target_arch = "bpf")]
#[path = "actors/settle.rs"]
mod settle;
#[cfg(target_arch = "bpf")]
mod sock;
#[cfg(target_arch = "bpf")]
mod steps;
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
