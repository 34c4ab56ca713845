//! TCP Fast Open at its limits: a server whose first answer is one byte, and clients whose handshake never ends although
//! they have sent data in the SYN.

use anyhow::{Result, ensure};

use super::wire::Wire;
use super::{BOTH, CLIENT, Scenario, Test, fast_open, masqueraded, run_all};
use crate::traffic::spec::{Step, Transport, receive, receive_all, send};
use crate::world::World;

pub(super) const SCENARIO: Scenario = Scenario::new("fast_open_byte", run).families(BOTH).needs(masqueraded::missing);

const IN_THE_SYN: u64 = 700;
const CONNECTIONS: u32 = 20;

fn run(test: &Test) -> Result<()> {
    one_byte(test)?;
    some_time(|| unanswered(test))?;
    some_time(|| unheard(test))
}

const TRIES: u32 = 3;

/// These connections end by a timer. Where its interrupt meets a process that the kernel keeps from all tracing, which some machines
/// have, no program is called (counting.md, "Limits"). What comes of our own fault comes each time.
fn some_time(scene: impl Fn() -> Result<()>) -> Result<()> {
    let is_right = (1..TRIES).any(|_| scene().inspect_err(|error| eprintln!("once more: {error:#}")).is_ok());
    if is_right { Ok(()) } else { scene() }
}

fn world() -> Result<World> {
    let world = World::new()?;
    for namespace in [&world.near, &world.far] {
        namespace.sysctl("ipv4/tcp_fastopen", fast_open::ALL_WITHOUT_COOKIES)?;
        for retries in ["tcp_syn_retries", "tcp_synack_retries", "tcp_syn_linear_timeouts"] {
            namespace.sysctl(&format!("ipv4/{retries}"), "1")?;
        }
    }
    Ok(world)
}

/// Its acknowledgement counts one byte as that of a SYN does.
fn one_byte(test: &Test) -> Result<()> {
    let world = world()?;
    let counters = test.count(&world)?;
    let wire = Wire::watch(&world)?;
    let client = test.client([send(10, 10), receive(1)]).over(Transport::FastOpen).times(CONNECTIONS, 1);
    let server = test.server([receive(10), send(1, 1), receive_all()]).times(CONNECTIONS, 1);
    let truth = run_all([(&world.far, server), (&world.near, client)])?;
    let opened = world.far.netstat("TCPFastOpenPassive")?;
    ensure!(opened >= u64::from(CONNECTIONS), "only {opened} of {CONNECTIONS} had data in the SYN");
    let counted = counters.stop()?;
    counted.must_equal(&truth)?;
    wire.stop()?.must_be_in(test, &counted)
}

/// The SYNs reach nobody.
fn unanswered(test: &Test) -> Result<()> {
    let world = world()?;
    drop_tcp(&world.far, "prerouting")?;
    let counters = test.count(&world)?;
    let wire = Wire::watch(&world)?;
    let offer = Step::Offer { bytes: IN_THE_SYN, chunk: 700 };
    run_all([(&world.near, test.client([offer]).over(Transport::FastOpen).times(CONNECTIONS, CONNECTIONS))])?;
    compare(test, wire, &counters.stop()?)
}

/// The server has the data, and its answers do not reach the client.
fn unheard(test: &Test) -> Result<()> {
    let world = world()?;
    drop_tcp(&world.near, "prerouting")?;
    let counters = test.count(&world)?;
    let wire = Wire::watch(&world)?;
    let offer = Step::Offer { bytes: IN_THE_SYN, chunk: 700 };
    let client = test.client([offer]).over(Transport::FastOpen).times(CONNECTIONS, CONNECTIONS);
    let server = test.server([receive(IN_THE_SYN)]).times(CONNECTIONS, CONNECTIONS);
    run_all([(&world.far, server), (&world.near, client)])?;
    compare(test, wire, &counters.stop()?)
}

/// Drops what arrives, behind the capture.
fn drop_tcp(namespace: &crate::world::Namespace, hook: &str) -> Result<()> {
    namespace.run("nft", "add table inet trafcalc")?;
    namespace.run("nft", &format!("add chain inet trafcalc in {{ type filter hook {hook} priority 0 ; }}"))?;
    namespace.run("nft", "add rule inet trafcalc in meta l4proto tcp drop")
}

fn compare(test: &Test, wire: Wire, counted: &super::Counted) -> Result<()> {
    let ends = wire.stop()?;
    let sent = ends.by_user().user(CLIENT).sent;
    ensure!(sent == IN_THE_SYN * u64::from(CONNECTIONS), "only {sent} bytes were sent in SYNs");
    ends.must_be_in(test, counted)
}
