//! The kernel-side filters: which packets reach which socket, as classic BPF. Pure: makes programs, attaches none.
//!
//! Offsets count from the network header, because the sockets are `SOCK_DGRAM`. A load beyond the packet's end drops the packet
//! (`filter.rst` of the kernel). Every TCP segment that this host sends goes to exactly one of the two rings, *bulk* or *anchors*.
//! *Beginnings and ends* gets SYN, FIN and RST a second time, for the owner look-up. Bulk also keeps outgoing packets whose TCP header
//! cannot be found: they may be segments, and user space reports them.

use libc::{
    BPF_A, BPF_ABS, BPF_ADD, BPF_ALU, BPF_AND, BPF_B, BPF_H, BPF_IMM, BPF_IND, BPF_JEQ, BPF_JGE, BPF_JGT, BPF_JSET,
    BPF_K, BPF_LD, BPF_LDX, BPF_LEN, BPF_LSH, BPF_MEM, BPF_MISC, BPF_MOD, BPF_MSH, BPF_RET, BPF_ST, BPF_SUB, BPF_TAX,
    BPF_TXA, BPF_W, BPF_X, sock_filter,
};

use super::asm::{Label, Program};
use super::network::{
    AUTHENTICATION, DESTINATION_OPTIONS, ETHERTYPE_MPLS, FRAGMENT, HOP_BY_HOP, IPV4, IPV6, MAX_LABELS, PROTOCOL_TCP,
    ROUTING,
};

/// Bytes kept of a packet, if its TCP header is not farther away: room for the longest IPv4 header, or an IPv6 header with a few
/// extension headers.
pub const SNAP_BYTES: u32 = 128;
/// Most bytes kept of a packet in the anchor ring.
pub const ANCHOR_BYTES: u32 = 176;
/// Bytes kept of a packet whose TCP header was not found.
const UNKNOWN_BYTES: u32 = 512;
/// Headers walked after the first IPv6 header: all that a socket can send, or those of a route and some of a socket. Packets with more
/// headers, or with those that sockets cannot send, are left to user space. A translated filter takes some 20 bytes an instruction, and two
/// must fit into 20 KB while one replaces the other (`net.core.optmem_max` before Linux 6.7).
const MAX_HEADERS: u32 = 5;
/// Bytes read of a TCP header: up to the flags.
const TCP_BYTES: u32 = 14;
/// Each time a direction has moved this much, a segment goes to the anchors, so that the cursor is seen before it has moved by 2 GiB even
/// while the bulk ring drops everything.
const MILESTONE_BYTES: u32 = 1 << 28;
/// A segment is a milestone if it begins (or acknowledges) this close after a multiple of `MILESTONE_BYTES`. Wider than the largest segment
/// (512 KiB with BIG TCP), so that no multiple is skipped.
const MILESTONE_WINDOW_BYTES: u32 = 1 << 21;

const ETHERTYPE_IPV4: u32 = 0x0800;
const ETHERTYPE_IPV6: u32 = 0x86dd;
/// The fragment offset of IPv4, and its flag that more fragments follow.
const IPV4_OFFSET: u32 = 0x1fff;
const IPV4_MORE: u32 = 0x2000;
/// The fragment offset of IPv6.
const IPV6_OFFSET: u32 = 0xfff8;
/// The bit in the third byte of an MPLS label that marks the last label.
const LAST_LABEL: u32 = 1;
/// No walked header is shorter.
const SHORTEST_HEADER_BYTES: u32 = 8;
const SHORTEST_IPV4_BYTES: u32 = 20;
/// The word of scratch memory that holds the kind of the next header.
const KIND: u32 = 0;
const FIN_SYN_RST: u32 = 0x07;
const FIN: u32 = 0x01;
const PACKET_OUTGOING: u32 = 4;
const HARDWARE_LOOPBACK: u32 = 772;

/// What all three filters have in common.
#[derive(Clone, Debug)]
pub struct Scope {
    /// Let packets on the loopback device through.
    pub loopback: bool,
    /// Indices of the interfaces to watch; empty: all.
    pub interfaces: Vec<u32>,
    /// The greatest known index. With `interfaces`, newer ones pass, too: user space looks up their names.
    pub newest: u32,
    /// For tests: the percentage of bulk segments to throw away.
    pub drop_percent: u8,
    /// For tests: throw away every FIN, which nothing makes up for.
    pub lose_fins: bool,
}

