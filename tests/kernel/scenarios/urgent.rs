//! An urgent byte, read out of band: it is part of the stream's numbers, and read once.

use anyhow::Result;

use super::{Scenario, Test};
use crate::traffic::spec::{Receiving, Sending, Step, receive, receive_all, send, send_by};

pub(super) const SCENARIO: Scenario = Scenario::new("urgent", run);

fn run(test: &Test) -> Result<()> {
    let out_of_band = Step::Receive { how: Receiving::Urgent, bytes: Some(1), chunk: 1 };
    let client = test.client([send(1_000, 1_000), send_by(Sending::Urgent, 1, 1), send(500, 500)]);
    let server = test.server([receive(1_000), out_of_band, receive_all()]);
    test.exchange(client, server)
}
