//! Lets a thread run as soon as it has work, within a share of one processor that it cannot exceed.
#![expect(unsafe_code, reason = "the scheduling policy has no safe wrapper")]

use std::thread;
use std::time::{Duration, Instant};

/// Niceness of a thread for which the kernel never waits, but whose delay fills a ring.
const PREFERRED_NICENESS: libc::c_int = -10;
/// Length of the windows in which work is counted.
const WINDOW: Duration = Duration::from_millis(100);
/// Pieces of work allowed in a window. One takes 3 to 10 µs: a netlink question and its answer, for some connections two. So a flood
/// usually takes about a fifth of one processor from everybody else.
const WORK_PER_WINDOW: u32 = 4_000;

/// Processor time that the work of a window may take. On a slow machine, fewer pieces fit into this; without it, a thread that runs before
/// all others would leave no time for them.
const LONGEST_WORK: Duration = Duration::from_millis(50);

/// Work reserved for those who have not asked yet; others wait for the next window.
const RESERVED_WORK: u32 = WORK_PER_WINDOW / 4;

/// Puts the calling thread before all ordinary ones (`SCHED_FIFO`, needs `CAP_SYS_NICE`). With it, a connection of 120 µs was found in 99.9
/// % of cases; without, in 50 to 97 %, depending on what else the machine did.
pub fn raise() {
    // The default slack of timers, 50 µs, is as long as the shortest connections last.
    let _ = nix::sys::prctl::set_timerslack(1);
    let lowest = libc::sched_param { sched_priority: 1 };
    // SAFETY: the pointer is to `lowest`, which outlives the call; 0 is the calling thread.
    if unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const lowest) } < 0 {
        tracing::info!("without CAP_SYS_NICE, owners of connections shorter than a millisecond may be found too late");
    }
}

/// Puts the calling thread before ordinary ones, without keeping them from running (needs `CAP_SYS_NICE`).
pub fn prefer() {
    // SAFETY: takes and touches no pointers; on Linux 0 is the calling thread. Without the capability nothing changes.
    let _ = unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, PREFERRED_NICENESS) };
}

/// Counts pieces of work, and makes the thread sleep when there are too many.
pub struct Budget {
    window_end: Instant,
    left: u32,
    /// Processor time that this window's work has taken.
    took: Duration,
}

impl Budget {
    /// A full window from now on.
    pub fn new() -> Self {
        Self { window_end: Instant::now() + WINDOW, left: WORK_PER_WINDOW, took: Duration::ZERO }
    }

    /// When work may be repeated; `None` if at once.
    pub fn retries_from(&self) -> Option<Instant> {
        (self.left <= RESERVED_WORK || self.took >= LONGEST_WORK).then_some(self.window_end)
    }

    /// Sleeps until a piece of work may be done, and counts it.
    pub fn spend(&mut self) {
        let is_spent = self.left == 0 || self.took >= LONGEST_WORK;
        if is_spent {
            thread::sleep(self.window_end.saturating_duration_since(Instant::now()));
        }
        if is_spent || Instant::now() >= self.window_end {
            *self = Self::new();
        }
        self.left -= 1;
    }

    /// Adds the processor time that a piece of work took.
    pub fn add(&mut self, took: Duration) {
        self.took += took;
    }
}
