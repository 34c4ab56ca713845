//! Reading a kernel socket. Nothing here writes, and nothing here decides.
#![expect(unsafe_code, reason = "reads the kernel's memory, by its read helper or where the verifier knows the type")]

use core::arch::asm;
use core::ffi::c_void;
use core::mem::MaybeUninit;
use core::ptr::read_volatile;

use aya_ebpf::helpers::generated::bpf_probe_read_kernel;
use trafcalc_common::cast;
use trafcalc_common::connection::SocketView;

use crate::maps::{offset, tcp_sock_type};

const IPPROTO_TCP: u16 = 6;
const SOCK_STREAM: u16 = 1;
/// `SOCK_DONE` of `enum sock_flags` (include/net/sock.h, the same since Linux 2.6): the peer's FIN has come.
const SOCK_DONE: u64 = 1 << 1;

/// The address of a `struct sock`; of a `struct tcp_sock`, too, if [`Sock::is_tcp`].
///
/// To the verifier it is a number, whatever kind of program has it, so that it is the same key everywhere.
#[derive(Clone, Copy)]
pub(crate) struct Sock(u64);

impl Sock {
    /// A socket from an argument that is a number to the verifier.
    #[inline(always)]
    pub(crate) fn new(address: *const c_void) -> Self {
        Self(address as u64)
    }

    /// The socket of a stream.
    #[inline(always)]
    pub(crate) fn of(key: u64) -> Self {
        Self(key)
    }

    /// The key of its stream; never 0.
    #[inline(always)]
    pub(crate) fn key(self) -> u64 {
        self.0
    }

    /// Reads the field at `offset` by a helper; `None` if there is no memory.
    #[inline(always)]
    pub(crate) fn read<T: Copy>(self, offset: u32) -> Option<T> {
        read_kernel(self.0 + u64::from(offset))
    }

    /// Loads the field at `offset` in a way that costs no call, where the kernel has one. 0 if there is no memory.
    #[inline(always)]
    pub(crate) fn load<T: Copy + Default>(self, offset: u32) -> T {
        match tcp_sock_type() {
            // SAFETY: a load that faults gives 0 instead; the verifier has checked that there is such a field.
            Some(number) => unsafe { read_volatile((as_type(self.0, number) + u64::from(offset)) as *const T) },
            None => self.read(offset).unwrap_or_default(),
        }
    }

    /// Whether there is a `tcp_sock` behind it. MPTCP, SCTP, Unix and raw sockets come by the same hooks.
    #[inline(always)]
    pub(crate) fn is_tcp(self) -> bool {
        self.load::<u16>(offset!(sk_protocol)) == IPPROTO_TCP && self.load::<u16>(offset!(sk_type)) == SOCK_STREAM
    }

    /// The user who owns it now.
    #[inline(always)]
    pub(crate) fn uid(self) -> u32 {
        self.load(offset!(sk_uid))
    }

    /// Most connections that may wait to be accepted; a child has that of its listener.
    #[inline(always)]
    pub(crate) fn max_ack_backlog(self) -> u32 {
        self.load(offset!(sk_max_ack_backlog))
    }
}

impl SocketView for Sock {
    #[inline(always)]
    fn state(self) -> u32 {
        self.load::<u8>(offset!(skc_state)).into()
    }

    #[inline(always)]
    fn snd_una(self) -> u32 {
        self.load(offset!(snd_una))
    }

    #[inline(always)]
    fn snd_nxt(self) -> u32 {
        self.load(offset!(snd_nxt))
    }

    #[inline(always)]
    fn write_seq(self) -> u32 {
        self.load(offset!(write_seq))
    }

    #[inline(always)]
    fn rcv_nxt(self) -> u32 {
        self.load(offset!(rcv_nxt))
    }

    #[inline(always)]
    fn bytes_acked(self) -> u64 {
        self.load(offset!(bytes_acked))
    }

    #[inline(always)]
    fn bytes_received(self) -> u64 {
        self.load(offset!(bytes_received))
    }

    #[inline(always)]
    fn bytes_sent(self) -> u64 {
        self.load(offset!(bytes_sent))
    }

    #[inline(always)]
    fn has_peer_fin(self) -> bool {
        self.load::<u64>(offset!(skc_flags)) & SOCK_DONE != 0
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
