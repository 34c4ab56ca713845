//! `io_uring` sends and receives, which the kernel may do from threads of its own.

use anyhow::Result;

use super::{Scenario, Test};
use crate::target::Family;
use crate::traffic::spec::{CHUNK, Receiving, Sending, receive_all_by, send_by};

pub(super) const SCENARIO: Scenario = Scenario::new("io_uring", run).over_both().needs(missing);

fn missing(_: Family) -> Option<&'static str> {
    io_uring::IoUring::new(1).is_err().then_some("this kernel has no io_uring, or has it switched off")
}

fn run(test: &Test) -> Result<()> {
    let client = test.client([send_by(Sending::IoUring, test.volume(50_000_000, 5_000_000), CHUNK)]);
    let server = test.server([receive_all_by(Receiving::IoUring, CHUNK)]);
    test.exchange(client, server)
}
