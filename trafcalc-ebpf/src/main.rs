//! The kernel half of trafcalc: looks at a socket's two cursors, when the service asks or whenever a hook gives it a moment.
//!
//! `settle` is what all of them call, `stream` is how a connection begins and ends, `actor` is who
//! sends and reads where more than the user is wanted, `hooks` has one thin file for each
//! function or tracepoint. There is no logic here, and nothing in the path of a normal event but arithmetic.
#![cfg_attr(
    target_arch = "bpf",
    no_std,
    no_main,
    feature(core_intrinsics, asm_experimental_arch),
    expect(internal_features, reason = "the only atomics this target has")
)]

#[cfg(target_arch = "bpf")]
mod actor;
#[cfg(target_arch = "bpf")]
mod adopt;
#[cfg(target_arch = "bpf")]
mod atomic;
#[cfg(target_arch = "bpf")]
mod audit;
#[cfg(target_arch = "bpf")]
mod credit;
#[cfg(target_arch = "bpf")]
mod hooks;
#[cfg(target_arch = "bpf")]
mod loopback;
#[cfg(target_arch = "bpf")]
mod maps;
#[cfg(target_arch = "bpf")]
mod owner;
#[cfg(target_arch = "bpf")]
mod seats;
#[cfg(target_arch = "bpf")]
mod settle;
#[cfg(target_arch = "bpf")]
mod slots;
#[cfg(target_arch = "bpf")]
mod sock;
#[cfg(target_arch = "bpf")]
mod steps;
#[cfg(target_arch = "bpf")]
mod stream;
#[cfg(target_arch = "bpf")]
mod sweep;
#[cfg(target_arch = "bpf")]
mod table;
#[cfg(target_arch = "bpf")]
mod task;
#[cfg(target_arch = "bpf")]
mod wanted;

#[cfg(not(target_arch = "bpf"))]
fn main() {}

/// The verifier proves that nothing panics; the compiler wants this all the same.
#[cfg(target_arch = "bpf")]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

// Without it the kernel does not lend us its helpers to read memory: bpf_probe_read_kernel is for GPL programs only.
#[cfg(target_arch = "bpf")]
#[expect(unsafe_code, reason = "found by its section")]
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 4] = *b"GPL\0";
