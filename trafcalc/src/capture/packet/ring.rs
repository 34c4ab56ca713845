//! The two kernel rings, read in place (`packet_mmap.rst` of the kernel). The only file that touches memory shared with the kernel.
//!
//! The bulk ring (`TPACKET_V3`) hands over whole blocks and wakes its reader once per block. The anchor ring (`TPACKET_V2`) hands over each
//! packet as soon as it is written, and is only looked at, never waited for.
#![expect(unsafe_code, reason = "the rings are memory shared with the kernel")]

use std::ffi::c_int;
use std::num::NonZeroUsize;
use std::os::fd::AsFd;
use std::ptr::NonNull;
use std::slice;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};

use super::filter::{ANCHOR_BYTES, SNAP_BYTES};
use super::network::without_labels;
use super::segment::Direction;
use super::socket::PacketSocket;
use crate::capture::CaptureError;

/// After this many milliseconds the kernel hands over a bulk block that is not full. A complete report has to wait this long; a shorter
/// time would cost more wake-ups at low traffic.
pub const RETIRE_MS: u32 = 20;
/// Largest block of the bulk ring: more would delay the reader's first packet, less would cost wake-ups.
const MAX_BLOCK_BYTES: usize = 128 << 10;
/// Fewest blocks in a ring, so that the reader can empty one while the kernel fills the others.
const MIN_BLOCKS: usize = 16;
/// Smallest bulk ring: `MIN_BLOCKS` pages.
pub const MIN_RING_BYTES: usize = MIN_BLOCKS * PAGE_BYTES;
/// Room for 16,384 SYN, FIN, RST and milestones: those of 3,000 connections. The reader looks at least ten times a second.
const ANCHOR_RING_BYTES: usize = 4 << 20;
/// Room for the ring's header (80 bytes as of kernel 6.18) and a snapped packet.
const FRAME_BYTES: usize = 256;
const _: () = assert!(FRAME_BYTES >= 80 + ANCHOR_BYTES as usize && ANCHOR_BYTES >= SNAP_BYTES);
const PAGE_BYTES: usize = 4096;
/// Frames of the anchor ring.
const FRAMES: usize = ANCHOR_RING_BYTES / FRAME_BYTES;
/// A frame is filled in less than a microsecond, unless a virtual machine loses the processor.
const LONGEST_FILL: Duration = Duration::from_millis(20);
/// Frames that are checked after one that is not full: as many as processors may be filling at the same moment.
const FRAMES_AHEAD: usize = 16;

/// A packet in a ring.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'ring> {
    /// What was captured, from the IP header on.
    pub bytes: &'ring [u8],
    /// How long the packet was, from the IP header on.
    pub packet_bytes: u32,
    /// Who sent it.
    pub direction: Direction,
    /// When, in nanoseconds of the wall clock.
    pub time_ns: u64,
    /// Index of the interface.
    pub interface: u32,
}

/// Memory shared with the kernel.
#[derive(Debug)]
struct Mapping {
    start: NonNull<u8>,
    bytes: usize,
}

// SAFETY: the mapping belongs to one ring, which is used by one thread at a time; nothing in it is tied to a thread.
unsafe impl Send for Mapping {}

impl Mapping {
    fn new(socket: &PacketSocket, bytes: usize) -> Result<Self, CaptureError> {
        let length = NonZeroUsize::new(bytes).expect("a ring is never empty");
        let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice overlaps nothing.
        let start = unsafe { mmap(None, length, protection, MapFlags::MAP_SHARED, socket.as_fd(), 0) }
            .map_err(|errno| CaptureError::System { what: "mapping the packet ring", source: errno.into() })?;
        Ok(Self { start: start.cast(), bytes })
    }

    /// The status word at `offset`, with which the kernel and we take turns.
    fn status(&self, offset: usize) -> &AtomicU32 {
        assert!(offset + 4 <= self.bytes && offset.is_multiple_of(4));
        // SAFETY: in bounds and aligned (checked above); the kernel accesses it as a 32-bit word, too.
        unsafe { AtomicU32::from_ptr(self.start.as_ptr().add(offset).cast()) }
    }

    /// A copy of the header at `offset`.
    fn header<T: Copy>(&self, offset: usize) -> T {
        assert!(offset + size_of::<T>() <= self.bytes);
        // SAFETY: in bounds (checked above); only called for plain structures of the kernel, after the status word said that the kernel is
        // done with them.
        unsafe { self.start.as_ptr().add(offset).cast::<T>().read_unaligned() }
    }

