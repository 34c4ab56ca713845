//! The server of the directory of users is not there when the service starts again, and its module says `ENOENT`, as for a user
//! who does not exist: whoever had a name in the book keeps it.

use anyhow::{Result, ensure};
use rusqlite::{Connection, OpenFlags};
use tempfile::TempDir;

use super::{CLIENT, Scenario, Test, no_directory, run_all};
use crate::service::{Directory, Log, Options, Service};
use crate::traffic::spec::{CHUNK, receive_all, send};
use crate::world::World;

pub(super) const SCENARIO: Scenario = Scenario::new("directory_gone", run).behind_the_hooks().needs(no_directory);

const NAME: &str = "regular";
const BYTES: u64 = 300_000;

fn run(test: &Test) -> Result<()> {
    let (world, folder, directory) = (World::new()?, TempDir::with_prefix("trafcalc-test-")?, Directory::new()?);
    directory.set_users([(NAME.to_owned(), CLIENT)])?;
    let book = folder.path().join("book.db");
    let options = Options { directory: Some(directory.clone()), book: Some(book.clone()), ..Options::default() };
    let first = live(test, &world, &options)?;
    ensure!(names(&first).last() == Some(&NAME), "{:?}", names(&first));
    directory.vanish()?;
    let second = live(test, &world, &options)?;
    ensure!(!names(&second).is_empty() && names(&second).iter().all(|name| *name == NAME), "{:?}", names(&second));
    let book = Connection::open_with_flags(book, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let ask = |sql: &str| book.query_row(sql, [CLIENT], |row| row.get::<_, u64>(0));
    ensure!(ask("SELECT count(*) FROM account WHERE uid = ?1")? == 1, "another account was made");
    let sent = ask("SELECT sum(sent) FROM total JOIN account ON id = account WHERE uid = ?1")?;
    ensure!(sent == 2 * BYTES, "{sent} bytes");
    Ok(())
}

/// A life of the service, with some traffic.
fn live(test: &Test, world: &World, options: &Options) -> Result<Log> {
    let service = Service::start(test.target, &world.near, options)?;
    run_all([(&world.far, test.server([receive_all()])), (&world.near, test.client([send(BYTES, CHUNK)]))])?;
    world.near.wait_until_closed()?;
    service.report_now()?;
    service.stop()
}

/// What the user is called in each record about him.
fn names(log: &Log) -> Vec<&str> {
    let records = log.reports.iter().flat_map(|report| &report.accounts).filter(|record| record["uid"] == CLIENT);
    records.filter_map(|record| record["user"].as_str()).collect()
}
