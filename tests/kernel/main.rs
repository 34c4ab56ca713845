//! Privileged scenarios: real TCP traffic in network namespaces of their own, and the service counting it.
//!
//! `cargo test -p trafcalc --test kernel`. The same executable is the traffic program (`kernel traffic SPEC`), which
//! states what it sent and read according to its own system calls; a scenario compares that with the last report of
//! the service, with a tolerance of 0 bytes. It must never touch a network namespace that it did not make itself.
//!
//! | environment variable | meaning |
//! |---|---|
//! | `TRAFCALC_TEST_TARGETS` | comma list of `packet`, `ebpf:fentry`, `ebpf:kprobe`, `ebpf:tracepoint`, and these with `:events`; one that does not start fails |
//! | `TRAFCALC_TEST_SCALE` | `small` for slow machines: the same scenarios with less volume |
//! | `TRAFCALC_TEST_KILLS` | how often the scenarios `killed_and_followed*` and `killed_book` kill the service |
//! | `TRAFCALC_TEST_UNIT` | the unit of the service is installed here, under a systemd that a test may do anything with |
//! | `TRAFCALC_TEST_PACKAGES` | the folder of packages that a test may install and remove here |
//! | `TRAFCALC_BIN` | the program under test, instead of the one Cargo built |

mod follow;
mod harness;
mod hijacked;
#[path = "../it/monitoring.rs"]
mod monitoring;
mod running;
mod scenarios;
mod service;
mod target;
mod traffic;
mod truth;
#[path = "../it/victoria_metrics.rs"]
mod victoria_metrics;
mod world;

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    match arguments.next().as_deref() {
        Some("traffic") => traffic::main(arguments.next().as_deref()),
        Some("hijacked") => hijacked::main(arguments.next().as_deref()),
        Some(follow::WORD) => follow::main(arguments.next().as_deref()),
        _ => harness::main(),
    }
}
