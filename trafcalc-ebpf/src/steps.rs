//! Having the kernel call a function for each element of a map, which the verifier walks through once (Linux 5.13 and later).
#![expect(unsafe_code, reason = "the kernel calls back with raw memory")]

use core::ffi::c_void;

use aya_ebpf::helpers::generated::bpf_for_each_map_elem;

/// What a step gives to have the next one taken.
pub(crate) const GO_ON: i64 = 0;
/// What it gives to have no more taken.
pub(crate) const STOP: i64 = 1;

/// A step: the map, its key, its value, and what the caller handed over.
pub(crate) type Step<K, V, T> = extern "C" fn(*mut c_void, *const K, *mut V, *mut T) -> i64;

/// Takes a step for each element of `map`.
#[inline(always)]
pub(crate) fn each<M, K, V, T>(map: &'static M, step: Step<K, V, T>, state: &mut T) {
    // SAFETY: the map has keys and values of the types that the step takes, and `state` lives until the call is over.
    unsafe {
        bpf_for_each_map_elem((&raw const *map).cast_mut().cast(), step as *mut c_void, (&raw mut *state).cast(), 0)
    };
}
