//! `MSG_TRUNC`: bytes that are taken off the stream without being copied are received all the same.

use anyhow::Result;

use super::{Scenario, Test};
use crate::traffic::spec::{CHUNK, Receiving, receive_all_by, send};

pub(super) const SCENARIO: Scenario = Scenario::new("truncated", run);

fn run(test: &Test) -> Result<()> {
    let client = test.client([send(test.volume(20_000_000, 5_000_000), CHUNK)]);
    let server = test.server([receive_all_by(Receiving::Truncated, 30_000)]);
    test.exchange(client, server)
}
