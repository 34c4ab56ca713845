//! A process writes more than the peer takes, and another one goes on with the connection: what leaves later belongs to who
//! wrote it, also where a third only reads in between, and where a report comes in between.

use anyhow::{Result, ensure};

use super::{CLIENT, Counters, SERVER, Scenario, Test, finish_actors, no_host_pids};
use crate::running::Running;
use crate::service::Options;
use crate::target::Target;
use crate::traffic::spec::{Program, Step, receive, receive_all, send};
use crate::truth::By;
use crate::world::World;

pub(super) const SCENARIO: Scenario =
    Scenario::new("unsent_of_former", run).targets(Target::is_ebpf).behind_the_hooks().needs(no_host_pids);

/// What the peer takes at once, about.
const WINDOW: i32 = 4_096;
/// What the sender takes without waiting, about.
const BUFFER: i32 = 200_000;
const BY_PARENT: u64 = 100_000;
const BY_CHILD: u64 = 30_000;

fn run(test: &Test) -> Result<()> {
    let world = World::new()?;
    let options = Options { interval: "1d", ..Options::default() }.argument(&By::PROCESS.option());
    let services = test.start(&world, &options)?;
    let child = Step::Fork { again: false, steps: vec![send(BY_CHILD, 10_000)] };
    let client = test.client([send(BY_PARENT, 10_000), child, receive(10), Step::Hold, receive_all()]);
    let client = client.with_option(libc::SOL_SOCKET, libc::SO_SNDBUF, BUFFER);
    let client = Program { uid: 0, owner: Some(CLIENT), ..client };
    let server = test.server([send(10, 10), Step::Hold, receive(BY_PARENT + BY_CHILD)]);
    let server = server.with_option(libc::SOL_SOCKET, libc::SO_RCVBUF, WINDOW);
    let mut server = Running::start(&server, &world.far)?;
    let mut client = Running::start(&client, &world.near)?;
    server.wait_for_hold()?;
    client.wait_for_hold()?;
    for service in &services {
        service.report_now()?;
    }
    server.go_on()?;
    client.go_on()?;
    let truth = finish_actors([(&world.far, server), (&world.near, client)])?.by(By::PROCESS);
    ensure!(truth.0.keys().filter(|account| account.uid != Some(SERVER)).count() == 2, "not two: {truth:?}");
    Counters::Own(services).stop()?.must_equal(&truth)
}
