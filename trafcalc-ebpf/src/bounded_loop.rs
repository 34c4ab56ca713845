//! Loops by a callback: the kernel calls a function for each element of a map, and the verifier checks that function once (Linux 5.13
//! and later).
#![expect(unsafe_code, reason = "the kernel calls back with raw memory")]

use core::ffi::c_void;

use aya_ebpf::helpers::generated::bpf_for_each_map_elem;

/// Return value of a step that continues.
pub(crate) const GO_ON: i64 = 0;
/// Return value of a step that ends the loop.
pub(crate) const STOP: i64 = 1;

/// A step: the map, the key, the value, and the caller's state.
pub(crate) type Step<K, V, T> = extern "C" fn(*mut c_void, *const K, *mut V, *mut T) -> i64;

/// Calls `step` for each element of `map`.
#[inline(always)]
pub(crate) fn each<M, K, V, T>(map: &'static M, step: Step<K, V, T>, state: &mut T) {
    // SAFETY: the map has keys and values of the types that the step takes, and `state` lives until the call is over.
    unsafe {
        bpf_for_each_map_elem((&raw const *map).cast_mut().cast(), step as *mut c_void, (&raw mut *state).cast(), 0)
    };
}