/// Outgoing segments that are no SYN, FIN, RST or milestone; segments that belong to the anchors, but whose TCP header is too far away for
/// them; and outgoing packets whose TCP header, if any, cannot be found.
#[must_use]
pub fn bulk(scope: &Scope) -> Vec<sock_filter> {
    let mut program = begin(scope);
    program.if_outgoing(Label::Named("walk"), Label::Next);
    program.load_ancillary(libc::SKF_AD_PROTOCOL);
    program.jump(BPF_JEQ, ETHERTYPE_IPV6, Label::Next, Label::Drop);
    program.push(BPF_LD | BPF_B | BPF_ABS, 6);
    program.jump(BPF_JEQ, u32::from(PROTOCOL_TCP), Label::Drop, Label::Next);
    program.here("walk");
    program.locate_tcp(Label::Named("unknown"));
    program.if_deep(Label::Named("deep"));
    program.if_outgoing(Label::Next, Label::Drop);
    program.load_flags();
    program.jump(BPF_JSET, FIN_SYN_RST, Label::Drop, Label::Next);
    program.if_milestone(Label::Drop);
    if scope.drop_percent > 0 {
        program.load_ancillary(libc::SKF_AD_RANDOM);
        program.push(BPF_ALU | BPF_MOD | BPF_K, 100);
        program.jump(BPF_JGE, u32::from(scope.drop_percent), Label::Next, Label::Drop);
    }
    program.goto(Label::Named("keep"));
    program.here("deep");
    program.if_outgoing(Label::Named("keep"), Label::Next);
    program.load_flags();
    program.jump(BPF_JSET, FIN_SYN_RST, Label::Next, Label::Drop);
    program.here("keep");
    program.keep_up_to_flags();
    program.here("unknown");
    program.if_outgoing(Label::Next, Label::Drop);
    program.push(BPF_RET | BPF_K, UNKNOWN_BYTES);
    program.finish()
}

/// SYN, FIN and RST in both directions, and outgoing milestones.
#[must_use]
pub fn anchors(scope: &Scope) -> Vec<sock_filter> {
    let mut program = begin(scope);
    program.locate_tcp(Label::Drop);
    program.if_deep(Label::Drop);
    program.load_flags();
    if scope.lose_fins {
        program.jump(BPF_JSET, FIN, Label::Drop, Label::Next);
    }
    program.jump(BPF_JSET, FIN_SYN_RST, Label::Named("keep"), Label::Next);
    program.if_outgoing(Label::Next, Label::Drop);
    program.if_milestone(Label::Named("keep"));
    program.push(BPF_RET | BPF_K, 0);
    program.here("keep");
    program.keep_up_to_flags();
    program.finish()
}

/// Outgoing SYN, SYN-ACK, FIN and RST.
#[must_use]
pub fn beginnings_and_ends(scope: &Scope) -> Vec<sock_filter> {
    let mut program = begin(scope);
    program.if_outgoing(Label::Next, Label::Drop);
    program.locate_tcp(Label::Drop);
    program.load_flags();
    program.jump(BPF_JSET, FIN_SYN_RST, Label::Next, Label::Drop);
    program.keep_up_to_flags();
    program.finish()
}

/// A program that drops what is not in scope.
fn begin(scope: &Scope) -> Program {
    let mut program = Program::default();
    if !scope.loopback {
        program.load_ancillary(libc::SKF_AD_HATYPE);
        program.jump(BPF_JEQ, HARDWARE_LOOPBACK, Label::Drop, Label::Next);
    }
    if let Some((last, others)) = scope.interfaces.split_last() {
        program.load_ancillary(libc::SKF_AD_IFINDEX);
        for &index in others {
            program.jump(BPF_JEQ, index, Label::Named("watched"), Label::Next);
        }
        program.jump(BPF_JGT, scope.newest, Label::Named("watched"), Label::Next);
        program.jump(BPF_JEQ, *last, Label::Next, Label::Drop);
        program.here("watched");
    }
    program
}

impl Program {
    fn if_outgoing(&mut self, yes: Label, no: Label) {
        self.load_ancillary(libc::SKF_AD_PKTTYPE);
        self.jump(BPF_JEQ, PACKET_OUTGOING, yes, no);
    }

