//! A user disconnects a socket (`connect` to `AF_UNSPEC`) with data unread, before or after a reset by the peer, and
//! connects it again. Everything that arrived in either connection counts.

use anyhow::{Result, ensure};

use super::wire::Wire;
use super::{CLIENT, Scenario, Test, run_all};
use crate::traffic::spec::{CHUNK, Step, receive, receive_all, send};
use crate::world::{World, address_of};

pub(super) const SCENARIO: Scenario = Scenario::new("disconnected", run).over_both();

/// What a life moves, and room for it, which the kernel doubles; in a guest what it gives to anybody.
const EACH: (u64, i32) = (1_000_000, 4_000_000);
const EACH_WHEN_SMALL: (u64, i32) = (60_000, 200_000);

const LIVES: u32 = 2;

fn run(test: &Test) -> Result<()> {
    for is_reset in [false, true] {
        give_up(test, is_reset)?;
    }
    Ok(())
}

/// With `is_reset` the peer ends each life, otherwise the user does.
fn give_up(test: &Test, is_reset: bool) -> Result<()> {
    let world = World::new()?;
    let counters = test.count(&world)?;
    let wire = Wire::watch(&world)?;
    let times = test.volume(10, 2);
    let (each, buffer) = test.volume(EACH, EACH_WHEN_SMALL);
    let server = if is_reset {
        vec![receive(10), send(each, CHUNK), Step::AwaitAcknowledged, pause(test), Step::Reset]
    } else {
        vec![receive(10), send(each, CHUNK), receive_all()]
    };
    let end = if is_reset { Step::AwaitReset } else { pause(test) };
    let life = [send(10, 10), Step::AwaitUnread { bytes: usize::try_from(each)? }, end, Step::Disconnect];
    let again = [Step::Connect(address_of(test.family, 0, 2))];
    let client = test.client([&life[..], &again, &life].concat()).times(times, 1);
    let client = client.with_option(libc::SOL_SOCKET, libc::SO_RCVBUF, buffer);
    run_all([(&world.far, test.server(server).times(LIVES * times, 1)), (&world.near, client)])?;
    let ends = wire.stop()?;
    let received = ends.by_user().user(CLIENT).received;
    ensure!(received == each * u64::from(LIVES * times), "only {received} bytes arrived");
    ends.must_be_in(test, &counters.stop()?)
}

/// Long enough that packet can ask whose the connection is.
fn pause(test: &Test) -> Step {
    Step::Pause(test.volume(50, 200))
}
