//! kTLS: the TCP payload is the ciphertext, 29 bytes a record more than the programs move.

use std::fs;

use anyhow::Result;

use super::{Scenario, Test};
use crate::target::Family;
use crate::traffic::spec::{Receiving, Sending, receive_all, receive_all_by, send_by};

pub(super) const SCENARIO: Scenario = Scenario::new("ktls", run).needs(missing);

/// Plaintext in each record.
const RECORD: usize = 10_000;

fn missing(_: Family) -> Option<&'static str> {
    let protocols = fs::read_to_string("/proc/sys/net/ipv4/tcp_available_ulp").unwrap_or_default();
    (!protocols.split_whitespace().any(|name| name == "tls")).then_some("this kernel has no TLS")
}

fn run(test: &Test) -> Result<()> {
    let send = send_by(Sending::Tls, test.volume(20_000_000, 1_000_000), RECORD);
    test.exchange(test.client([send.clone()]), test.server([receive_all()]))?;
    test.exchange(test.client([send]), test.server([receive_all_by(Receiving::Tls, RECORD)]))
}
