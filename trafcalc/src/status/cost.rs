//! What the service itself costs the host.

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::{TimeVal, TimeValLike as _};
use serde::{Deserialize, Serialize};

/// Numbers that cannot be read are left out.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Cost {
    /// Processor time of the process since its start, in seconds. Kernel work that is charged to the sending and
    /// receiving processes is not included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_s: Option<f64>,
    /// Resident memory in bytes, without tables in the kernel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resident_bytes: Option<u64>,
    /// Average time of an event of the eBPF backend, in nanoseconds, while the kernel kept statistics of its programs
    /// (`kernel.bpf_stats_enabled`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_ns: Option<f64>,
}

impl Cost {
    /// This process's cost so far.
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

/// The kernel's information on each open file of this process, including eBPF programs.
fn descriptors() -> Vec<String> {
    let infos = std::fs::read_dir("/proc/self/fdinfo").into_iter().flatten().flatten();
    infos.filter_map(|info| std::fs::read_to_string(info.path()).ok()).collect()
}

/// The average run time of the programs that events run, rounded to a tenth; `None` if there were no runs.
fn event_ns(descriptors: &[String]) -> Option<f64> {
    let linked: Vec<_> = descriptors.iter().filter(|info| field(info, "link_type").is_some()).map(program).collect();
    let runs = descriptors.iter().filter(|info| is_run_by_events(info, &linked)).map(|info| {
        let number = |name| field(info, name).and_then(|value| value.parse().ok()).unwrap_or(0.0);
        (number("run_cnt"), number("run_time_ns"))
    });
    let (events, time_ns) = runs.fold((0.0, 0.0), |sum, run| (sum.0 + run.0, sum.1 + run.1));
    (events > 0.0).then(|| (time_ns / events * 10.0_f64).round() / 10.0)
}

/// Whether this is a program that events run. Those that the service runs are raw tracepoints without a link.
fn is_run_by_events(info: &str, linked: &[Option<&str>]) -> bool {
    /// `BPF_PROG_TYPE_RAW_TRACEPOINT`.
    const RAW_TRACEPOINT: &str = "17";
    field(info, "prog_type").is_some_and(|kind| kind != RAW_TRACEPOINT || linked.contains(&program(info)))
}

/// The id of a program, or of a link's program.
fn program(info: &(impl AsRef<str> + ?Sized)) -> Option<&str> {
    field(info.as_ref(), "prog_id")
}

fn field<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
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
        let program = |kind: u32, id: u32, time: u32, count: u32| {
            format!("pos:\t0\nprog_type:\t{kind}\nprog_id:\t{id}\nrun_time_ns:\t{time}\nrun_cnt:\t{count}\n")
        };
        let link = "pos:\t0\nlink_type:\traw_tracepoint\nprog_id:\t7\n".to_owned();
        let swept = program(17, 8, 1_000_000, 1);
        let all = [program(26, 6, 1_000, 9), program(17, 7, 401, 1), swept, link, "pos:\t0\n".to_owned()];
        assert_eq!(event_ns(&all), Some(140.1));
        assert_eq!(event_ns(&[program(26, 6, 0, 0)]), None, "the statistics are off");
    }

    #[test]
    fn this_process_has_a_cost() {
        let cost = Cost::read();
        assert!(cost.cpu_s.unwrap() >= 0.0);
        assert!(cost.resident_bytes.unwrap() > 100_000);
    }
}
