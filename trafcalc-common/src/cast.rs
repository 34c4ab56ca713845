//! A call of the kernel function `bpf_rdonly_cast` (Linux 6.2 and later), by which a program declares the type of the memory at an
//! address. The program may then load from it by ordinary instructions, which saves two helper calls per event.
//!
//! The compiler cannot emit such a call, because the call contains the BTF id of the function, which differs on every kernel. So the
//! program has a placeholder, which the loader replaces.

/// The placeholder of a call in the object: 8 bytes, as an instruction has, that are no valid instruction.
pub const PLACE: u64 = u64::from_ne_bytes(*b"\xffCAST\xff\xff\xff");

/// The call of the function with this BTF id; without one, a harmless instruction.
#[must_use]
pub const fn instruction(function: Option<u32>) -> [u8; 8] {
    const CALL: u8 = 0x85;
    const KERNEL_FUNCTION: u8 = if cfg!(target_endian = "big") { 0x02 } else { 0x20 };
    const SET_R0: u8 = 0xb7;
    let (code, registers, number) = match function {
        Some(number) => (CALL, KERNEL_FUNCTION, number.to_ne_bytes()),
        None => (SET_R0, 0, [0; 4]),
    };
    let [a, b, c, d] = number;
    [code, registers, 0, 0, a, b, c, d]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `struct bpf_insn` (include/uapi/linux/bpf.h) has them: `BPF_JMP | BPF_CALL` with `BPF_PSEUDO_KFUNC_CALL` as its
    /// source, and `BPF_ALU64 | BPF_MOV | BPF_K` to the first register.
    #[test]
    #[cfg(target_endian = "little")]
    fn the_instructions_are_those_of_the_kernel() {
        assert_eq!(instruction(Some(0x0403_0201)), [0x85, 0x20, 0, 0, 1, 2, 3, 4]);
        assert_eq!(instruction(None), [0xb7, 0, 0, 0, 0, 0, 0, 0]);
    }
}
