//! A single call sends 20 MB to a reader who does not read: a report in the meantime has what TCP has transmitted so far.
//!
//! No hook comes before the call returns. Where connections are swept none is needed; elsewhere the
//! bytes are told when it has returned.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use super::{CLIENT, Counted, Counters, Scenario, Test, finish_all};
use crate::running::Running;
use crate::service::{Options, Service};
use crate::target::Target;
use crate::traffic::spec::{Step, receive_all, send};
use crate::world::World;

pub(super) const SCENARIO: Scenario = Scenario::new("waiting_send", run).targets(Target::is_ebpf).behind_the_hooks();

const BYTES: u64 = 20_000_000;
/// Until the call waits.
const PATIENCE: Duration = Duration::from_secs(10);
const TICK: Duration = Duration::from_millis(100);

fn run(test: &Test) -> Result<()> {
    let world = World::new()?;
    let options = Options { interval: "1d", ..Options::default() };
    let services = test.start(&world, &options)?;
    let mut server = Running::start(&test.server([Step::Hold, receive_all()]), &world.far)?;
    let client = Running::start(&test.client([send(BYTES, usize::try_from(BYTES)?)]), &world.near)?;
    server.wait_for_hold()?;
    let is_swept = is_swept()?;
    if is_swept {
        let in_between = wait_for_bytes(&services)?;
        ensure!(in_between < BYTES, "the reader did not hold the sender up: {in_between} bytes");
    }
    server.go_on()?;
    let truth = finish_all([(&world.far, server), (&world.near, client)])?;
    let counted = Counters::Own(services).stop()?;
    counted.must_equal(&truth)?;
    ensure!(counted.is_swept() == is_swept, "how connections are looked at is not as expected");
    Ok(())
}

/// What the sender has sent according to a report at once, as soon as that is anything.
fn wait_for_bytes(services: &[Service]) -> Result<u64> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let logs = services.iter().map(Service::report_now).collect::<Result<_>>()?;
        let sent = Counted::new(logs)?.table.user(CLIENT).sent;
        if sent > 0 {
            return Ok(sent);
        }
        ensure!(Instant::now() < deadline, "no report has a byte of a call that has sent some and waits");
        sleep(TICK);
    }
}

/// Whether the running kernel is one on which connections are swept: in between its table of sockets is elsewhere.
fn is_swept() -> Result<bool> {
    let kernel = nix::sys::utsname::uname()?;
    let release = kernel.release().to_string_lossy();
    let mut numbers = release.split('.').map(str::parse::<u32>);
    let mut next = || numbers.next().and_then(Result::ok).with_context(|| format!("what is Linux {release}?"));
    let version = (next()?, next()?);
    Ok(((5, 13)..(5, 18)).contains(&version) || version >= (6, 1))
}
