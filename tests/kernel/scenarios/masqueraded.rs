//! Forwarded traffic that leaves with the router's own address is still not the router's.

use std::process::Command;

use anyhow::Result;

use super::{CLIENT, Counted, Scenario, Test, forwarded, run_all};
use crate::service::{Options, Service};
use crate::target::{Family, Target};
use crate::traffic::spec::{CHUNK, Program, Step, receive_all, send};
use crate::truth::Table;
use crate::world::address_of;

/// Packet only: the scope of ebpf is the whole host, both ends included.
pub(super) const SCENARIO: Scenario =
    Scenario::new("masqueraded", run).targets(|target| target == Target::Packet).needs(missing);

pub(super) fn missing(_: Family) -> Option<&'static str> {
    Command::new("nft").arg("--version").output().is_err().then_some("there is no nft here")
}

fn run(test: &Test) -> Result<()> {
    let (near, router, far) = forwarded::routed()?;
    router.run("nft", "add table ip trafcalc")?;
    router.run("nft", "add chain ip trafcalc out { type nat hook postrouting priority 100 ; }")?;
    router.run("nft", "add rule ip trafcalc out oifname far masquerade")?;
    let service = Service::start(test.target, &router, &Options::default())?;
    let client = Program::connect(CLIENT, address_of(test.family, 2, 2), [receive_all(), send(10_000_000, CHUNK)]);
    let server = test.server([send(10_000_000, CHUNK), Step::Shut, receive_all()]);
    run_all([(&far, server), (&near, client)])?;
    Counted::new(vec![service.stop()?])?.must_equal(&Table::default())
}
