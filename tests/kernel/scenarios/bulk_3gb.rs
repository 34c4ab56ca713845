//! 3,000,000,000 bytes in one connection at full speed: large segments, and sequence numbers beyond half their range.

use anyhow::Result;

use super::{BOTH, Scenario, Test};
use crate::traffic::spec::{CHUNK, receive_all, send};

pub(super) const SCENARIO: Scenario = Scenario::new("bulk_3gb", run).families(BOTH);

fn run(test: &Test) -> Result<()> {
    let bytes = test.volume(3_000_000_000, 30_000_000);
    test.exchange(test.client([send(bytes, CHUNK)]), test.server([receive_all()]))
}
