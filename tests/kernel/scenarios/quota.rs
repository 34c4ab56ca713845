//! A user passes 80 and 100 % of a quota while the service is killed again and again: each step is told once, with what he had sent
//! up to then, and `trafcalc quota` says the same.

use std::path::Path;
use std::process::Command;
use std::thread::{scope, sleep};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use tempfile::TempDir;

use super::{CLIENT, Scenario, Test, run_all};
use crate::service::{Log, Options, Service, program};
use crate::traffic::spec::{CHUNK, Step, receive_all, send};
use crate::world::World;

pub(super) const SCENARIO: Scenario = Scenario::new("quota", run).behind_the_hooks();

/// So long the service lives before it is killed.
const LIFE: Duration = Duration::from_millis(500);
/// One of many writes, which take longer than all lives.
const WRITE: u64 = 10_000;

fn run(test: &Test) -> Result<()> {
    let world = World::new()?;
    let folder = TempDir::with_prefix("trafcalc-test-")?;
    let kills = test.kills(12, 6)?;
    let writes = 100 * u64::from(kills);
    // The client passes the first before half of it is sent. What is sent while no service runs may not be counted.
    let limit = WRITE * writes / 3;
    let config = format!(
        "[[quota]]\nname = 'client'\nusers = ['{CLIENT}']\ndirection = 'sent'\nlimit = '{limit}B'\n\
         [[quota]]\nname = 'host'\nlimit = '1TB'\n"
    );
    let options = Options {
        interval: "100ms",
        log: Some(folder.path().join("traffic")),
        book: Some(folder.path().join("book.db")),
        config: config.clone(),
        ..Options::default()
    };
    let steps: Vec<_> = (0..writes).flat_map(|_| [send(WRITE, CHUNK), Step::Pause(10)]).collect();
    let send_all = || run_all([(&world.far, test.server([receive_all()])), (&world.near, test.client(steps.clone()))]);
    let log = scope(|scope| {
        let traffic = scope.spawn(send_all);
        for number in 0..kills {
            let service = Service::start(test.target, &world.near, &options)?;
            sleep(LIFE + LIFE * (number * 7 % 10) / 10);
            service.kill()?;
        }
        let service = Service::start(test.target, &world.near, &options)?;
        traffic.join().expect("the traffic does not panic")?;
        // Where a start takes long, the lives saw little of it: this one sees enough for every step.
        send_all()?;
        service.report_now()?;
        service.stop()
    })?;
    let steps: Vec<_> =
        log.quotas.iter().map(|record| (record["quota"].as_str(), record["percent"].as_u64())).collect();
    ensure!(steps == [(Some("client"), Some(80)), (Some("client"), Some(100))], "these steps were told: {steps:?}");
    for record in &log.quotas {
        must_be_what_was_sent(record, &log, limit)?;
    }
    let sent = sent_until(&log, (u64::MAX, 0))?;
    must_be_shown(folder.path(), &config, 1, sent)?;
    must_be_shown(folder.path(), &config.replace(&format!("{limit}B"), &format!("{}B", sent + 1)), 0, sent)
}

/// What the client sent by the log, up to the report of this epoch and number.
fn sent_until(log: &Log, last: (u64, u64)) -> Result<u64> {
    let mut sent = 0;
    for record in log.reports.iter().flat_map(|report| &report.accounts) {
        let number = |name: &str| record[name].as_u64().with_context(|| format!("no number {name} in {record}"));
        if record["uid"].as_u64() == Some(CLIENT.into()) && (number("epoch")?, number("seq")?) <= last {
            sent += number("sent_bytes")?;
        }
    }
    Ok(sent)
}

fn must_be_what_was_sent(record: &Value, log: &Log, limit: u64) -> Result<()> {
    let number = |name: &str| record[name].as_u64().with_context(|| format!("no number {name} in {record}"));
    let (used, percent) = (number("used_bytes")?, number("percent")?);
    ensure!(number("limit_bytes")? == limit && used * 100 >= percent * limit, "{record}");
    let (epoch, seq) = (number("epoch")?, number("seq")?);
    let sent = sent_until(log, (epoch, seq))?;
    // A step is reached within a border of the book, too, whose bytes the next report tells.
    let is_cut = !log
        .reports
        .iter()
        .any(|report| (&report.summary["epoch"], &report.summary["seq"]) == (&record["epoch"], &record["seq"]));
    ensure!(sent == used || is_cut, "{record}: {sent} bytes were told by then");
    Ok(())
}

/// `trafcalc quota` must end with `code`, and say that the client sent so much.
fn must_be_shown(folder: &Path, config: &str, code: i32, sent: u64) -> Result<()> {
    let file = folder.join("quota.toml");
    std::fs::write(&file, config)?;
    let mut command = Command::new(program());
    let output =
        command.args(["quota", "--json", "--config"]).arg(&file).arg("--book").arg(folder.join("book.db")).output()?;
    ensure!(output.status.code() == Some(code), "{output:?}");
    let shown: Value = serde_json::from_slice(&output.stdout)?;
    let (used, passed) = (&shown["quotas"][0]["used_bytes"], &shown["quotas"][0]["passed"]);
    ensure!(used.as_u64() == Some(sent) && passed.as_bool() == Some(code == 1), "{shown} instead of {sent}");
    ensure!(shown["quotas"][1]["passed"] == false, "{shown}");
    Ok(())
}
