//! A service with a book is killed again and again while it counts: the book and the log have the same, each report once, and the
//! next totals go on from the last ones.

use std::collections::BTreeMap;
use std::path::Path;
use std::thread::{scope, sleep};
use std::time::Duration;

use anyhow::{Result, ensure};
use rusqlite::{Connection, OpenFlags};
use tempfile::TempDir;

use super::{Scenario, Test, run_all};
use crate::service::{Log, Options, Service};
use crate::traffic::spec::{CHUNK, Step, receive_all, send};
use crate::truth::{Bytes, Table};
use crate::world::World;

pub(super) const SCENARIO: Scenario = Scenario::new("killed_book", run).behind_the_hooks();

/// So long it lives, plus up to as long again.
const LIFE: Duration = Duration::from_millis(700);
/// One of many writes, which take longer than all lives.
const WRITE: u64 = 10_000;

fn run(test: &Test) -> Result<()> {
    let world = World::new()?;
    let folder = TempDir::with_prefix("trafcalc-test-")?;
    let options = Options {
        interval: "100ms",
        log: Some(folder.path().join("traffic")),
        book: Some(folder.path().join("book.db")),
        ..Options::default()
    };
    let kills = test.kills(12, 12)?;
    let steps: Vec<_> = (0..125 * kills).flat_map(|_| [send(WRITE, CHUNK), Step::Pause(10)]).collect();
    let (client, server) = (test.client(steps), test.server([receive_all()]));
    let log = scope(|scope| {
        let traffic = scope.spawn(|| run_all([(&world.far, server), (&world.near, client)]));
        for number in 0..kills {
            let service = Service::start(test.target, &world.near, &options)?;
            sleep(LIFE + LIFE * (number * 7 % 10) / 10);
            service.kill()?;
        }
        let service = Service::start(test.target, &world.near, &options)?;
        sleep(LIFE);
        let log = service.stop()?;
        traffic.join().expect("the traffic does not panic")?;
        anyhow::Ok(log)
    })?;
    compare(&log, &folder.path().join("book.db"), kills)
}

/// The sum of all accounts: ebpf sees the other end, too.
fn sum(table: &Table) -> Bytes {
    let mut sum = Bytes::default();
    table.0.values().for_each(|bytes| sum += *bytes);
    sum
}

fn compare(log: &Log, path: &Path, kills: u32) -> Result<()> {
    must_agree(log, path)?;
    let book = Book::open(path)?;
    let (reports, epochs) = (book.number("count(*) FROM report")?, book.number("count(DISTINCT epoch) FROM report")?);
    ensure!(reports > u64::from(kills) && epochs > u64::from(kills) / 2, "{reports} reports in {epochs} lives");
    let gaps = book.number("count(*) FROM gap")?;
    ensure!(gaps + 1 == epochs, "{gaps} gaps between {epochs} lives");
    let (last, logged) = (sum(&log.totals()?), sum(&log.sum_of_intervals()?));
    ensure!(last == logged, "the last totals are {last:?}, the sums of the intervals {logged:?}");
    Ok(())
}

/// The book at this path and the log must have the same, each report once, and nothing may be left to tell.
pub(super) fn must_agree(log: &Log, path: &Path) -> Result<()> {
    must_have_the_same(log, path)?;
    let untold = Book::open(path)?.number("count(*) FROM outbox")?;
    ensure!(untold == 0, "the log has not been told {untold} reports");
    Ok(())
}

/// The same while a service may be writing both: what the log was told is taken out of the book with the next report.
pub(super) fn must_have_the_same(log: &Log, path: &Path) -> Result<()> {
    let mut seen = BTreeMap::new();
    for report in &log.reports {
        let name = |name: &str| report.summary[name].as_u64();
        *seen.entry((name("epoch"), name("seq"))).or_insert(0) += 1;
    }
    let twice: Vec<_> = seen.iter().filter(|(_, times)| **times > 1).collect();
    ensure!(twice.is_empty(), "reports that are in the log more than once: {twice:?}");
    let book = Book::open(path)?;
    let reports = book.number("count(*) FROM report")?;
    ensure!(seen.len() as u64 <= reports, "{} reports, {reports} in the book", seen.len());
    let logged = sum(&log.sum_of_intervals()?);
    ensure!(logged.sent > 0, "nothing moved");
    for table in ["total", "fine", "hour", "day", "report"] {
        let sum = |column: &str| book.number(&format!("sum({column}) FROM {table}"));
        let booked = Bytes { sent: sum("sent")?, received: sum("received")? };
        ensure!(booked == logged, "{table}: {booked:?}, the log {logged:?}");
    }
    Ok(())
}

/// A book, to be read.
pub(super) struct Book(Connection);

impl Book {
    pub(super) fn open(path: &Path) -> Result<Self> {
        Ok(Self(Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?))
    }

    pub(super) fn number(&self, what: &str) -> Result<u64> {
        let number: Option<u64> = self.0.query_row(&format!("SELECT {what}"), [], |row| row.get(0))?;
        Ok(number.unwrap_or(0))
    }
}
