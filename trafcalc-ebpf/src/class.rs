//! The class of the peer's network: that of the longest configured prefix of the peer's address.
#![expect(unsafe_code, reason = "a function is exported")]

use aya_ebpf::maps::lpm_trie::Key;

use crate::loopback::AF_INET6;
use crate::maps::{CLASSES_V4, CLASSES_V6, offset, tells_classes};
use crate::sock::Sock;

/// The first three words of an IPv4-mapped IPv6 address, `::ffff:a.b.c.d`.
const MAPPED: [u32; 3] = [0, 0, 0xffff_u32.to_be()];

/// The number of the class; 0 for the rest, and where accounts are not told apart by class.
#[inline(always)]
pub(crate) fn of(sk: Sock) -> u32 {
    if tells_classes() { class_of(sk.key()) } else { 0 }
}

/// Exported, so that the verifier checks it only once.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn class_of(key: u64) -> u32 {
    let sk = Sock::of(key);
    let v4 = |address: u32| CLASSES_V4.get(Key::new(u32::BITS, address)).copied().unwrap_or(0);
    if sk.load::<u16>(offset!(skc_family)) != AF_INET6 {
        return v4(sk.load(offset!(skc_daddr)));
    }
    let word = |index: u32| sk.load::<u32>(offset!(skc_v6_daddr) + index * 4);
    let address = [word(0), word(1), word(2), word(3)];
    if address[0] == MAPPED[0] && address[1] == MAPPED[1] && address[2] == MAPPED[2] {
        return v4(address[3]);
    }
    CLASSES_V6.get(Key::new(4 * u32::BITS, address)).copied().unwrap_or(0)
}
