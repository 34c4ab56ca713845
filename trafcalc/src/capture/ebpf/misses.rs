//! Events that the kernel did not deliver to a program, as it tells in `/proc/self/fdinfo`.

use std::fs;
use std::os::fd::{AsRawFd as _, BorrowedFd};

/// How often the kernel skipped the program behind `fd` because it would have interrupted itself; 0 where the kernel
/// does not tell (before Linux 5.12).
pub(super) fn of(fd: BorrowedFd<'_>) -> u64 {
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", fd.as_raw_fd())).unwrap_or_default();
    parse(&info)
}

fn parse(info: &str) -> u64 {
    let value = info.lines().find_map(|line| line.strip_prefix("recursion_misses:"));
    value.and_then(|value| value.trim().parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misses_are_read_and_their_absence_is_none() {
        let info =
            "pos:\t0\nflags:\t02000002\nprog_type:\t17\nrun_cnt:\t9\nrecursion_misses:\t41\nverified_insns:\t60\n";
        assert_eq!(parse(info), 41);
        assert_eq!(parse("pos:\t0\nflags:\t02000002\n"), 0);
    }
}
