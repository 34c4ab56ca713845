//! 300,000 writes of 1,000 bytes: many events for few bytes.

use anyhow::Result;

use super::{Scenario, Test};
use crate::traffic::spec::{receive_all, send};

pub(super) const SCENARIO: Scenario = Scenario::new("small_writes_300k", run).over_both();

fn run(test: &Test) -> Result<()> {
    let writes = test.volume(300_000, 5_000);
    test.exchange(test.client([send(writes * 1_000, 1_000)]), test.server([receive_all()]))
}
