//! The socket is given to another user in the middle of a connection. packet is tested on both users' sum.
//!
//! ebpf reads the owner at each settle, so each user has his part to the byte. packet asks for the owner once, so it
//! owes every byte to the two together.

use anyhow::{Result, ensure};

use super::{CLIENT, Scenario, Test, run_all};
use crate::traffic::spec::{CHUNK, Program, Step, receive, receive_all, send};
use crate::truth::Bytes;
use crate::world::World;

pub(super) const SCENARIO: Scenario = Scenario::new("fchown", run);

const NEW_OWNER: u32 = 70_020_043;

fn run(test: &Test) -> Result<()> {
    let world = World::new()?;
    let counters = test.count(&world)?;
    let steps = [send(100_000, CHUNK), receive(30_000), Step::Chown(NEW_OWNER), send(200_000, CHUNK), receive(40_000)];
    let client = Program { uid: 0, owner: Some(CLIENT), ..test.client(steps) };
    let server = [receive(100_000), send(30_000, CHUNK), receive(200_000), send(40_000, CHUNK), receive_all()];
    let mut truth = run_all([(&world.far, test.server(server)), (&world.near, client)])?;
    let mut counted = counters.stop()?;
    if test.is_packet() {
        let together = |table: &crate::truth::Table| {
            let mut sum: Bytes = table.user(CLIENT);
            sum += table.user(NEW_OWNER);
            sum
        };
        let (count, true_bytes) = (together(&counted.table), together(&truth));
        ensure!(count == true_bytes, "the two users together: {count:?} is not {true_bytes:?}");
        counted.table.forget(&[CLIENT, NEW_OWNER]);
        truth.forget(&[CLIENT, NEW_OWNER]);
    }
    counted.must_equal(&truth)
}
