//! A loop that the verifier need not walk through: the kernel calls a function for each element of an array that is there
//! for nothing else.
#![expect(unsafe_code, reason = "the kernel calls back with raw memory")]

use core::ffi::c_void;

use aya_ebpf::helpers::generated::bpf_for_each_map_elem;

use crate::maps::STEPS;

/// What is called: with the map, the number of the step, the element, and the context.
pub(crate) type Step<C> = extern "C" fn(*mut c_void, *const u32, *mut u64, *mut C) -> i64;

/// What a step gives to go on, and to be the last.
pub(crate) const GO_ON: i64 = 0;
pub(crate) const STOP: i64 = 1;

/// Takes as many steps as there are elements, unless one is the last.
#[inline(always)]
pub(crate) fn take<C>(step: Step<C>, context: &mut C) {
    let steps = (&raw const STEPS).cast_mut().cast();
    // SAFETY: the kernel calls `step` as its type says, and the context lives until it is done.
    unsafe { bpf_for_each_map_elem(steps, step as *mut c_void, (&raw mut *context).cast(), 0) };
}
