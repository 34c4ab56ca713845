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
    /// What an event of the eBPF backend took on average, in nanoseconds, while the kernel's statistics of its programs
    /// were on (`kernel.bpf_stats_enabled`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_ns: Option<f64>,
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
            event_ns: event_ns(&descriptors()),
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

/// What the kernel tells of each file that this process has open, eBPF programs among them.
fn descriptors() -> Vec<String> {
    let infos = std::fs::read_dir("/proc/self/fdinfo").into_iter().flatten().flatten();
    infos.filter_map(|info| std::fs::read_to_string(info.path()).ok()).collect()
}

/// The time of all runs of all programs, divided by their number, to the tenth; `None` if there were none.
fn event_ns(descriptors: &[String]) -> Option<f64> {
    let number = |info: &str, name: &str| {
        let value = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        value.and_then(|value| value.trim().parse::<f64>().ok()).unwrap_or(0.0)
    };
    let sum = |name: &str| descriptors.iter().map(|info| number(info, name)).sum::<f64>();
    let (events, time_ns) = (sum("run_cnt"), sum("run_time_ns"));
    (events > 0.0).then(|| (time_ns / events * 10.0).round() / 10.0)
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
    fn an_event_costs_what_all_runs_of_all_programs_did_on_average() {
        let program =
            |time: u32, count: u32| format!("pos:\t0\nprog_id:\t1\nrun_time_ns:\t{time}\nrun_cnt:\t{count}\n");
        assert_eq!(event_ns(&[program(1_000, 9), program(401, 1), "pos:\t0\n".to_owned()]), Some(140.1));
        assert_eq!(event_ns(&[program(0, 0)]), None, "the statistics are off");
    }

    #[test]
    fn this_process_has_a_cost() {
        let cost = Cost::read();
        assert!(cost.cpu_s.unwrap() >= 0.0);
        assert!(cost.resident_bytes.unwrap() > 100_000);
    }
}
