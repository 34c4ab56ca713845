//! Users move bytes while the counters are looked at between reports: what the samples say adds up to what the users moved and to
//! what the report says then, and users outside the service's group are told of themselves alone, in samples and in reports.

use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use tempfile::TempDir;

use super::{Scenario, Test, run_all};
use crate::follow::Follower;
use crate::service::{Log, Options, PATIENCE, Service, program};
use crate::traffic::spec::{CHUNK, Program, receive, receive_all, send};
use crate::truth::{Account, Table};
use crate::world::{World, address_of, listen_at};

pub(super) const SCENARIO: Scenario = Scenario::new("looked_at", run).behind_the_hooks();

const CONNECTIONS: u32 = 10;
/// Nobody else on the host has these numbers. The first two are near, the others far.
const USERS: [u32; 4] = [70_020_021, 70_020_022, 70_020_023, 70_020_024];
/// Who follows: two who move bytes, and one who does not.
const FOLLOWERS: [u32; 3] = [USERS[0], USERS[1], 70_020_025];
/// So long nothing moves between two rounds of traffic: longer than from one sample to the next.
const SILENCE: Duration = Duration::from_millis(1_300);

fn run(test: &Test) -> Result<()> {
    let world = World::new()?;
    let folder = TempDir::with_prefix("trafcalc-test-")?;
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755))?;
    let socket = folder.path().join("reports");
    let mut options = Options { interval: "1d", book: Some(folder.path().join("book.db")), ..Options::default() };
    options = options.argument("--reports-socket").argument(&socket.display().to_string());
    let service = Service::start(test.target, &world.near, &options)?;
    let mut everybody = Reader::connect(&socket)?;
    let mut himself = Ordinary::start(&socket, folder.path(), USERS[0])?;
    let followers = FOLLOWERS.map(|uid| Ok((uid, Follower::start(&socket, folder.path(), uid)?)));
    let followers = followers.into_iter().collect::<Result<Vec<_>>>()?;
    let first = everybody.sample()?;
    let mut truth = Table::default();
    for _ in 0..2 {
        truth.merge(traffic(test, &world)?);
        sleep(SILENCE);
    }
    let is_near = |account: &Account| account.uid.is_some_and(|uid| USERS[..2].contains(&uid));
    // The packet backend counts one end.
    let truth = if test.is_packet() { truth.split(is_near).0 } else { truth };
    let last = everybody.samples_until(&truth)?;
    let own = himself.rows_until(&truth.user(USERS[0]), USERS[0])?;
    ensure!(own.keys().all(|uid| *uid == Some(USERS[0].into())), "a user was told of others: {own:?}");
    let log = service.stop()?;
    everybody.counted().must_equal(&truth).context("the sum of what moved between samples")?;
    log.totals()?.must_equal(&truth).context("the report")?;
    log.sum_of_intervals()?.must_equal(&truth).context("what the report says moved")?;
    ensure!(log.reports.len() == 1, "{} reports: a sample is none", log.reports.len());
    if first["date"] == last["date"] || first.get("date").is_none() {
        Reader::today(&everybody.booked).must_equal(&truth).context("today")?;
    }
    for (uid, follower) in followers {
        told_of_himself(&follower.lines()?, uid, &log).with_context(|| format!("the user {uid}"))?;
    }
    everybody.ends_with(&log)
}

/// Checks what a user outside the group was told: the records of his own accounts as they are in the log, and nothing of anybody else.
fn told_of_himself(lines: &[Value], uid: u32, log: &Log) -> Result<()> {
    let of = |kind: &str| lines.iter().filter(|line| line["type"] == kind).cloned().collect::<Vec<_>>();
    ensure!(lines.first().is_some_and(|hello| hello["only_uid"] == uid), "{:?}", lines.first());
    ensure!(lines.len() == of("sample").len() + of("account").len() + of("summary").len() + 1, "{lines:?}");
    let is_his = |record: &&Value| record["uid"] == uid;
    let written: Vec<_> = log.last()?.accounts.iter().filter(is_his).cloned().collect();
    ensure!(of("account") == written, "told {:?}\nwritten {written:?}", of("account"));
    let rows = |sample: &Value| {
        [&sample["accounts"], &sample["booked"]]
            .map(Value::as_array)
            .into_iter()
            .flatten()
            .flatten()
            .cloned()
            .collect::<Vec<_>>()
    };
    let samples: Vec<_> = of("sample").iter().flat_map(rows).collect();
    ensure!(samples.iter().all(|row| is_his(&row)), "{samples:?}");
    ensure!(samples.is_empty() == written.is_empty(), "samples tell of {samples:?}, the report of {written:?}");
    let sum = |name: &str| written.iter().filter_map(|record| record[name].as_u64()).sum::<u64>();
    for summary in of("summary") {
        for name in ["sent_bytes", "received_bytes", "sent_bytes_total", "received_bytes_total"] {
            ensure!(summary[name] == sum(name), "{name} is somebody else's: {summary}");
        }
        ensure!(summary["accounts"] == written.len(), "{summary}");
    }
    ensure!(of("summary").len() == log.reports.len(), "{} summaries", of("summary").len());
    Ok(())
}

fn traffic(test: &Test, world: &World) -> Result<Table> {
    let server = |uid, port| {
        let steps = test.lasting([receive(50_000), send(20_000, 5_000), receive_all()]);
        Program::listen(uid, listen_at(test.family), steps).times(CONNECTIONS, 4).on_port(port)
    };
    let client = |uid, port| {
        let steps = test.lasting([send(50_000, CHUNK), receive(20_000), send(1_234, 3)]);
        Program::connect(uid, address_of(test.family, 0, 2), steps).times(CONNECTIONS, 4).on_port(port)
    };
    run_all([
        (&world.far, server(USERS[2], 7001)),
        (&world.far, server(USERS[3], 7002)),
        (&world.near, client(USERS[0], 7001)),
        (&world.near, client(USERS[1], 7002)),
    ])
}

