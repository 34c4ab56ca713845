//! Reading a kernel socket. Nothing here writes, and nothing here decides.
#![expect(unsafe_code, reason = "reads the kernel's memory, by its read helper or where the verifier knows the type")]

use core::arch::asm;
use core::ffi::c_void;
use core::mem::MaybeUninit;
use core::ptr::read_volatile;

use aya_ebpf::helpers::generated::bpf_probe_read_kernel;
use trafcalc_common::{Numbers, cast};

use crate::maps::{OFFSETS, offset, sweep_offset, tcp_sock_type};

const IPPROTO_TCP: u16 = 6;
const SOCK_STREAM: u16 = 1;
/// `SOCK_DONE` of `enum sock_flags` (include/net/sock.h, the same since Linux 2.6): the peer's FIN has come.
const SOCK_DONE: u64 = 1 << 1;

/// The address of a `struct sock`; of a `struct tcp_sock`, too, if [`Sock::is_tcp`].
#[derive(Clone, Copy)]
pub(crate) struct Sock {
    address: u64,
    key: u64,
}

impl Sock {
    /// A socket from the argument of a kprobe or raw tracepoint, which to the verifier is a number.
    #[inline(always)]
    pub(crate) fn new(address: *const c_void) -> Self {
        Self { address: address as u64, key: address as u64 }
    }

    /// A socket from the argument of an fentry, fexit or BTF tracepoint program, which to the verifier is a pointer.
    ///
    /// It may not be multiplied. The difference of two pointers is a number; the other one is the same for all
    /// programs of an object, and so is the key of a socket.
    #[inline(always)]
    pub(crate) fn typed(address: *const c_void) -> Self {
        let mut key = address as u64;
        // SAFETY: arithmetic on registers. In assembler, lest the compiler computes with the pointer after all.
        unsafe { asm!("{key} -= {base}", key = inout(reg) key, base = in(reg) &raw const OFFSETS) };
        Self { address: address as u64, key }
    }

    /// The socket of a stream, where all hooks have its address as a number.
    #[inline(always)]
    pub(crate) fn of_key(key: u64) -> Self {
        Self { address: key, key }
    }

    /// The key of its stream; never 0.
    #[inline(always)]
    pub(crate) fn key(self) -> u64 {
        self.key
    }

    /// Reads the field at `offset`; `None` if there is no memory.
    #[inline(always)]
    pub(crate) fn read<T: Copy>(self, offset: u32) -> Option<T> {
        read_kernel(self.address + u64::from(offset))
    }

    /// Reads the field at `offset` in a way that costs no call, where the kernel has one.
    #[inline(always)]
    fn load<T: Copy>(self, offset: u32) -> Option<T> {
        match tcp_sock_type() {
            // SAFETY: a load that faults gives 0 instead; the verifier has checked that there is such a field.
            Some(number) => {
                Some(unsafe { read_volatile((as_type(self.address, number) + u64::from(offset)) as *const T) })
            }
            None => self.read(offset),
        }
    }

    /// Whether there is a `tcp_sock` behind it. MPTCP, SCTP, Unix and raw sockets come by the same hooks.
    #[inline(always)]
    pub(crate) fn is_tcp(self) -> bool {
        self.read::<u16>(offset!(sk_protocol)) == Some(IPPROTO_TCP)
            && self.read::<u16>(offset!(sk_type)) == Some(SOCK_STREAM)
    }

    /// The user who owns it now.
    #[inline(always)]
    pub(crate) fn uid(self) -> Option<u32> {
        self.load(offset!(sk_uid))
    }

    /// Its TCP state.
    #[inline(always)]
    pub(crate) fn state(self) -> Option<u32> {
        self.read::<u8>(offset!(skc_state)).map(u32::from)
    }

    /// Whether the peer's FIN has come.
    #[inline(always)]
    pub(crate) fn has_fin(self) -> bool {
        self.read::<u64>(offset!(skc_flags)).is_some_and(|flags| flags & SOCK_DONE != 0)
    }

    /// Whether it still has its peer: `tcp_disconnect` takes that away, and moves both cursors to nowhere.
    #[inline(always)]
    pub(crate) fn has_peer(self) -> bool {
        self.read::<u16>(offset!(skc_dport)).is_some_and(|port| port != 0)
    }

    /// The number of the next byte the application will write.
    #[inline(always)]
    pub(crate) fn write_seq(self) -> Option<u32> {
        self.load(offset!(write_seq))
    }

    /// The number of the next byte the application will read.
    #[inline(always)]
    pub(crate) fn copied_seq(self) -> Option<u32> {
        self.load(offset!(copied_seq))
    }

    /// The number of the next byte expected from the peer.
    #[inline(always)]
    pub(crate) fn rcv_nxt(self) -> Option<u32> {
        self.read(offset!(rcv_nxt))
    }

    /// How many bytes were acknowledged.
    #[inline(always)]
    pub(crate) fn bytes_acked(self) -> Option<u64> {
        self.load(offset!(bytes_acked))
    }

    /// How many bytes came in order.
    #[inline(always)]
    pub(crate) fn bytes_received(self) -> Option<u64> {
        self.load(offset!(bytes_received))
    }

    /// Whether a task holds it. A hook then runs in that task, and in no interrupt.
    #[inline(always)]
    pub(crate) fn is_held(self) -> bool {
        self.read::<u32>(offset!(sk_lock_owned)).is_some_and(|owned| owned != 0)
    }

    /// Whether an application has it, or could: not if it waits to be accepted, or was closed.
    #[inline(always)]
    pub(crate) fn has_application(self) -> bool {
        self.read::<u64>(sweep_offset!(sk_socket)).is_some_and(|socket| socket != 0)
    }

    /// All that the kernel knows of the two directions.
    #[inline(always)]
    pub(crate) fn numbers(self) -> Option<Numbers> {
        Some(Numbers {
            write_seq: self.write_seq()?,
            snd_una: self.read(offset!(snd_una))?,
            bytes_acked: self.bytes_acked()?,
            copied_seq: self.copied_seq()?,
            rcv_nxt: self.rcv_nxt()?,
            bytes_received: self.bytes_received()?,
        })
    }
}

/// The same address, at which the verifier from now on sees a structure of this type. Costs no call: it is only told.
#[inline(always)]
fn as_type(address: u64, number: u32) -> u64 {
    let typed;
    // SAFETY: the loader puts a call of a function in this place that gives back its first argument, or sets the result
    // to 0 where nobody comes by.
    unsafe {
        asm!(
            ".quad {}", const cast::PLACE,
            inlateout("r1") address => _, inlateout("r2") u64::from(number) => _, lateout("r0") typed,
            lateout("r3") _, lateout("r4") _, lateout("r5") _,
            options(nomem, nostack),
        );
    }
    typed
}

/// Reads kernel memory; `None` if there is none at `address`.
#[inline(always)]
pub(crate) fn read_kernel<T: Copy>(address: u64) -> Option<T> {
    let mut value = MaybeUninit::<T>::uninit();
    // SAFETY: the helper writes size_of::<T>() bytes to `value` or fails; it checks the address itself.
    let failed =
        unsafe { bpf_probe_read_kernel(value.as_mut_ptr().cast(), size_of::<T>() as u32, address as *const _) };
    // SAFETY: on success the helper has filled all of it, and T is an integer or an array of them.
    (failed == 0).then(|| unsafe { value.assume_init() })
}
