//! Where processes are told apart, the capabilities that looking at them takes are kept, and no others; the paths of their programs and
//! their bytes are right.

use std::os::unix::fs::chown;

use anyhow::{Result, ensure};
use tempfile::TempDir;

use super::privileges_dropped::must_have_no_privilege;
use super::{CLIENT, Counted, Scenario, Test, finish_actors, no_host_pids};
use crate::running::Running;
use crate::service::{Options, RUN_AS, Service, ask};
use crate::traffic::spec::{CHUNK, Step, receive_all, send};
use crate::truth::{By, Table};
use crate::world::World;

pub(super) const SCENARIO: Scenario = Scenario::new("privileges_kept", run).behind_the_hooks().needs(no_host_pids);

/// `CAP_DAC_READ_SEARCH` and `CAP_SYS_PTRACE` of include/uapi/linux/capability.h.
const DAC_READ_SEARCH: u64 = 1 << 2;
const SYS_PTRACE: u64 = 1 << 19;

fn run(test: &Test) -> Result<()> {
    let world = World::new()?;
    let folder = TempDir::with_prefix("trafcalc-user-")?;
    chown(folder.path(), Some(RUN_AS), Some(RUN_AS))?;
    let socket = folder.path().join("status.sock");
    let options = Options { has_user: true, interval: "100ms", ..Options::default() };
    let options = options.argument("--by").argument("process");
    let options = options.argument("--status-socket").argument(&socket.to_string_lossy());
    let service = Service::start(test.target, &world.near, &options)?;
    let server = Running::start(&test.server([receive_all()]), &world.far)?;
    // Longer than it takes to be found, and to be reported.
    let client = test.client([send(1_000_000, CHUNK), Step::Pause(test.volume(1_000, 5_000))]);
    let client = Running::start(&client, &world.near)?;
    let kept = if test.is_packet() { DAC_READ_SEARCH | SYS_PTRACE } else { SYS_PTRACE };
    must_have_no_privilege(service.pid(), RUN_AS, kept, 0)?;
    let truth = finish_actors([(&world.far, server), (&world.near, client)])?;
    println!("{}", ask(&socket)?["privileges"]);
    let log = service.stop()?;
    let exe = std::env::current_exe()?;
    let accounts = log.reports.iter().flat_map(|report| &report.accounts);
    ensure!(accounts.clone().any(|account| account["exe"] == *exe.to_string_lossy()), "no path of a program");
    // An eBPF program counts both ends.
    let mut counted = Counted::new(vec![log])?;
    let of_client = |table: Table| table.split(|account| account.uid == Some(CLIENT)).0;
    counted.table = of_client(std::mem::take(&mut counted.table));
    counted.must_equal(&of_client(truth.by(By::PROCESS)))
}
