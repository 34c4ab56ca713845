//! `sendmmsg` and `recvmmsg`: several messages in one system call.

use anyhow::Result;

use super::{Scenario, Test};
use crate::traffic::spec::{Receiving, Sending, receive_all_by, send_by};

pub(super) const SCENARIO: Scenario = Scenario::new("batched", run);

fn run(test: &Test) -> Result<()> {
    let client = test.client([send_by(Sending::Batched, test.volume(20_000_000, 5_000_000), 7_001)]);
    let server = test.server([receive_all_by(Receiving::Batched, 30_011)]);
    test.exchange(client, server)
}
