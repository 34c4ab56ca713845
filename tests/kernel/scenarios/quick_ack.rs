//! `TCP_QUICKACK` before each read, which calls `tcp_cleanup_rbuf` with a byte that nobody read.

use anyhow::Result;

use super::{Scenario, Test};
use crate::traffic::spec::{CHUNK, Receiving, receive_all_by, send};

pub(super) const SCENARIO: Scenario = Scenario::new("quick_ack", run);

fn run(test: &Test) -> Result<()> {
    let client = test.client([send(test.volume(20_000_000, 5_000_000), CHUNK)]);
    let server = test.server([receive_all_by(Receiving::QuickAck, 10_000)]);
    test.exchange(client, server)
}