    /// A packet of `packet_bytes` at this time, of which `bytes` were captured. The address of its sender ends at `offset`, after the
    /// header of either version.
    fn packet<'ring>(&self, offset: usize, bytes: &'ring [u8], packet_bytes: u32, time_ns: u64) -> Packet<'ring> {
        let link: libc::sockaddr_ll = self.header(offset - size_of::<libc::sockaddr_ll>());
        let (bytes, packet_bytes) = without_labels(u16::from_be(link.sll_protocol), bytes, packet_bytes);
        Packet {
            bytes,
            packet_bytes,
            time_ns,
            direction: if link.sll_pkttype == libc::PACKET_OUTGOING {
                Direction::Outgoing
            } else {
                Direction::Incoming
            },
            interface: link.sll_ifindex.cast_unsigned(),
        }
    }

    /// `length` captured bytes at `offset`, or none if the kernel's numbers leave the ring.
    fn captured(&self, offset: usize, length: usize) -> &[u8] {
        if offset.saturating_add(length) > self.bytes {
            return &[];
        }
        // SAFETY: in bounds (checked above); the kernel does not write there until the status word is handed back,
        // which needs the ring mutably and so ends this borrow.
        unsafe { slice::from_raw_parts(self.start.as_ptr().add(offset), length) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: this is the mapping that `new` made, and no borrow of it outlives `self`. A failure leaks memory only.
        let _ = unsafe { munmap(self.start.cast(), self.bytes) };
    }
}

/// The ring of segments with payload and acknowledgements.
#[derive(Debug)]
pub struct BulkRing {
    mapping: Mapping,
    block_bytes: usize,
    next_block: usize,
}

impl BulkRing {
    /// Gives `socket` a ring of about `ring_bytes` (rounded down to whole blocks, at least [`MIN_RING_BYTES`]).
    pub fn new(socket: &PacketSocket, ring_bytes: usize) -> Result<Self, CaptureError> {
        let ring_bytes = ring_bytes.max(MIN_RING_BYTES);
        let block_bytes = (ring_bytes / MIN_BLOCKS).clamp(PAGE_BYTES, MAX_BLOCK_BYTES);
        let block_bytes = 1 << block_bytes.ilog2();
        let blocks = ring_bytes / block_bytes;
        set_version(socket, libc::tpacket_versions::TPACKET_V3 as c_int)?;
        let request = libc::tpacket_req3 {
            tp_block_size: to_u32(block_bytes),
            tp_block_nr: to_u32(blocks),
            tp_frame_size: to_u32(FRAME_BYTES),
            tp_frame_nr: to_u32(blocks * (block_bytes / FRAME_BYTES)),
            tp_retire_blk_tov: RETIRE_MS,
            tp_sizeof_priv: 0,
            tp_feature_req_word: 0,
        };
        socket.set_option(libc::SOL_PACKET, libc::PACKET_RX_RING, &request, "making the packet ring")?;
        Ok(Self { mapping: Mapping::new(socket, blocks * block_bytes)?, block_bytes, next_block: 0 })
    }

    /// Whether a block waits to be read.
    pub fn is_ready(&self) -> bool {
        let status = self.mapping.status(self.block_offset() + size_of::<[u32; 2]>());
        status.load(Ordering::Acquire) & libc::TP_STATUS_USER != 0
    }

    /// Shows every packet of the waiting block to `visit` and hands the block back. Call it only when
    /// [ready](Self::is_ready).
    pub fn read_block(&mut self, mut visit: impl FnMut(Packet<'_>)) {
        let block = self.block_offset();
        // struct tpacket_block_desc: version, offset of the private area, then struct tpacket_hdr_v1.
        let header: libc::tpacket_hdr_v1 = self.mapping.header(block + size_of::<[u32; 2]>());
        let mut at = block + header.offset_to_first_pkt as usize;
        for _ in 0..header.num_pkts {
            if at + size_of::<libc::tpacket3_hdr>() > self.mapping.bytes {
                break;
            }
            let packet: libc::tpacket3_hdr = self.mapping.header(at);
            let bytes = self.mapping.captured(at + usize::from(packet.tp_net), packet.tp_snaplen as usize);
            let time_ns = nanoseconds(packet.tp_sec, packet.tp_nsec);
            visit(self.mapping.packet(at + libc::TPACKET3_HDRLEN, bytes, packet.tp_len, time_ns));
            at += packet.tp_next_offset as usize;
        }
        self.mapping.status(block + size_of::<[u32; 2]>()).store(libc::TP_STATUS_KERNEL, Ordering::Release);
        self.next_block = (block + self.block_bytes) % self.mapping.bytes / self.block_bytes;
    }

    fn block_offset(&self) -> usize {
        self.next_block * self.block_bytes
    }
}

/// The ring of SYN, FIN, RST and milestones.
#[derive(Debug)]
pub struct AnchorRing {
    mapping: Mapping,
    next_frame: usize,
}

impl AnchorRing {
    /// Gives `socket` its ring.
    pub fn new(socket: &PacketSocket) -> Result<Self, CaptureError> {
        set_version(socket, libc::tpacket_versions::TPACKET_V2 as c_int)?;
        let request = libc::tpacket_req {
            tp_block_size: to_u32(MAX_BLOCK_BYTES),
            tp_block_nr: to_u32(ANCHOR_RING_BYTES / MAX_BLOCK_BYTES),
            tp_frame_size: to_u32(FRAME_BYTES),
            tp_frame_nr: to_u32(FRAMES),
        };
        socket.set_option(libc::SOL_PACKET, libc::PACKET_RX_RING, &request, "making the packet ring")?;
        Ok(Self { mapping: Mapping::new(socket, ANCHOR_RING_BYTES)?, next_frame: 0 })
    }

