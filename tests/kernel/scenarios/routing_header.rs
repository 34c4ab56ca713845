//! A user sets a routing header on his own socket (segment routing, RFC 8754), short or long: it hides nothing.

use std::net::{IpAddr, Ipv6Addr};

use anyhow::{Context as _, Result};

use super::{Scenario, Test, run_all};
use crate::target::Family;
use crate::traffic::spec::{CHUNK, Program, Step, receive_all, send};
use crate::world::{World, address_of};

pub(super) const SCENARIO: Scenario =
    Scenario::new("routing_header", run).families(&[Family::Ipv6]).needs(super::seg6_route::missing);

/// Stops on the way, from near and from far. The longest routing header has 127; beside it a segment has little room.
const STOPS: [(usize, usize); 4] = [(2, 7), (7, 2), (40, 60), (40, 0)];

fn run(test: &Test) -> Result<()> {
    STOPS.into_iter().try_for_each(|(near, far)| exchange(test, near, far))
}

fn exchange(test: &Test, near: usize, far: usize) -> Result<()> {
    let world = World::new()?;
    for namespace in [&world.near, &world.far] {
        super::seg6_route::accept(namespace)?;
    }
    let counters = test.count(&world)?;
    let client = test.client([send(2_000_000, CHUNK), Step::Shut, receive_all()]);
    let server = test.server([receive_all(), send(1_000_000, CHUNK)]);
    let client = by_way_of(client, address_of(test.family, 0, 2).ip(), near)?;
    let server = by_way_of(server, address_of(test.family, 0, 1).ip(), far)?;
    let truth = run_all([(&world.far, server), (&world.near, client)])?;
    let counted = counters.stop()?;
    counted.must_equal(&truth).with_context(|| format!("by way of {near} and {far} stops"))
}

/// The same with a routing header that visits the peer so often before it comes there.
fn by_way_of(program: Program, peer: IpAddr, stops: usize) -> Result<Program> {
    let IpAddr::V6(peer) = peer else { return Ok(program) };
    if stops == 0 {
        return Ok(program);
    }
    let last = u8::try_from(stops - 1)?;
    // The next header, the length in units of 8 bytes, the type, stops to go, the last stop, flags, tag (2 bytes).
    let mut header = vec![0, u8::try_from(stops * 2)?, 4, last, last, 0, 0, 0];
    // The first place is the kernel's, for the peer.
    header
        .extend([Ipv6Addr::UNSPECIFIED].iter().chain(std::iter::repeat_n(&peer, stops - 1)).flat_map(Ipv6Addr::octets));
    Ok(program.with_long_option(libc::IPPROTO_IPV6, libc::IPV6_RTHDR, header))
}