    /// Leaves the offset of the TCP header in X. Jumps to `unknown` if it may exist but cannot be found. Walks the kinds of headers that
    /// [`network`](super::network) walks.
    fn locate_tcp(&mut self, unknown: Label) {
        self.load_ancillary(libc::SKF_AD_PROTOCOL);
        self.jump(BPF_JEQ, ETHERTYPE_IPV6, Label::Named("ipv6"), Label::Next);
        self.jump(BPF_JEQ, u32::from(ETHERTYPE_MPLS), Label::Named("labels"), Label::Next);
        self.jump(BPF_JEQ, ETHERTYPE_IPV4, Label::Next, Label::Drop);
        self.step_over_first_ipv4();
        self.here("ipv6");
        self.push(BPF_LDX | BPF_W | BPF_IMM, 40);
        self.push(BPF_LD | BPF_B | BPF_ABS, 6);
        self.jump(BPF_JEQ, u32::from(PROTOCOL_TCP), Label::Named("tcp"), Label::Next);
        self.push(BPF_ST, KIND);
        self.need(SHORTEST_HEADER_BYTES, unknown);
        self.push(BPF_LD | BPF_W | BPF_MEM, KIND);
        self.goto(Label::Named("headers"));
        self.here("labels");
        self.walk_labels();
        self.here("inner ipv6");
        self.note_kind(6);
        self.push(BPF_LD | BPF_W | BPF_IMM, 40);
        self.step(unknown);
        self.here("headers");
        for number in 0..MAX_HEADERS {
            self.walk_header(number, unknown);
        }
        self.jump(BPF_JEQ, u32::from(PROTOCOL_TCP), Label::Named("tcp, if whole"), unknown);
        self.here("inner ipv4");
        self.need(SHORTEST_IPV4_BYTES, unknown);
        self.step_over_inner_ipv4();
        self.here("tcp, if whole");
        self.need(TCP_BYTES, unknown);
        self.here("tcp");
    }

    fn step_over_first_ipv4(&mut self) {
        self.push(BPF_LD | BPF_B | BPF_ABS, 9);
        self.jump(BPF_JEQ, u32::from(PROTOCOL_TCP), Label::Next, Label::Drop);
        self.push(BPF_LDX | BPF_B | BPF_MSH, 0);
        self.push(BPF_LD | BPF_H | BPF_ABS, 6);
        self.jump(BPF_JSET, IPV4_OFFSET, Label::Drop, Label::Next);
        self.jump(BPF_JSET, IPV4_MORE, Label::Named("tcp, if whole"), Label::Named("tcp"));
    }

    fn step_over_inner_ipv4(&mut self) {
        self.push(BPF_LD | BPF_B | BPF_IND, 9);
        self.jump(BPF_JEQ, u32::from(PROTOCOL_TCP), Label::Next, Label::Drop);
        self.push(BPF_LD | BPF_H | BPF_IND, 6);
        self.jump(BPF_JSET, IPV4_OFFSET, Label::Drop, Label::Next);
        self.push(BPF_LD | BPF_B | BPF_IND, 0);
        self.push(BPF_ALU | BPF_AND | BPF_K, 0xf);
        self.push(BPF_ALU | BPF_LSH | BPF_K, 2);
        self.push(BPF_ALU | BPF_ADD | BPF_X, 0);
        self.push(BPF_MISC | BPF_TAX, 0);
    }

    /// Goes to the IP header after the labels.
    fn walk_labels(&mut self) {
        for label in 1..=MAX_LABELS {
            self.push(BPF_LDX | BPF_W | BPF_IMM, label * 4);
            self.push(BPF_LD | BPF_B | BPF_ABS, label * 4 - 2);
            self.jump(BPF_JSET, LAST_LABEL, Label::Named("behind labels"), Label::Next);
        }
        self.goto(Label::Drop);
        self.here("behind labels");
        self.push(BPF_LD | BPF_B | BPF_IND, 0);
        self.push(BPF_ALU | BPF_AND | BPF_K, 0xf0);
        self.jump(BPF_JEQ, 0x40, Label::Named("inner ipv4"), Label::Next);
        self.jump(BPF_JEQ, 0x60, Label::Next, Label::Drop);
    }