    /// Shows every waiting packet to `visit` and hands its room back.
    pub fn drain(&mut self, mut visit: impl FnMut(Packet<'_>)) {
        // At most once around, so that a flood cannot hold the reader here.
        for _ in 0..FRAMES {
            let at = self.next_frame * FRAME_BYTES;
            if !self.is_filled(self.next_frame) && !self.is_filled_late() {
                return;
            }
            let packet: libc::tpacket2_hdr = self.mapping.header(at);
            let bytes = self.mapping.captured(at + usize::from(packet.tp_net), packet.tp_snaplen as usize);
            let time_ns = nanoseconds(packet.tp_sec, packet.tp_nsec);
            visit(self.mapping.packet(at + libc::TPACKET2_HDRLEN, bytes, packet.tp_len, time_ns));
            self.mapping.status(at).store(libc::TP_STATUS_KERNEL, Ordering::Release);
            self.next_frame = (self.next_frame + 1) % FRAMES;
        }
    }

    fn is_filled(&self, frame: usize) -> bool {
        self.mapping.status(frame * FRAME_BYTES).load(Ordering::Acquire) & libc::TP_STATUS_USER != 0
    }

    /// Whether the next frame gets filled in a moment. A processor first takes a frame and then fills it. If another one takes the next,
    /// that may be full earlier, and a segment that answers its packet may be in the bulk ring.
    fn is_filled_late(&self) -> bool {
        let are_others_filled = (1..=FRAMES_AHEAD).any(|ahead| self.is_filled((self.next_frame + ahead) % FRAMES));
        let deadline = Instant::now() + LONGEST_FILL;
        while are_others_filled && Instant::now() < deadline {
            if self.is_filled(self.next_frame) {
                return true;
            }
            thread::yield_now();
        }
        false
    }
}

fn set_version(socket: &PacketSocket, version: c_int) -> Result<(), CaptureError> {
    socket.set_option(libc::SOL_PACKET, libc::PACKET_VERSION, &version, "choosing the ring's version")
}

fn nanoseconds(seconds: u32, nanoseconds: u32) -> u64 {
    u64::from(seconds) * 1_000_000_000 + u64::from(nanoseconds)
}

fn to_u32(bytes: usize) -> u32 {
    u32::try_from(bytes).expect("rings are smaller than 4 GiB")
}

#[cfg(test)]
mod tests {
    use nix::sys::mman::mmap_anonymous;

    use super::*;

    fn ring() -> AnchorRing {
        let bytes = NonZeroUsize::new(ANCHOR_RING_BYTES).unwrap();
        // SAFETY: a new mapping at an address of the kernel's choice overlaps nothing.
        let start =
            unsafe { mmap_anonymous(None, bytes, ProtFlags::PROT_READ | ProtFlags::PROT_WRITE, MapFlags::MAP_SHARED) };
        let mapping = Mapping { start: start.unwrap().cast(), bytes: ANCHOR_RING_BYTES };
        AnchorRing { mapping, next_frame: FRAMES - 2 }
    }

    fn fill(ring: &AnchorRing, frame: usize) {
        ring.mapping.status(frame * FRAME_BYTES).store(libc::TP_STATUS_USER, Ordering::Release);
    }

    fn drained(ring: &mut AnchorRing) -> u32 {
        let mut packets = 0;
        ring.drain(|_| packets += 1);
        packets
    }

    #[test]
    fn a_frame_that_is_filled_late_holds_up_the_reader_and_not_those_behind_it() {
        let mut ring = ring();
        assert_eq!(drained(&mut ring), 0);
        fill(&ring, FRAMES - 2);
        fill(&ring, 0);
        let late = &AtomicU32::new(0);
        thread::scope(|scope| {
            let status = ring.mapping.status((FRAMES - 1) * FRAME_BYTES);
            // SAFETY: the frame's status word outlives the scope; the kernel writes it from another processor, too.
            let status = unsafe { AtomicU32::from_ptr(status.as_ptr()) };
            scope.spawn(move || {
                thread::sleep(LONGEST_FILL / 4);
                late.store(1, Ordering::Relaxed);
                status.store(libc::TP_STATUS_USER, Ordering::Release);
            });
            assert_eq!(drained(&mut ring), 3);
        });
        assert_eq!(late.load(Ordering::Relaxed), 1);
        assert_eq!(drained(&mut ring), 0);
    }

    #[test]
    fn a_frame_that_nobody_fills_does_not_stop_the_reader() {
        let mut ring = ring();
        fill(&ring, FRAMES - 1);
        assert_eq!(drained(&mut ring), 0);
        fill(&ring, FRAMES - 2);
        assert_eq!(drained(&mut ring), 2);
    }
}
