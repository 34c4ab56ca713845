//! A connection that was open before the service started counts from then on. Where it is not swept, but met at the first
//! event that the service sees, that is here one byte each way, which may or may not be counted itself.

use anyhow::{Result, ensure};

use super::{CLIENT, Counted, SERVER, Scenario, Test, go_on_and_finish, start_and_hold};
use crate::service::Options;
use crate::traffic::spec::{CHUNK, Step, receive, receive_all, send};
use crate::truth::Bytes;
use crate::world::World;

pub(super) const SCENARIO: Scenario = Scenario::new("older_connection", run).over_both();

/// Sent each way before the service starts.
const BEFORE: u64 = 1_000_000;
/// Sent by the client and the server after the first byte.
const CLIENT_AFTER: u64 = 5_000_000;
const SERVER_AFTER: u64 = 2_000_000;

fn run(test: &Test) -> Result<()> {
    let world = World::new()?;
    let server = [receive(BEFORE), send(BEFORE, CHUNK), Step::Hold, receive(1), send(1, 1)];
    let server = [&server[..], &[receive(CLIENT_AFTER), send(SERVER_AFTER, CHUNK), receive_all()]].concat();
    let client = [send(BEFORE, CHUNK), receive(BEFORE), Step::Hold, send(1, 1), receive(1)];
    let client = [&client[..], &[send(CLIENT_AFTER, CHUNK), receive(SERVER_AFTER)]].concat();
    let (server, client) = start_and_hold(&world, &test.server(server), &test.client(client))?;
    let counters = test.count_with(&world, &Options::default())?;
    go_on_and_finish(&world, server, client)?;
    let counted = counters.stop()?;
    let is_right = all_after(&counted, counted.is_swept());
    counted.explain(is_right)
}

fn all_after(counted: &Counted, and_the_first_byte: bool) -> Result<()> {
    let allowed = |bytes: u64, after: u64| bytes == after + 1 || (bytes == after && !and_the_first_byte);
    let is_right = |bytes: Bytes, sent, received| allowed(bytes.sent, sent) && allowed(bytes.received, received);
    let (client, server) = (counted.table.user(CLIENT), counted.table.user(SERVER));
    ensure!(is_right(client, CLIENT_AFTER, SERVER_AFTER), "the client's count is {client:?}");
    ensure!(is_right(server, SERVER_AFTER, CLIENT_AFTER), "the server's count is {server:?}");
    ensure!(counted.table.0.len() == 2, "somebody else has bytes: {:?}", counted.table);
    Ok(())
}
