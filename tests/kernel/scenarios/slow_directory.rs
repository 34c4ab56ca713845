//! A directory server that takes 2 s a name, and 40 users: reports come in time, with numbers until names are known,
//! and SIGTERM is obeyed at once.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::Value;

use super::{Counted, SERVER, Scenario, Test, finish_all, no_directory};
use crate::running::Running;
use crate::service::{Directory, Log, Options, Service};
use crate::traffic::spec::{Program, Step, receive_all, send};
use crate::truth::{Account, Bytes, Table};
use crate::world::{World, address_of, listen_at};

pub(super) const SCENARIO: Scenario = Scenario::new("slow_directory", run).behind_the_hooks().needs(no_directory);

const USERS: u32 = 40;
const FIRST: u32 = 70_020_300;
/// For one name: all of them take 80 s.
const DELAY: Duration = Duration::from_secs(2);
/// Each user sends so much, again and again, for longer than some names take.
const EACH: u64 = 10_000;
const ROUNDS: u32 = 24;
const PAUSE_MS: u64 = 500;

/// Reports are due each second.
const IN_TIME: f64 = 2.5;
/// Until all users have moved something and were reported.
const FIRST_REPORTS: Duration = Duration::from_secs(15);
const NAMES_LATER: usize = 3;
const STOP: Duration = Duration::from_secs(5);

fn run(test: &Test) -> Result<()> {
    let world = World::new()?;
    let directory = Directory::new()?;
    directory.set_users((0..USERS).map(|number| (name(number), FIRST + number)))?;
    directory.set_delay(DELAY)?;
    let options = Options { directory: Some(directory), ..Options::default() };
    let options = options.environment("WATCHDOG_USEC", &60_000_000);
    let service = Service::start(test.target, &world.near, &options)?;

    let steps = (0..ROUNDS).flat_map(|_| [send(EACH, 1_000), Step::Pause(PAUSE_MS)]);
    let client = Program::connect(0, address_of(test.family, 0, 2), steps.collect::<Vec<_>>());
    let client = client.of_users_from(FIRST).times(USERS, USERS);
    let server = Program::listen(SERVER, listen_at(test.family), [receive_all()]).times(USERS, USERS);
    let server = Running::start(&server, &world.far)?;
    let begin = Instant::now();
    let client = Running::start(&client, &world.near)?;

    service.wait_for_log(|log| begin.elapsed() > FIRST_REPORTS || users(log).len() == USERS as usize)?;
    let first_all = begin.elapsed();
    let named = |log: &Log| users(log).values().filter(|(first, last)| first != last).count();
    let log = service.wait_for_log(|log| {
        let is_late = begin.elapsed() > FIRST_REPORTS + DELAY * 10;
        is_late || named(log) >= NAMES_LATER
    })?;
    let (later, renamed) = (begin.elapsed(), named(&log));
    finish_all([(&world.far, server), (&world.near, client)])?;
    let stop = Instant::now();
    let log = service.stop()?;
    let stopped = stop.elapsed();
    eprintln!("all users reported after {first_all:?}, {renamed} names after {later:?}, stopped in {stopped:?}");

    ensure!(first_all <= FIRST_REPORTS, "reports did not come: {first_all:?}\n{}", log.stderr);
    for report in &log.reports {
        let interval = report.summary["interval_s"].as_f64().unwrap_or(f64::MAX);
        ensure!(interval < IN_TIME, "a report came after {interval} s");
    }
    for (uid, (first, last)) in users(&log) {
        ensure!(first == uid.to_string(), "the first record of {uid} has the name {first}");
        ensure!(last == first || last == name(uid - FIRST), "{uid} became {last}");
    }
    ensure!(renamed >= NAMES_LATER, "only {renamed} names became known\n{}", log.stderr);
    ensure!(stopped < STOP, "it took {stopped:?} to stop");
    let mut truth = Table::default();
    for number in 0..USERS {
        truth.add(Account::user(FIRST + number), Bytes { sent: EACH * u64::from(ROUNDS), received: 0 });
    }
    // An eBPF program counts both ends.
    let mut counted = Counted::new(vec![log])?;
    counted.table.forget(&[SERVER]);
    counted.must_equal(&truth)
}

fn name(number: u32) -> String {
    format!("slow{number}")
}

/// The first and the last name that each user had in a record.
fn users(log: &Log) -> BTreeMap<u32, (String, String)> {
    let mut users = BTreeMap::new();
    for record in log.reports.iter().flat_map(|report| &report.accounts) {
        let uid = record["uid"].as_u64().and_then(|uid| u32::try_from(uid).ok()).filter(|&uid| is_ours(uid));
        if let (Some(uid), Value::String(name)) = (uid, &record["user"]) {
            users.entry(uid).or_insert_with(|| (name.clone(), String::new())).1.clone_from(name);
        }
    }
    users
}

fn is_ours(uid: u32) -> bool {
    (FIRST..FIRST + USERS).contains(&uid)
}
