//! `MSG_WAITALL` over many sends: one call that sleeps often, for which `tcp_cleanup_rbuf` is told a growing sum.

use anyhow::Result;

use super::{Scenario, Test};
use crate::traffic::spec::{Receiving, receive_all_by, send};

pub(super) const SCENARIO: Scenario = Scenario::new("wait_all", run);

fn run(test: &Test) -> Result<()> {
    let client = test.client([send(test.volume(20_000_000, 5_000_000), 10_000)]);
    let server = test.server([receive_all_by(Receiving::WaitAll, 1_000_000)]);
    test.exchange(client, server)
}
