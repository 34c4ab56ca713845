//! A configured user is in a directory that does not answer when the service starts: it waits for the user, and counts the
//! user, also on a connection that is open already, when the directory answers.

use anyhow::{Result, ensure};
use serde_json::json;

use super::{CLIENT, Counters, SERVER, Scenario, Test, finish_all, no_directory, run_all};
use crate::running::Running;
use crate::service::{Directory, Options, Service};
use crate::traffic::spec::{CHUNK, Program, Step, receive_all, send};
use crate::truth::{Account, Bytes, Table};
use crate::world::{World, address_of, listen_at};

pub(super) const SCENARIO: Scenario = Scenario::new("directory_down", run).needs(no_directory);

const OTHER: u32 = 70_020_091;
const BEFORE: u64 = 300_000;
const AFTER: u64 = 500_000;

fn run(test: &Test) -> Result<()> {
    let world = World::new()?;
    let directory = Directory::new()?;
    directory.set_users([("absentee".to_owned(), CLIENT)])?;
    directory.go_down()?;
    let options = Options { directory: Some(directory.clone()), ..Options::default() };
    let options = options.config("[only]\nusers = [\"absentee\", \"root\"]");
    let service = Service::start(test.target, &world.near, &options)?;

    let server = test.server([receive_all(), Step::Hold]);
    let client = test.client([send(BEFORE, CHUNK), Step::Hold, send(AFTER, CHUNK)]);
    let mut server = Running::start(&server, &world.far)?;
    let mut client = Running::start(&client, &world.near)?;
    client.wait_for_hold()?;
    let reports = service.report_now()?.reports.len();
    let log = service.wait_for_log(|log| log.reports.len() > reports + 2)?;
    for report in &log.reports {
        ensure!(report.summary["waiting_for"] == json!(["user absentee"]), "{}", report.summary);
        let is_other = |uid: &serde_json::Value| *uid != json!(0);
        ensure!(!report.accounts.iter().any(|record| is_other(&record["uid"])), "{:?}", report.accounts);
    }

    directory.come_up()?;
    service.wait_for_log(|log| log.reports.last().is_some_and(|report| report.summary.get("waiting_for").is_none()))?;
    client.go_on()?;
    server.wait_for_hold()?;
    server.go_on()?;
    finish_all([(&world.far, server), (&world.near, client)])?;
    let pair = |uid, port| {
        let server = Program::listen(SERVER, listen_at(test.family), test.lasting([receive_all()]));
        let client = Program::connect(uid, address_of(test.family, 0, 2), test.lasting([send(AFTER, CHUNK)]));
        [(&world.far, server.on_port(port)), (&world.near, client.on_port(port))]
    };
    run_all(pair(CLIENT, 7_101).into_iter().chain(pair(OTHER, 7_102)))?;

    let mut truth = Table::default();
    truth.add(Account::user(CLIENT), Bytes { sent: 2 * AFTER, received: 0 });
    let counted = Counters::Own(vec![service]).stop()?;
    ensure!(counted.said("waits for the user \"absentee\""), "there was no warning");
    let named = counted.records().any(|record| record["user"] == "absentee");
    ensure!(named, "the name is not in the records");
    counted.must_equal(&truth)
}
