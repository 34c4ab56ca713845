//! A remote client requests a large file, with the smallest receive window, and resets. The server's user is credited with
//! what was transmitted, not with what the server wrote into its send buffer.

use anyhow::Result;

use super::wire::Wire;
use super::{Scenario, Test, run_all};
use crate::traffic::spec::{CHUNK, Step, receive, send};
use crate::world::World;

pub(super) const SCENARIO: Scenario = Scenario::new("remote_reset", run).over_both();

const ASKED: u64 = 10_000_000;

/// The kernel raises both to the least that it allows.
const SMALLEST: i32 = 1;

fn run(test: &Test) -> Result<()> {
    let world = World::new()?;
    let counters = test.count(&world)?;
    let wire = Wire::watch(&world)?;
    let times = test.volume(50, 5);
    let server = test.server([receive(10), Step::Offer { bytes: ASKED, chunk: CHUNK }]).times(times, 1);
    let open = Step::Pause(test.volume(20, 200));
    let client = test.client([send(10, 10), open, Step::Reset]).times(times, 1);
    let client = client.with_option(libc::SOL_SOCKET, libc::SO_RCVBUF, SMALLEST);
    let client = client.with_option(libc::IPPROTO_TCP, libc::TCP_WINDOW_CLAMP, SMALLEST);
    run_all([(&world.far, server), (&world.near, client)])?;
    wire.stop()?.must_be_in(test, &counters.stop()?)
}
