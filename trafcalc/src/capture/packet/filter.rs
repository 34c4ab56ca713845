//! The kernel-side filters: which packets reach which socket, as classic BPF. Pure: makes programs, attaches none.
//!
//! Offsets count from the network header, because the sockets are `SOCK_DGRAM`. A load beyond the packet's end drops
//! the packet (`filter.rst` of the kernel). Every TCP segment that this host sends goes to exactly one of
//! the two rings, *bulk* or *anchors*; *openings* sees SYNs a second time, for the owner look-up.

use libc::{
    BPF_ABS, BPF_ADD, BPF_ALU, BPF_AND, BPF_B, BPF_H, BPF_IMM, BPF_IND, BPF_JA, BPF_JEQ, BPF_JGE, BPF_JMP, BPF_JSET,
    BPF_K, BPF_LD, BPF_LDX, BPF_LSH, BPF_MISC, BPF_MOD, BPF_MSH, BPF_RET, BPF_TAX, BPF_W, sock_filter,
};

/// Bytes kept of a packet: room for an IPv6 header with a few extension headers, or the longest IPv4 header, and the
/// first 14 bytes of the TCP header.
pub const SNAP_BYTES: u32 = 128;
/// Every so many bytes of either direction a connection's segment goes to the anchors, so that the cursor is seen in
/// time (before it has moved by 2 GiB) even while the bulk ring drops everything.
const MILESTONE_BYTES: u32 = 1 << 28;
/// A segment is a milestone when it begins (or acknowledges) this close behind a multiple of `MILESTONE_BYTES`. Wider
/// than the largest segment (512 KiB with BIG TCP), so that none is stepped over.
const MILESTONE_WINDOW_BYTES: u32 = 1 << 21;

const ETHERTYPE_IPV4: u32 = 0x0800;
const ETHERTYPE_IPV6: u32 = 0x86dd;
const PROTOCOL_TCP: u32 = 6;
const FIN_SYN_RST: u32 = 0x07;
const FIN: u32 = 0x01;
const SYN: u32 = 0x02;
const PACKET_OUTGOING: u32 = 4;
const HARDWARE_LOOPBACK: u32 = 772;

/// What all three filters have in common.
#[derive(Clone, Debug)]
pub struct Scope {
    /// Let packets on the loopback device through.
    pub loopback: bool,
    /// Indices of the interfaces to watch; empty: all.
    pub interfaces: Vec<u32>,
    /// For tests: the percentage of bulk segments to throw away.
    pub drop_percent: u8,
    /// For tests: throw away every FIN, which nothing makes good.
    pub lose_fins: bool,
}

/// Outgoing segments that are neither SYN, FIN, RST nor a milestone.
#[must_use]
pub fn bulk(scope: &Scope) -> Vec<sock_filter> {
    let mut program = Program::new(scope);
    program.keep_outgoing();
    program.locate_tcp(Label::Drop);
    program.load_flags();
    program.jump(BPF_JSET, FIN_SYN_RST, Label::Drop, Label::Next);
    program.if_milestone(Label::Drop);
    if scope.drop_percent > 0 {
        program.load_ancillary(libc::SKF_AD_RANDOM);
        program.push(BPF_ALU | BPF_MOD | BPF_K, 100);
        program.jump(BPF_JGE, u32::from(scope.drop_percent), Label::Next, Label::Drop);
    }
    program.finish()
}

/// SYN, FIN and RST in both directions, and outgoing milestones; packets with unusual IPv6 headers too, since only
/// user space can tell.
#[must_use]
pub fn anchors(scope: &Scope) -> Vec<sock_filter> {
    let mut program = Program::new(scope);
    program.locate_tcp(Label::Keep);
    program.load_flags();
    if scope.lose_fins {
        program.jump(BPF_JSET, FIN, Label::Drop, Label::Next);
    }
    program.jump(BPF_JSET, FIN_SYN_RST, Label::Keep, Label::Next);
    program.keep_outgoing();
    program.if_milestone(Label::Keep);
    program.drop_rest();
    program.finish()
}

/// Outgoing SYN and SYN-ACK.
#[must_use]
pub fn openings(scope: &Scope) -> Vec<sock_filter> {
    let mut program = Program::new(scope);
    program.keep_outgoing();
    program.locate_tcp(Label::Keep);
    program.load_flags();
    program.jump(BPF_JSET, SYN, Label::Keep, Label::Drop);
    program.finish()
}

/// Where a jump goes. Jumps only go forward, so targets are known when the program is finished.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Label {
    Next,
    Drop,
    Keep,
    Named(&'static str),
}

enum Op {
    Plain(sock_filter),
    Jump { code: u32, k: u32, yes: Label, no: Label },
    Here(&'static str),
}

struct Program(Vec<Op>);

impl Program {
    fn new(scope: &Scope) -> Self {
        let mut program = Self(Vec::new());
        if !scope.loopback {
            program.load_ancillary(libc::SKF_AD_HATYPE);
            program.jump(BPF_JEQ, HARDWARE_LOOPBACK, Label::Drop, Label::Next);
        }
        if let Some((last, others)) = scope.interfaces.split_last() {
            program.load_ancillary(libc::SKF_AD_IFINDEX);
            for &index in others {
                program.jump(BPF_JEQ, index, Label::Named("watched"), Label::Next);
            }
            program.jump(BPF_JEQ, *last, Label::Next, Label::Drop);
            program.0.push(Op::Here("watched"));
        }
        program
    }

