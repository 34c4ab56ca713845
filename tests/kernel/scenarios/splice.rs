//! `splice` from a pipe to the socket, and from the socket to a pipe: no `sendmsg`, no `recvmsg`.

use anyhow::Result;

use super::{Scenario, Test};
use crate::traffic::spec::{CHUNK, Receiving, Sending, receive_all_by, send_by};

pub(super) const SCENARIO: Scenario = Scenario::new("splice", run).over_both();

fn run(test: &Test) -> Result<()> {
    let client = test.client([send_by(Sending::Splice, test.volume(50_000_000, 5_000_000), CHUNK)]);
    let server = test.server([receive_all_by(Receiving::Splice, CHUNK)]);
    test.exchange(client, server)
}
