//! The object for the method `sweep`, which counts by user: programs at the beginning and the end of connections and at changes of
//! owner, and a sweep.
//!
//! Nothing here runs per byte, write or read.
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
#[path = "users/credit.rs"]
mod credit;
#[cfg(target_arch = "bpf")]
mod events;
#[cfg(target_arch = "bpf")]
mod fchown;
#[cfg(target_arch = "bpf")]
#[path = "users/hooks.rs"]
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
mod sock;
#[cfg(target_arch = "bpf")]
mod sweep;
#[cfg(target_arch = "bpf")]
mod table;
#[cfg(target_arch = "bpf")]
mod takeover;

#[cfg(not(target_arch = "bpf"))]
fn main() {}
