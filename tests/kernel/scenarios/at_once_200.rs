//! 200 connections open at the same time, each sending both ways.

use anyhow::Result;

use super::{Scenario, Test};
use crate::traffic::spec::{Step, receive, receive_all, send};

pub(super) const SCENARIO: Scenario = Scenario::new("at_once_200", run).over_both();

const CONNECTIONS: u32 = 200;

fn run(test: &Test) -> Result<()> {
    let bytes = test.volume(200_000, 20_000);
    let client = test.client([Step::Meet, send(bytes, 10_000), receive(bytes), Step::Meet]);
    let server = test.server([receive(bytes), send(bytes, 10_000), receive_all()]);
    test.exchange(client.times(CONNECTIONS, CONNECTIONS), server.times(CONNECTIONS, CONNECTIONS))
}
