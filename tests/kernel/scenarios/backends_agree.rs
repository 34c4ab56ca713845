//! Packet and ebpf side by side on the same traffic: on connections closed in order they agree to the byte.

use anyhow::{Context as _, Result};

use super::{Counters, Scenario, Test, finish_all};
use crate::running::Running;
use crate::service::{Options, Service};
use crate::target::Target;
use crate::traffic::spec::Program;
use crate::traffic::spec::{CHUNK, Receiving, Sending, Step, receive, receive_all, receive_all_by, send, send_by};
use crate::world::{World, address_of, listen_at};

pub(super) const SCENARIO: Scenario = Scenario::new("backends_agree", run).over_both().targets(Target::is_ebpf);

fn run(test: &Test) -> Result<()> {
    let world = World::new()?;
    let ebpf = test.count(&world)?;
    let packet =
        [&world.near, &world.far].map(|namespace| Service::start(Target::Packet, namespace, &Options::default()));
    let packet = Counters::Own(packet.into_iter().collect::<Result<_>>()?);
    let mut programs = Vec::new();
    for (number, (client, server)) in conversations(test).into_iter().enumerate() {
        let number = u16::try_from(number)?;
        let (port, uid) = (7100 + number, 70_020_100 + 2 * u32::from(number));
        let server = Program::listen(uid, listen_at(test.family), lasting(test, server)).on_port(port).times(8, 4);
        programs.push((&world.far, Running::start(&server, &world.far)?));
        let client =
            Program::connect(uid + 1, address_of(test.family, 0, 2), lasting(test, client)).on_port(port).times(8, 4);
        programs.push((&world.near, Running::start(&client, &world.near)?));
    }
    let truth = finish_all(programs)?;
    let (ebpf, packet) = (ebpf.stop()?, packet.stop()?);
    packet.explain(ebpf.table.must_equal(&packet.table)).context("ebpf (counted) and packet (truth) disagree")?;
    ebpf.must_equal(&truth)
}

/// As [`Test::lasting`], because it is packet that is compared with.
fn lasting(test: &Test, steps: Vec<Step>) -> Vec<Step> {
    [steps, vec![Step::Pause(test.volume(100, 1_000))]].concat()
}

/// What clients and servers do.
fn conversations(test: &Test) -> Vec<(Vec<Step>, Vec<Step>)> {
    let bytes = test.volume(5_000_000, 300_000);
    vec![
        (vec![send(bytes, CHUNK)], vec![receive_all()]),
        (vec![send(bytes, 1_000), Step::Shut, receive_all()], vec![receive_all(), send(bytes, CHUNK)]),
        (vec![send_by(Sending::File, bytes, CHUNK)], vec![receive_all_by(Receiving::WaitAll, 100_000)]),
        (vec![send_by(Sending::Nonblocking, bytes, CHUNK)], vec![receive_all_by(Receiving::Splice, CHUNK)]),
        (vec![receive(7), send(3, 1)], vec![send(7, 2), receive_all_by(Receiving::Peek, 10)]),
    ]
}
