//! `TCP_REPAIR`: a user ends connections without the peer's notice and goes on with them, sets the sequence numbers of a
//! closed socket far forward and back, and connects without a handshake. Accounts have what was on the wire.
//!
//! Any user may do so in a user namespace of his own; here it is root with a user's sockets.

use anyhow::Result;

use super::wire::Wire;
use super::{CLIENT, Scenario, Test, run_all};
use crate::traffic::spec::{CHUNK, Program, Queue, Step, receive, receive_all, send};
use crate::world::{World, address_of};

pub(super) const SCENARIO: Scenario = Scenario::new("repair", run);

const FAR: i32 = 1 << 30;

/// Bytes of a question and of its answer.
const QUESTION: u64 = 20_000;
const ANSWER: u64 = 30_000;

const LIVES: u32 = 3;
const QUESTIONS_IN_A_LIFE: usize = 3;

fn run(test: &Test) -> Result<()> {
    let world = World::new()?;
    // A connection that was moved has no options, so it must not have had any before.
    for option in ["tcp_window_scaling", "tcp_timestamps", "tcp_sack"] {
        world.near.sysctl(&format!("ipv4/{option}"), "0")?;
    }
    let counters = test.count(&world)?;
    let wire = Wire::watch(&world)?;
    let client = Program { uid: 0, owner: Some(CLIENT), ..test.client(steps(test)) };
    let answers = vec![[receive(QUESTION), send(ANSWER, CHUNK)]; QUESTIONS_IN_A_LIFE].concat();
    let server = test.server([answers, vec![receive_all()]].concat()).times(LIVES, 1);
    run_all([(&world.far, server), (&world.near, client)])?;
    wire.stop()?.must_be_in(test, &counters.stop()?)
}

fn steps(test: &Test) -> Vec<Step> {
    let addr = address_of(test.family, 0, 2);
    let pause = Step::Pause(test.volume(100, 300));
    let ask = || [send(QUESTION, CHUNK), receive(ANSWER)];
    // While it is moved there is nobody to answer the peer, so everything must have been acknowledged.
    let moved = |detour| [pause.clone(), Step::Move { detour }];
    let end = [pause.clone(), Step::Disconnect];
    let life = [&ask()[..], &moved(FAR), &ask(), &moved(-FAR), &ask(), &end].concat();
    let renumber = |by| [Queue::Receive, Queue::Send].map(|queue| Step::Renumber { queue, by });
    let again = [Step::Connect(addr)];
    [
        &life[..],
        &renumber(FAR),
        &renumber(-500_000),
        &again,
        &life,
        &renumber(-FAR),
        &again,
        &life,
        &renumber(FAR),
        // The peer has no such connection: it answers a window probe by a reset, and no data is sent.
        &[Step::ConnectUnderRepair(addr), pause, send(1_000, 1_000), Step::AwaitReset],
    ]
    .concat()
}
