//! Eight threads write to one socket at once: on two processors the cursor is settled by both at a time.

use anyhow::Result;

use super::{Scenario, Test};
use crate::traffic::spec::{Step, receive_all};

pub(super) const SCENARIO: Scenario = Scenario::new("eight_threads", run);

fn run(test: &Test) -> Result<()> {
    let bytes = test.volume(20_000_000, 500_000);
    let client = test.client([Step::SendByThreads { threads: 8, bytes, chunk: 1_000 }]);
    test.exchange(client, test.server([receive_all()]))
}
