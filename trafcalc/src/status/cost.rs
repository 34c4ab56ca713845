//! What the service itself takes from the host.

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::{TimeVal, TimeValLike as _};
use serde::Serialize;

/// Numbers that cannot be read are left out.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Cost {
    /// Processor time of the process since its start, in seconds. What runs in the kernel at the expense of those who
    /// send and receive is not in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_s: Option<f64>,
    /// Resident memory in bytes. Tables in the kernel are not in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resident_bytes: Option<u64>,
}

impl Cost {
    /// Of this process, now.
    #[must_use]
    pub fn read() -> Self {
        let usage = getrusage(UsageWho::RUSAGE_SELF).ok();
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        Self {
            cpu_s: usage.map(|usage| seconds(usage.user_time() + usage.system_time())),
            resident_bytes: resident_bytes(&status),
        }
    }
}

/// To the millisecond.
fn seconds(time: TimeVal) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a process does not run for 2^53 milliseconds")]
    let milliseconds = time.num_milliseconds() as f64;
    milliseconds / 1000.0
}

/// `VmRSS` of a `/proc/self/status`, which is in units of 1,024 bytes.
fn resident_bytes(status: &str) -> Option<u64> {
    let value = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    value.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resident_memory_is_read_in_bytes() {
        assert_eq!(resident_bytes("VmPeak:\t  9 kB\nVmRSS:\t   12 kB\n"), Some(12_288));
        assert_eq!(resident_bytes("Name:\tx\n"), None);
    }

    #[test]
    fn this_process_has_a_cost() {
        let cost = Cost::read();
        assert!(cost.cpu_s.unwrap() >= 0.0);
        assert!(cost.resident_bytes.unwrap() > 100_000);
    }
}