    /// Steps over the header at X, whose kind is in A.
    fn walk_header(&mut self, number: u32, unknown: Label) {
        let [ipv6, options, authentication, step] =
            ["ipv6", "options", "authentication", "step"].map(|name| Label::Numbered(name, number));
        self.jump(BPF_JEQ, u32::from(PROTOCOL_TCP), Label::Named("tcp, if whole"), Label::Next);
        self.jump(BPF_JEQ, u32::from(IPV4), Label::Named("inner ipv4"), Label::Next);
        self.jump(BPF_JEQ, u32::from(IPV6), ipv6, Label::Next);
        for kind in [HOP_BY_HOP, ROUTING, DESTINATION_OPTIONS] {
            self.jump(BPF_JEQ, u32::from(kind), options, Label::Next);
        }
        self.jump(BPF_JEQ, u32::from(AUTHENTICATION), authentication, Label::Next);
        self.jump(BPF_JEQ, u32::from(FRAGMENT), Label::Next, Label::Drop);
        self.push(BPF_LD | BPF_H | BPF_IND, 2);
        self.jump(BPF_JSET, IPV6_OFFSET, Label::Drop, Label::Next);
        self.note_kind(0);
        self.push(BPF_LD | BPF_W | BPF_IMM, 8);
        self.goto(step);
        self.here(ipv6);
        self.note_kind(6);
        self.push(BPF_LD | BPF_W | BPF_IMM, 40);
        self.goto(step);
        self.here(authentication);
        self.note_kind(0);
        self.length(2, 2);
        self.goto(step);
        self.here(options);
        self.note_kind(0);
        self.length(1, 3);
        self.here(step);
        self.step(unknown);
    }

    /// Notes the kind of the next header, which is at `offset` of this one.
    fn note_kind(&mut self, offset: u32) {
        self.push(BPF_LD | BPF_B | BPF_IND, offset);
        self.push(BPF_ST, KIND);
    }

    /// Loads the length of the header at X into A: the stated units plus `more`, of 2^`shift` bytes.
    fn length(&mut self, more: u32, shift: u32) {
        self.push(BPF_LD | BPF_B | BPF_IND, 1);
        self.push(BPF_ALU | BPF_ADD | BPF_K, more);
        self.push(BPF_ALU | BPF_LSH | BPF_K, shift);
    }

    /// Adds A to X, and loads the noted kind into A.
    fn step(&mut self, unknown: Label) {
        self.push(BPF_ALU | BPF_ADD | BPF_X, 0);
        self.push(BPF_MISC | BPF_TAX, 0);
        self.need(SHORTEST_HEADER_BYTES, unknown);
        self.push(BPF_LD | BPF_W | BPF_MEM, KIND);
    }

    /// Jumps to `unknown` unless the packet has `bytes` more from X on.
    fn need(&mut self, bytes: u32, unknown: Label) {
        self.push(BPF_LD | BPF_W | BPF_LEN, 0);
        self.jump(BPF_JGE | BPF_X, 0, Label::Next, unknown);
        self.push(BPF_ALU | BPF_SUB | BPF_X, 0);
        self.jump(BPF_JGE, bytes, Label::Next, unknown);
    }

    /// Jumps to `target` if the flags are too far away for the anchor ring.
    fn if_deep(&mut self, target: Label) {
        self.push(BPF_MISC | BPF_TXA, 0);
        self.jump(BPF_JGT, ANCHOR_BYTES - TCP_BYTES, target, Label::Next);
    }

    fn load_flags(&mut self) {
        self.push(BPF_LD | BPF_B | BPF_IND, 13);
    }

    fn if_milestone(&mut self, target: Label) {
        for seq_then_ack in [4, 8] {
            self.push(BPF_LD | BPF_W | BPF_IND, seq_then_ack);
            self.push(BPF_ALU | BPF_AND | BPF_K, MILESTONE_BYTES - 1);
            self.jump(BPF_JGE, MILESTONE_WINDOW_BYTES, Label::Next, target);
        }
    }

    /// Keeps the packet up to the flags of the TCP header at X, or more.
    fn keep_up_to_flags(&mut self) {
        self.push(BPF_MISC | BPF_TXA, 0);
        self.push(BPF_ALU | BPF_ADD | BPF_K, TCP_BYTES);
        self.jump(BPF_JGE, SNAP_BYTES, Label::Named("snap"), Label::Next);
        self.push(BPF_LD | BPF_W | BPF_IMM, SNAP_BYTES);
        self.here("snap");
        self.push(BPF_RET | BPF_A, 0);
    }

    fn load_ancillary(&mut self, offset: i32) {
        self.push(BPF_LD | BPF_W | BPF_ABS, (libc::SKF_AD_OFF + offset).cast_unsigned());
    }
}

#[cfg(test)]
#[path = "filter_tests.rs"]
mod tests;
