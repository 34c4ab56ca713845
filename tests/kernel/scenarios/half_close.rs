//! One side closes its direction, then the other goes on sending: the first FIN ends one cursor, not the connection.

use anyhow::Result;

use super::{Scenario, Test};
use crate::traffic::spec::{CHUNK, Step, receive_all, send};

pub(super) const SCENARIO: Scenario = Scenario::new("half_close", run).over_both();

fn run(test: &Test) -> Result<()> {
    let client = test.client([send(1_000_000, CHUNK), Step::Shut, receive_all()]);
    let server = test.server([receive_all(), send(5_000_001, CHUNK)]);
    test.exchange(client, server)
}
