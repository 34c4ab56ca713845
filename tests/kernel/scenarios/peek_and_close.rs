//! A user downloads by peeking alone, and closes with everything unread. It arrived, so it is received.

use anyhow::{Result, ensure};

use super::wire::Wire;
use super::{SERVER, Scenario, Test, run_all};
use crate::traffic::spec::{CHUNK, Step, receive_all, send};
use crate::world::World;

pub(super) const SCENARIO: Scenario = Scenario::new("peek_and_close", run).over_both();

/// What a connection carries, and room for it, which the kernel doubles; in a guest what it gives to anybody.
const EACH: (u64, i32) = (2_000_000, 4_000_000);
const EACH_WHEN_SMALL: (u64, i32) = (60_000, 200_000);

fn run(test: &Test) -> Result<()> {
    let world = World::new()?;
    let counters = test.count(&world)?;
    let wire = Wire::watch(&world)?;
    let times = test.volume(10, 2);
    let (each, buffer) = test.volume(EACH, EACH_WHEN_SMALL);
    let server = test.server([Step::Peek { bytes: usize::try_from(each)? }]).times(times, times);
    let server = server.with_option(libc::SOL_SOCKET, libc::SO_RCVBUF, buffer);
    // The end comes as a reset.
    let client = test.client([send(each, CHUNK), receive_all()]).times(times, times);
    run_all([(&world.far, server), (&world.near, client)])?;
    let ends = wire.stop()?;
    let received = ends.by_user().user(SERVER).received;
    ensure!(received == each * u64::from(times), "only {received} bytes were there to peek at");
    ends.must_be_in(test, &counters.stop()?)
}
