//! Assembles classic BPF with jumps to labels. Jumps only go forward. Pure.

use libc::{BPF_JA, BPF_JMP, BPF_K, BPF_RET, sock_filter};

/// Where a jump goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Label {
    /// To the next instruction.
    Next,
    /// To the end: the packet is dropped.
    Drop,
    /// To the one place of this name.
    Named(&'static str),
    /// The same, in a part that occurs several times.
    Numbered(&'static str, u32),
}

impl From<&'static str> for Label {
    fn from(name: &'static str) -> Self {
        Self::Named(name)
    }
}

#[derive(Debug)]
enum Op {
    Plain(sock_filter),
    Goto(Label),
    /// A `far` one needs two more jumps.
    Branch {
        code: u32,
        k: u32,
        yes: Label,
        no: Label,
        far: bool,
    },
    Here(Label),
}

impl Op {
    const fn instructions(&self) -> usize {
        match self {
            Self::Here(_) => 0,
            Self::Plain(_) | Self::Goto(_) | Self::Branch { far: false, .. } => 1,
            Self::Branch { far: true, .. } => 3,
        }
    }
}

/// A program being written.
#[derive(Debug, Default)]
pub struct Program(Vec<Op>);

impl Program {
    /// An instruction that does not jump.
    pub fn push(&mut self, code: u32, k: u32) {
        self.0.push(Op::Plain(instruction(code, 0, 0, k)));
    }

    /// Goes to `yes` if A and `k` (or X, with `BPF_X`) meet the `condition`, else to `no`.
    pub fn jump(&mut self, condition: u32, k: u32, yes: impl Into<Label>, no: impl Into<Label>) {
        self.0.push(Op::Branch { code: BPF_JMP | condition, k, yes: yes.into(), no: no.into(), far: false });
    }

    pub fn goto(&mut self, label: impl Into<Label>) {
        self.0.push(Op::Goto(label.into()));
    }

    /// Marks where jumps to `label` go.
    pub fn here(&mut self, label: impl Into<Label>) {
        self.0.push(Op::Here(label.into()));
    }

    /// The finished program. A packet at its end is dropped.
    pub fn finish(mut self) -> Vec<sock_filter> {
        self.lengthen_far_branches();
        let mut finished = Vec::with_capacity(self.distance(0, Label::Drop) + 1);
        for (index, op) in self.0.iter().enumerate() {
            let to = |label| u32::try_from(self.distance(index + 1, label)).expect("programs are short");
            match *op {
                Op::Here(_) => {}
                Op::Plain(plain) => finished.push(plain),
                Op::Goto(label) => finished.push(instruction(BPF_JMP | BPF_JA, 0, 0, to(label))),
                Op::Branch { code, k, yes, no, far: false } => {
                    let near = |label| u8::try_from(to(label)).expect("far branches were lengthened");
                    finished.push(instruction(code, near(yes), near(no), k));
                }
                Op::Branch { code, k, yes, no, far: true } => {
                    finished.push(instruction(code, 0, 1, k));
                    finished.push(instruction(BPF_JMP | BPF_JA, 0, 0, to(yes) + 1));
                    finished.push(instruction(BPF_JMP | BPF_JA, 0, 0, to(no)));
                }
            }
        }
        finished.push(instruction(BPF_RET | BPF_K, 0, 0, 0));
        finished
    }

    /// A branch has 8 bits for each distance. Lengthening one may put targets of others out of reach.
    fn lengthen_far_branches(&mut self) {
        let is_out_of_reach = |program: &Self, index: usize| match program.0[index] {
            Op::Branch { yes, no, far: false, .. } => {
                [yes, no].iter().any(|&label| program.distance(index + 1, label) > usize::from(u8::MAX))
            }
            _ => false,
        };
        while let Some(index) = (0..self.0.len()).find(|&index| is_out_of_reach(self, index)) {
            if let Op::Branch { far, .. } = &mut self.0[index] {
                *far = true;
            }
        }
    }

    /// Instructions between the beginning of operation `index` and `label`.
    fn distance(&self, index: usize, label: Label) -> usize {
        let rest = &self.0[index..];
        let end = match label {
            Label::Next => 0,
            Label::Drop => rest.len(),
            label => rest
                .iter()
                .position(|op| matches!(op, Op::Here(here) if *here == label))
                .expect("jumps go to a label that follows"),
        };
        rest[..end].iter().map(Op::instructions).sum()
    }
}

fn instruction(code: u32, jt: u8, jf: u8, k: u32) -> sock_filter {
    let code = u16::try_from(code).expect("classic BPF codes have 16 bits");
    sock_filter { code, jt, jf, k }
}
