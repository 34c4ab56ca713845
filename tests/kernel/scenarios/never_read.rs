//! Sixteen clients of the reports socket never read, beside a service at work: reports go on, each byte is in them, and memory stays
//! bounded. They are told at the end how many reports they were not.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use tempfile::TempDir;

use super::{Scenario, Test, finish_actors};
use crate::running::Running;
use crate::service::{Options, PATIENCE, Service};
use crate::traffic::spec::{Program, Step, receive, send};
use crate::truth::By;
use crate::world::{World, address_of, listen_at};

pub(super) const SCENARIO: Scenario = Scenario::new("never_read", run).behind_the_hooks();

/// As many clients as there may be.
const SILENT: usize = 16;
/// Pairs of users who move bytes all the time, so that a report has some kilobytes.
const PAIRS: u16 = 20;
const FIRST: u32 = 70_020_400;
/// What may wait for each of them in the service (`status/reader.rs`), in bytes, and what one report and the service itself may need
/// beyond, in all.
const MAX_WAITING_BYTES: u64 = 256 << 10;
const MARGIN_BYTES: u64 = 16 << 20;
/// Reports until nothing more fits into the buffers of clients, in the kernel and in the service.
const REPORTS: usize = 120;

fn run(test: &Test) -> Result<()> {
    let (world, folder) = (World::new()?, TempDir::with_prefix("trafcalc-test-")?);
    let (reports, status) = (folder.path().join("reports"), folder.path().join("status"));
    let mut options = Options { interval: "100ms", ..Options::default() };
    for (option, path) in [("--reports-socket", &reports), ("--status-socket", &status)] {
        options = options.argument(option).argument(&path.display().to_string());
    }
    let service = Service::start(test.target, &world.near, &options)?;
    let programs = start_traffic(test, &world)?;
    let report_count = || Ok::<_, anyhow::Error>(service.report_now()?.reports.len());
    report_count()?;
    let before = asked(&status)?;
    let silent = (0..SILENT).map(|_| Silent::connect(&reports)).collect::<Result<Vec<_>>>()?;
    let begin = report_count()?;
    service.wait_for_log(|log| log.reports.len() >= begin + REPORTS)?;
    let after = asked(&status)?;
    let number = |status: &Value, name: &str| status[name].as_u64().with_context(|| format!("no {name}: {status}"));
    let grown = number(&after, "resident_bytes")?.saturating_sub(number(&before, "resident_bytes")?);
    eprintln!(
        "{}: {SILENT} silent clients, {REPORTS} reports: resident memory grew by {grown} bytes, the loop's longest wait was {} ms, {} before",
        test.target, after["loop_longest_wait_ms"], before["loop_longest_wait_ms"]
    );
    ensure!(grown <= SILENT as u64 * MAX_WAITING_BYTES + MARGIN_BYTES, "resident memory grew by {grown} bytes");
    for client in silent {
        client.was_not_told()?;
    }
    let truth = finish_actors(programs.into_iter().map(|program| (&world.far, program)))?.by(By::USER);
    world.near.wait_until_closed()?;
    // The packet backend counts one end.
    let is_near = |account: &crate::truth::Account| account.uid.is_some_and(|uid| uid.is_multiple_of(2));
    let truth = if test.is_packet() { truth.split(is_near).0 } else { truth };
    let log = service.stop()?;
    log.totals()?.must_equal(&truth).context("the totals")?;
    log.sum_of_intervals()?.must_equal(&truth).context("what the reports say moved")
}

/// Users who move bytes for about as long as the reports take, a few at a time.
fn start_traffic(test: &Test, world: &World) -> Result<Vec<Running>> {
    let rounds = test.volume(200_usize, 100);
    let (ask, serve) = ([send(1_000, 100), receive(500), Step::Pause(60)], [receive(1_000), send(500, 100)]);
    let ask: Vec<_> = ask.into_iter().cycle().take(3 * rounds).collect();
    let serve: Vec<_> = serve.into_iter().cycle().take(2 * rounds).collect();
    let mut programs = Vec::new();
    for number in 0..PAIRS {
        let (uid, port) = (FIRST + 2 * u32::from(number), 7_300 + number);
        let server = Program::listen(uid + 1, listen_at(test.family), test.lasting(serve.clone())).on_port(port);
        let client = Program::connect(uid, address_of(test.family, 0, 2), test.lasting(ask.clone())).on_port(port);
        programs.push(Running::start(&server, &world.far)?);
        programs.push(Running::start(&client, &world.near)?);
    }
    Ok(programs)
}

fn asked(status: &Path) -> Result<Value> {
    Ok(serde_json::from_reader(UnixStream::connect(status)?)?)
}

/// A client who reads nothing until the service has ended.
struct Silent(BufReader<UnixStream>);

impl Silent {
    fn connect(socket: &Path) -> Result<Self> {
        let mut stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(b"{\"every_ms\":1000}\n")?;
        Ok(Self(BufReader::new(stream)))
    }

    /// Reads what had waited; behind it stands how much had not.
    fn was_not_told(mut self) -> Result<()> {
        loop {
            let mut line = String::new();
            ensure!(self.0.read_line(&mut line)? > 0, "the service has ended");
            let record: Value = serde_json::from_str(&line)?;
            if record["type"] == "dropped" {
                ensure!(record["reports"].as_u64() > Some(0), "there was room for all reports: {record}");
                return Ok(());
            }
        }
    }
}
