//! A route puts segments into another IPv6 packet with a routing header, or a routing header into them (segment routing).

use anyhow::{Context as _, Result};

use super::{BOTH, Scenario, Test, run_all};
use crate::target::Family;
use crate::traffic::spec::{CHUNK, Step, receive_all, send};
use crate::world::{Namespace, World};

pub(super) const SCENARIO: Scenario = Scenario::new("seg6_route", run).families(BOTH).needs(missing);

pub(super) fn missing(family: Family) -> Option<&'static str> {
    // `ipv6_srh_rcv` of the kernel passed over them before.
    if family != Family::Ipv6 && !is_at_least(5, 13) {
        return Some("this kernel takes no IPv4 packets out of segment routing");
    }
    // The connection stalls there, and why is not known; on 6.1 and 6.18 it does not.
    if family == Family::Ipv6 && is_at_least(6, 12) && !is_at_least(6, 13) {
        return Some("on this kernel a connection by way of segment routing over IPv6 stalls");
    }
    let try_one = || -> Result<()> {
        let world = World::new()?;
        accept(&world.near)?;
        lead(&world.near, family, 2, "encap")
    };
    try_one().is_err().then_some("this kernel has no segment routing")
}

fn is_at_least(major: u32, minor: u32) -> bool {
    let Ok(name) = nix::sys::utsname::uname() else { return false };
    let release = name.release().to_string_lossy().into_owned();
    let mut numbers = release.split(['.', '-']).map_while(|number| number.parse::<u32>().ok());
    (numbers.next(), numbers.next()) >= (Some(major), Some(minor))
}

/// Takes packets with routing headers in.
pub(super) fn accept(namespace: &Namespace) -> Result<()> {
    namespace.sysctl("ipv6/conf/all/seg6_enabled", "1")?;
    namespace.sysctl("ipv6/conf/veth0/seg6_enabled", "1")
}

/// Leads what goes to host `to` over its address in another network.
fn lead(namespace: &Namespace, family: Family, to: u8, mode: &str) -> Result<()> {
    let stop = format!("fd77:1::{to}");
    let route = match family {
        Family::Ipv6 => format!("-6 route add fd77:0::{to}/128"),
        Family::Ipv4 | Family::Mapped => format!("route add 10.77.0.{to}/32"),
    };
    let words = format!("{route} encap seg6 mode {mode} segs {stop} dev veth0");
    namespace.run("ip", &words)
}

fn run(test: &Test) -> Result<()> {
    exchange(test, "encap")?;
    // Into an IPv4 packet nothing can be put.
    if test.family == Family::Ipv6 { exchange(test, "inline") } else { Ok(()) }
}

fn exchange(test: &Test, mode: &str) -> Result<()> {
    let world = World::new()?;
    for (namespace, own, other) in [(&world.near, 1, 2), (&world.far, 2, 1)] {
        namespace.address("veth0", 1, own)?;
        accept(namespace)?;
        lead(namespace, test.family, other, mode)?;
    }
    let counters = test.count(&world)?;
    let client = test.client([send(20_000_000, CHUNK), Step::Shut, receive_all()]);
    let server = test.server([receive_all(), send(10_000_000, CHUNK)]);
    let truth = run_all([(&world.far, server), (&world.near, client)])?;
    counters.stop()?.must_equal(&truth).with_context(|| format!("mode {mode}"))
}
