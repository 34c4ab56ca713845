//! Reads fields of a kernel socket. Nothing here writes, and nothing here decides.
#![expect(unsafe_code, reason = "reads the kernel's memory, by its read helper or where the verifier knows the type")]

use core::arch::asm;
use core::ffi::c_void;
use core::mem::MaybeUninit;
use core::ptr::read_volatile;

use aya_ebpf::helpers::generated::bpf_probe_read_kernel;
use trafcalc_common::cast;
use trafcalc_common::connection::Numbers;

use crate::maps::{offset, tcp_sock_type};

const IPPROTO_TCP: u16 = 6;
const SOCK_STREAM: u16 = 1;
/// `SOCK_DONE` of `enum sock_flags` (include/net/sock.h, the same since Linux 2.6): the peer's FIN has come.
const SOCK_DONE: u64 = 1 << 1;

/// The address of a `struct sock`; also of a `struct tcp_sock`, if [`Sock::is_tcp`].
///
/// The verifier sees it as a number in every kind of program, so it is the same key everywhere.
#[derive(Clone, Copy)]
pub(crate) struct Sock {
    key: u64,
    /// The same address as a pointer from which the verifier allows loads of a `tcp_sock`, where the kernel has that.
    typed: u64,
}

impl Sock {
    /// The socket that is an argument which the verifier sees as a number.
    #[inline(always)]
    pub(crate) fn new(address: *const c_void) -> Self {
        Self::of(address as u64)
    }

    /// The socket of a stream.
    #[inline(always)]
    pub(crate) fn of(key: u64) -> Self {
        Self { key, typed: tcp_sock_type().map_or(0, |number| as_type(key, number)) }
    }

    /// The key of its stream; never 0.
    #[inline(always)]
    pub(crate) fn key(self) -> u64 {
        self.key
    }

    /// Reads the field at `offset` by a helper; `None` if there is no memory.
    #[inline(always)]
    pub(crate) fn read<T: Copy>(self, offset: u32) -> Option<T> {
        read_kernel(self.key + u64::from(offset))
    }

    /// Loads the field at `offset`, without a call where the kernel allows that. 0 if there is no memory.
    #[inline(always)]
    pub(crate) fn load<T: Copy + Default>(self, offset: u32) -> T {
        if tcp_sock_type().is_some() { self.load_typed(offset) } else { self.load_by_helper(offset) }
    }

    /// Loads the field by a helper. Does not check for failure: the helper then fills the value with zeroes, and a branch at each field
    /// would double the number of paths for the verifier.
    #[inline(always)]
    fn load_by_helper<T: Copy + Default>(self, offset: u32) -> T {
        let mut value = T::default();
        let address = (self.key + u64::from(offset)) as *const _;
        // SAFETY: the helper writes size_of::<T>() bytes to `value`; it checks the address itself.
        unsafe { bpf_probe_read_kernel((&raw mut value).cast(), size_of::<T>() as u32, address) };
        value
    }

    /// Loads the field directly. Only where the kernel has the cast.
    #[inline(always)]
    fn load_typed<T: Copy>(self, offset: u32) -> T {
        // SAFETY: a load that faults gives 0 instead; the verifier has checked that there is such a field.
        unsafe { read_volatile((self.typed + u64::from(offset)) as *const T) }
    }

    /// All fields that determine the positions of the cursors, read in the order that [`Numbers`] requires.
    #[inline(always)]
    pub(crate) fn numbers(self) -> Numbers {
        let mut numbers = Numbers::default();
        read_numbers(self, &mut numbers);
        numbers
    }

    #[inline(always)]
    fn numbers_by(self, reading: Reading) -> Numbers {
        let word = |offset: u32| -> u32 { self.load_by(reading, offset) };
        let total = |offset: u32| -> u64 { self.load_by(reading, offset) };
        Numbers {
            snd_nxt: word(offset!(snd_nxt)),
            write_seq: word(offset!(write_seq)),
            bytes_sent: total(offset!(bytes_sent)),
            state: self.load_by::<u8>(reading, offset!(skc_state)).into(),
            snd_una: word(offset!(snd_una)),
            bytes_acked: total(offset!(bytes_acked)),
            bytes_received: total(offset!(bytes_received)),
            rcv_nxt: word(offset!(rcv_nxt)),
            has_peer_fin: total(offset!(skc_flags)) & SOCK_DONE != 0,
        }
    }

    #[inline(always)]
    fn load_by<T: Copy + Default>(self, reading: Reading, offset: u32) -> T {
        match reading {
            Reading::Typed => self.load_typed(offset),
            Reading::Helper => self.load_by_helper(offset),
        }
    }

    /// Whether it is a `tcp_sock`. MPTCP, SCTP, Unix and raw sockets reach the same hooks.
    #[inline(always)]
    pub(crate) fn is_tcp(self) -> bool {
        self.load::<u16>(offset!(sk_protocol)) == IPPROTO_TCP && self.load::<u16>(offset!(sk_type)) == SOCK_STREAM
    }

    /// The user who owns it now.
    #[inline(always)]
    pub(crate) fn uid(self) -> u32 {
        self.load(offset!(sk_uid))
    }

    /// Its TCP state.
    #[inline(always)]
    pub(crate) fn state(self) -> u32 {
        self.load::<u8>(offset!(skc_state)).into()
    }

    /// The limit of connections that wait to be accepted. An accepted socket inherits it from its listener.
    #[inline(always)]
    pub(crate) fn max_ack_backlog(self) -> u32 {
        self.load(offset!(sk_max_ack_backlog))
    }
}

/// A separate function, because it is long and called in several places.
#[inline(never)]
fn read_numbers(sk: Sock, numbers: &mut Numbers) -> i32 {
    *numbers = if tcp_sock_type().is_some() { sk.numbers_by(Reading::Typed) } else { sk.numbers_by(Reading::Helper) };
    0
}

/// How a field is read.
#[derive(Clone, Copy)]
enum Reading {
    /// By an ordinary load from a type that the verifier knows.
    Typed,
    /// By a helper.
    Helper,
}

/// The same address, at which the verifier from now on sees a structure of this type. Costs no call at run time.
#[inline(always)]
fn as_type(address: u64, number: u32) -> u64 {
    let typed;
    // SAFETY: the loader puts a call here of a function that returns its first argument. Where the kernel has none, it puts an
    // instruction here that sets the result to 0, and this code is not reached.
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
