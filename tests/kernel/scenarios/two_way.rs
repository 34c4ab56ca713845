//! Request and answer, over each family of addresses, IPv4 through IPv6 sockets included.

use anyhow::Result;

use super::{Scenario, Test};
use crate::target::Family;
use crate::traffic::spec::{CHUNK, receive, send};

pub(super) const SCENARIO: Scenario =
    Scenario::new("two_way", run).families(&[Family::Ipv4, Family::Ipv6, Family::Mapped]);

fn run(test: &Test) -> Result<()> {
    let client = test.client([send(1_000_003, CHUNK), receive(70_001), send(11, 1), receive(3)]);
    let server = test.server([receive(1_000_003), send(70_001, 999), receive(11), send(3, 3)]);
    test.exchange(client, server)
}
