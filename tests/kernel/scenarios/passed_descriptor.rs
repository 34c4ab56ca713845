//! A connection is passed to a process of another user (`SCM_RIGHTS`), who goes on with it: the bytes stay the
//! socket's owner's.

use anyhow::Result;

use super::{Scenario, Test};
use crate::traffic::spec::{CHUNK, Step, receive, send};

pub(super) const SCENARIO: Scenario = Scenario::new("passed_descriptor", run);

fn run(test: &Test) -> Result<()> {
    let pass = Step::Pass { uid: 70_020_042, steps: vec![send(200_000, CHUNK), receive(60_000)] };
    let client = test.client([send(100_000, CHUNK), receive(50_000), pass]);
    let server = test.server([receive(100_000), send(50_000, CHUNK), receive(200_000), send(60_000, CHUNK)]);
    test.exchange(client, server)
}
