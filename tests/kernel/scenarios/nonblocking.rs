//! Non-blocking sends of which the kernel takes a part, and non-blocking reads: what was asked for is not what was
//! moved.

use anyhow::Result;

use super::{Scenario, Test};
use crate::traffic::spec::{Receiving, Sending, receive_all_by, send_by};

pub(super) const SCENARIO: Scenario = Scenario::new("nonblocking", run).over_both();

fn run(test: &Test) -> Result<()> {
    let client = test.client([send_by(Sending::Nonblocking, test.volume(200_000_000, 10_000_000), 1_000_001)]);
    let server = test.server([receive_all_by(Receiving::Nonblocking, 50_000)]);
    test.exchange(client, server)
}