    fn keep_outgoing(&mut self) {
        self.load_ancillary(libc::SKF_AD_PKTTYPE);
        self.jump(BPF_JEQ, PACKET_OUTGOING, Label::Next, Label::Drop);
    }

    /// Leaves the offset of the TCP header in X; jumps to `unusual` for IPv6 headers it cannot walk.
    fn locate_tcp(&mut self, unusual: Label) {
        self.load_ancillary(libc::SKF_AD_PROTOCOL);
        self.jump(BPF_JEQ, ETHERTYPE_IPV6, Label::Named("ipv6"), Label::Next);
        self.jump(BPF_JEQ, ETHERTYPE_IPV4, Label::Next, Label::Drop);
        self.locate_tcp_in_ipv4();
        self.locate_tcp_in_ipv6(unusual);
        self.0.push(Op::Here("tcp"));
    }

    fn locate_tcp_in_ipv4(&mut self) {
        self.push(BPF_LD | BPF_B | BPF_ABS, 9);
        self.jump(BPF_JEQ, PROTOCOL_TCP, Label::Next, Label::Drop);
        self.push(BPF_LD | BPF_H | BPF_ABS, 6);
        self.jump(BPF_JSET, 0x1fff, Label::Drop, Label::Next);
        self.push(BPF_LDX | BPF_B | BPF_MSH, 0);
        self.goto("tcp");
    }

    /// Walks no header but the hop-by-hop one, which BIG TCP puts on every large segment.
    fn locate_tcp_in_ipv6(&mut self, unusual: Label) {
        self.0.push(Op::Here("ipv6"));
        self.push(BPF_LDX | BPF_W | BPF_IMM, 40);
        self.push(BPF_LD | BPF_B | BPF_ABS, 6);
        self.jump(BPF_JEQ, PROTOCOL_TCP, Label::Named("tcp"), Label::Next);
        for routing_fragment_authentication_destination in [43, 44, 51, 60] {
            self.jump(BPF_JEQ, routing_fragment_authentication_destination, unusual, Label::Next);
        }
        self.jump(BPF_JEQ, 0, Label::Next, Label::Drop);
        self.push(BPF_LD | BPF_B | BPF_ABS, 40);
        self.jump(BPF_JEQ, PROTOCOL_TCP, Label::Next, unusual);
        self.push(BPF_LD | BPF_B | BPF_ABS, 41);
        self.push(BPF_ALU | BPF_ADD | BPF_K, 6);
        self.push(BPF_ALU | BPF_LSH | BPF_K, 3);
        self.push(BPF_MISC | BPF_TAX, 0);
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

    fn drop_rest(&mut self) {
        self.push(BPF_RET | BPF_K, 0);
    }

    fn load_ancillary(&mut self, offset: i32) {
        self.push(BPF_LD | BPF_W | BPF_ABS, (libc::SKF_AD_OFF + offset).cast_unsigned());
    }

    fn push(&mut self, code: u32, k: u32) {
        self.0.push(Op::Plain(instruction(code, 0, 0, k)));
    }

    fn jump(&mut self, condition: u32, k: u32, yes: Label, no: Label) {
        self.0.push(Op::Jump { code: BPF_JMP | condition | BPF_K, k, yes, no });
    }

    fn goto(&mut self, label: &'static str) {
        self.0.push(Op::Jump { code: BPF_JMP | BPF_JA, k: 0, yes: Label::Named(label), no: Label::Next });
    }

    /// Appends the two ends, keep and drop, and puts distances in place of labels.
    fn finish(self) -> Vec<sock_filter> {
        let body = self.0.iter().filter(|op| !matches!(op, Op::Here(_))).count();
        let mut resolved = Vec::with_capacity(body + 2);
        for (index, op) in self.0.iter().enumerate() {
            let remaining = body.saturating_sub(resolved.len() + 1);
            let target = |label| distance_to(&self.0[index + 1..], label, remaining);
            match *op {
                Op::Here(_) => {}
                Op::Plain(instruction) => resolved.push(instruction),
                Op::Jump { code, yes, .. } if code == BPF_JMP | BPF_JA => {
                    resolved.push(instruction(code, 0, 0, u32::from(target(yes))));
                }
                Op::Jump { code, k, yes, no } => resolved.push(instruction(code, target(yes), target(no), k)),
            }
        }
        resolved.push(instruction(BPF_RET | BPF_K, 0, 0, SNAP_BYTES));
        resolved.push(instruction(BPF_RET | BPF_K, 0, 0, 0));
        resolved
    }
}

/// Instructions to skip from here to `label`; `remaining` of the program's body follow, then keep, then drop.
fn distance_to(rest: &[Op], label: Label, remaining: usize) -> u8 {
    let skipped = match label {
        Label::Next => 0,
        Label::Keep => remaining,
        Label::Drop => remaining + 1,
        Label::Named(name) => rest
            .iter()
            .take_while(|op| !matches!(op, Op::Here(here) if *here == name))
            .filter(|op| !matches!(op, Op::Here(_)))
            .count(),
    };
    u8::try_from(skipped).expect("the filters are shorter than 255 instructions")
}

fn instruction(code: u32, jt: u8, jf: u8, k: u32) -> sock_filter {
    let code = u16::try_from(code).expect("classic BPF codes have 16 bits");
    sock_filter { code, jt, jf, k }
}

#[cfg(test)]
#[path = "filter_tests.rs"]
mod tests;
