//! Two peeks before each read: the bytes are looked at three times and count once.

use anyhow::Result;

use super::{Scenario, Test};
use crate::traffic::spec::{CHUNK, Receiving, receive_all_by, send};

pub(super) const SCENARIO: Scenario = Scenario::new("peek", run);

fn run(test: &Test) -> Result<()> {
    let client = test.client([send(test.volume(20_000_000, 5_000_000), CHUNK)]);
    let server = test.server([receive_all_by(Receiving::Peek, 10_000)]);
    test.exchange(client, server)
}