/// One who may see everything.
struct Reader {
    lines: BufReader<UnixStream>,
    /// What accounts have moved since the service was started, by the last sample that told of them.
    known: Table,
    /// The sum of all differences.
    moved: Table,
    booked: BTreeMap<u64, Value>,
}

impl Reader {
    fn connect(socket: &Path) -> Result<Self> {
        let mut stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(b"{\"every_ms\":1000}\n")?;
        let mut reader = Self {
            lines: BufReader::new(stream),
            known: Table::default(),
            moved: Table::default(),
            booked: BTreeMap::new(),
        };
        let hello: Value = serde_json::from_str(&reader.line()?)?;
        ensure!(hello["type"] == "hello" && hello.get("only_uid").is_none(), "{hello}");
        Ok(reader)
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.lines.read_line(&mut line)?;
        Ok(line)
    }

    /// The next sample.
    fn sample(&mut self) -> Result<Value> {
        let sample: Value = serde_json::from_str(&self.line()?)?;
        ensure!(sample["type"] == "sample", "{sample}");
        for record in sample["accounts"].as_array().context("no accounts")? {
            let (account, bytes) = Log::account_of(record)?;
            let one = Table([(account.clone(), bytes)].into());
            self.moved.merge(one.since(&self.known));
            self.known.0.insert(account, bytes);
        }
        for row in sample["booked"].as_array().into_iter().flatten() {
            self.booked.insert(row["uid"].as_u64().unwrap_or(u64::MAX), row.clone());
        }
        Ok(sample)
    }

    /// Reads samples until they have told of all of it, and one more, which has nothing more; gives the last one.
    fn samples_until(&mut self, truth: &Table) -> Result<Value> {
        let start = Instant::now();
        while self.moved.must_equal(truth).is_err() || Self::today(&self.booked).must_equal(truth).is_err() {
            let error = || self.moved.must_equal(truth).err().map_or_else(String::new, |error| error.to_string());
            ensure!(start.elapsed() < PATIENCE, "the samples do not tell all of it\n{}", error());
            self.sample()?;
        }
        self.sample()
    }

    fn counted(&self) -> &Table {
        &self.moved
    }

    /// What was booked today.
    fn today(booked: &BTreeMap<u64, Value>) -> Table {
        let mut table = Table::default();
        for row in booked.values() {
            let number = |name: &str| row[name].as_u64().unwrap_or_default();
            let uid = row["uid"].as_u64().and_then(|uid| u32::try_from(uid).ok());
            let bytes =
                crate::truth::Bytes { sent: number("sent_bytes_today"), received: number("received_bytes_today") };
            table.add(Account { uid, ..Account::default() }, bytes);
        }
        table
    }

    /// Checks that the last report comes here as it is in the log.
    fn ends_with(mut self, log: &Log) -> Result<()> {
        let mut records = Vec::new();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                break;
            }
            let record: Value = serde_json::from_str(&line)?;
            records.extend((record["type"] != "sample").then_some(record));
        }
        let last = log.last()?;
        let written: Vec<_> = last.accounts.iter().chain([&last.summary]).cloned().collect();
        ensure!(records == written, "told: {records:?}\nwritten: {written:?}");
        Ok(())
    }
}

/// `trafcalc top` of a user outside the group.
struct Ordinary {
    child: Child,
    lines: BufReader<std::process::ChildStdout>,
}

impl Ordinary {
    fn start(socket: &Path, folder: &Path, uid: u32) -> Result<Self> {
        let copy = folder.join("program");
        fs::copy(program(), &copy)?;
        fs::set_permissions(&copy, Permissions::from_mode(0o755))?;
        let mut command = Command::new(copy);
        command.args(["top", "--json"]).arg("--socket").arg(socket).current_dir("/");
        command.stdout(Stdio::piped()).stderr(File::create(folder.join("top"))?);
        let mut child = command.uid(uid).gid(uid).spawn()?;
        let lines = BufReader::new(child.stdout.take().context("no standard output")?);
        Ok(Self { child, lines })
    }

    /// Reads until his own bytes are all told; gives those of all that he was told of.
    fn rows_until(&mut self, own: &crate::truth::Bytes, uid: u32) -> Result<BTreeMap<Option<u64>, Value>> {
        let (start, mut told) = (Instant::now(), BTreeMap::new());
        loop {
            ensure!(start.elapsed() < PATIENCE, "he is not told of his own bytes: {told:?}");
            let mut line = String::new();
            self.lines.read_line(&mut line)?;
            let moment: Value = serde_json::from_str(&line).with_context(|| format!("top has ended: {line:?}"))?;
            for record in moment["accounts"].as_array().into_iter().chain(moment["booked"].as_array()).flatten() {
                told.insert(record["uid"].as_u64(), record.clone());
            }
            let accounts = moment["accounts"].as_array().into_iter().flatten();
            for record in accounts {
                let (account, bytes) = Log::account_of(record)?;
                let sums = ["sent_bytes_total", "received_bytes_total"].map(|name| moment["summary"][name].as_u64());
                if account == Account::user(uid) && bytes == *own {
                    ensure!(sums == [Some(own.sent), Some(own.received)], "the sums are others': {moment}");
                    return Ok(told);
                }
            }
        }
    }
}

impl Drop for Ordinary {
    fn drop(&mut self) {
        // It ends with the service, too.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
