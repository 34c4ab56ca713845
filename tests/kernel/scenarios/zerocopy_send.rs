//! `MSG_ZEROCOPY` sends.

use anyhow::Result;

use super::{Scenario, Test};
use crate::traffic::spec::{Sending, receive_all, send_by};

pub(super) const SCENARIO: Scenario = Scenario::new("zerocopy_send", run);

/// Fewer pages than a user may lock by default before 5.16 (64 KiB), which is what they count as.
const CHUNK: usize = 30_000;

fn run(test: &Test) -> Result<()> {
    let client = test.client([send_by(Sending::Zerocopy, test.volume(50_000_000, 5_000_000), CHUNK)]);
    test.exchange(client, test.server([receive_all()]))
}
